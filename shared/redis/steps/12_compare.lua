-- Compare: what the registry says in one place with what it says in the other, a portion a call; what differs is
-- put right and told.
--
-- Steps keep all of this by themselves: what differs was written by somebody else, or by a mistake of ours. What
-- is wanted stays wanted: a channel that one of two places knows is kept, and where both do, `channels` decides.

do -- seen in here alone

local COMPARE_CHANNELS = 100 -- a call: some ms of Redis
local COMPARE_SHARDS = 10
local COMPARE_TOLD = 20 -- events of a call; the others are counted

local function repaired(c, kind, name, what)
    c.repairs = (c.repairs or 0) + 1
    if c.repairs <= COMPARE_TOLD then
        event(c, 'registry.repaired', {kind, shown(name), 'what', what})
    end
end

-- A wanted channel that no shard holds (any more).
local function make_wait(c, channel, why)
    call('HSET', key(c, 'channels'), channel, '')
    call('SADD', key(c, 'waiting'), channel)
    call('HSET', key(c, 'channel', channel), 'state', 'waiting', 'reason', why, 'since', c.stamp)
end

-- The channel is one of the shard's in every place but the shard's counts.
local function make_assigned(c, channel, shard, user)
    call('HSET', key(c, 'channels'), channel, shard)
    call('SADD', key(c, 'shard', shard, 'channels'), channel)
    call('SREM', key(c, 'waiting'), channel)
    call('HSET', key(c, 'channel', channel), 'state', 'assigned', 'since', c.stamp)
    if channel ~= user then
        call('SADD', key(c, 'rooms', user), channel)
    end
end

local function is_shard(c, shard)
    return shard_id(shard) and call('ZSCORE', key(c, 'load'), shard)
end

