-- Placement: shard -> node, and the sender of each shard.

local function touched_add(touched, node, role, shard)
    local roles = touched[node]
    if not roles then
        roles = {shards = {}, serves = {}}
        touched[node] = roles
    end
    table.insert(roles[role], shard)
end

-- The user of a shard, its node (nil: on none), the shard that sends for it; nil where it is not known.
local function user_of(c, shard)
    return login_of(call('HGET', key(c, 'shard', shard), 'user'))
end

local function node_of(c, shard)
    return node_id(call('HGET', key(c, 'shard', shard), 'node'))
end

local function sender_of_shard(c, shard)
    return shard_id(call('HGET', key(c, 'shard', shard), 'sender'))
end

-- Channels of shards came or went: `changes` is shard -> by how many. Keeps every count and every
-- index that depends on one, and makes the nodes look that hold the shards or send for them.
local function count_channels(c, changes)
    local loads, opens, idle, busy, touched = {}, {}, {}, {}, {}
    local first = false
    for shard, change in pairs(changes) do
        local sk = c.tag .. ':shard:' .. shard
        local s = call('HMGET', sk, 'node', 'sender', 'user', 'closes_idle')
        local node, sender, user = node_id(s[1]), shard_id(s[2]), login_of(s[3])
        local count = call('SCARD', sk .. ':channels')
        call('HSET', sk, 'channels', count)
        bump(sk, 'rev', 1)
        loads[#loads + 1], loads[#loads + 2] = count, shard
        if user then
            local open = opens[user] or {}
            opens[user] = open
            open[#open + 1], open[#open + 2] = count, shard
        else
            damaged(c)
        end
        if s[4] == '1' and count == 0 then
            idle[#idle + 1], idle[#idle + 2] = c.stamp, shard
        elseif s[4] == '1' and count == change then
            busy[#busy + 1] = shard
        end
        if count == change and change > 0 then
            first = true
        end
        if node then
            touched_add(touched, node, 'shards', shard)
        end
        local sender_node = node
        if sender and sender ~= shard then
            sender_node = node_of(c, sender)
        end
        if sender_node then
            touched_add(touched, sender_node, 'serves', shard)
        end
    end
    if #loads > 0 then
        call('ZADD', key(c, 'load'), unpack(loads))
    end
    for user, open in pairs(opens) do
        call('ZADD', key(c, 'open', user), unpack(open))
    end
    if #idle > 0 then
        call('ZADD', key(c, 'idle'), unpack(idle))
    end
    if #busy > 0 then
        call('ZREM', key(c, 'idle'), unpack(busy))
    end
    if first then
        shards_changed(c) -- who sends for a shard is chosen when it has channels
    end
    touch_all(c, touched)
end

-- Can the node, which must be alive (with `left_ms`: whose lease goes on for longer), log in as `user`?
local function node_knows(c, node, user, left_ms)
    local deadline = count_of(call('ZSCORE', key(c, 'nodes'), node))
    local users = call('HGET', key(c, 'node', node), 'users') or ''
    return deadline > c.now + (left_ms or 0) and
        (user == 'anonymous' or (not string.find(user, ',', 1, true) and
            string.find(',' .. users .. ',', ',' .. user .. ',', 1, true) ~= nil))
end

-- How many nodes are up. While Redis's clock is not trusted all of them are.
local function nodes_up(c)
    if c.now < grace_until(c) then
        return call('ZCARD', key(c, 'nodes'))
    end
    return call('ZCOUNT', key(c, 'nodes'), '(' .. c.stamp, '+inf')
end

-- Can any node log in as `user`?
local function user_known(c, user)
    for _, node in ipairs(call('ZRANGE', key(c, 'nodes'), 0, -1)) do
        if node_knows(c, node, user) then
            return true
        end
    end
    return false
end

local function no_token(user)
    return 'No node has a token for user ' .. shown(user) .. '.'
end

-- The live node with the most free capacity that can log in as `user`; with `since`: that has seen Twitch after that;
-- with `left_ms`: whose lease goes on for longer.
local function choose_node(c, user, since, left_ms)
    local from = 0
    local wish = user .. ' ' .. (since or '') .. ' ' .. (left_ms or '')
    while not c.no_node[wish] do
        local nodes = call('ZREVRANGEBYSCORE', key(c, 'free'), '+inf', 1, 'LIMIT', from, 16)
        for _, node in ipairs(nodes) do
            local seen = since and count_of(call('HGET', key(c, 'node', node), 'seen'))
            if node_knows(c, node, user, left_ms) and (not since or (seen > since and seen <= c.now)) then
                return node
            end
        end
        if #nodes < 16 then
            c.no_node[wish] = true
        end
        from = from + 16
    end
    return nil
end

-- The shards for which this one sends. One that says another sends for it was left there by damage.
local function served_by(c, shard)
    local served = {}
    for _, other in ipairs(call('SMEMBERS', key(c, 'shard', shard, 'serves'))) do
        if sender_of_shard(c, other) == shard then
            served[#served + 1] = other
        else
            call('SREM', key(c, 'shard', shard, 'serves'), other)
        end
    end
    return served
end

local function serves_moved(c, shard, old, new)
    for _, served in ipairs(served_by(c, shard)) do
        if old then
            untouch(c, old, 'serves', served)
        end
        if new then
            touch(c, new, 'serves', served)
        end
    end
end

-- Could any live node take a shard of those `node` holds? Where nothing is known of it, there is nothing to keep.
-- One that renewed as long ago as half a lease may have been cut off together with it.
local function could_take_any(c, node)
    local nk = key(c, 'node', node)
    local left = math.floor(limit(c, 'lease_ms') / 2)
    local shards = call('ZRANGE', nk .. ':shards', 0, SHARDS_PER_EXPIRE - 1)
    if #shards == 0 or call('HEXISTS', nk, 'incarnation') == 0 then
        return true
    end
    for _, shard in ipairs(shards) do
        local user = shard_id(shard) and user_of(c, shard)
        if user and choose_node(c, user, nil, left) then
            return true
        end
    end
    return false
end

-- Whoever read the channels of a shard is gone. What came after `until_ms` may be missing, and what came
-- after the last line that was read at all. `said`: all that was read was fanned out, so that what its node told
-- of channels it did not read any more is exact.
local function stop_reading(c, shard, until_ms, said)
    local silent = whole(call('HGET', key(c, 'shard', shard), 'silent'))
    until_ms = math.min(until_ms - SILENT_MS, silent or until_ms)
    local rk = key(c, 'shard', shard, 'read')
    local read = call('HGETALL', rk)
    for i = 1, #read, 2 do
        local at = whole(read[i + 1]) -- nil: it is read
        if not at or (not said and at > until_ms) then
            call('HSET', rk, read[i], until_ms)
        end
    end
end

-- Up to when all that a node had read was fanned out, for certain.
local function read_until(c, node)
    return math.min(whole(call('HGET', key(c, 'node', node), 'read_until')) or c.now, c.now)
end

-- Nothing is read on it as far as anybody knows.
local function set_idle(c, shard)
    call('HSET', key(c, 'shard', shard), 'state', 'idle', 'joined', 0, 'silent', '', 'lines_s', 0, 'bytes_s', 0)
end

local function unplace(c, shard)
    local sk = key(c, 'shard', shard)
    local node = node_of(c, shard)
    if node then
        untouch(c, node, 'shards', shard)
        call('HINCRBY', key(c, 'node', node), 'shards', -1)
        if call('ZSCORE', key(c, 'free'), node) then
            call('ZINCRBY', key(c, 'free'), 1, node)
            c.no_node = {}
        end
        serves_moved(c, shard, node, nil)
    end
    call('HSET', sk, 'node', '')
    set_idle(c, shard)
end

-- Place a shard that no node holds on `node`, or on the best; the node, or nil where none has room. A shard of which
-- nobody knows whose it is cannot be placed.
local function place(c, shard, node)
    local sk = key(c, 'shard', shard)
    local user = user_of(c, shard)
    if not user then
        damaged(c)
    end
    node = node or (user and choose_node(c, user))
    if not node then
        call('HSET', sk, 'node', '')
        call('SADD', key(c, 'homeless'), shard)
        return nil
    end
    call('HSET', sk, 'node', node, 'state', 'idle', 'joined', 0)
    bump(sk, 'epoch', 1)
    bump(sk, 'rev', 1)
    call('SREM', key(c, 'homeless'), shard)
    call('ZINCRBY', key(c, 'free'), -1, node)
    call('HINCRBY', key(c, 'node', node), 'shards', 1)
    touch(c, node, 'shards', shard)
    serves_moved(c, shard, nil, node)
    event(c, 'shard.placed', {'shard', shard, 'node', node})
    return node
end

-- Each is tried: one user's shards may find no node where another's do.
local function place_homeless(c)
    local shards = call('SRANDMEMBER', key(c, 'homeless'), SHARDS_PER_EXPIRE)
    local placed = false
    table.sort(shards)
    for _, shard in ipairs(shards) do
        if not shard_id(shard) then
            call('SREM', key(c, 'homeless'), shard)
        elseif place(c, shard) then
            placed = true
        end
    end
    if placed then
        shards_changed(c)
    end
end

local function set_sender(c, shard, sender)
    local sk = key(c, 'shard', shard)
    local old = sender_of_shard(c, shard)
    if old == sender then
        return
    end
    if old then
        call('SREM', key(c, 'shard', old, 'serves'), shard)
        local node = node_of(c, old)
        if node then
            untouch(c, node, 'serves', shard)
        end
    end
    call('HSET', sk, 'sender', sender)
    call('SADD', key(c, 'shard', sender, 'serves'), shard)
    local node = node_of(c, sender)
    if node then
        touch(c, node, 'serves', shard)
    end
end

-- Creates a shard on `node` (nil: on the best, or on none yet). The caller has checked the limits. `run` is
-- 'started' (it connects at once) or 'new' (not before it is started).
local function create_shard(c, shard, user, node, closes_idle, run)
    local clock = key(c, 'clock')
    local n = count_of(string.match(shard, '^extended%-shard%-(%d+)$'))
    if n > count_of(call('HGET', clock, 'extended')) then
        call('HSET', clock, 'extended', n) -- no number is used twice
    end
    call('HSET', key(c, 'shard', shard), 'user', user, 'epoch', 0, 'rev', 0, 'channels', 0,
        'joined', 0, 'state', 'idle', 'node', '', 'closes_idle', closes_idle, 'run', run,
        'since', c.now)
    call('ZADD', key(c, 'load'), 0, shard)
    call('ZADD', key(c, 'open', user), 0, shard)
    if closes_idle == 1 then
        call('ZADD', key(c, 'idle'), c.now, shard)
    end
    set_sender(c, shard, shard)
    call('HSETNX', key(c, 'senders'), user, shard)
    event(c, 'shard.added', {'shard', shard, 'user', user})
    place(c, shard, node)
    shards_changed(c)
end

-- Removes a shard without channels.
local function remove_shard(c, shard)
    local sk = key(c, 'shard', shard)
    local user, sender = user_of(c, shard), sender_of_shard(c, shard)
    for _, served in ipairs(served_by(c, shard)) do
        if served ~= shard then
            set_sender(c, served, served)
        end
    end
    if sender then
        local sender_node = node_of(c, sender)
        if sender_node then
            untouch(c, sender_node, 'serves', shard)
        end
        call('SREM', key(c, 'shard', sender, 'serves'), shard)
    end
    unplace(c, shard)
    call('DEL', sk, key(c, 'shard', shard, 'channels'), key(c, 'shard', shard, 'serves'),
        key(c, 'shard', shard, 'read'), key(c, 'shard', shard, 'retry'))
    call('ZREM', key(c, 'load'), shard)
    call('ZREM', key(c, 'idle'), shard)
    call('SREM', key(c, 'homeless'), shard)
    if user then
        call('ZREM', key(c, 'open', user), shard)
        if call('HGET', key(c, 'senders'), user) == shard then
            call('HDEL', key(c, 'senders'), user)
            local other = call('ZRANGE', key(c, 'open', user), 0, 0)[1]
            if other then
                call('HSET', key(c, 'senders'), user, other)
            end
        end
    else
        damaged(c)
    end
    event(c, 'shard.removed', {'shard', shard})
    shards_changed(c)
end
