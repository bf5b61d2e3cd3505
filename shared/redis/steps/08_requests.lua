-- Requests: joins and parts, and the one reply to each.

-- What a request is answered under: its own id, or its entry where it has none that can be used.
local function request_id(entry, id)
    if id == '' or not usable_id(id) then
        return entry
    end
    return id
end

-- The one reply: kept, published, and the entry is gone.
local function request_reply(c, entry, id, text)
    call('SET', key(c, 'reply', id), text, 'EX', REPLY_SECONDS)
    call('PUBLISH', c.topic .. 'replies', text)
    call('XDEL', key(c, 'requests'), entry)
end

-- The reply to request `id`, if it was answered before or cannot be carried out under the id it gives;
-- "gone" if its entry is no longer there.
-- Requests of the leader itself (setup, waiting channels) have no entry and no id.
local function request_begin(c, entry, id, given)
    if entry == '' then
        return nil
    end
    if #call('XRANGE', key(c, 'requests'), entry, entry) == 0 then
        return 'gone'
    end
    local reply = call('GET', key(c, 'reply', id))
    if reply then
        call('XDEL', key(c, 'requests'), entry)
        call('PUBLISH', c.topic .. 'replies', reply)
    elseif not usable_id(given) then
        reply = to_json({ok = false, id = id, error = 'The id of a request has at most ' .. MAX_ID ..
            ' bytes, in UTF-8; this one has not, so the reply is under its entry.'})
        request_reply(c, entry, id, reply)
    end
    return reply
end

local function request_end(c, entry, id, op, reply)
    reply.id = id
    reply.op = shown(op)
    local text = to_json(reply)
    if entry ~= '' then
        request_reply(c, entry, id, text)
    end
    hint(c)
    return {'done', text}
end

-- The open shards of a user that `n` channels may go to, the least loaded first: a queue for each number
-- of channels. Counts in here run ahead of Redis's until the step writes them.
local function pool_add(pool, shard, count)
    local queue = pool.queues[count]
    if not queue then
        queue = {first = 1, last = 0}
        pool.queues[count] = queue
    end
    queue.last = queue.last + 1
    queue[queue.last] = shard
    pool.size = pool.size + 1
    pool.least = math.min(pool.least, count)
end

local function pool_open(c, user, n)
    local pool = {queues = {}, size = 0, least = math.huge}
    local found = call('ZRANGE', key(c, 'open', user), 0, n - 1, 'WITHSCORES')
    for i = 1, #found, 2 do
        pool_add(pool, found[i], tonumber(found[i + 1]))
    end
    return pool
end

-- The least-loaded shard and how many channels it has, or nil.
local function pool_peek(pool)
    if pool.size == 0 then
        return nil, math.huge
    end
    local queue = pool.queues[pool.least]
    while not queue or queue.first > queue.last do
        pool.least = pool.least + 1
        queue = pool.queues[pool.least]
    end
    return queue[queue.first], pool.least
end

-- The shard pool_peek named gets a channel.
local function pool_take(pool)
    local shard, count = pool_peek(pool)
    pool.queues[count].first = pool.queues[count].first + 1
    pool.size = pool.size - 1
    pool_add(pool, shard, count + 1)
end

-- What an assign step is about to do: channels by shard, channels that wait, and what limits it.
local function plan_create(c, user, n)
    local plan = {
        user = user, by_shard = {}, waiting = {}, waited = {}, room_count = 0,
        room_limit = limit(c, 'room_limit'), per_shard = limit(c, 'channels_per_shard'),
        max_shards = limit(c, 'max_shard_count'),
    }
    if call('ZCARD', key(c, 'nodes')) == 0 or user == '' then
        plan.no_node = 'No node is up.'
        return plan
    end
    if plan.room_limit ~= math.huge then
        plan.room_count = call('SCARD', key(c, 'rooms', user))
    end
    plan.pool = pool_open(c, user, n)
    return plan
end

