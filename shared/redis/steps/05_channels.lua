-- Channels: they go on a shard, off it, or wait for one.

local channels = {}

-- The channels, none of which is on a shard, go on one: `by_shard` is shard -> list, `waited` says
-- of a channel whether it waited.
function channels.put(c, by_shard, waited)
    local prefix, on, n, in_rooms, shards, by, placed = key(c, 'channel', ''), {}, 0, {}, {}, {}, {}
    for shard, names in pairs(by_shard) do
        local user = (c.places[shard] or places.of(c, shard)).user
        local room = in_rooms[user] or {}
        local at, m = #shards + 1, #room
        in_rooms[user], shards[at] = room, shard
        by[at] = call('SADD', c.tag .. ':shard:' .. shard .. ':channels', unpack(names))
        for _, channel in ipairs(names) do
            call('HSET', prefix .. channel, 'state', 'assigned', 'since', c.stamp)
            on[n + 1], on[n + 2], n = channel, shard, n + 2
            if channel ~= user then -- rooms.counts
                m = m + 1
                room[m] = channel
            end
            if waited[channel] then
                call('HDEL', prefix .. channel, 'reason', 'next_try', 'user')
                placed[#placed + 1] = channel
            end
        end
    end
    call_all('HSET', key(c, 'channels'), on)
    for user, names in pairs(in_rooms) do
        call_all('SADD', key(c, 'rooms', user), names)
    end
    call_all('SREM', key(c, 'waiting'), placed)
    count_channels(c, shards, by)
end

-- The same, on one shard, whose user is known.
function channels.put_on(c, shard, names, waited)
    if #names > 0 then
        channels.put(c, {[shard] = names}, waited)
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
        if user[channel] then
            call('HSET', ck, 'user', user[channel])
        end
        if waited[channel] then
            call('HSET', ck, 'state', 'waiting', 'reason', reason)
        else
            call('HSET', ck, 'state', 'waiting', 'reason', reason, 'since', c.stamp)
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
    local shards, by = {}, {}
    for shard, names in pairs(by_shard) do
        local sk = key(c, 'shard', shard)
        shards[#shards + 1] = shard
        by[#shards] = -call('SREM', sk .. ':channels', unpack(names))
        call('HDEL', sk .. ':read', unpack(names))
        call('HDEL', sk .. ':retry', unpack(names))
        local user = rooms_too and user_of(c, shard)
        if user then
            call('SREM', key(c, 'rooms', user), unpack(names))
        end
    end
    count_channels(c, shards, by)
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
    local shards, by = {}, {}
    for shard, names in pairs(by_shard) do
        local asked = {}
        for _, channel in ipairs(names) do
            asked[#asked + 1], asked[#asked + 2] = channel, c.stamp
        end
        call('HSET', key(c, 'shard', shard, 'retry'), unpack(asked))
        shards[#shards + 1] = shard
        by[#shards] = 0
    end
    count_channels(c, shards, by)
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
