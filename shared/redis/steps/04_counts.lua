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

local function tally_shard(c, tally, shard, change)
    local sk = c.tag .. ':shard:' .. shard
    local s = call('HMGET', sk, 'node', 'sender', 'user', 'closes_idle', 'rev')
    local node, sender, user = node_id(s[1]), shard_id(s[2]), login_of(s[3])
    local count = call('SCARD', sk .. ':channels')
    local score = string.format('%d', count) -- numbers are slow as arguments
    call('HSET', sk, 'channels', score, 'rev', string.format('%d', count_of(s[5]) + 1), 'moved', c.stamp)
    add_to(tally.scored, key(c, 'load'), score, shard)
    if not user then
        damaged(c)
    elseif not speakers.is(shard) then
        add_to(tally.scored, key(c, 'open', user), score, shard)
    end
    if s[4] == '1' and count == 0 then
        add_to(tally.scored, key(c, 'idle'), c.stamp, shard)
    elseif s[4] == '1' and count == change then
        add_to(tally, 'busy', shard)
    end
    tally.first = tally.first or (count == change and change > 0)
    local sender_node = node
    if sender and sender ~= shard then
        sender_node = node_of(c, sender)
    end
    add_to(tally.shards, node or false, shard)
    add_to(tally.serves, sender_node or false, shard)
    tally.nodes[node or false], tally.nodes[sender_node or false] = true, true
end

-- Channels of shards came or went: `changes` is shard -> by how many. Keeps every count and every
-- index that depends on one, and makes the nodes look that hold the shards, or send for them.
function count_channels(c, changes)
    if next(changes) == nil then
        return
    end
    local tally = {scored = {}, busy = {}, nodes = {}, shards = {}, serves = {}}
    for shard, change in pairs(changes) do
        tally_shard(c, tally, shard, change)
    end
    for index, scored in pairs(tally.scored) do
        call('ZADD', index, unpack(scored))
    end
    call_all('ZREM', key(c, 'idle'), tally.busy)
    if tally.first then
        shards_changed(c) -- who sends for a shard is chosen when it has channels
    end
    for node in pairs(tally.nodes) do
        touch(c, node, tally.shards[node] or {}, tally.serves[node] or {})
    end
end

end
