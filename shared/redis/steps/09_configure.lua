-- Configure: settings, start and stop, and shards that managers open by themselves.

-- add_shard: incarnation token shard user closes_idle(0/1)
-- "added", node | "exists" | "refused", why
local function add_shard(keys, a)
    local c, failed = context(keys)
    if failed then
        return failed
    end
    local deposed = leader_check(c, a[1], a[2])
    if deposed then
        return deposed
    end
    local shard, user = a[3], a[4]
    if #a ~= 5 or not string.match(shard, '^[a-z0-9_-]+$') or #shard > 64 or
        not channel_name(user) or (a[5] ~= '0' and a[5] ~= '1') then
        return badarg('add_shard: incarnation token shard user closes_idle')
    end
    if call('ZSCORE', key(c, 'load'), shard) then
        return {'exists'}
    end
    if call('ZCARD', key(c, 'load')) >= limit(c, 'max_shard_count') then
        return {'refused', ERR_SHARDS_FULL}
    end
    local node = choose_node(c, user)
    if not node then
        return {'refused', ERR_NO_ROOM}
    end
    create_shard(c, shard, user, node, tonumber(a[5]))
    hint(c)
    return {'added', node}
end

local function unknown_op(op)
    return 'Unknown op "' .. shown(op) .. '"; ops are join, part, set, unset, start and stop.'
end

-- What the leader does by itself, and no request may ask for.
local LEADERS_OPS = {create = true, setup = true, senders = true}

-- configure: incarnation token entry id op arg...
-- op "set" name value | "unset" name | "start" | "stop" | "setup" (it is done) |
-- "create" name value ... (settings of a cluster that has none of them yet) |
-- "senders" shard sender ... (a shard "@USER": for channels nobody joined) |
-- anything else: refused with that as the unknown op.
local function configure(keys, a)
    local c, failed = context(keys)
    if failed then
        return failed
    end
    local deposed = leader_check(c, a[1], a[2])
    if deposed then
        return deposed
    end
    local entry, id, op = a[3], request_id(a[3], a[4]), a[5] or ''
    local before = request_begin(c, entry, id, a[4])
    if before then
        return before == 'gone' and {'gone'} or {'again', before}
    end
    local config = key(c, 'config')
    local reply = {ok = true}
    if entry ~= '' and LEADERS_OPS[op] then
        reply = {ok = false, error = unknown_op(op)}
    elseif op == 'set' then
        local why = setting_refused(a[6] or '', a[7] or '')
        if why then
            reply = {ok = false, error = why}
        else
            call('HSET', config, a[6], a[7])
            event(c, 'config.set', {'name', a[6], 'value', a[7]})
        end
    elseif op == 'unset' then
        if SETTINGS[a[6] or ''] then
            call('HDEL', config, a[6])
            event(c, 'config.unset', {'name', a[6]})
        else
            reply = {ok = false, error = setting_refused(a[6] or '', '')}
        end
    elseif op == 'create' then
        local different = {}
        for i = 6, #a - 1, 2 do
            local why = setting_refused(a[i], a[i + 1])
            if why then
                return request_end(c, entry, id, op, {ok = false, error = why})
            end
        end
        for i = 6, #a - 1, 2 do
            local now = call('HGET', config, a[i])
            if not now and settings(c).setup ~= 'done' then
                call('HSET', config, a[i], a[i + 1])
            elseif (now or SETTINGS[a[i]].default) ~= a[i + 1] then
                different[a[i]] = now or SETTINGS[a[i]].default
            end
        end
        reply.different = different
    elseif op == 'start' or op == 'stop' then
        call('HSET', config, 'stopped', op == 'stop' and '1' or '0')
        event(c, 'cluster.' .. op, {})
        for _, node in ipairs(call('ZRANGE', key(c, 'nodes'), 0, -1)) do
            c.dirty[node] = true
        end
    elseif op == 'setup' then
        call('HSET', config, 'setup', 'done')
        event(c, 'cluster.setup', {})
    elseif op == 'senders' then
        for i = 6, #a - 1, 2 do
            -- Nobody speaks as another user; a shard that is gone by now is no sender.
            local user = call('HGET', key(c, 'shard', a[i + 1]), 'user')
            if user and a[i] == '@' .. user then
                call('HSET', key(c, 'senders'), user, a[i + 1])
            elseif user and user == call('HGET', key(c, 'shard', a[i]), 'user') then
                set_sender(c, a[i], a[i + 1])
            end
        end
    else
        reply = {ok = false, error = unknown_op(op)}
    end
    return request_end(c, entry, id, op, reply)
end
