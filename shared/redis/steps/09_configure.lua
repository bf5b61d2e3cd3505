-- Configure: settings, start and stop, and shards that shard managers open.

do -- seen in here alone

-- Why the channels cannot be a new shard's, or nil.
local function shard_channels_refused(c, shard, user, names)
    local per_shard, most_rooms = limit(c, 'channels_per_shard'), room_limit(c, user)
    if #names > per_shard then
        return refused_by(c, string.format('Shard %s cannot have %d channels.', shard, #names), 'channels_per_shard')
    end
    local now = call('HMGET', key(c, 'channels'), unpack(names))
    local rooms = 0
    for i, channel in ipairs(names) do
        if now[i] and now[i] ~= '' then
            return string.format('Channel %s is on shard %s already.', channel, now[i])
        end
        rooms = rooms + (channel ~= user and 1 or 0)
    end
    local taken = most_rooms ~= math.huge and call('SCARD', key(c, 'rooms', user)) or 0
    if taken + rooms > most_rooms then
        return refused_by(c, string.format(
            '%d channels more are above the room limit of user %s: it is in %d of %d rooms.', rooms, user, taken,
            most_rooms), 'room_limit')
    end
    return nil
end

-- add_shard: incarnation token shard user channel... The shard is not started; where no node has room, none
-- holds it yet. All or nothing: "added" | "exists" | "refused", why | "later", why: it passes by itself
function steps.add_shard(keys, a)
    local c, failed = context(keys)
    if failed then
        return failed
    end
    local deposed = leader_check(c, a[1], a[2])
    if deposed then
        return deposed
    end
    local shard, user = a[3], a[4]
    if #a < 4 or #a > 4 + MAX_CHANNELS_PER_REQUEST then
        return badarg('add_shard: incarnation token shard user channel...')
    end
    if not shard_id(shard) then
        return {'refused', 'Not a shard id: ' .. shown(shard) .. '; it is 1 to 64 of a-z, 0-9, _ and -.'}
    end
    if call('ZSCORE', key(c, 'load'), shard) then
        return {'exists'}
    end
    local login = login_of(user)
    if not login or not user_known(c, login) then
        return {login and 'later' or 'refused', no_token(user)}
    end
    if call('ZCARD', key(c, 'load')) >= limit(c, 'max_shard_count') then
        return {'refused', refused_by(c, ERR_SHARDS_FULL, 'max_shard_count')}
    end
    local refused = {}
    local names = channel_names({unpack(a, 5)}, refused)
    local text, why = next(refused)
    if text then
        return {'refused', text .. ': ' .. why}
    end
    why = #names > 0 and shard_channels_refused(c, shard, user, names)
    if why then
        return {'refused', why}
    end
    create_shard(c, shard, user, nil, 0, 'new')
    if #names > 0 then
        local plan = plan_create(c, #names)
        local now = call('HMGET', key(c, 'channels'), unpack(names))
        for i, channel in ipairs(names) do
            plan.waited[channel] = now[i] == ''
        end
        plan.by_shard[shard], plan.user_of[shard] = names, user
        plan_apply(c, plan)
    end
    hint(c)
    return {'added'}
end

-- shard_start and shard_stop: its node connects it, or closes it. nil, or why not.
local function shard_run(c, shard, start)
    local sk = key(c, 'shard', shard)
    local run = call('ZSCORE', key(c, 'load'), shard) and call('HGET', sk, 'run')
    if not run then
        return 'Shard ' .. shown(shard) .. ' does not exist.'
    elseif start and run == 'started' then
        return 'Shard ' .. shard .. ' cannot be started. Perhaps it has already been started?'
    elseif start and settings(c).stopped == '1' then
        return 'Shard ' .. shard .. ' cannot be started: the cluster is stopped.'
    elseif not start and run ~= 'started' then
        return 'Shard ' .. shard .. ' has not been started.'
    end
    call('HSET', sk, 'run', start and 'started' or 'stopped')
    if start then
        call('HSET', sk, 'state', 'idle') -- closed is what its node says when it is
    end
    bump(sk, 'rev', 1)
    local node = node_of(c, shard)
    if node then
        touch(c, node, 'shards', shard)
    end
    shards_changed(c)
    return nil
end

-- What may be asked for, and in which stream. All else that configure knows the leader does by itself.
local REQUEST_OPS = {join = 'requests', part = 'requests', retry = 'requests', set = 'admin', unset = 'admin',
    start = 'admin', stop = 'admin'}

-- Why the op cannot be asked for by that entry, or nil.
local function op_refused(c, entry, op)
    local stream = REQUEST_OPS[op]
    local given = string.match(entry, '^admin:') and 'admin' or 'requests'
    if entry == '' or stream == given then
        return nil
    elseif stream == 'admin' then
        return 'Op "' .. op .. '" is administration: add it to the stream ' .. key(c, 'admin') .. '.'
    elseif stream then
        return 'Op "' .. op .. '" is no administration: add it to the stream ' .. key(c, 'requests') .. '.'
    elseif given == 'admin' then
        return 'Unknown op "' .. shown(op) .. '"; ops of this stream are set, unset, start and stop.'
    end
    return 'Unknown op "' .. shown(op) .. '"; ops are join, part and retry; set, unset, start and stop are for ' ..
        key(c, 'admin') .. '.'
end

-- configure: incarnation token entry id op arg...
-- op "set" name value | "unset" name | "start" | "stop" | "setup" (it is done) |
-- "create" manager name value ... (a cluster that is not set up takes this manager and those settings) |
-- "abandon" name ... (setting it up failed: as if they had never been created, unless it has shards) |
-- "senders" shard sender ... (a shard "@USER": for channels nobody joined) |
-- "shard_start" shard | "shard_stop" shard | "error" name value ... (an event) |
-- "lost" channels shards names (so many of an earlier registry are gone) |
-- anything else: refused with that as the unknown op.
function steps.configure(keys, a)
    local c, failed = context(keys)
    if failed then
        return failed
    end
    local deposed = leader_check(c, a[1], a[2])
    if deposed then
        return deposed
    end
    local op = a[5] or ''
    local r, before = request_begin(c, a[3], a[4], op, {unpack(a, 6)})
    if not r then
        return before
    end
    local config = key(c, 'config')
    local reply = {ok = true}
    local misplaced = op_refused(c, r.entry, op)
    if misplaced then
        reply = {ok = false, error = misplaced}
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
        for i = 7, #a - 1, 2 do
            local why = setting_refused(a[i], a[i + 1])
            if why then
                return request_end(c, r, {ok = false, error = why})
            end
        end
        if settings(c).setup ~= 'done' then
            call('HSET', config, 'manager', a[6])
        elseif settings(c).manager ~= a[6] then
            reply.manager = settings(c).manager or ''
        end
        for i = 7, #a - 1, 2 do
            local now = call('HGET', config, a[i])
            if not now and settings(c).setup ~= 'done' then
                call('HSET', config, a[i], a[i + 1])
            elseif (now or SETTINGS[a[i]].default) ~= a[i + 1] then
                different[a[i]] = now or SETTINGS[a[i]].default
            end
        end
        reply.different = different
    elseif op == 'abandon' then
        if settings(c).setup ~= 'done' and call('ZCARD', key(c, 'load')) == 0 then
            call('HDEL', config, 'manager', unpack(a, 6))
        end
    elseif op == 'start' or op == 'stop' then
        -- The shard manager starts or stops the shards; no shard starts while the cluster is stopped.
        call('HSET', config, 'stopped', op == 'stop' and '1' or '0')
        event(c, 'cluster.' .. op, {})
    elseif op == 'shard_start' or op == 'shard_stop' then
        local why = shard_run(c, a[6] or '', op == 'shard_start')
        if why then
            reply = {ok = false, error = why}
        end
    elseif op == 'lost' then
        call('HSET', key(c, 'clock'), 'lost_at', c.now, 'lost_channels', count_of(a[6]), 'lost_shards', count_of(a[7]))
        event(c, 'registry.lost', {'channels', count_of(a[6]), 'shards', count_of(a[7]), 'first', a[8] or ''})
    elseif op == 'error' then
        event(c, 'error', {unpack(a, 6)})
    elseif op == 'setup' then
        call('HSET', config, 'setup', 'done')
        event(c, 'cluster.setup', {})
    elseif op == 'senders' then
        for i = 6, #a - 1, 2 do
            -- Nobody speaks as another user; a shard that is gone by now is no sender.
            local user = shard_id(a[i + 1]) and user_of(c, a[i + 1])
            if user and a[i] == '@' .. user then
                call('HSET', key(c, 'senders'), user, a[i + 1])
            elseif user and shard_id(a[i]) and user == user_of(c, a[i]) then
                set_sender(c, a[i], a[i + 1])
            end
        end
    else
        return badarg('configure: no such op')
    end
    return request_end(c, r, reply)
end

end