-- The least-loaded open shard of the user, or a new one, or nil and why not.
local function plan_shard(c, plan)
    local shard, count = pool_peek(plan.pool)
    if count < plan.per_shard then
        return shard
    end
    if plan.full then
        return nil, plan.full
    end
    if call('ZCARD', key(c, 'load')) >= plan.max_shards then
        plan.full = ERR_SHARDS_FULL
        return nil, plan.full
    end
    local node = choose_node(c, plan.user)
    if not node then
        plan.full = ERR_NO_ROOM
        return nil, plan.full
    end
    shard = 'extended-shard-' .. (tonumber(call('HGET', key(c, 'clock'), 'extended') or 0) + 1)
    create_shard(c, shard, plan.user, node, 1)
    pool_add(plan.pool, shard, 0)
    return shard
end

-- One channel that has no shard: the shard it gets, or nil and why none.
local function plan_channel(c, plan, channel)
    if plan.no_node then
        return nil, plan.no_node
    end
    local counts = channel ~= plan.user
    if counts and plan.room_count >= plan.room_limit then
        return nil, string.format(
            'The room limit of user %s has been reached: it is in %d of %d rooms.',
            plan.user, plan.room_count, plan.room_limit)
    end
    local shard, why = plan_shard(c, plan)
    if not shard then
        return nil, why
    end
    pool_take(plan.pool)
    if counts then
        plan.room_count = plan.room_count + 1
    end
    local channels = plan.by_shard[shard] or {}
    channels[#channels + 1] = channel
    plan.by_shard[shard] = channels
    return shard
end

-- Write what was planned.
local function plan_apply(c, plan)
    local pairs_of, rooms, changes, placed = {}, {}, {}, {}
    for shard, channels in pairs(plan.by_shard) do
        call('SADD', c.tag .. ':shard:' .. shard .. ':channels', unpack(channels))
        changes[shard] = #channels
        for _, channel in ipairs(channels) do
            pairs_of[#pairs_of + 1], pairs_of[#pairs_of + 2] = channel, shard
            if channel ~= plan.user then
                rooms[#rooms + 1] = channel
            end
            local ck = c.tag .. ':channel:' .. channel
            call('HSET', ck, 'state', 'assigned', 'since', c.stamp)
            if plan.waited[channel] then
                call('HDEL', ck, 'reason', 'next_try')
                placed[#placed + 1] = channel
            end
        end
    end
    for channel, why in pairs(plan.waiting) do
        local ck = key(c, 'channel', channel)
        call('HSET', ck, 'state', 'waiting', 'reason', why)
        if not plan.waited[channel] then
            call('HSET', ck, 'since', c.stamp)
            call('SADD', key(c, 'waiting'), channel)
            pairs_of[#pairs_of + 1], pairs_of[#pairs_of + 2] = channel, ''
        end
    end
    if #pairs_of > 0 then
        call('HSET', key(c, 'channels'), unpack(pairs_of))
    end
    if #rooms > 0 then
        call('SADD', key(c, 'rooms', plan.user), unpack(rooms))
    end
    if #placed > 0 then
        call('SREM', key(c, 'waiting'), unpack(placed))
    end
    count_channels(c, changes)
end

-- Of channels as people wrote them, those that are channels: their logins, each once; the others go
-- to `refused`.
local function channel_names(texts, refused)
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

-- Of `names`, those never asked for as initial channels before.
local function never_initial(c, names)
    if #names == 0 then
        return names
    end
    local known = call('SMISMEMBER', key(c, 'initial'), unpack(names))
    local fresh = {}
    for i, channel in ipairs(names) do
        if known[i] == 0 then
            fresh[#fresh + 1] = channel
        end
    end
    if #fresh > 0 then
        call('SADD', key(c, 'initial'), unpack(fresh))
    end
    return fresh
end

-- assign: incarnation token entry id mode channel...
-- mode "join"; "initial" (only those never seen as initial before, and a refused one stays wanted);
-- "waiting" (no channels given: up to 500 of those that wait). "done", reply | "gone" | "again", reply.
local function assign(keys, a)
    local c, failed = context(keys)
    if failed then
        return failed
    end
    local deposed = leader_check(c, a[1], a[2])
    if deposed then
        return deposed
    end
    local entry, id, mode = a[3], request_id(a[3], a[4]), a[5]
    local before = request_begin(c, entry, id, a[4])
    if before then
        return before == 'gone' and {'gone'} or {'again', before}
    end
    local texts = {unpack(a, 6)}
    if mode == 'waiting' then
        texts = call('SRANDMEMBER', key(c, 'waiting'), 500)
        table.sort(texts)
    elseif #texts == 0 or #texts > MAX_CHANNELS_PER_REQUEST then
        return request_end(c, entry, id, 'join', {ok = false,
            error = 'A join names 1 to ' .. MAX_CHANNELS_PER_REQUEST .. ' channels.'})
    end
    local assigned, refused, waiting = {}, {}, {}
    local names = channel_names(texts, refused)
    if mode == 'initial' then
        names = never_initial(c, names)
    end
    if #names > 0 then
        local plan = plan_create(c, setting(c, 'user'), #names)
        local now = call('HMGET', key(c, 'channels'), unpack(names))
        for i, channel in ipairs(names) do
            local shard, why = now[i], nil
            plan.waited[channel] = shard == ''
            if not shard or shard == '' then
                shard, why = plan_channel(c, plan, channel)
            end
            if shard then
                assigned[channel] = shard
            elseif plan.no_node or plan.waited[channel] or mode ~= 'join' then
                plan.waiting[channel] = why
                waiting[channel] = why
            else
                refused[channel] = why
            end
        end
        plan_apply(c, plan)
    end
    local reply = {ok = next(refused) == nil, assigned = assigned, refused = refused}
    if next(waiting) then
        reply.waiting = waiting
    end
    return request_end(c, entry, id, 'join', reply)
end

-- The channels are wanted no more. Those that were not are refused.
local function part(c, names, refused)
    local by_shard, parted = {}, {}
    local now = call('HMGET', key(c, 'channels'), unpack(names))
    for i, channel in ipairs(names) do
        local shard = now[i]
        if not shard then
            refused[channel] = 'The channel is not joined.'
        else
            parted[#parted + 1] = channel
            call('DEL', key(c, 'channel', channel))
            if shard == '' then
                call('SREM', key(c, 'waiting'), channel)
            else
                local channels = by_shard[shard] or {}
                channels[#channels + 1] = channel
                by_shard[shard] = channels
            end
        end
    end
    if #parted > 0 then
        call('HDEL', key(c, 'channels'), unpack(parted))
    end
    local changes = {}
    for shard, channels in pairs(by_shard) do
        local sk = key(c, 'shard', shard)
        call('SREM', sk .. ':channels', unpack(channels))
        call('HDEL', sk .. ':read', unpack(channels))
        call('SREM', key(c, 'rooms', call('HGET', sk, 'user')), unpack(channels))
        changes[shard] = -#channels
    end
    count_channels(c, changes)
    return parted
end

-- release: incarnation token entry id mode name... ; mode "part" (channels) or "idle" (shards that
-- close when idle, if they still are).
local function release(keys, a)
    local c, failed = context(keys)
    if failed then
        return failed
    end
    local deposed = leader_check(c, a[1], a[2])
    if deposed then
        return deposed
    end
    local entry, id, mode = a[3], request_id(a[3], a[4]), a[5]
    local before = request_begin(c, entry, id, a[4])
    if before then
        return before == 'gone' and {'gone'} or {'again', before}
    end
    if mode == 'idle' then
        for i = 6, #a do
            if call('ZSCORE', key(c, 'idle'), a[i]) then
                remove_shard(c, a[i])
            end
        end
        return request_end(c, entry, id, 'idle', {ok = true})
    end
    if #a < 6 or #a - 5 > MAX_CHANNELS_PER_REQUEST then
        return request_end(c, entry, id, 'part', {ok = false,
            error = 'A part names 1 to ' .. MAX_CHANNELS_PER_REQUEST .. ' channels.'})
    end
    local refused = {}
    local names = channel_names({unpack(a, 6)}, refused)
    local parted = #names > 0 and part(c, names, refused) or {}
    local reply = {ok = next(refused) == nil, refused = refused}
    if #parted > 0 then
        reply.parted = parted
    end
    return request_end(c, entry, id, 'part', reply)
end
