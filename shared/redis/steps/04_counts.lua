-- Counts: how many channels each shard has, and all that depends on it.

-- The user of a shard, its node (nil: on none), the shard that sends for it. Nil where it is not
-- known.
local function user_of(c, shard)
    return login_of(call('HGET', key(c, 'shard', shard), 'user'))
end

local function node_of(c, shard)
    return node_id(call('HGET', key(c, 'shard', shard), 'node'))
end

local function sender_of_shard(c, shard)
    return shard_id(call('HGET', key(c, 'shard', shard), 'sender'))
end

local function is_shard(c, shard)
    return shard_id(shard) and call('ZSCORE', key(c, 'load'), shard)
end

local count_channels
do -- the rest is seen in here alone

-- The shard closes when idle: since when it is idle, or that it is not any more.
local function tally_idle(c, tally, shard, count, change)
    local idle, busy = tally.idle, tally.busy
    if count == 0 then
        idle[#idle + 1], idle[#idle + 2] = c.stamp, shard
    elseif count == change then
        busy[#busy + 1] = shard
    end
end

-- The nodes must look that hold the shard, or send for it.
local function tally_nodes(c, tally, shard, node, sender)
    if node then
        touched_add(tally.touched, node, 'shards', shard)
    end
    local sender_node = node
    if sender and sender ~= shard then
        sender_node = node_of(c, sender)
    end
    if sender_node then
        touched_add(tally.touched, sender_node, 'serves', shard)
    end
end

local function tally_shard(c, tally, shard, change)
    local sk = c.tag .. ':shard:' .. shard
    local s = call('HMGET', sk, 'node', 'sender', 'user', 'closes_idle')
    local user = login_of(s[3])
    local count = call('SCARD', sk .. ':channels')
    call('HSET', sk, 'channels', count)
    bump(sk, 'rev', 1)
    local loads = tally.loads
    loads[#loads + 1], loads[#loads + 2] = count, shard
    if user then
        local open = tally.opens[user] or {}
        tally.opens[user] = open
        open[#open + 1], open[#open + 2] = count, shard
    else
        damaged(c)
    end
    if s[4] == '1' then
        tally_idle(c, tally, shard, count, change)
    end
    tally.first = tally.first or (count == change and change > 0)
    tally_nodes(c, tally, shard, node_id(s[1]), shard_id(s[2]))
end

-- Channels of shards came or went: `changes` is shard -> by how many. Keeps every count and every
-- index that depends on one, and makes the nodes look.
function count_channels(c, changes)
    if next(changes) == nil then
        return
    end
    local tally = {loads = {}, opens = {}, idle = {}, busy = {}, touched = {}}
    for shard, change in pairs(changes) do
        tally_shard(c, tally, shard, change)
    end
    call('ZADD', key(c, 'load'), unpack(tally.loads))
    for user, open in pairs(tally.opens) do
        call('ZADD', key(c, 'open', user), unpack(open))
    end
    if #tally.idle + #tally.busy > 0 then
        call_all('ZADD', key(c, 'idle'), tally.idle)
        call_all('ZREM', key(c, 'idle'), tally.busy)
    end
    if tally.first then
        shards_changed(c) -- who sends for a shard is chosen when it has channels
    end
    touch_all(c, tally.touched)
end

end
