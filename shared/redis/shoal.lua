#!lua name=shoal1
-- The registry's steps: the only writers of Shoal's state in Redis.
--
-- Each function is one atomic step. KEYS[1] is the cluster's tag key, `shoal:{main}`; every other
-- key is derived from it and shares its hash tag. Steps own every invariant (how many shards, how
-- many channels in each, who may write) and the one choice "the least-loaded open shard, or open
-- one, or refuse". When to call them, and with which arguments, is decided in C (registry.h, which
-- says for each step what it takes and answers).
--
-- Answers are arrays whose first element is a word ("current", "held", ...). A caller that may not
-- act gets an error: LOST (a node whose lease is another's or gone) or DEPOSED (a leader that no
-- longer leads). Bad arguments are errors that begin with BADARG.
--
-- Keys beside those of the public contract (README), all internal:
--   node:<node>:shards   zset  shards placed on the node -> the node's rev when last changed
--   node:<node>:serves   zset  shards whose sends this node serves -> the same
--   node:<node>:claims   set   outbox entries this node has claimed
--   shard:<shard>:serves set   shards whose sender this shard is
--   free                 zset  node -> shards it can still take
--   homeless             set   shards that no node holds
--   waiting              set   wanted channels without a shard
--   idle                 zset  extended shards without channels -> since when
--   initial              set   channels that were ever asked for as initial channels
--   senders              hash  user -> the shard that says what goes to channels nobody joined
--   claims               hash  channel -> the claimed outbox entry, one at a time

local CONTRACT = '1' -- the contract's version, part of library and function names
local REVISION = 1   -- grows with every change here: a program loads its library over an older one
local REPLY_SECONDS = 3600
local RESULT_SECONDS = 86400
local LOG_ENTRIES = 10000
local MAX_CHANNELS_PER_REQUEST = 1000
local SHARDS_PER_EXPIRE = 50
local CLAIM_AHEAD_MS = 2000 -- a send is claimed when its slot is no further away than this

-- Settings: default, and what is allowed: a range, and `off` as the word for "no limit".
local SETTINGS = {
    channels_per_shard = {default = '25', min = 1, max = 1000000, off = 'none'},
    max_shard_count = {default = '5', min = 1, max = 1000000, off = 'none'},
    initial_shard_count = {default = '1', min = 1, max = 10000},
    room_limit = {default = '100', min = 1, max = 1000000, off = 'off'},
    join_limit = {default = '20', min = 1, max = 100000, off = 'off'},
    join_window_ms = {default = '11000', min = 100, max = 600000},
    login_limit = {default = '20', min = 1, max = 100000, off = 'off'},
    login_window_ms = {default = '11000', min = 100, max = 600000},
    connect_burst = {default = '5', min = 1, max = 10000},
    connect_interval_ms = {default = '2000', min = 1, max = 600000, off = 'off'},
    message_limit = {default = '20', min = 1, max = 100000, off = 'off'},
    message_mod_limit = {default = '100', min = 1, max = 100000, off = 'off'},
    message_window_ms = {default = '32000', min = 100, max = 600000},
    channel_message_ms = {default = '1200', min = 1, max = 600000, off = 'off'},
    send_ttl_ms = {default = '30000', min = 100, max = 600000},
    lease_ms = {default = '3000', min = 300, max = 60000},
    resume_delay_ms = {default = '1000', min = 0, max = 60000},
    failed_retry_ms = {default = '3600000', min = 1000, max = 86400000},
    idle_shard_ms = {default = '60000', min = 0, max = 86400000},
    user = {default = '', login = true},
}

local ERR_SHARDS_FULL = 'All shards are full, and the shard count limit has been reached.'
local ERR_NO_ROOM = 'No node has room for another shard.'

-- redis.call does not exist yet while the library is being loaded.
local function call(...)
    return redis.call(...)
end

local function badarg(text)
    return redis.error_reply('BADARG ' .. text)
end

-- The cluster as one step sees it: key and topic names, and Redis's time in ms.
local function context(keys)
    local tag = keys[1]
    local name = tag and string.match(tag, '^shoal:{([a-z0-9_-]+)}$')
    if not name then
        return nil, badarg('KEYS[1] must be shoal:{CLUSTER}')
    end
    local time = call('TIME')
    return {
        tag = tag,
        topic = 'shoal:' .. name .. ':',
        now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000),
        dirty = {},
    }
end

local function key(c, ...)
    return c.tag .. ':' .. table.concat({...}, ':')
end

local function setting(c, name)
    local value = call('HGET', key(c, 'config'), name)
    return value or SETTINGS[name].default
end

-- A numeric setting; huge where it is switched off.
local function limit(c, name)
    return tonumber(setting(c, name)) or math.huge
end

-- Publish an event and keep it in the log. `fields` is a flat list: name, value, ...
local function event(c, name, fields)
    local object = {event = name, at = c.now}
    for i = 1, #fields, 2 do
        object[fields[i]] = fields[i + 1]
    end
    local text = cjson.encode(object)
    call('XADD', key(c, 'log'), 'MAXLEN', '~', LOG_ENTRIES, '*', 'event', text)
    call('PUBLISH', c.topic .. 'events', text)
end

-- Something about the set of shards changed that the leader's choice of senders depends on.
local function shards_changed(c)
    call('HINCRBY', key(c, 'clock'), 'shards', 1)
end

-- The node must look at this shard: `role` is "shards" (holds it) or "serves" (sends for it).
local function touch(c, node, role, shard)
    local rev = call('HINCRBY', key(c, 'node', node), 'rev', 1)
    call('ZADD', key(c, 'node', node, role), rev, shard)
    c.dirty[node] = true
end

local function untouch(c, node, role, shard)
    call('HINCRBY', key(c, 'node', node), 'rev', 1)
    call('ZREM', key(c, 'node', node, role), shard)
    c.dirty[node] = true
end

-- Tell the nodes concerned to look now; a lost hint costs one renewal.
local function hint(c)
    for node in pairs(c.dirty) do
        call('PUBLISH', c.topic .. 'node:' .. node, 'look')
    end
end

-- Sets are read whole only where they hold what one shard or node has.
local function each_member(k)
    return call('SMEMBERS', k)
