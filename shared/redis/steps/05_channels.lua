-- Channels: they go on a shard, off it, or wait for one.

local channels = {}

-- The channels, none of which is on a shard, go on one: `by_shard` is shard -> list, `owner` shard
-- -> its user, `waited` says of a channel whether it waited.
function channels.put(c, by_shard, owner, waited)
    local pairs_of, in_rooms, changes, placed = {}, {}, {}, {}
    local counts = rooms.counts
    for shard, names in pairs(by_shard) do
        local user = owner[shard]
        call('SADD', c.tag .. ':shard:' .. shard .. ':channels', unpack(names))
        changes[shard] = #names
        for _, channel in ipairs(names) do
            local ck = c.tag .. ':channel:' .. channel
            pairs_of[#pairs_of + 1], pairs_of[#pairs_of + 2] = channel, shard
            call('HSET', ck, 'state', 'assigned', 'since', c.stamp)
            if counts(user, channel) then
                add_to(in_rooms, user, channel)
            end
            if waited[channel] then
                call('HDEL', ck, 'reason', 'next_try', 'user')
                placed[#placed + 1] = channel
            end
        end
    end
    call_all('HSET', key(c, 'channels'), pairs_of)
    for user, names in pairs(in_rooms) do
        call('SADD', key(c, 'rooms', user), unpack(names))
    end
    call_all('SREM', key(c, 'waiting'), placed)
    count_channels(c, changes)
end

-- The same, on one shard.
function channels.put_on(c, shard, user, names, waited)
    if #names > 0 then
        channels.put(c, {[shard] = names}, {[shard] = user}, waited)
    end
end

-- The channels are wanted and on no shard: `why` is channel -> the reason, `waited` as above,
-- `user` channel -> whom it was asked to be read as.
function channels.wait(c, why, waited, user)
    if next(why) == nil then
        return
    end
    local fresh, pairs_of = {}, {}
    for channel, reason in pairs(why) do
        local ck = key(c, 'channel', channel)
        call('HSET', ck, 'state', 'waiting', 'reason', reason)
        if user[channel] then
            call('HSET', ck, 'user', user[channel])
        end
        if not waited[channel] then
            call('HSET', ck, 'since', c.stamp)
            fresh[#fresh + 1] = channel
            pairs_of[#pairs_of + 1], pairs_of[#pairs_of + 2] = channel, ''
        end
    end
    call_all('HSET', key(c, 'channels'), pairs_of)
    call_all('SADD', key(c, 'waiting'), fresh)
end

-- The channels are not on these shards any more: `by_shard` is shard -> list. `rooms_too`: nor are
-- they rooms of its user, since they are on no other.
function channels.off(c, by_shard, rooms_too)
    local changes = {}
    for shard, names in pairs(by_shard) do
        local sk = key(c, 'shard', shard)
        call('SREM', sk .. ':channels', unpack(names))
        call('HDEL', sk .. ':read', unpack(names))
        call('HDEL', sk .. ':retry', unpack(names))
        local user = rooms_too and user_of(c, shard)
        if user then
            call('SREM', key(c, 'rooms', user), unpack(names))
        end
        changes[shard] = -#names
    end
    count_channels(c, changes)
end

-- The channels are wanted no more: `shards` says of each where it is, "" where it waits.
function channels.forget(c, names, shards)
    local by_shard = {}
    for _, channel in ipairs(names) do
        call('DEL', key(c, 'channel', channel))
        if shard_id(shards[channel]) then
            add_to(by_shard, shards[channel], channel)
        else
            call('SREM', key(c, 'waiting'), channel)
        end
    end
    call_all('HDEL', key(c, 'channels'), names)
    call_all('ZREM', key(c, 'active'), names)
    channels.off(c, by_shard, true)
end

-- Channels that Twitch refused are tried again: `by_shard` is shard -> list. Their nodes are told
-- when that was asked.
function channels.try_again(c, by_shard)
    local changes = {}
    for shard, names in pairs(by_shard) do
        local asked = {}
        for _, channel in ipairs(names) do
            asked[#asked + 1], asked[#asked + 2] = channel, c.stamp
        end
        call('HSET', key(c, 'shard', shard, 'retry'), unpack(asked))
        changes[shard] = 0
    end
    count_channels(c, changes)
end

-- Notes a channel for channels.try_again, if Twitch refused it. Did it?
function channels.note_failed(c, by_shard, channel, shard)
    if call('HGET', key(c, 'channel', channel), 'state') ~= 'failed' then
        return false
    end
    add_to(by_shard, shard, channel)
    return true
end

-- Of channels as people wrote them, those that are channels: their logins, each once. The others go
-- to `refused`.
function channels.names(texts, refused)
    local names, seen = {}, {}
    for _, text in ipairs(texts) do
        local channel = channel_name(text)
        if not channel then
            refused[shown(text)] = ERR_NOT_A_CHANNEL
        elseif not seen[channel] then
            seen[channel] = true
            names[#names + 1] = channel
        end
    end
    return names
end
