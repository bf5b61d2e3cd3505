-- Compare: a shard, in parts, each of which may take several calls.

do -- seen in here alone

local REST_COSTS = 10 -- of what a call may look at

-- A member of the shard's set, which `channels` knows otherwise. `differ` takes channels that go on
-- it, or off it.
local function compare_member(c, shard, user, channel, now, in_room, differ)
    if not user then
        if login_of(channel) and (not now or now == shard) then
            compare.make_wait(c, channel, 'Its shard is gone.',
                'its shard ' .. shard .. ' is gone: it waits for another')
        end
    elseif not now and login_of(channel) and not speakers.is(shard) then
        table.insert(differ.on, channel)
        compare.repaired(c, 'channel', channel, 'was not wanted, though shard ' .. shard .. ' has it: it is again')
    elseif now ~= shard then
        table.insert(differ.off, channel)
        compare.repaired(c, 'channel', channel, 'was also one of shard ' .. shard .. ': it is not any more')
    elseif not in_room and rooms.counts(user, channel, standing_of(c, user, channel) == 'moderator') then
        call('SADD', key(c, 'rooms', user), channel)
        compare.repaired(c, 'channel', channel, 'was not counted among the rooms of ' .. user)
    end
end

local function compare_members(c, shard, user, cursor)
    local names, following = compare.scan(c, 'SSCAN', key(c, 'shard', shard, 'channels'), cursor)
    local in_rooms = user and call_all('SMISMEMBER', key(c, 'rooms', user), names)
    local differ = {on = {}, off = {}}
    for i, now in ipairs(call_all('HMGET', key(c, 'channels'), names)) do
        compare_member(c, shard, user, names[i], now, user and in_rooms[i] == 1, differ)
    end
    compare.make_assigned(c, shard, differ.on)
    if #differ.off > 0 then
        channels.off(c, {[shard] = differ.off}, false)
    end
    return following
end

-- Since when channels are not read is kept for those of the shard alone.
local function compare_read(c, shard, _, cursor)
    local sk = key(c, 'shard', shard)
    local known = {'SMISMEMBER', sk .. ':channels'}
    return compare.weed(c, 'HSCAN', sk .. ':read', cursor, 'channel', known, function(_, has)
        return has == 0 and 'was read by shard ' .. shard .. ', which does not have it'
    end)
end

-- Are the counts of the shard, and the indices that depend on them, what they should be?
local function counts_right(c, shard, user, s, count, is_idle)
    local epoch = whole(s.epoch)
    local open = not speakers.is(shard) and count or nil
    return whole(s.channels) == count and whole(s.rev) and epoch and epoch >= 0 and epoch == tonumber(s.epoch) and
        whole(call('ZSCORE', key(c, 'load'), shard)) == count and
        whole(call('ZSCORE', key(c, 'open', user), shard)) == open and is_idle == (s.closes_idle == '1' and count == 0)
end

local function compare_counts(c, shard, user, s)
    local sk = key(c, 'shard', shard)
    local count = call('SCARD', sk .. ':channels')
    local is_idle = call('ZSCORE', key(c, 'idle'), shard) and true or false
    if counts_right(c, shard, user, s, count, is_idle) then
        return
    end
    call('HSET', sk, 'epoch', count_of(s.epoch))
    call('ZREM', key(c, 'idle'), shard)
    c.counts[shard] = count
    count_channels(c, {shard}, {0})
    shards_changed(c)
    compare.repaired(c, 'shard', shard, 'its counts were wrong: it has ' .. count .. ' channels')
end

-- A node that is registered and not among the nodes is again: if it is dead, it expires, its link
-- killed first.
local function is_node(c, node)
    if not node_id(node) then
        return false
    elseif call('ZSCORE', key(c, 'nodes'), node) then
        return true
    elseif call('HEXISTS', key(c, 'node', node), 'incarnation') == 0 then
        return false
    end
    call('ZADD', key(c, 'nodes'), c.now + limit(c, 'lease_ms'), node)
    compare.repaired(c, 'node', node, 'was not among the nodes: it is again')
    return true
end

-- A shard that should be on a node.
local function compare_placement(c, shard, node)
    if is_node(c, node) then
        local known = call('ZSCORE', key(c, 'node', node, 'shards'), shard)
        local homeless = call('SREM', key(c, 'homeless'), shard) == 1
        if not known then
            touch(c, node, {shard}, {})
        end
        if not known or homeless then
            compare.repaired(c, 'shard', shard, 'node ' .. node .. ' did not know that it holds it')
        end
        return
    end
    stop_reading(c, shard, node_id(node) and read_until(c, node) or c.now)
    set_node(c, shard, '', {})
    set_idle(c, shard)
    if rehome(c, shard, SERVED_ALONG) then
        place(c, shard)
    else
        call('SADD', key(c, 'homeless'), shard)
    end
    compare.repaired(c, 'shard', shard, 'was on ' .. shown(node) .. ', which is no node: it is placed anew')
    shards_changed(c)