end

-- The shard's node and those that send for it must look: its channels changed.
local function shard_touched(c, shard)
    local sk = key(c, 'shard', shard)
    local fields = call('HMGET', sk, 'node', 'sender')
    call('HINCRBY', sk, 'rev', 1)
    if fields[1] and fields[1] ~= '' then
        touch(c, fields[1], 'shards', shard)
    end
    local sender_node = fields[2] and call('HGET', key(c, 'shard', fields[2]), 'node')
    if sender_node and sender_node ~= '' then
        touch(c, sender_node, 'serves', shard)
    end
end

local function leader_check(c, incarnation, token)
    local leader = call('HMGET', key(c, 'leader'), 'incarnation', 'token')
    if leader[1] ~= incarnation or leader[2] ~= token then
        return redis.error_reply('DEPOSED another coordinator leads')
    end
    return nil
end

local function node_check(c, node, incarnation)
    if call('HGET', key(c, 'node', node), 'incarnation') ~= incarnation then
        return redis.error_reply('LOST the lease of node ' .. node .. ' is not held by this process')
    end
    return nil
end

-- Redis was away, or its clock jumped: for two leases nothing expires.
local function watch_clock(c, lease)
    local ck = key(c, 'clock')
    local seen = tonumber(call('HGET', ck, 'seen') or c.now)
    if c.now < seen or c.now > seen + lease / 2 then
        call('HSET', ck, 'grace', c.now + 2 * lease)
    end
    call('HSET', ck, 'seen', c.now)
end

local function in_grace(c)
    return c.now < tonumber(call('HGET', key(c, 'clock'), 'grace') or 0)
end

-- Placement: shard -> node ---------------------------------------------------------------------

-- The live node with the most free capacity that can log in as `user`.
local function choose_node(c, user)
    local from = 0
    while true do
        local nodes = call('ZREVRANGEBYSCORE', key(c, 'free'), '+inf', 1, 'LIMIT', from, 16)
        for _, node in ipairs(nodes) do
            local deadline = tonumber(call('ZSCORE', key(c, 'nodes'), node) or 0)
            local users = call('HGET', key(c, 'node', node), 'users') or ''
            local knows = user == 'anonymous' or
                string.find(',' .. users .. ',', ',' .. user .. ',', 1, true)
            if deadline > c.now and knows then
                return node
            end
        end
        if #nodes < 16 then
            return nil
        end
        from = from + 16
    end
end

local function serves_moved(c, shard, old, new)
    for _, served in ipairs(each_member(key(c, 'shard', shard, 'serves'))) do
        if old and old ~= '' then
            untouch(c, old, 'serves', served)
        end
        if new and new ~= '' then
            touch(c, new, 'serves', served)
        end
    end
end

local function unplace(c, shard)
    local sk = key(c, 'shard', shard)
    local node = call('HGET', sk, 'node')
    if node and node ~= '' then
        untouch(c, node, 'shards', shard)
        if call('ZSCORE', key(c, 'free'), node) then
            call('ZINCRBY', key(c, 'free'), 1, node)
        end
        serves_moved(c, shard, node, nil)
    end
    call('HSET', sk, 'node', '', 'state', 'idle', 'joined', 0)
end

local function place(c, shard, node)
    local sk = key(c, 'shard', shard)
    node = node or choose_node(c, call('HGET', sk, 'user'))
    if not node then
        call('HSET', sk, 'node', '')
        call('SADD', key(c, 'homeless'), shard)
        return nil
    end
    call('HSET', sk, 'node', node, 'state', 'idle', 'joined', 0)
    call('HINCRBY', sk, 'epoch', 1)
    call('HINCRBY', sk, 'rev', 1)
    call('SREM', key(c, 'homeless'), shard)
    call('ZINCRBY', key(c, 'free'), -1, node)
    touch(c, node, 'shards', shard)
    serves_moved(c, shard, nil, node)
    event(c, 'shard.placed', {'shard', shard, 'node', node})
    return node
end

local function place_homeless(c)
    local shards = call('SRANDMEMBER', key(c, 'homeless'), SHARDS_PER_EXPIRE)
    table.sort(shards)
    for _, shard in ipairs(shards) do
        if not place(c, shard) then
            break
        end
    end
    if #shards > 0 then
        shards_changed(c)
    end
end

local function set_sender(c, shard, sender)
    local sk = key(c, 'shard', shard)
    local old = call('HGET', sk, 'sender')
    if old == sender then
        return
    end
    if old and old ~= '' then
        call('SREM', key(c, 'shard', old, 'serves'), shard)
        local node = call('HGET', key(c, 'shard', old), 'node')
        if node and node ~= '' then
            untouch(c, node, 'serves', shard)
        end
    end
    call('HSET', sk, 'sender', sender)
    call('SADD', key(c, 'shard', sender, 'serves'), shard)
    local node = call('HGET', key(c, 'shard', sender), 'node')
    if node and node ~= '' then
        touch(c, node, 'serves', shard)
    end
end

-- Creates a shard on `node`. The caller has checked the limits.
local function create_shard(c, shard, user, node, closes_idle)
    call('HSET', key(c, 'shard', shard), 'user', user, 'epoch', 0, 'rev', 0, 'channels', 0,
        'joined', 0, 'state', 'idle', 'node', '', 'closes_idle', closes_idle, 'since', c.now)
    call('ZADD', key(c, 'load'), 0, shard)
    call('ZADD', key(c, 'open', user), 0, shard)
    set_sender(c, shard, shard)
    call('HSETNX', key(c, 'senders'), user, shard)
    event(c, 'shard.added', {'shard', shard, 'user', user})
    place(c, shard, node)
    shards_changed(c)
end

