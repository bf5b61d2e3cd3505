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

-- The shard is in that index (zset), with that score.
local function tally_score(tally, index, score, shard)
    add_to(tally.scored, index, score)
    add_to(tally.scored, index, shard)
end

local function tally_shard(c, tally, shard, change)
    local sk = c.tag .. ':shard:' .. shard
    local s = call('HMGET', sk, 'node', 'sender', 'user', 'closes_idle')
    local node, sender, user = node_id(s[1]), shard_id(s[2]), login_of(s[3])
    local count = call('SCARD', sk .. ':channels')
    call('HSET', sk, 'channels', count)
    bump(sk, 'rev', 1)
    tally_score(tally, 'load', count, shard)
    if user then
        tally_score(tally, 'open:' .. user, count, shard)
    else
        damaged(c)
    end
    if s[4] == '1' and count == 0 then
        tally_score(tally, 'idle', c.stamp, shard)
    elseif s[4] == '1' and count == change then
        add_to(tally, 'busy', shard)
    end
    tally.first = tally.first or (count == change and change > 0)
    add_to(tally.shards, node or false, shard)
    if sender and sender ~= shard then
        node = node_of(c, sender)
    end
    add_to(tally.serves, node or false, shard)
end

-- Channels of shards came or went: `changes` is shard -> by how many. Keeps every count and every
-- index that depends on one, and makes the nodes look that hold the shards, or send for them.
function count_channels(c, changes)
    local tally = {scored = {}, busy = {}, shards = {}, serves = {}}
    for shard, change in pairs(changes) do
        tally_shard(c, tally, shard, change)
    end
    for index, scored in pairs(tally.scored) do
        call('ZADD', key(c, index), unpack(scored))
    end
    call_all('ZREM', key(c, 'idle'), tally.busy)
    if tally.first then
        shards_changed(c) -- who sends for a shard is chosen when it has channels
    end
    for _, role in ipairs({'shards', 'serves'}) do
        for node, shards in pairs(tally[role]) do
            touch(c, node, role, unpack(shards))
        end
    end
end

end