end

local function compare_sender(c, shard, user, s)
    local sender = s.sender
    if not is_shard(c, sender) then
        call('HSET', key(c, 'shard', shard), 'sender', '')
        set_sender(c, shard, speakers.first_sender(c, shard, user))
        compare.repaired(c, 'shard', shard, 'its sender was no shard: it has another')
    else
        local node = node_of(c, sender)
        local knows = not node or call('ZSCORE', key(c, 'node', node, 'serves'), shard)
        if call('SADD', key(c, 'shard', sender, 'serves'), shard) == 1 or not knows then
            touch(c, node, {}, {shard})
            compare.repaired(c, 'shard', shard, 'its sender ' .. sender .. ' did not know that it is')
        end
    end
    if not is_shard(c, call('HGET', key(c, 'senders'), user)) then
        call('HSET', key(c, 'senders'), user, shard)
        compare.repaired(c, 'shard', shard, 'user ' .. shown(user) .. ' had no default sender: it is')
    end
end

-- What cannot be known from elsewhere of a shard whose user is known is what a new one begins with.
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
        compare.repaired(c, 'shard', shard, 'its ' .. name .. ' was none: it is ' .. value)
    end
    if next(wrong) then
        touch(c, node_id(s.node), {shard}, {})
    end
end

local function compare_place(c, shard)
    if not places.right(c, shard) then
        places.forget(c, {shard})
        count_channels(c, {shard}, {0}) -- whom it concerns was not told, perhaps
        compare.repaired(c, 'shard', shard, 'another place of it was kept')
    end
end

local FIELDS = {'node', 'sender', 'channels', 'rev', 'epoch', 'closes_idle', 'run', 'state'}

local function compare_rest(c, shard, user)
    local s = {}
    for i, value in ipairs(call('HMGET', key(c, 'shard', shard), unpack(FIELDS))) do
        s[FIELDS[i]] = value
    end
    compare_fields(c, shard, s)
    compare_place(c, shard)
    compare_counts(c, shard, user, s)
    if (s.node or '') ~= '' then
        compare_placement(c, shard, s.node)
    end
    compare_sender(c, shard, user, s)
    c.left = c.left - REST_COSTS
    return '0'
end

-- A shard that is on no node. A node that was told to hold it may hold it still.
local function compare_unplaced(c, shard, _, cursor)
    local sk = key(c, 'shard', shard)
    if (call('HGET', sk, 'node') or '') ~= '' then
        return '0'
    elseif call('SISMEMBER', key(c, 'homeless'), shard) == 1 then
        stop_reading(c, shard, c.now)
        return '0'
    end
    local nodes, following = compare.scan(c, 'ZSCAN', key(c, 'nodes'), cursor)
    for _, node in ipairs(nodes) do
        if node_id(node) and call('ZSCORE', key(c, 'node', node, 'shards'), shard) then
            local served = served_by(c, shard)
            set_node(c, shard, node, served)
            touch(c, node, {shard}, served)
            compare.repaired(c, 'shard', shard, 'was on no node, though node ' .. node .. ' holds it: it is on that')
            return '0'
        end
    end
    if following == '0' then
        stop_reading(c, shard, c.now)
        call('SADD', key(c, 'homeless'), shard)
        set_node(c, shard, '', {})
        compare.repaired(c, 'shard', shard, 'was on no node, and was not to be placed')
    end
    return following
end

-- Of a shard whose user nobody knows nothing is left but its name. (Its channels wait by now.)
local function forget_shard(c, shard, cursor)
    c.left = c.left - SERVED_PER_STEP
    if not shard_gone(c, shard, compare.users(c)) then
        return cursor == '0' and '1' or cursor
    end
    compare.repaired(c, 'shard', shard, 'nothing was known of it but its name: it is gone')
    return '0'
end

local PARTS = {compare_members, compare_read, compare_rest, compare_unplaced}

function compare.shard(c, shard, cursor)
    local user -- once it is known it stays
    return compare.in_parts(c, PARTS, cursor, function(part, inner)
        if not is_shard(c, shard) then
            return '0'
        end
        user = user or compare.user_of(c, shard)
        if not user and part ~= compare_members then
            return forget_shard(c, shard, inner)
        end
        return part(c, shard, user, inner)
    end)
end

end