local function remove_shard(c, shard)
    local sk = key(c, 'shard', shard)
    local fields = call('HMGET', sk, 'user', 'sender')
    for _, served in ipairs(each_member(key(c, 'shard', shard, 'serves'))) do
        if served ~= shard then
            set_sender(c, served, served)
        end
    end
    local sender_node = fields[2] and call('HGET', key(c, 'shard', fields[2]), 'node')
    if sender_node and sender_node ~= '' then
        untouch(c, sender_node, 'serves', shard)
    end
    if fields[2] then
        call('SREM', key(c, 'shard', fields[2], 'serves'), shard)
    end
    unplace(c, shard)
    call('DEL', sk, key(c, 'shard', shard, 'channels'), key(c, 'shard', shard, 'serves'))
    call('ZREM', key(c, 'load'), shard)
    call('ZREM', key(c, 'open', fields[1]), shard)
    call('ZREM', key(c, 'idle'), shard)
    call('SREM', key(c, 'homeless'), shard)
    if call('HGET', key(c, 'senders'), fields[1]) == shard then
        call('HDEL', key(c, 'senders'), fields[1])
        local other = call('ZRANGE', key(c, 'open', fields[1]), 0, 0)[1]
        if other then
            call('HSET', key(c, 'senders'), fields[1], other)
        end
    end
    event(c, 'shard.removed', {'shard', shard})
    shards_changed(c)
end

-- Sends -----------------------------------------------------------------------------------------

-- An outbox entry as a table, or nil if it is gone.
local function outbox_entry(c, entry)
    if not string.match(entry, '^%d+%-%d+$') then
        return nil
    end
    local found = call('XRANGE', key(c, 'outbox'), entry, entry)[1]
    if not found then
        return nil
    end
    local fields = {}
    for i = 1, #found[2], 2 do
        fields[found[2][i]] = found[2][i + 1]
    end
    if not fields.id or fields.id == '' or #fields.id > 128 then
        fields.id = entry
    end
    return fields
end

local function publish_result(c, channel, result)
    call('PUBLISH', c.topic .. 'sent:' .. channel, cjson.encode(result))
end

-- The one result of a send: kept, published, the entry gone and its claim with it.
local function finish_send(c, entry, send, status, reason, text)
    local channel = send.channel or ''
    local result = {id = send.id, channel = channel, status = status, at = c.now}
    if reason and reason ~= '' then
        result.reason = reason
    end
    if text and text ~= '' then
        result.text = text
    end
    local rk = key(c, 'result', send.id)
    call('DEL', rk)
    for name, value in pairs(result) do
        call('HSET', rk, name, value)
    end
    call('EXPIRE', rk, RESULT_SECONDS)
    call('XDEL', key(c, 'outbox'), entry)
    if call('HGET', key(c, 'claims'), channel) == entry then
        call('HDEL', key(c, 'claims'), channel)
    end
    publish_result(c, channel, result)
end

-- A node is gone: nobody knows whether what it had claimed was said.
local function unknown_claims(c, node)
    local ck = key(c, 'node', node, 'claims')
    for _, entry in ipairs(each_member(ck)) do
        local send = outbox_entry(c, entry)
        if send then
            finish_send(c, entry, send, 'unknown', 'node_lost',
                'The node that was sending it is gone; it may have been said.')
        end
    end
    call('DEL', ck)
end

-- Nodes -----------------------------------------------------------------------------------------

