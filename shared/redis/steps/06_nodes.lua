-- Nodes: registering, renewing, leaving, and what a node is told.

local RUN, NODE_STATES, reported, members, evacuate, forget_node -- the others are seen in here alone
do

-- Of the channels, those first that had lines lately. Where lists are long, each thousand by itself.
local function active_first(c, channels)
    local ordered = {}
    for from = 1, #channels, 1000 do
        local some = {unpack(channels, from, math.min(from + 999, #channels))}
        local at = {}
        for i, when in ipairs(call('ZMSCORE', key(c, 'active'), unpack(some))) do
            at[some[i]] = count_of(when)
        end
        table.sort(some, function(a, b)
            return at[a] > at[b] or (at[a] == at[b] and a < b)
        end)
        for _, channel in ipairs(some) do
            ordered[#ordered + 1] = channel
        end
    end
    return ordered
end

-- Fills `held` or `serves` of a picture: ids of all shards, and those that changed since rev `seen` as
-- entry() describes them, followed by their channels; behind a channel for which unread() has them, one number or
-- two, and where there are such, in the order in which they should be joined. What cannot be held or served, as what
-- is known of it does not suffice, is passed over: the node goes on as it does.
-- The rev the node knows everything up to: `rev`, or less where it is a lot.
local function picture_shards(c, list, seen, rev, ids, changed, entry, unread)
    for i, shard in ipairs(call('ZRANGE', list, 0, -1)) do
        ids[i] = shard
    end
    local since = call('ZRANGEBYSCORE', list, '(' .. seen, '+inf', 'WITHSCORES', 'LIMIT', 0,
        SHARDS_PER_PICTURE)
    for i = 1, #since, 2 do
        local shard = since[i]
        local told = shard_id(shard) and entry(shard)
        local number, some = nil, false
        if told and unread then
            number, some = unread(shard)
        end
        local channels = told and call('SMEMBERS', key(c, 'shard', shard, 'channels')) or {}
        for _, channel in ipairs(some and active_first(c, channels) or channels) do
            if login_of(channel) then
                local n = #told
                told[n + 1] = channel
                if number then
                    told[n + 2], told[n + 3] = number(channel)
                end
            end
        end
        if told then
            changed[#changed + 1] = told
        else
            damaged(c)
        end
    end
    if #since == 2 * SHARDS_PER_PICTURE then
        return math.min(rev, count_of(since[#since]))
    end
    return rev
end

-- For how many ms a channel of the shard has not been read, -1 where it never was, nil while it is, and when somebody
-- asked to try it again, if so: as a function of the channel. And: is there one that was read before, and is not now?
local function unread_of(c, shard)
    local since, some, retry = {}, false, {}
    local asked = call('HGETALL', key(c, 'shard', shard, 'retry'))
    for i = 1, #asked, 2 do
        retry[asked[i]] = tonumber(asked[i + 1])
    end
    local read = call('HGETALL', key(c, 'shard', shard, 'read'))
    for i = 1, #read, 2 do
        since[read[i]] = read[i + 1]
        some = some or read[i + 1] ~= ''
    end
    return function(channel)
        if since[channel] == '' then
            return nil
        end
        local at = whole(since[channel])
        return at and math.max(1, c.now - at) or -1, retry[channel]
    end, some
end

-- What is asked of a shard, as a node is told it.
RUN = {new = 0, started = 1, stopped = 2}

-- What a node should hold and serve, as far as it changed since rev `seen` (-1: everything):
-- "current", lease, rev, seq, default sender, failed_retry_ms, resume_delay_ms,
-- {held ids}, {{shard, epoch, rev, user, run, channel, [unread, [retry,]]...}...},
-- {served ids}, {{shard, sender, channel...}...}, compare_ms, registry, blind_ms (0: off),
-- another node is blind (0/1), {time, must restate (0/1), time up to which Redis has all}
-- Ids and changes are empty where rev == seen. Where many changed, the rev answered is that of the last
-- one told, and the node is hinted to ask for the rest.
local function picture(c, node, seen)
    local nk = key(c, 'node', node)
    local rev = count_of(call('HGET', nk, 'rev'))
    local user = setting(c, 'user')
    local blind_ms = limit(c, 'blind_ms')
    local answer = {
        'current', limit(c, 'lease_ms'), rev,
        count_of(call('HGET', key(c, 'fan', node), 'seq')),
        shard_id(call('HGET', key(c, 'senders'), user == '' and 'anonymous' or user)) or '',
        limit(c, 'failed_retry_ms'), limit(c, 'resume_delay_ms'), {}, {}, {}, {}, limit(c, 'compare_ms'),
        registry_of(c), blind_ms ~= math.huge and blind_ms or 0, sight.others_blind(c, node),
        {c.now, must_restate(c, node) and 1 or 0, count_of(call('HGET', key(c, 'clock'), 'kept'))},
    }
    if rev == seen then
        return answer
    elseif seen > rev then
        seen = -1 -- the counter began anew
    end
    local held = picture_shards(c, nk .. ':shards', seen, rev, answer[8], answer[9], function(shard)
        local fields = call('HMGET', key(c, 'shard', shard), 'epoch', 'rev', 'user', 'run')
        local epoch = whole(fields[1])
        return epoch and epoch >= 0 and login_of(fields[3]) and
            {shard, epoch, count_of(fields[2]), fields[3], RUN[fields[4]] or 0}
    end, function(shard)
        return unread_of(c, shard)
    end)
    local served = picture_shards(c, nk .. ':serves', seen, rev, answer[10], answer[11],
        function(shard)
            local sender = sender_of_shard(c, shard)
            return sender and {shard, sender}
        end)
    answer[3] = math.min(held, served)
    if answer[3] < rev then
        c.dirty[node] = true
    end
    return answer
end

-- A link that its process gave up for a later one (ids grow while a server runs) may still be executed, and after
-- that one: it must not be the registered link again, or whoever fences the node would kill the wrong one.
local function overtaken(c, node, link, run_id)
    local now = call('HMGET', key(c, 'node', node), 'link', 'run_id')
    if now[2] == run_id and count_of(now[1]) > count_of(link) then
        return redis.error_reply('OVERTAKEN node ' .. shown(node) .. ' has renewed on a later link')
    end
    return nil
end

-- How a node may say it is.
NODE_STATES = {active = true, blind = true, proving = true, draining = true}

-- register: node incarnation link run_id host pid version capacity users takeover_link state(active, blind, proving)
function steps.register(keys, a)
    local c, failed = context(keys)
    if failed then
        return failed
    end
    local node, incarnation, link, run_id = a[1], a[2], a[3], a[4]
    local capacity = tonumber(a[8])
    if #a ~= 11 or not NODE_STATES[a[11]] or not node_id(node) or not capacity or capacity < 0 or
        capacity ~= whole(capacity) then
        return badarg('register: node incarnation link run_id host pid version capacity users takeover state')
    end
    local lease = limit(c, 'lease_ms')
    restating(c) -- before `seen` is written
    watch_clock(c, lease)
    local nk = key(c, 'node', node)
    local deadline = count_of(call('ZSCORE', key(c, 'nodes'), node))
    local holder = call('HMGET', nk, 'incarnation', 'link', 'host', 'pid', 'run_id')
    if holder[1] and holder[1] ~= incarnation then
        local held_by = count_of(holder[2]) -- 0: nobody knows
        if held_by ~= count_of(a[10]) or (held_by == 0 and deadline > c.now) then
            return {'held', holder[3], holder[4], held_by, deadline - c.now, lease, holder[5]}
        end
        unknown_claims(c, node)
    elseif holder[1] then
        local late = overtaken(c, node, link, run_id)
        if late then
            return late
        end
    end
    call('ZADD', key(c, 'nodes'), c.now + lease, node)
    call('HSET', nk, 'incarnation', incarnation, 'link', link, 'run_id', run_id, 'host', a[5],
        'pid', a[6], 'version', a[7], 'capacity', capacity, 'users', a[9],
        'since', c.now, 'silent', '', 'seen', 0)
    local held = call('ZRANGE', nk .. ':shards', 0, -1)
    call('HSET', nk, 'shards', #held)
    sight.keep_state(c, node, a[11], c.now, '')
    local until_ms = read_until(c, node)
    for _, shard in ipairs(held) do
        if node_of(c, shard) == node then
            stop_reading(c, shard, until_ms)
            set_idle(c, shard)
        end
    end
    call('HSET', nk, 'renewed', c.now, 'read_until', c.now)
    event(c, 'node.up', {'node', node, 'host', a[5], 'pid', a[6]})
    place_homeless(c)
    shards_changed(c)
    local answer = picture(c, node, -1)
    hint(c)
    return answer
end

local SHARD_REPORT = {
    'state', 'joined', 'lines_s', 'bytes_s', 'lag_ms', 'bad_lines', 'login_refused', 'error',
}
local CHANNEL_REPORT = {'state', 'reason', 'moderator', 'room'}

-- Fields of a node's hash that only steps write.
local NODE_OWN = {
    incarnation = true, link = true, run_id = true, rev = true, capacity = true, shards = true,
    since = true, renewed = true, read_until = true, silent = true, seen = true, state = true, error = true,
}

-- A value of a report as Redis keeps it; nil for what is none (null, tables).
function reported(value)
    if type(value) == 'boolean' then
        return value and '1' or '0'
    elseif type(value) == 'string' then
        return value
    elseif type(value) == 'number' then
        return whole(value)
    end
    return nil
end

-- When something was that is reported as so many ms ago: before the report was written, which a Redis that stood still
-- reads late.
local function ago(c, ms)
    return c.written - (whole(reported(ms)) or 0)
end

local function written_at(c, report)
    local at = whole(reported(report.at_ms))
    return at and at > c.now - REPORT_LATE_MOST_MS and math.min(at, c.now) or c.now
end

function members(report, name)
    return type(report[name]) == 'table' and report[name] or {}
end

local function keep_fields(k, fields, names)
    for _, name in ipairs(names) do
        local value = reported(fields[name])
        if value ~= nil then
            call('HSET', k, name, value)
        end
    end
end

local function report_shard(c, node, shard, fields)
    local sk = key(c, 'shard', shard)
    local now = call('HMGET', sk, 'node', 'epoch', 'state', 'login_refused')
    if now[1] ~= node or whole(now[2]) ~= whole(reported(fields.epoch)) then
        return
    end
    keep_fields(sk, fields, SHARD_REPORT)
    local refused = tostring(reported(fields.login_refused) or 0)
    local user = user_of(c, shard)
    if refused ~= (now[4] or '0') then
        shards_changed(c) -- shard managers ask whose token can be used
        if user and refused == '1' then
            logins.refused(c, node, user)
        end
    end
    if user and fields.state == 'ready' and now[3] ~= 'ready' then
        logins.taken(c, user)
    end
    local silent = count_of(reported(fields.silent_ms))
    call('HSET', sk, 'silent', silent > 0 and ago(c, silent) or '')
    if type(fields.state) == 'string' and fields.state ~= now[3] then
        if fields.state == 'ready' or now[3] == 'ready' or fields.state == 'closed' then
            shards_changed(c)
        end
        event(c, 'shard.' .. shown(fields.state), {'shard', shard, 'node', node,
            'error', reported(fields.error) or ''})
    end
end

local function report_channel(c, channel, fields)
    if call('HGET', key(c, 'channels'), channel) ~= fields.shard then
        return
    end
    local ck = key(c, 'channel', channel)
    local before = call('HGET', ck, 'state')
    keep_fields(ck, fields, CHANNEL_REPORT)
    if fields.since_ms then
        local next_ms = count_of(reported(fields.next_try_ms))
        call('HSET', ck, 'since', ago(c, fields.since_ms), 'next_try', next_ms > 0 and c.now + next_ms or 0)
    end
    local unread = whole(reported(fields.unread_ms))
    if fields.state == 'joined' then
        call('HSET', key(c, 'shard', fields.shard, 'read'), channel, '')
        call('HDEL', key(c, 'shard', fields.shard, 'retry'), channel)
    elseif unread then
        call('HSET', key(c, 'shard', fields.shard, 'read'), channel, ago(c, unread))
    end
    local moderator = reported(fields.moderator)
    local user = user_of(c, fields.shard)
    if moderator ~= nil and user then
        local counts = tostring(moderator) ~= '1' and channel ~= user
        call(counts and 'SADD' or 'SREM', key(c, 'rooms', user), channel)
    end
    if fields.state == 'failed' and before ~= 'failed' then
        event(c, 'channel.failed', {'channel', channel, 'shard', fields.shard,
            'reason', reported(fields.reason) or ''})
    end
end

-- These had lines since the last report. One that was parted meanwhile is forgotten.
local function note_active(c, names)
    local wanted, scored = {}, {}
    for _, name in ipairs(names) do
        if type(name) == 'string' and #wanted < 1000 then
            wanted[#wanted + 1] = name
        end
    end
    if #wanted == 0 then
        return
    end
    for i, shard in ipairs(call('HMGET', key(c, 'channels'), unpack(wanted))) do
        if shard then
            scored[#scored + 1], scored[#scored + 2] = c.stamp, wanted[i]
        end
    end
    if #scored > 0 then
        call('ZADD', key(c, 'active'), unpack(scored))
    end
end

-- renew: node incarnation link run_id seen_rev report(JSON, may be empty) registry(as answered before, or empty)
-- host pid version capacity users
-- EMPTIED where it is another registry, which does not know this node.
function steps.renew(keys, a)
    local c, failed = context(keys)
    if failed then
        return failed
    end
    local node, link, seen = a[1], a[3], tonumber(a[5])
    if #a ~= 12 or not seen or not node_id(node) then
        return badarg('renew: node incarnation link run_id seen_rev report registry host pid version capacity users')
    end
    if a[7] ~= '' and a[7] ~= registry_of(c) and call('EXISTS', key(c, 'node', node)) == 0 then
        return redis.error_reply('EMPTIED all that was in Redis is gone')
    end
    local refused = node_check(c, node, a[2]) or overtaken(c, node, link, a[4])
    if refused then
        return refused
    end
    local report
    if a[6] ~= '' then
        local ok, decoded = pcall(cjson.decode, a[6])
        if not ok or type(decoded) ~= 'table' then
            return badarg('renew: the report is not JSON')
        end
        report = decoded
        c.written = written_at(c, report)
    end
    local lease = limit(c, 'lease_ms')
    restating(c) -- before `seen` is written
    watch_clock(c, lease)
    call('ZADD', key(c, 'nodes'), c.now + lease, node)
    -- What was read before the last renewal was carried out, by a node that still answers for it, is not
    -- missing: but for what still waited there to be fanned out.
    local nk = key(c, 'node', node)
    local waits = report and count_of(reported(report.waits_ms)) or 0
    local renewed = math.min(whole(call('HGET', nk, 'renewed')) or c.now, c.now)
    call('HSET', nk, 'link', link, 'run_id', a[4], 'host', a[8], 'pid', a[9], 'version', a[10], 'capacity', a[11],
        'users', a[12], 'renewed', c.now, 'read_until', renewed - waits, 'silent', '')
    if report then
        for shard, fields in pairs(members(report, 'shards')) do
            if type(fields) == 'table' and shard_id(tostring(shard)) then
                report_shard(c, node, shard, fields)
            end
        end
        for channel, fields in pairs(members(report, 'channels')) do
            if type(fields) == 'table' and type(fields.shard) == 'string' and shard_id(fields.shard) and
                login_of(tostring(channel)) then
                report_channel(c, channel, fields)
            end
        end
        note_active(c, members(report, 'active'))
        for _, gap in ipairs(members(report, 'gaps')) do
            if type(gap) == 'table' then
                event(c, 'gap', {'channel', reported(gap.channel) or '', 'from', ago(c, gap.from_ms),
                    'to', ago(c, gap.to_ms), 'lines', reported(gap.lines) or 0,
                    'reason', reported(gap.reason) or ''})
            end
        end
        local told = members(report, 'node')
        for name, value in pairs(told) do
            if reported(value) ~= nil and not NODE_OWN[name] then
                call('HSET', nk, name, reported(value))
            end
        end
        if reported(told.rewound_ms) then
            event(c, 'redis.rewound', {'node', node, 'ms', reported(told.rewound_ms),
                'lines', reported(told.rewound_lines) or 0})
        end
        if reported(told.fenced) then
            event(c, 'node.fenced', {'node', node, 'why', reported(told.fenced)})
        end
        if reported(told.lost) then
            event(c, 'node.lost', {'node', node, 'why', reported(told.lost)})
        end
        local takes = NODE_STATES[told.state] and
            sight.report_state(c, node, told.state, count_of(reported(told.failing_ms)), reported(told.why) or '')
        if told.users then
            logins.tokens_are_new(c, node, tostring(reported(told.users) or ''))
            shards_changed(c)
        end
        if takes or told.users then
            place_homeless(c) -- it may take more now
        end
        if reported(told.seen_ms) then
            sight.report_seen(c, node, ago(c, told.seen_ms))
        end
    end
    local answer = picture(c, node, seen)
    hint(c)
    return answer
end

-- A node's shards go to others, a portion a call; true when none is left. `said` as stop_reading() takes it.
function evacuate(c, node, said)
    local shards = call('ZRANGE', key(c, 'node', node, 'shards'), 0, SHARDS_PER_EXPIRE - 1)
    local until_ms = read_until(c, node)
    for _, shard in ipairs(shards) do
        if shard_id(shard) and node_of(c, shard) == node then
            stop_reading(c, shard, until_ms, said)
            unplace(c, shard)
            place(c, shard)
        else -- not its affair
            call('ZREM', key(c, 'node', node, 'shards'), shard)
            damaged(c)
        end
    end
    shards_changed(c)
    return #shards < SHARDS_PER_EXPIRE
end

function forget_node(c, node, event_name)
    call('DEL', key(c, 'node', node), key(c, 'node', node, 'shards'),
        key(c, 'node', node, 'serves'), key(c, 'fan', node))
    call('ZREM', key(c, 'blind'), node)
    c.dirty[node] = nil
    event(c, event_name, {'node', node})
end

-- leave: node incarnation said(0 or 1: all it read is fanned out, and reported up to when it read). Orderly: the
-- shards are closed already. "gone" or "more" (call again).
function steps.leave(keys, a)
    local c, failed = context(keys)
    if failed then
        return failed
    end
    local node = a[1]
    local lost = node_check(c, node, a[2])
    if lost then
        return lost
    end
    -- It stays among the nodes until its last shard is placed: if it dies before, it expires.
    call('ZREM', key(c, 'free'), node)
    call('HSET', key(c, 'node', node), 'state', 'leaving')
    unknown_claims(c, node)
    local done = evacuate(c, node, a[3] == '1')
    if done then
        call('ZREM', key(c, 'nodes'), node)
        forget_node(c, node, 'node.left')
    end
    hint(c)
    return {done and 'gone' or 'more'}
end

end
