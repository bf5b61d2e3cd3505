-- Compare: the wanted channels.

do -- seen in here alone

-- Channels that should be on a shard. Those that its set does not have are put there.
local function compare_assigned(c, shard, names, waiting)
    local user = not speakers.is(shard) and compare.known_shard(c, shard) -- those take none
    local has = user and call('SMISMEMBER', key(c, 'shard', shard, 'channels'), unpack(names))
    local missing = {}
    for i, channel in ipairs(names) do
        if not user then
            compare.make_wait(c, channel, 'Its shard is gone.',
                'its shard ' .. shown(shard) .. ' is gone: it waits for another')
        elseif has[i] == 0 then
            missing[#missing + 1] = channel
            compare.repaired(c, 'channel', channel, 'shard ' .. shard .. ' did not know that it has it')
        elseif waiting[channel] then
            call('SREM', key(c, 'waiting'), channel)
            compare.repaired(c, 'channel', channel, 'waited, though it is on shard ' .. shard)
        end
    end
    compare.make_assigned(c, shard, missing)
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
    touch(c, node, {shard}, {})
end

local function compare_state(c, channel, shard, waits)
    if shard == '' and not waits then
        compare.make_wait(c, channel, 'It had no shard.', 'had no shard, and did not wait for one')
    elseif not CHANNEL_STATES[call('HGET', key(c, 'channel', channel), 'state')] then
        call('HSET', key(c, 'channel', channel), 'since', c.stamp, 'state', shard == '' and 'waiting' or 'assigned')
        tell_again(c, channel, shard)
        compare.repaired(c, 'channel', channel, 'had no state')
    end
end

-- A shard's channels are looked at together.
function compare.channels(c, cursor)
    local following, names = compare.names(c, 'HSCAN', 'channels', cursor, 'channel', login_of)
    local shards, waiting, by_shard = {}, {}, {}
    local waits = call_all('SMISMEMBER', key(c, 'waiting'), names)
    for i, shard in ipairs(call_all('HMGET', key(c, 'channels'), names)) do
        if shard ~= '' and not shards[names[i]] then
            add_to(by_shard, shard, names[i])
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
    local wanted = {'HMGET', key(c, 'channels')}
    return compare.weed(c, 'SSCAN', key(c, 'waiting'), cursor, 'channel', wanted, function(channel, shard)
        if shard == '' then
            return nil
        elseif not shard and login_of(channel) then
            return compare.make_wait(c, channel, 'It had no shard.', 'waited and was not wanted: it is again')
        end
        return shard and 'waited, though it is on shard ' .. shard or 'waited, and is no channel'
    end)
end

function compare.active(c, cursor)
    local wanted = {'HMGET', key(c, 'channels')}
    return compare.weed(c, 'ZSCAN', key(c, 'active'), cursor, 'channel', wanted, function(_, shard)
        return not shard and 'had lines, and is not wanted'
    end)
end

-- Of a claim that its node does not know nobody will say how it ended, and it would hold up its
-- channel.
function compare.claims(c, cursor)
    return compare.weed(c, 'HSCAN', key(c, 'claims'), cursor, 'channel', nil, function(channel, claim)
        local entry, node = string.match(claim, '^(%d+%-%d+) (.+)$')
        if node_id(node) and call('HEXISTS', key(c, 'node', node, 'claims'), entry) == 1 then
            return nil
        end
        local send = entry and login_of(channel) and outbox_entry(c, entry)
        if send and send.channel == channel then
            no_word(c, send)
        end
        return 'a send to it was claimed by no node'
    end)
end

end
