-- Placement: shard -> node, and the sender of each shard.

local function touched_add(touched, node, role, shard)
    local roles = touched[node]
    if not roles then
        roles = {shards = {}, serves = {}}
        touched[node] = roles
    end
    table.insert(roles[role], shard)
end

-- Channels of shards came or went: `changes` is shard -> by how many. Keeps every count and every
-- index that depends on one, and makes the nodes look that hold the shards or send for them.
local function count_channels(c, changes)
    local loads, opens, idle, busy, touched = {}, {}, {}, {}, {}
    local first = false
    for shard, change in pairs(changes) do
        local sk = c.tag .. ':shard:' .. shard
        local s = call('HMGET', sk, 'channels', 'rev', 'node', 'sender', 'user', 'closes_idle')
        local count = tonumber(s[1]) + change
        call('HSET', sk, 'channels', count, 'rev', tonumber(s[2]) + 1)
        local open = opens[s[5]]
        if not open then
            open = {}
            opens[s[5]] = open
        end
        loads[#loads + 1], loads[#loads + 2] = count, shard
        open[#open + 1], open[#open + 2] = count, shard
        if s[6] == '1' and count == 0 then
            idle[#idle + 1], idle[#idle + 2] = c.stamp, shard
        elseif s[6] == '1' and count == change then
            busy[#busy + 1] = shard
        end
        if count == change and change > 0 then
            first = true
        end
        if s[3] ~= '' then
            touched_add(touched, s[3], 'shards', shard)
        end
        local sender_node = s[3]
        if s[4] ~= shard then
            sender_node = call('HGET', c.tag .. ':shard:' .. s[4], 'node')
        end
        if sender_node and sender_node ~= '' then
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

-- Can the node, which must be alive, log in as `user`?
local function node_knows(c, node, user)
    local deadline = tonumber(call('ZSCORE', key(c, 'nodes'), node) or 0)
    local users = call('HGET', key(c, 'node', node), 'users') or ''
    return deadline > c.now and
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

-- The live node with the most free capacity that can log in as `user`.
local function choose_node(c, user)
    local from = 0
    while not c.no_node[user] do
        local nodes = call('ZREVRANGEBYSCORE', key(c, 'free'), '+inf', 1, 'LIMIT', from, 16)
        for _, node in ipairs(nodes) do
            if node_knows(c, node, user) then
                return node
            end
        end
        if #nodes < 16 then
            c.no_node[user] = true
        end
        from = from + 16
    end
    return nil
end

local function serves_moved(c, shard, old, new)
    for _, served in ipairs(call('SMEMBERS', key(c, 'shard', shard, 'serves'))) do
        if old and old ~= '' then
            untouch(c, old, 'serves', served)
        end
        if new and new ~= '' then
            touch(c, new, 'serves', served)
        end
    end
end

-- Could any live node take a shard of those `node` holds? Where nothing is known of it, there is nothing to keep.
local function could_take_any(c, node)
    local nk = key(c, 'node', node)
    local shards = call('ZRANGE', nk .. ':shards', 0, SHARDS_PER_EXPIRE - 1)
    if #shards == 0 or call('HEXISTS', nk, 'incarnation') == 0 then
        return true
    end
    for _, shard in ipairs(shards) do
        local user = call('HGET', key(c, 'shard', shard), 'user')
        if user and choose_node(c, user) then
            return true
        end
    end
    return false
end

-- Whoever read the channels of a shard is gone. What came after `until_ms` may be missing, and what came
-- after the last line that was read at all. `said`: all that was read was fanned out, so that what its node told
-- of channels it did not read any more is exact.
local function stop_reading(c, shard, until_ms, said)
    local silent = tonumber(call('HGET', key(c, 'shard', shard), 'silent') or '')
    until_ms = math.min(until_ms - SILENT_MS, silent or until_ms)
    local rk = key(c, 'shard', shard, 'read')
    local read = call('HGETALL', rk)
    for i = 1, #read, 2 do
        if read[i + 1] == '' or (not said and tonumber(read[i + 1]) > until_ms) then
            call('HSET', rk, read[i], until_ms)
        end
    end
end

-- Up to when all that a node had read was fanned out, for certain.
local function read_until(c, node)
    return tonumber(call('HGET', key(c, 'node', node), 'read_until') or c.now)
end

local function unplace(c, shard)
    local sk = key(c, 'shard', shard)
    local node = call('HGET', sk, 'node')
    if node and node ~= '' then
        untouch(c, node, 'shards', shard)
        call('HINCRBY', key(c, 'node', node), 'shards', -1)
        if call('ZSCORE', key(c, 'free'), node) then
            call('ZINCRBY', key(c, 'free'), 1, node)
            c.no_node = {}
        end
        serves_moved(c, shard, node, nil)
    end
    call('HSET', sk, 'node', '', 'state', 'idle', 'joined', 0, 'silent', '')
end

-- Place a shard that no node holds on `node`, or on the best; the node, or nil where none has room.
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
        if place(c, shard) then
            placed = true
        end
    end
    if placed then
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

-- Creates a shard on `node` (nil: on the best, or on none yet). The caller has checked the limits. `run` is
-- 'started' (it connects at once) or 'new' (not before it is started).
local function create_shard(c, shard, user, node, closes_idle, run)
    local clock = key(c, 'clock')
    local n = tonumber(string.match(shard, '^extended%-shard%-(%d+)$') or 0)
    if n > tonumber(call('HGET', clock, 'extended') or 0) then
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
    local fields = call('HMGET', sk, 'user', 'sender')
    for _, served in ipairs(call('SMEMBERS', key(c, 'shard', shard, 'serves'))) do
        if served ~= shard then
            set_sender(c, served, served)
        end
    end
    if fields[2] and fields[2] ~= '' then
        local sender_node = call('HGET', key(c, 'shard', fields[2]), 'node')
        if sender_node and sender_node ~= '' then
            untouch(c, sender_node, 'serves', shard)
        end
        call('SREM', key(c, 'shard', fields[2], 'serves'), shard)
    end
    unplace(c, shard)
    call('DEL', sk, key(c, 'shard', shard, 'channels'), key(c, 'shard', shard, 'serves'),
        key(c, 'shard', shard, 'read'))
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
