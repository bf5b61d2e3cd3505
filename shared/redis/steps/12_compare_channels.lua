-- Compare: the wanted channels.

do -- seen in here alone

-- Channels that should be on a shard. Those that its set does not have are put there.
local function compare_assigned(c, shard, names, waiting)
    local user = compare.known_shard(c, shard)
    local has = user and call('SMISMEMBER', key(c, 'shard', shard, 'channels'), unpack(names))
    local missing = {}
    for i, channel in ipairs(names) do
        if not user then
            compare.make_wait(c, channel, 'Its shard is gone.')
            compare.repaired(c, 'channel', channel, 'its shard ' .. shown(shard) .. ' is gone: it waits for another')
        elseif has[i] == 0 then
            missing[#missing + 1] = channel
            compare.repaired(c, 'channel', channel, 'shard ' .. shard .. ' did not know that it has it')
        elseif waiting[channel] then
            call('SREM', key(c, 'waiting'), channel)
            compare.repaired(c, 'channel', channel, 'waited, though it is on shard ' .. shard)
        end
    end
    compare.make_assigned(c, shard, user, missing)
end

local CHANNEL_STATES = {waiting = true, assigned = true, queued = true, joining = true, joined = true,
    parting = true, failed = true}

-- What its holder reported of a channel is lost. It counts as not read, so that the holder, who
-- reads it, tells it again.
local function tell_again(c, channel, shard)
    local node = shard_id(shard) and node_of(c, shard)
    local read = key(c, 'shard', shard, 'read')
    if node and call('HGET', read, channel) == '' then
        call('HSET', read, channel, c.stamp)
    end
    touch(c, node, 'shards', shard)
end

local function compare_state(c, channel, shard, waits)
    if shard == '' and not waits then
        compare.make_wait(c, channel, 'It had no shard.')
        compare.repaired(c, 'channel', channel, 'had no shard, and did not wait for one')
    elseif not CHANNEL_STATES[call('HGET', key(c, 'channel', channel), 'state')] then
        call('HSET', key(c, 'channel', channel), 'since', c.stamp, 'state', shard == '' and 'waiting' or 'assigned')
        tell_again(c, channel, shard)
        compare.repaired(c, 'channel', channel, 'had no state')
    end
end

-- A shard's channels are looked at together.
function compare.channels(c, cursor)
    local names, following = compare.names(c, 'HSCAN', 'channels', cursor, 'channel', login_of)
    local shards, waiting, by_shard = {}, {}, {}
    local waits = call_all('SMISMEMBER', key(c, 'waiting'), names)
    for i, shard in ipairs(call_all('HMGET', key(c, 'channels'), names)) do
        if shard ~= '' and not shards[names[i]] then
            by_shard[shard] = by_shard[shard] or {}
            table.insert(by_shard[shard], names[i])
        end
        shards[names[i]], waiting[names[i]] = shard, waits[i] == 1
    end
    for shard, some in pairs(by_shard) do
        compare_assigned(c, shard, some, waiting)
    end
    for channel, shard in pairs(shards) do
        compare_state(c, channel, shard, waiting[channel])
    end
    return following
end

function compare.waiting(c, cursor)
    local names, following = compare.scan(c, 'SSCAN', key(c, 'waiting'), cursor)
    for i, shard in ipairs(call_all('HMGET', key(c, 'channels'), names)) do
        if shard ~= '' then
            call('SREM', key(c, 'waiting'), names[i])
            if not shard and login_of(names[i]) then
                compare.make_wait(c, names[i], 'It had no shard.')
            end
            compare.repaired(c, 'channel', names[i], shard and 'waited, though it is on shard ' .. shard or
                'waited and was not wanted: it is again')
        end
    end
    return following
end

function compare.active(c, cursor)
    local names, following = compare.scan(c, 'ZSCAN', key(c, 'active'), cursor)
    for i, shard in ipairs(call_all('HMGET', key(c, 'channels'), names)) do
        if not shard then
            call('ZREM', key(c, 'active'), names[i])
            compare.repaired(c, 'channel', names[i], 'had lines, and is not wanted')
        end
    end
    return following
end

-- Of a claim that its node does not know nobody will say how it ended, and it would hold up its
-- channel.
function compare.claims(c, cursor)
    local names, following, claims = compare.scan(c, 'HSCAN', key(c, 'claims'), cursor)
    for i, channel in ipairs(names) do
        local entry, node = string.match(claims[i], '^(%d+%-%d+) (.+)$')
        if not node_id(node) or call('HEXISTS', key(c, 'node', node, 'claims'), entry) == 0 then
            local send = entry and login_of(channel) and outbox_entry(c, entry)
            if send and send.channel == channel then
                no_word(c, send)
            end
            call('HDEL', key(c, 'claims'), channel)
            compare.repaired(c, 'channel', channel, 'a send to it was claimed by no node')
        end
    end
    return following
end

end