-- What a node should hold and serve, as far as it changed since rev `seen` (-1: everything):
-- "current", lease, rev, seq, stopped, default sender, failed_retry_ms, resume_delay_ms,
-- {held ids}, {{shard, epoch, rev, user, channel...}...}, {served ids}, {{shard, sender, channel...}...}
-- Ids and changes are empty where rev == seen.
local function picture(c, node, seen)
    local nk = key(c, 'node', node)
    local rev = tonumber(call('HGET', nk, 'rev') or 0)
    local user = setting(c, 'user')
    local answer = {
        'current', limit(c, 'lease_ms'), rev,
        tonumber(call('HGET', key(c, 'fan', node), 'seq') or 0),
        call('HGET', key(c, 'config'), 'stopped') == '1' and 1 or 0,
        call('HGET', key(c, 'senders'), user == '' and 'anonymous' or user) or '',
        limit(c, 'failed_retry_ms'), limit(c, 'resume_delay_ms'), {}, {}, {}, {},
    }
    if rev == seen then
        return answer
    end
    local since = '(' .. seen
    answer[9] = call('ZRANGE', nk .. ':shards', 0, -1)
    for i, shard in ipairs(call('ZRANGEBYSCORE', nk .. ':shards', since, '+inf')) do
        local entry = call('HMGET', key(c, 'shard', shard), 'epoch', 'rev', 'user')
        table.insert(entry, 1, shard)
        for _, channel in ipairs(each_member(key(c, 'shard', shard, 'channels'))) do
            entry[#entry + 1] = channel
        end
        answer[10][i] = entry
    end
    answer[11] = call('ZRANGE', nk .. ':serves', 0, -1)
    for i, shard in ipairs(call('ZRANGEBYSCORE', nk .. ':serves', since, '+inf')) do
        local entry = {shard, call('HGET', key(c, 'shard', shard), 'sender') or shard}
        for _, channel in ipairs(each_member(key(c, 'shard', shard, 'channels'))) do
            entry[#entry + 1] = channel
        end
        answer[12][i] = entry
    end
    return answer
end

-- register: node incarnation link run_id host pid version capacity users takeover_link
local function register(keys, a)
    local c, failed = context(keys)
    if failed then
        return failed
    end
    local node, incarnation, link, run_id = a[1], a[2], a[3], a[4]
    local capacity = tonumber(a[8])
    if #a ~= 10 or not string.match(node, '^[A-Za-z0-9_.-]+$') or #node > 64 or not capacity then
        return badarg('register: node incarnation link run_id host pid version capacity users takeover')
    end
    local lease = limit(c, 'lease_ms')
    watch_clock(c, lease)
    local nk = key(c, 'node', node)
    local deadline = tonumber(call('ZSCORE', key(c, 'nodes'), node) or 0)
    local holder = call('HMGET', nk, 'incarnation', 'link', 'host', 'pid')
    if holder[1] and holder[1] ~= incarnation then
        if holder[2] ~= a[10] then
            return {'held', holder[3], holder[4], holder[2], deadline - c.now, lease}
        end
        unknown_claims(c, node)
    end
    call('ZADD', key(c, 'nodes'), c.now + lease, node)
    call('HSET', nk, 'incarnation', incarnation, 'link', link, 'run_id', run_id, 'host', a[5],
        'pid', a[6], 'version', a[7], 'capacity', capacity, 'users', a[9], 'state', 'active',
        'since', c.now)
    local held = call('ZRANGE', nk .. ':shards', 0, -1)
    call('HSET', nk, 'shards', #held)
    call('ZADD', key(c, 'free'), capacity - #held, node)
    for _, shard in ipairs(held) do
        call('HSET', key(c, 'shard', shard), 'state', 'idle', 'joined', 0)
    end
    event(c, 'node.up', {'node', node, 'host', a[5], 'pid', a[6]})
    place_homeless(c)
    shards_changed(c)
    return picture(c, node, -1)
end

local SHARD_REPORT = {'state', 'joined', 'lines_s', 'bytes_s', 'lag_ms', 'error'}
local CHANNEL_REPORT = {'state', 'reason', 'next_try', 'since', 'moderator', 'room'}

local function report_shard(c, node, shard, fields)
    local sk = key(c, 'shard', shard)
    local now = call('HMGET', sk, 'node', 'epoch', 'state')
    if now[1] ~= node or now[2] ~= tostring(fields.epoch) then
        return
    end
    for _, name in ipairs(SHARD_REPORT) do
        if fields[name] ~= nil then
            call('HSET', sk, name, fields[name])
        end
    end
    if fields.state and fields.state ~= now[3] then
        if fields.state == 'ready' or now[3] == 'ready' then
            shards_changed(c)
        end
        event(c, 'shard.' .. fields.state, {'shard', shard, 'node', node,
            'error', fields.error or ''})
    end
end

local function report_channel(c, channel, fields)
    if call('HGET', key(c, 'channels'), channel) ~= fields.shard then
        return
    end
    local ck = key(c, 'channel', channel)
    for _, name in ipairs(CHANNEL_REPORT) do
        if fields[name] ~= nil then
            call('HSET', ck, name, fields[name])
        end
    end
    if fields.moderator ~= nil then
        local user = call('HGET', key(c, 'shard', fields.shard), 'user') or ''
        local counts = tostring(fields.moderator) ~= '1' and channel ~= user
        call(counts and 'SADD' or 'SREM', key(c, 'rooms', user), channel)
    end
    if fields.state == 'failed' then
        event(c, 'channel.failed', {'channel', channel, 'shard', fields.shard,
            'reason', fields.reason or ''})
    end
end

-- renew: node incarnation link run_id seen_rev report(JSON, may be empty)
local function renew(keys, a)
    local c, failed = context(keys)
    if failed then
        return failed
    end
    local node, link, seen = a[1], a[3], tonumber(a[5])
    if #a ~= 6 or not seen then
        return badarg('renew: node incarnation link run_id seen_rev report')
    end
    local lost = node_check(c, node, a[2])
    if lost then
        return lost
    end
    local report
    if a[6] ~= '' then
        local ok, decoded = pcall(cjson.decode, a[6])
        if not ok or type(decoded) ~= 'table' then
            return badarg('renew: the report is not JSON')
        end
        report = decoded
    end
    local lease = limit(c, 'lease_ms')
    watch_clock(c, lease)
    call('ZADD', key(c, 'nodes'), c.now + lease, node)
    call('HSET', key(c, 'node', node), 'link', link, 'run_id', a[4])
    if report then
        for shard, fields in pairs(report.shards or {}) do
            report_shard(c, node, shard, fields)
        end
        for channel, fields in pairs(report.channels or {}) do
            report_channel(c, channel, fields)
        end
        for _, gap in ipairs(report.gaps or {}) do
            event(c, 'gap', {'channel', gap.channel, 'from', gap.from, 'to', gap.to,
                'lines', gap.lines, 'reason', gap.reason})
        end
        for name, value in pairs(report.node or {}) do
            call('HSET', key(c, 'node', node), name, value)
        end
    end
    return picture(c, node, seen)
end

-- A node's shards go to others, a portion a call; true when none is left.
local function evacuate(c, node)
    local shards = call('ZRANGE', key(c, 'node', node, 'shards'), 0, SHARDS_PER_EXPIRE - 1)
    for _, shard in ipairs(shards) do
        unplace(c, shard)
        place(c, shard)
    end
    shards_changed(c)
    return #shards < SHARDS_PER_EXPIRE
end

local function forget_node(c, node, event_name)
    call('DEL', key(c, 'node', node), key(c, 'node', node, 'shards'),
        key(c, 'node', node, 'serves'), key(c, 'fan', node))
    c.dirty[node] = nil
    event(c, event_name, {'node', node})
end

-- leave: node incarnation. Orderly: the shards are closed already. "gone" or "more" (call again).
local function leave(keys, a)
    local c, failed = context(keys)
    if failed then
        return failed
    end
    local node = a[1]
    local lost = node_check(c, node, a[2])
    if lost then
        return lost
    end
    call('ZREM', key(c, 'nodes'), node)
    call('ZREM', key(c, 'free'), node)
    unknown_claims(c, node)
    local done = evacuate(c, node)
    if done then
        forget_node(c, node, 'node.left')
    end
    hint(c)
    return {done and 'gone' or 'more'}
end

-- Leader ----------------------------------------------------------------------------------------

-- lead: coordinator incarnation link run_id host pid resign(0 or 1)
-- "standby", leader's id, remaining ms | "resigned" | "leading", token, lease, shards_rev,
-- ms to the next deadline of a node (-1: none), nodes, waiting, homeless, setup done (0/1), user,
-- {node, link, run_id of each expired}, {idle shards that may close}
local function lead(keys, a)
    local c, failed = context(keys)
    if failed then
        return failed
    end
    if #a ~= 7 then
        return badarg('lead: coordinator incarnation link run_id host pid resign')
    end
    local lease = limit(c, 'lease_ms')
    watch_clock(c, lease)
    local lk = key(c, 'leader')
    local leader = call('HMGET', lk, 'incarnation', 'deadline', 'id', 'token')
    local mine = leader[1] == a[2]
    if a[7] == '1' then
        if mine then
            call('HSET', lk, 'deadline', 0, 'incarnation', '')
        end
        return {'resigned'}
    end
    if not mine then
        local remaining = tonumber(leader[2] or 0) - c.now
        if remaining > 0 then
            return {'standby', leader[3], remaining}
        end
        call('HINCRBY', lk, 'token', 1)
        call('HSET', lk, 'id', a[1], 'incarnation', a[2], 'host', a[5], 'pid', a[6],
            'since', c.now)
        call('SET', key(c, 'version'), CONTRACT)
        event(c, 'leader.elected', {'coordinator', a[1]})
    end
    call('HSET', lk, 'deadline', c.now + lease, 'link', a[3], 'run_id', a[4])
    local nodes = key(c, 'nodes')
    local expired = {}
    local next_deadline = -1
    local grace = tonumber(call('HGET', key(c, 'clock'), 'grace') or 0)
    if c.now >= grace then
        for _, node in ipairs(call('ZRANGEBYSCORE', nodes, '-inf', c.now, 'LIMIT', 0, 16)) do
            local fields = call('HMGET', key(c, 'node', node), 'link', 'run_id')
            expired[#expired + 1] = node
            expired[#expired + 1] = fields[1] or ''
            expired[#expired + 1] = fields[2] or ''
        end
    end
    local first = call('ZRANGEBYSCORE', nodes, '(' .. c.now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
    if first[2] then
        next_deadline = math.max(tonumber(first[2]), grace) - c.now
    end
    local idle = call('ZRANGEBYSCORE', key(c, 'idle'), '-inf', c.now - limit(c, 'idle_shard_ms'),
        'LIMIT', 0, 16)
    return {
        'leading', call('HGET', lk, 'token'), lease,
        tonumber(call('HGET', key(c, 'clock'), 'shards') or 0), next_deadline,
        call('ZCARD', nodes), call('SCARD', key(c, 'waiting')), call('SCARD', key(c, 'homeless')),
        call('HGET', key(c, 'config'), 'setup') == 'done' and 1 or 0, setting(c, 'user'),
        expired, idle,
    }
end

-- expire: incarnation token node link. An empty node only places homeless shards.
-- "expired" | "more" (call again) | "renewed" | "grace" | "link" (the link is another by now)
local function expire(keys, a)
    local c, failed = context(keys)
    if failed then
        return failed
    end
    local deposed = leader_check(c, a[1], a[2])
    if deposed then
        return deposed
    end
    local node = a[3]
    local word = 'expired'
    if node ~= '' then
        local deadline = tonumber(call('ZSCORE', key(c, 'nodes'), node) or 0)
        if in_grace(c) then
            return {'grace'}
        elseif deadline > c.now then
            return {'renewed'}
        elseif (call('HGET', key(c, 'node', node), 'link') or '') ~= a[4] then
            return {'link'}
        end
        -- From here on its renewals are refused, also between two portions of its shards.
        call('HDEL', key(c, 'node', node), 'incarnation')
        call('ZREM', key(c, 'free'), node)
        unknown_claims(c, node)
        if evacuate(c, node) then
            call('ZREM', key(c, 'nodes'), node)
            forget_node(c, node, 'node.expired')
        else
            word = 'more'
        end
    end
    place_homeless(c)
    hint(c)
    return {word}
end

-- Requests --------------------------------------------------------------------------------------

-- The reply to request `id`, if it was answered before; "gone" if its entry is no longer there.
-- Requests of the leader itself (setup, waiting channels) have no entry and no id.
local function request_begin(c, entry, id)
    if entry == '' then
        return nil
    end
    if #call('XRANGE', key(c, 'requests'), entry, entry) == 0 then
        return 'gone'
    end
    local reply = call('GET', key(c, 'reply', id))
    if reply then
        call('XDEL', key(c, 'requests'), entry)
        call('PUBLISH', c.topic .. 'replies', reply)
    end
    return reply
end

local function request_end(c, entry, id, op, reply)
    reply.id = id
    reply.op = op
    local text = cjson.encode(reply)
    if entry ~= '' then
        call('SET', key(c, 'reply', id), text, 'EX', REPLY_SECONDS)
        call('PUBLISH', c.topic .. 'replies', text)
        call('XDEL', key(c, 'requests'), entry)
    end
    hint(c)
    return {'done', text}
end

-- A channel as people write it -> its login, or nil.
local function channel_name(text)
    local name = string.lower(string.gsub(text, '^#', ''))
    if #name >= 1 and #name <= 25 and string.match(name, '^[a-z0-9_]+$') then
        return name
    end
    return nil
end

local function room_refused(c, user, channel)
    local most = limit(c, 'room_limit')
    if most == math.huge or channel == user then
        return nil
    end
    local count = call('SCARD', key(c, 'rooms', user))
    if count < most then
        return nil
    end
    return string.format('The room limit of user %s has been reached: it is in %d of %d rooms.',
        user, count, most)
end

-- The least-loaded open shard of the user, or a new one, or nil and why not.
local function shard_for(c, user)
    local least = call('ZRANGE', key(c, 'open', user), 0, 0, 'WITHSCORES')
    if least[1] and tonumber(least[2]) < limit(c, 'channels_per_shard') then
        return least[1]
    end
    if call('ZCARD', key(c, 'load')) >= limit(c, 'max_shard_count') then
        return nil, ERR_SHARDS_FULL
    end
    local node = choose_node(c, user)
    if not node then
        return nil, ERR_NO_ROOM
    end
    local n = call('HINCRBY', key(c, 'clock'), 'extended', 1)
    local shard = 'extended-shard-' .. n
    create_shard(c, shard, user, node, 1)
    return shard
end

local function put(c, user, channel, shard)
    call('HSET', key(c, 'channels'), channel, shard)
    call('SREM', key(c, 'waiting'), channel)
    call('SADD', key(c, 'shard', shard, 'channels'), channel)
    local count = call('HINCRBY', key(c, 'shard', shard), 'channels', 1)
    call('ZADD', key(c, 'load'), count, shard)
    call('ZADD', key(c, 'open', user), count, shard)
    call('ZREM', key(c, 'idle'), shard)
    call('HSET', key(c, 'channel', channel), 'state', 'assigned', 'since', c.now)
    call('HDEL', key(c, 'channel', channel), 'reason', 'next_try')
    if channel ~= user then
        call('SADD', key(c, 'rooms', user), channel)
    end
end

local function wait_for_room(c, channel, reason)
    call('HSET', key(c, 'channels'), channel, '')
    call('SADD', key(c, 'waiting'), channel)
    call('HSET', key(c, 'channel', channel), 'state', 'waiting', 'since', c.now, 'reason', reason)
end

-- One channel: the shard that has it now; or '' where it waits; or nil and why it is refused.
local function assign_one(c, user, channel, nodes, keep)
    local shard = call('HGET', key(c, 'channels'), channel)
    if shard and shard ~= '' then
        return shard
    end
    if nodes == 0 or user == '' then
        wait_for_room(c, channel, 'No node is up.')
        return ''
    end
    local why = room_refused(c, user, channel)
    if not why then
        shard, why = shard_for(c, user)
        if shard then
            put(c, user, channel, shard)
            c.touched[shard] = true
            return shard
        end
    end
    if keep or call('HGET', key(c, 'channels'), channel) then
        wait_for_room(c, channel, why)
        return ''
    end
    return nil, why
end

-- assign: incarnation token entry id mode channel...
-- mode "join"; "initial" (only those never seen as initial before, and a refused one stays wanted);
-- "waiting" (no channels given: up to 500 of those that wait). "done", reply | "gone" | "again", reply.
local function assign(keys, a)
    local c, failed = context(keys)
    if failed then
        return failed
    end
    local deposed = leader_check(c, a[1], a[2])
    if deposed then
        return deposed
    end
    local entry, id, mode = a[3], a[4], a[5]
    local before = request_begin(c, entry, id)
    if before then
        return before == 'gone' and {'gone'} or {'again', before}
    end
    local names = {unpack(a, 6)}
    if mode == 'waiting' then
        names = call('SRANDMEMBER', key(c, 'waiting'), 500)
        table.sort(names)
    elseif #names == 0 or #names > MAX_CHANNELS_PER_REQUEST then
        return request_end(c, entry, id, 'join', {ok = false,
            error = 'A join names 1 to ' .. MAX_CHANNELS_PER_REQUEST .. ' channels.'})
    end
    local user = setting(c, 'user')
    local nodes = call('ZCARD', key(c, 'nodes'))
    local assigned, refused, waiting = {}, {}, {}
    local ok = true
    c.touched = {}
    for _, text in ipairs(names) do
        local channel = channel_name(text)
        if not channel then
            refused[text] = 'Not a channel name: 1 to 25 of a-z, 0-9 and _.'
            ok = false
        elseif mode ~= 'initial' or call('SADD', key(c, 'initial'), channel) == 1 then
            local shard, why = assign_one(c, user, channel, nodes, mode ~= 'join')
            if not shard then
                refused[channel] = why
                ok = false
            elseif shard == '' then
                waiting[channel] = call('HGET', key(c, 'channel', channel), 'reason')
            else
                assigned[channel] = shard
            end
        end
    end
    for shard in pairs(c.touched) do
        shard_touched(c, shard)
    end
    local reply = {ok = ok, assigned = assigned, refused = refused}
    if next(waiting) then
        reply.waiting = waiting
    end
    return request_end(c, entry, id, 'join', reply)
end

-- release: incarnation token entry id mode name... ; mode "part" (channels) or "idle" (shards that
-- close when idle, if they still are).
local function release(keys, a)
    local c, failed = context(keys)
    if failed then
        return failed
    end
    local deposed = leader_check(c, a[1], a[2])
    if deposed then
        return deposed
    end
    local entry, id, mode = a[3], a[4], a[5]
    local before = request_begin(c, entry, id)
    if before then
        return before == 'gone' and {'gone'} or {'again', before}
    end
    if mode == 'idle' then
        for i = 6, #a do
            if call('ZSCORE', key(c, 'idle'), a[i]) then
                remove_shard(c, a[i])
            end
        end
        return request_end(c, entry, id, 'idle', {ok = true})
    end
    if #a < 6 or #a - 5 > MAX_CHANNELS_PER_REQUEST then
        return request_end(c, entry, id, 'part', {ok = false,
            error = 'A part names 1 to ' .. MAX_CHANNELS_PER_REQUEST .. ' channels.'})
    end
    local parted, refused, touched = {}, {}, {}
    local ok = true
    for i = 6, #a do
        local channel = channel_name(a[i])
        local shard = channel and call('HGET', key(c, 'channels'), channel)
        if not shard then
            refused[channel or a[i]] = channel and 'The channel is not joined.'
                or 'Not a channel name: 1 to 25 of a-z, 0-9 and _.'
            ok = false
        else
            call('HDEL', key(c, 'channels'), channel)
            call('SREM', key(c, 'waiting'), channel)
            call('DEL', key(c, 'channel', channel))
            if shard ~= '' then
                local sk = key(c, 'shard', shard)
                local fields = call('HMGET', sk, 'user', 'closes_idle')
                call('SREM', key(c, 'rooms', fields[1]), channel)
                call('SREM', key(c, 'shard', shard, 'channels'), channel)
                local count = call('HINCRBY', sk, 'channels', -1)
                call('ZADD', key(c, 'load'), count, shard)
                call('ZADD', key(c, 'open', fields[1]), count, shard)
                if count == 0 and fields[2] == '1' then
                    call('ZADD', key(c, 'idle'), c.now, shard)
                end
                touched[shard] = true
            end
            parted[#parted + 1] = channel
        end
    end
    for shard in pairs(touched) do
        shard_touched(c, shard)
    end
    local reply = {ok = ok, refused = refused}
    if #parted > 0 then
        reply.parted = parted
    end
    return request_end(c, entry, id, 'part', reply)
end

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
    if #a ~= 5 or not string.match(shard, '^[a-z0-9_-]+$') or #shard > 64 or user == '' then
        return badarg('add_shard: incarnation token shard user closes_idle')
    end
    if call('EXISTS', key(c, 'shard', shard)) == 1 then
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

-- Is `value` allowed for the setting? nil, or what is allowed.
local function setting_refused(name, value)
    local spec = SETTINGS[name]
    if not spec then
        local names = {}
        for known in pairs(SETTINGS) do
            names[#names + 1] = known
        end
        table.sort(names)
        return 'Unknown setting ' .. name .. '; settings are: ' .. table.concat(names, ', ') .. '.'
    end
    if spec.login then
        if string.match(value, '^[a-z0-9_]+$') and #value <= 25 then
            return nil
        end
        return 'Setting ' .. name .. ' takes a Twitch login in lower case, or anonymous.'
    end
    local number = string.match(value, '^%d+$') and tonumber(value)
    if (number and number >= spec.min and number <= spec.max) or value == spec.off then
        return nil
    end
    return string.format('Setting %s takes a number from %d to %d%s, not "%s".', name, spec.min,
        spec.max, spec.off and (', or ' .. spec.off) or '', value)
end

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
    local entry, id, op = a[3], a[4], a[5]
    local before = request_begin(c, entry, id)
    if before then
        return before == 'gone' and {'gone'} or {'again', before}
    end
    local config = key(c, 'config')
    local reply = {ok = true}
    if op == 'set' then
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
            if not now and call('HGET', config, 'setup') ~= 'done' then
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
            local sender = call('EXISTS', key(c, 'shard', a[i + 1])) == 1
            if sender and string.sub(a[i], 1, 1) == '@' then
                call('HSET', key(c, 'senders'), string.sub(a[i], 2), a[i + 1])
            elseif sender and call('EXISTS', key(c, 'shard', a[i])) == 1 then
                set_sender(c, a[i], a[i + 1])
            end
        end
    else
        reply = {ok = false, error = 'Unknown op "' .. op ..
            '"; ops are join, part, set, unset, start and stop.'}
    end
    return request_end(c, entry, id, op, reply)
end

-- Budgets ---------------------------------------------------------------------------------------

-- The times of the last `most` slots are a list; a new slot is not before the oldest of them left
-- the window, and never before the last. nil where it would be more than `ahead` away.
local function slot_peek(c, bk, most, window)
    if most == math.huge then
        return c.now
    end
    local oldest = call('LINDEX', bk, -most)
    local last = call('LINDEX', bk, -1)
    return math.max(c.now, oldest and tonumber(oldest) + window or 0, tonumber(last or 0))
end

local function slot_take(bk, most, window, at)
    if most == math.huge then
        return
    end
    call('RPUSH', bk, at)
    call('LTRIM', bk, -most, -1)
    call('PEXPIRE', bk, 3 * window + 60000)
end

-- New connections: a burst, then one an interval (a leaky bucket kept as the time it is empty).
local function connect_slot(c, user, after)
    local interval = limit(c, 'connect_interval_ms')
    if interval == math.huge then
        return after
    end
    local bk = key(c, 'budget', user, 'connect')
    local empty_at = math.max(tonumber(call('GET', bk) or 0), after)
    local at = math.max(after, empty_at - (limit(c, 'connect_burst') - 1) * interval)
    call('SET', bk, empty_at + interval, 'PX', 3600000)
    return at
end

-- draw: node incarnation user kind(login or join) n -> {wait ms, ...}, fewer than n where the rest
-- would be more than a window away.
local function draw(keys, a)
    local c, failed = context(keys)
    if failed then
        return failed
    end
    local lost = node_check(c, a[1], a[2])
    if lost then
        return lost
    end
    local user, kind, n = a[3], a[4], tonumber(a[5])
    if (kind ~= 'login' and kind ~= 'join') or not n or n < 1 or n > 1000 then
        return badarg('draw: node incarnation user login|join 1..1000')
    end
    local bk = key(c, 'budget', user, kind)
    local most, window = limit(c, kind .. '_limit'), limit(c, kind .. '_window_ms')
    local waits = {}
    for i = 1, n do
        local at = slot_peek(c, bk, most, window)
        if at > c.now + window then
            break
        end
        if kind == 'login' then
            at = connect_slot(c, user, at)
        end
        slot_take(bk, most, window, at)
        waits[i] = at - c.now
    end
    return waits
end

-- The time a message may be said at; takes the slots only where that is near enough.
local function message_slot(c, user, channel)
    local window = limit(c, 'message_window_ms')
    local all = key(c, 'budget', user, 'message_mod')
    local all_most = limit(c, 'message_mod_limit')
    local at = slot_peek(c, all, all_most, window)
    local moderator = channel == user or call('HGET', key(c, 'channel', channel), 'moderator') == '1'
    local plain = key(c, 'budget', user, 'message')
    local plain_most = limit(c, 'message_limit')
    local gap = limit(c, 'channel_message_ms')
    local last_key = key(c, 'budget', user, 'channel', channel)
    if not moderator then
        at = math.max(at, slot_peek(c, plain, plain_most, window))
        if gap ~= math.huge then
            at = math.max(at, tonumber(call('GET', last_key) or 0) + gap)
        end
    end
    if at > c.now + CLAIM_AHEAD_MS then
        return nil, at - c.now
    end
    slot_take(all, all_most, window, at)
    if not moderator then
        slot_take(plain, plain_most, window, at)
        if gap ~= math.huge then
            call('SET', last_key, at, 'PX', gap + 60000)
        end
    end
    return at - c.now
end

-- send_accept: node incarnation channel id text reply_to user ttl_ms by as_command(0/1)
-- A send heard on the topic becomes an outbox entry: "accepted", entry
local function send_accept(keys, a)
    local c, failed = context(keys)
    if failed then
        return failed
    end
    if #a ~= 10 then
        return badarg('send_accept: node incarnation channel id text reply_to user ttl_ms by as_command')
    end
    local lost = node_check(c, a[1], a[2])
    if lost then
        return lost
    end
    local fields = {'channel', a[3], 'text', a[5]}
    for i, name in pairs({[4] = 'id', [6] = 'reply_to', [7] = 'user', [8] = 'ttl_ms', [9] = 'by',
        [10] = 'command'}) do
        if a[i] ~= '' and a[i] ~= '0' then
            fields[#fields + 1] = name
            fields[#fields + 1] = a[i]
        end
    end
    return {'accepted', call('XADD', key(c, 'outbox'), '*', unpack(fields))}
end

-- What is wrong with an entry that can never be said, or nil: reason, text.
local function send_refused(c, send)
    if not send.channel or not channel_name(send.channel) then
        return 'bad_request', 'channel: not a channel name: 1 to 25 of a-z, 0-9 and _.'
    end
    if not send.text or send.text == '' then
        return 'bad_request', 'text: is missing or empty.'
    end
    if string.find(send.text, '[%z\r\n]') then
        return 'bad_request', 'text: CR, LF and NUL cannot be said.'
    end
    if #send.text > 2000 then
        return 'bad_request', 'text: is longer than 500 characters.'
    end
    if send.ttl_ms and not (string.match(send.ttl_ms, '^%d+$') and
        tonumber(send.ttl_ms) <= SETTINGS.send_ttl_ms.max) then
        return 'bad_request', 'ttl_ms: takes a number of milliseconds up to ' ..
            SETTINGS.send_ttl_ms.max .. '.'
    end
    local user = setting(c, 'user')
    if send.user and user ~= '' and send.user ~= user then
        return 'unknown_user', 'The cluster sends as ' .. user .. '.'
    end
    if user == 'anonymous' then
        return 'anonymous', 'The cluster reads anonymously; sending needs a user with a token.'
    end
    return nil
end

-- The shard that says what goes to `channel`, or nil while there is none.
local function sender_of(c, channel)
    local shard = call('HGET', key(c, 'channels'), channel)
    if shard and shard ~= '' then
        return call('HGET', key(c, 'shard', shard), 'sender')
    end
    return call('HGET', key(c, 'senders'), setting(c, 'user'))
end

-- send_claim: node incarnation entry (empty node and incarnation: only expires what is too old)
-- "gone" | "done", status | "busy" | "later", ms | "elsewhere" |
-- "claimed", wait ms, channel, shard, id, text, reply_to, as_command
local function send_claim(keys, a)
    local c, failed = context(keys)
    if failed then
        return failed
    end
    local node, entry = a[1], a[3]
    if node ~= '' then
        local lost = node_check(c, node, a[2])
        if lost then
            return lost
        end
    end
    local send = outbox_entry(c, entry)
    if not send then
        return {'gone'}
    end
    local channel = channel_name(send.channel or '') or ''
    if channel ~= '' and call('HGET', key(c, 'claims'), channel) == entry then
        return {'busy'}
    end
    local known = call('HGET', key(c, 'result', send.id), 'status')
    if known == 'claimed' then
        return {'busy'}
    elseif known then
        -- The same id again: said once, told again.
        local all = call('HGETALL', key(c, 'result', send.id))
        local result = {}
        for i = 1, #all, 2 do
            result[all[i]] = all[i + 1]
        end
        call('XDEL', key(c, 'outbox'), entry)
        publish_result(c, result.channel or '', result)
        return {'done', known}
    end
    local reason, text = send_refused(c, send)
    if reason then
        send.channel = channel
        finish_send(c, entry, send, 'rejected', reason, text)
        return {'done', 'rejected'}
    end
    send.channel = channel
    local ttl = tonumber(send.ttl_ms or limit(c, 'send_ttl_ms'))
    if c.now > tonumber(string.match(entry, '^%d+')) + ttl then
        finish_send(c, entry, send, 'expired')
        return {'done', 'expired'}
    end
    if call('HEXISTS', key(c, 'claims'), channel) == 1 then
        return {'busy'}
    end
    local sender = sender_of(c, channel)
    local fields = sender and call('HMGET', key(c, 'shard', sender), 'node', 'user') or {}
    if not sender or fields[1] ~= node or node == '' then
        return {'elsewhere'}
    end
    local wait, later = message_slot(c, fields[2], channel)
    if not wait then
        return {'later', later}
    end
    call('HSET', key(c, 'claims'), channel, entry)
    call('SADD', key(c, 'node', node, 'claims'), entry)
    call('HSET', key(c, 'result', send.id), 'id', send.id, 'channel', channel, 'status', 'claimed',
        'at', c.now)
    call('EXPIRE', key(c, 'result', send.id), RESULT_SECONDS)
    return {'claimed', wait, channel, sender, send.id, send.text, send.reply_to or '',
        send.command or ''}
end

-- The claimer's own entry, or nil.
local function claimed_by(c, node, entry)
    if call('SREM', key(c, 'node', node, 'claims'), entry) == 0 then
        return nil
    end
    local send = outbox_entry(c, entry)
    if send then
        send.channel = channel_name(send.channel or '') or ''
    end
    return send
end

-- send_unclaim: node incarnation entry. Surely not written: it may be claimed again.
local function send_unclaim(keys, a)
    local c, failed = context(keys)
    if failed then
        return failed
    end
    local lost = node_check(c, a[1], a[2])
    if lost then
        return lost
    end
    local send = claimed_by(c, a[1], a[3])
    if not send then
        return {'gone'}
    end
    call('HDEL', key(c, 'claims'), send.channel)
    call('DEL', key(c, 'result', send.id))
    return {'unclaimed'}
end

-- send_done: node incarnation entry status reason text
local function send_done(keys, a)
    local c, failed = context(keys)
    if failed then
        return failed
    end
    local lost = node_check(c, a[1], a[2])
    if lost then
        return lost
    end
    local send = claimed_by(c, a[1], a[3])
    if not send then
        return {'gone'}
    end
    finish_send(c, a[3], send, a[4], a[5], a[6])
    return {'done'}
end

-- Not a step: which library this is.
local function version()
    return {CONTRACT, REVISION}
end

redis.register_function('shoal1_version', version)
redis.register_function('shoal1_register', register)
redis.register_function('shoal1_renew', renew)
redis.register_function('shoal1_leave', leave)
redis.register_function('shoal1_lead', lead)
redis.register_function('shoal1_expire', expire)
redis.register_function('shoal1_configure', configure)
redis.register_function('shoal1_add_shard', add_shard)
redis.register_function('shoal1_assign', assign)
redis.register_function('shoal1_release', release)
redis.register_function('shoal1_draw', draw)
redis.register_function('shoal1_send_accept', send_accept)
redis.register_function('shoal1_send_claim', send_claim)
redis.register_function('shoal1_send_unclaim', send_unclaim)
redis.register_function('shoal1_send_done', send_done)