-- Those who have, or had, shards.
local function users_of(c)
    local users = {}
    for _, user in ipairs(call('HKEYS', key(c, 'senders'))) do
        if login_of(user) then
            users[#users + 1] = user
        else
            call('HDEL', key(c, 'senders'), user)
            repaired(c, 'user', user, 'is not the name of a user: forgotten')
        end
    end
    table.sort(users)
    return users
end

-- Of the shard's set: what `channels` knows otherwise. True if the set, or what is wanted, changed.
local function compare_members(c, shard, user)
    local sk = key(c, 'shard', shard)
    local all = call('SMEMBERS', sk .. ':channels')
    local changed = false
    for from = 1, #all, 1000 do
        local some = {unpack(all, from, math.min(from + 999, #all))}
        local in_room = user and call('SMISMEMBER', key(c, 'rooms', user), unpack(some))
        for i, now in ipairs(call('HMGET', key(c, 'channels'), unpack(some))) do
            local channel = some[i]
            if not user then
                if login_of(channel) and (not now or now == shard) then
                    make_wait(c, channel, 'Its shard is gone.')
                    repaired(c, 'channel', channel, 'its shard ' .. shard .. ' is gone: it waits for another')
                end
            elseif not now and login_of(channel) then
                make_assigned(c, channel, shard, user)
                repaired(c, 'channel', channel, 'was not wanted, though shard ' .. shard .. ' has it: it is again')
                changed = true
            elseif now ~= shard then
                call('SREM', sk .. ':channels', channel)
                call('HDEL', sk .. ':read', channel)
                repaired(c, 'channel', channel, 'was also one of shard ' .. shard .. ': it is not any more')
                changed = true
            elseif in_room[i] == 0 and channel ~= user and
                call('HGET', key(c, 'channel', channel), 'moderator') ~= '1' then
                call('SADD', key(c, 'rooms', user), channel)
                repaired(c, 'channel', channel, 'was not counted among the rooms of ' .. user)
            end
        end
    end
    return changed
end

-- Since when channels are not read is kept for those of the shard alone.
local function compare_read(c, shard)
    local sk = key(c, 'shard', shard)
    local names = call('HKEYS', sk .. ':read')
    for from = 1, #names, 1000 do
        local some = {unpack(names, from, math.min(from + 999, #names))}
        for i, has in ipairs(call('SMISMEMBER', sk .. ':channels', unpack(some))) do
            if has == 0 then
                call('HDEL', sk .. ':read', some[i])
                repaired(c, 'channel', some[i], 'was read by shard ' .. shard .. ', which does not have it')
            end
        end
    end
end

-- Counts, and the indices that depend on them.
local function compare_counts(c, shard, user, s, changed)
    local sk = key(c, 'shard', shard)
    local count = call('SCARD', sk .. ':channels')
    local open = key(c, 'open', user)
    local idle = s.closes_idle == '1' and count == 0
    local is_idle = call('ZSCORE', key(c, 'idle'), shard) and true or false
    local epoch = whole(s.epoch)
    if not changed and whole(s.channels) == count and whole(s.rev) and epoch and epoch >= 0 and
        epoch == tonumber(s.epoch) and
        whole(call('ZSCORE', key(c, 'load'), shard)) == count and
        whole(call('ZSCORE', open, shard)) == count and is_idle == idle then
        return
    end
    call('HSET', sk, 'channels', count, 'rev', count_of(s.rev) + 1, 'epoch', count_of(s.epoch))
    call('ZADD', key(c, 'load'), count, shard)
    call('ZADD', open, count, shard)
    if idle and not is_idle then
        call('ZADD', key(c, 'idle'), c.now, shard)
    elseif not idle then
        call('ZREM', key(c, 'idle'), shard)
    end
    if node_id(s.node) then
        touch(c, s.node, 'shards', shard)
    end
    shards_changed(c)
    if not changed then
        repaired(c, 'shard', shard, 'its counts were wrong: it has ' .. count .. ' channels')
    end
end

-- A node that is registered and not among the nodes is again: if it is dead, it expires, its link killed first.
local function is_node(c, node)
    if not node_id(node) then
        return false
    elseif not call('ZSCORE', key(c, 'nodes'), node) then
        if call('HEXISTS', key(c, 'node', node), 'incarnation') == 0 then
            return false
        end
        call('ZADD', key(c, 'nodes'), c.now + limit(c, 'lease_ms'), node)
        repaired(c, 'node', node, 'was not among the nodes: it is again')
    end
    return true
end

-- The node that was told to hold the shard, and may hold it still; nil: none was.
local function listed_by(c, shard)
    for _, node in ipairs(call('ZRANGE', key(c, 'nodes'), 0, -1)) do
        if node_id(node) and call('ZSCORE', key(c, 'node', node, 'shards'), shard) then
            return node
        end
    end
    return nil
end

local function compare_placement(c, shard, s)
    local sk = key(c, 'shard', shard)
    local node = s.node or ''
    if node == '' and call('SISMEMBER', key(c, 'homeless'), shard) == 0 then
        node = listed_by(c, shard) or ''
        if node ~= '' then
            call('HSET', sk, 'node', node)
            touch(c, node, 'shards', shard)
            serves_moved(c, shard, nil, node)
            repaired(c, 'shard', shard, 'was on no node, though node ' .. node .. ' holds it: it is on that')
        end
    end
    if node ~= '' and not is_node(c, node) then
        stop_reading(c, shard, node_id(node) and read_until(c, node) or c.now)
        call('HSET', sk, 'node', '')
        set_idle(c, shard)
        place(c, shard)
        repaired(c, 'shard', shard, 'was on ' .. shown(node) .. ', which is no node: it is placed anew')
        shards_changed(c)
    elseif node ~= '' then
        local known = call('ZSCORE', key(c, 'node', node, 'shards'), shard)
        local homeless = call('SREM', key(c, 'homeless'), shard) == 1
        if not known then
            touch(c, node, 'shards', shard)
        end
        if not known or homeless then
            repaired(c, 'shard', shard, 'node ' .. node .. ' did not know that it holds it')
        end
    else
        stop_reading(c, shard, c.now)
        if call('SADD', key(c, 'homeless'), shard) == 1 then
            call('HSET', sk, 'node', '')
            repaired(c, 'shard', shard, 'was on no node, and was not to be placed')
        end
    end
end

local function compare_sender(c, shard, user, s)
    local sender = s.sender
    if not is_shard(c, sender) then
        call('HSET', key(c, 'shard', shard), 'sender', '')
        set_sender(c, shard, shard)
        repaired(c, 'shard', shard, 'its sender was no shard: it sends for itself')
    else
        local node = node_of(c, sender)
        local knows = not node or call('ZSCORE', key(c, 'node', node, 'serves'), shard)
        if call('SADD', key(c, 'shard', sender, 'serves'), shard) == 1 or not knows then
            if node then
                touch(c, node, 'serves', shard)
            end
            repaired(c, 'shard', shard, 'its sender ' .. sender .. ' did not know that it is')
        end
    end
    if not is_shard(c, call('HGET', key(c, 'senders'), user)) then
        call('HSET', key(c, 'senders'), user, shard)
        repaired(c, 'shard', shard, 'user ' .. shown(user) .. ' had no default sender: it is')
    end
end

-- Nothing is left of the shard but its name: those for which it sent send for themselves.
local function forget_shard(c, shard)
    local sk = key(c, 'shard', shard)
    call('ZREM', key(c, 'load'), shard)
    call('ZREM', key(c, 'idle'), shard)
    call('SREM', key(c, 'homeless'), shard)
    for _, served in ipairs(served_by(c, shard)) do
        if served ~= shard then
            set_sender(c, served, served)
        end
    end
    for _, user in ipairs(users_of(c)) do
        local open = key(c, 'open', user)
        call('ZREM', open, shard)
        if call('HGET', key(c, 'senders'), user) == shard then
            local other = call('ZRANGE', open, 0, 0)[1]
            if other then
                call('HSET', key(c, 'senders'), user, other)
            else
                call('HDEL', key(c, 'senders'), user)
            end
        end
    end
    call('DEL', sk, sk .. ':channels', sk .. ':serves', sk .. ':read')
    repaired(c, 'shard', shard, 'nothing was known of it but its name: it is gone')
    shards_changed(c)
end

-- What cannot be known from elsewhere of a shard whose user is known, is what a new one begins with.
local SHARD_STATES = {idle = true, connecting = true, authenticating = true, ready = true, draining = true,
    closed = true, backoff = true}

local function compare_fields(c, shard, s)
    local sk = key(c, 'shard', shard)
    local wrong = {}
    if s.closes_idle ~= '0' and s.closes_idle ~= '1' then
        s.closes_idle = string.match(shard, '^extended%-') and '1' or '0'
        wrong.closes_idle = s.closes_idle
    end
    if not RUN[s.run] then
        wrong.run = settings(c).stopped == '1' and 'new' or 'started'
    end
    if not SHARD_STATES[s.state] then
        wrong.state = 'idle'
    end
    for name, value in pairs(wrong) do
        call('HSET', sk, name, value)
        repaired(c, 'shard', shard, 'its ' .. name .. ' was none: it is ' .. value)
    end
    if next(wrong) and node_id(s.node) then
        touch(c, s.node, 'shards', shard)
    end
end

-- Whose shard it is. Its user's list of shards knows it, too.
local function compare_user(c, shard, now)
    if now and call('ZSCORE', key(c, 'open', now), shard) then
        return now
    end
    for _, user in ipairs(users_of(c)) do
        if call('ZSCORE', key(c, 'open', user), shard) then
            call('HSET', key(c, 'shard', shard), 'user', user)
            repaired(c, 'shard', shard, 'its user was another: it is ' .. user)
            return user
        end
    end
    return now
end

local function compare_shard(c, shard)
    local sk = key(c, 'shard', shard)
    local s, fields = {}, {'user', 'node', 'sender', 'channels', 'rev', 'epoch', 'closes_idle', 'run', 'state'}
    for i, value in ipairs(call('HMGET', sk, unpack(fields))) do
        s[fields[i]] = value
    end
    s.user = compare_user(c, shard, login_of(s.user))
    local changed = compare_members(c, shard, s.user)
    if not s.user then
        forget_shard(c, shard)
        return
    end
    compare_read(c, shard)
    compare_fields(c, shard, s)
    compare_counts(c, shard, s.user, s, changed)
    compare_placement(c, shard, s)
    compare_sender(c, shard, s.user, s)
end

-- The user of what should be a shard, or nil. One that is not among the shards, though all is known of it, is again.
local function known_shard(c, shard)
    local user = shard_id(shard) and user_of(c, shard)
    if user and not is_shard(c, shard) then
        call('ZADD', key(c, 'load'), call('SCARD', key(c, 'shard', shard, 'channels')), shard)
        repaired(c, 'shard', shard, 'was not among the shards: it is again')
        compare_shard(c, shard)
    elseif not user and is_shard(c, shard) then
        compare_shard(c, shard)
        user = user_of(c, shard)
    end
    return user
end

-- Channels that should be on a shard. Those that its set does not have are put there.
local function compare_assigned(c, shard, channels, waiting)
    local user = known_shard(c, shard)
    local has = user and call('SMISMEMBER', key(c, 'shard', shard, 'channels'), unpack(channels))
    local changed = false
    for i, channel in ipairs(channels) do
        if not user then
            make_wait(c, channel, 'Its shard is gone.')
            repaired(c, 'channel', channel, 'its shard ' .. shown(shard) .. ' is gone: it waits for another')
        elseif has[i] == 0 then
            make_assigned(c, channel, shard, user)
            repaired(c, 'channel', channel, 'shard ' .. shard .. ' did not know that it has it')
            changed = true
        elseif waiting[channel] then
            call('SREM', key(c, 'waiting'), channel)
            repaired(c, 'channel', channel, 'waited, though it is on shard ' .. shard)
        end
    end
    return changed
end

local CHANNEL_STATES = {waiting = true, assigned = true, queued = true, joining = true, joined = true,
    parting = true, failed = true}

-- What its holder reported of a channel is lost: as if it were not read, so that the holder, who reads it, tells it
-- again.
local function tell_again(c, channel, shard)
    local node = shard_id(shard) and node_of(c, shard)
    if not node then
        return
    end
    local read = key(c, 'shard', shard, 'read')
    if call('HGET', read, channel) == '' then
        call('HSET', read, channel, c.stamp)
    end
    touch(c, node, 'shards', shard)
end

local function compare_channels(c, cursor)
    local found = call('HSCAN', key(c, 'channels'), cursor, 'COUNT', COMPARE_CHANNELS)
    local names, shards, by_shard, waiting = {}, {}, {}, {}
    for i = 1, #found[2], 2 do
        local channel, shard = found[2][i], found[2][i + 1]
        if not login_of(channel) then
            call('HDEL', key(c, 'channels'), channel)
            repaired(c, 'channel', channel, 'is not the name of a channel: forgotten')
        elseif not shards[channel] then -- HSCAN may tell one twice
            names[#names + 1] = channel
            shards[channel] = shard
            by_shard[shard] = by_shard[shard] or {}
            table.insert(by_shard[shard], channel)
        end
    end
    if #names > 0 then
        for i, waits in ipairs(call('SMISMEMBER', key(c, 'waiting'), unpack(names))) do
            waiting[names[i]] = waits == 1
        end
    end
    for shard, channels in pairs(by_shard) do
        if shard ~= '' and compare_assigned(c, shard, channels, waiting) then
            compare_shard(c, shard)
        end
    end
    for _, channel in ipairs(names) do
        if shards[channel] == '' and not waiting[channel] then
            make_wait(c, channel, 'It had no shard.')
            repaired(c, 'channel', channel, 'had no shard, and did not wait for one')
        elseif not CHANNEL_STATES[call('HGET', key(c, 'channel', channel), 'state')] then
            call('HSET', key(c, 'channel', channel), 'since', c.stamp,
                'state', shards[channel] == '' and 'waiting' or 'assigned')
            tell_again(c, channel, shards[channel])
            repaired(c, 'channel', channel, 'had no state')
        end
    end
    return found[1]
end

local function compare_shards(c, cursor)
    local found = call('ZSCAN', key(c, 'load'), cursor, 'COUNT', COMPARE_SHARDS)
    for i = 1, #found[2], 2 do
        local shard = found[2][i]
        if shard_id(shard) then
            compare_shard(c, shard)
        else
            call('ZREM', key(c, 'load'), shard)
            repaired(c, 'shard', shard, 'is not the name of a shard: forgotten')
        end
    end
    return found[1]
end

-- What the node is told to hold or to serve, and is not its affair (any more).
local function compare_list(c, node, role, right_node)
    for _, shard in ipairs(call('ZRANGE', key(c, 'node', node, role), 0, -1)) do
        if right_node(shard) ~= node then
            untouch(c, node, role, shard)
            repaired(c, 'node', node, role .. ' ' .. shown(shard) .. ', which is not its affair')
        end
    end
end

local function compare_node(c, node)
    local nk = key(c, 'node', node)
    compare_list(c, node, 'shards', function(shard)
        return known_shard(c, shard) and node_of(c, shard)
    end)
    compare_list(c, node, 'serves', function(shard)
        local sender = is_shard(c, shard) and sender_of_shard(c, shard)
        return sender and node_of(c, sender)
    end)
    local n = call('HMGET', nk, 'shards', 'capacity', 'state', 'incarnation', 'error')
    local held = call('ZCARD', nk .. ':shards')
    local right = whole(n[1]) == held
    if not right then
        call('HSET', nk, 'shards', held)
    end
    if n[4] and n[2] and n[3] ~= 'leaving' then
        if not NODE_STATES[n[3]] then
            n[3], right = 'active', false -- a node that is not says so again and again
        end
        local free = n[3] == 'active' and count_of(n[2]) - held or nil
        local blind = n[3] == 'blind' or n[3] == 'proving'
        right = right and whole(call('ZSCORE', key(c, 'free'), node)) == free and
            (call('ZSCORE', key(c, 'blind'), node) and true or false) == blind
        if not right then
            sight.keep_state(c, node, n[3], c.now, n[5] or '')
        end
    end
    if not right then
        repaired(c, 'node', node, 'its counts were wrong: it holds ' .. held .. ' shards')
    end
end

-- One node a call: the cursor is how many there were before it.
local function compare_nodes(c, cursor)
    local node = call('ZRANGE', key(c, 'nodes'), cursor, cursor)[1]
    if not node then
        return '0'
    end
    if not node_id(node) then
        call('ZREM', key(c, 'nodes'), node)
        repaired(c, 'node', node, 'is not the name of a node: forgotten')
        return string.format('%d', cursor) -- the next is in its place
    end
    compare_node(c, node)
    return string.format('%d', cursor + 1)
end

local function compare_waiting(c, cursor)
    local found = call('SSCAN', key(c, 'waiting'), cursor, 'COUNT', COMPARE_CHANNELS)
    if #found[2] > 0 then
        for i, shard in ipairs(call('HMGET', key(c, 'channels'), unpack(found[2]))) do
            if shard ~= '' then
                call('SREM', key(c, 'waiting'), found[2][i])
                if not shard and login_of(found[2][i]) then
                    make_wait(c, found[2][i], 'It had no shard.')
                end
                repaired(c, 'channel', found[2][i], shard and 'waited, though it is on shard ' .. shard or
                    'waited and was not wanted: it is again')
            end
        end
    end
    return found[1]
end

-- One user a call, as with nodes. Rooms where the user is moderator are none of those that count.
local function compare_rooms(c, cursor)
    local user = users_of(c)[cursor + 1]
    if not user or limit(c, 'room_limit') == math.huge then
        return '0'
    end
    local rooms = call('SMEMBERS', key(c, 'rooms', user))
    for from = 1, #rooms, 1000 do
        local some = {unpack(rooms, from, math.min(from + 999, #rooms))}
        for i, shard in ipairs(call('HMGET', key(c, 'channels'), unpack(some))) do
            if not shard_id(shard) or user_of(c, shard) ~= user then
                call('SREM', key(c, 'rooms', user), some[i])
                repaired(c, 'channel', some[i], 'was counted among the rooms of ' .. user)
            end
        end
    end
    return string.format('%d', cursor + 1)
end

-- Shards and nodes that are none (any more), in the indices `assign` and `place` go by.
local function compare_indices(c)
    local indices = {idle = 'load', free = 'nodes', blind = 'nodes'}
    for _, user in ipairs(users_of(c)) do
        indices['open:' .. user] = 'load'
    end
    for index, of in pairs(indices) do
        local all = call('ZRANGE', key(c, index), 0, -1)
        for from = 1, #all, 1000 do
            local some = {unpack(all, from, math.min(from + 999, #all))}
            for i, score in ipairs(call('ZMSCORE', key(c, of), unpack(some))) do
                local user = string.match(index, '^open:(.*)$')
                if not score or (user and user_of(c, some[i]) ~= user) then
                    call('ZREM', key(c, index), some[i])
                    repaired(c, of == 'load' and 'shard' or 'node', some[i],
                        'was in ' .. index .. ', and is none of those')
                end
            end
        end
    end
    for _, shard in ipairs(call('SMEMBERS', key(c, 'homeless'))) do
        if not is_shard(c, shard) then
            call('SREM', key(c, 'homeless'), shard)
            repaired(c, 'shard', shard, 'was in homeless, and is none')
        end
    end
    return '0'
end

local function compare_active(c, cursor)
    local found = call('ZSCAN', key(c, 'active'), cursor, 'COUNT', COMPARE_CHANNELS)
    local names = {}
    for i = 1, #found[2], 2 do
        names[#names + 1] = found[2][i]
    end
    for i, shard in ipairs(#names > 0 and call('HMGET', key(c, 'channels'), unpack(names)) or {}) do
        if not shard then
            call('ZREM', key(c, 'active'), names[i])
            repaired(c, 'channel', names[i], 'had lines, and is not wanted')
        end
    end
    return found[1]
end

-- A claim of which its node does not know: nobody will say how it ended, and it would hold up its channel.
local function compare_claims(c, cursor)
    local found = call('HSCAN', key(c, 'claims'), cursor, 'COUNT', COMPARE_CHANNELS)
    for i = 1, #found[2], 2 do
        local channel = found[2][i]
        local entry, node = string.match(found[2][i + 1], '^(%d+%-%d+) (.+)$')
        if not node_id(node) or call('HEXISTS', key(c, 'node', node, 'claims'), entry) == 0 then
            local send = entry and login_of(channel) and outbox_entry(c, entry)
            if send and send.channel == channel then
                finish_send(c, send, 'unknown', 'no_word',
                    'The node that was sending it never said whether it was said.')
            end
            call('HDEL', key(c, 'claims'), channel)
            repaired(c, 'channel', channel, 'a send to it was claimed by no node')
        end
    end
    return found[1]
end

-- In this order: what an earlier one puts right, a later one finds right.
local COMPARISONS = {
    compare_channels, compare_shards, compare_waiting, compare_nodes, compare_rooms, compare_indices,
    compare_active, compare_claims,
}

-- compare: incarnation token cursor ("1 0" is the beginning)
-- "more", "REPAIRS CURSOR" (call again with that cursor) | "done", "REPAIRS"
function steps.compare(keys, a)
    local c, failed = context(keys)
    if failed then
        return failed
    end
    local deposed = leader_check(c, a[1], a[2])
    if deposed then
        return deposed
    end
    local phase, cursor = string.match(a[3] or '', '^(%d) (%d+)$')
    phase = tonumber(phase)
    if not phase or not COMPARISONS[phase] then
        return badarg('compare: incarnation token cursor')
    end
    if a[3] == '1 0' then
        call('HDEL', key(c, 'clock'), 'damaged')
    end
    cursor = COMPARISONS[phase](c, cursor)
    if cursor == '0' then
        phase = phase + 1
    end
    if c.repairs then -- a node may hold what nothing says any more that it does: all look
        for _, node in ipairs(call('ZRANGE', key(c, 'nodes'), 0, -1)) do
            if node_id(node) then
                bump(key(c, 'node', node), 'rev', 1)
                c.dirty[node] = true
            end
        end
    end
    hint(c)
    if not COMPARISONS[phase] then
        return {'done', tostring(c.repairs or 0)}
    end
    return {'more', string.format('%d %d %s', c.repairs or 0, phase, cursor)}
end

end
