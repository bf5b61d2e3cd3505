-- Requests: joins, parts and retries.

local channel_names, plan_create, plan_apply -- below

do -- the rest is seen in here alone

-- The open shards of a user that channels may go to, the least loaded first: a queue for each number of
-- channels. Counts in here run ahead of Redis's until the step writes them.
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

-- The shard pool_peek named takes no channel.
local function pool_drop(pool)
    local queue = pool.queues[pool.least]
    queue.first = queue.first + 1
    pool.size = pool.size - 1
end

-- The shard pool_peek named gets a channel.
local function pool_take(pool)
    local shard, count = pool_peek(pool)
    pool_drop(pool)
    pool_add(pool, shard, count + 1)
end

-- What an assign step is about to do: channels by shard, channels that wait, and what limits it. `n`: how many
-- channels at most.
function plan_create(c, n)
    local plan = {
        n = n, user = setting(c, 'user'), users = {}, named = {}, nnamed = 0, by_shard = {}, user_of = {},
        waiting = {}, waited = {},
        per_shard = limit(c, 'channels_per_shard'), max_shards = limit(c, 'max_shard_count'),
    }
    if nodes_up(c) == 0 or plan.user == '' then
        plan.no_node = ERR_NO_NODE
    end
    return plan
end

-- A user, and in how many rooms it is as far as that is limited.
local function plan_user(c, plan, name)
    local user = plan.users[name]
    if not user then
        user = {name = name, rooms = 0, room_limit = room_limit(c, name)}
        if user.room_limit ~= math.huge then
            user.rooms = call('SCARD', key(c, 'rooms', name))
        end
        plan.users[name] = user
    end
    return user
end

local function room_refused(c, user, channel)
    if channel ~= user.name and user.rooms >= user.room_limit then
        return refused_by(c, string.format('The room limit of user %s has been reached: it is in %d of %d rooms.',
            user.name, user.rooms, user.room_limit), 'room_limit')
    end
    return nil
end

-- The pool of a user: enough shards for all channels, and as many as may be behind those that were named.
local function plan_pool(c, plan, user)
    if not user.pool then
        local pool = {queues = {}, size = 0, least = math.huge}
        local found = call('ZRANGE', key(c, 'open', user.name), 0, plan.n + plan.nnamed - 1, 'WITHSCORES')
        for i = 1, #found, 2 do
            local named = plan.named[found[i]]
            pool_add(pool, found[i], named and named.count or count_of(found[i + 1]))
        end
        user.pool = pool
    end
    return user.pool
end

-- The least-loaded open shard of the user, or a new one, or nil and why not.
local function plan_least_loaded(c, plan, user)
    local pool = plan_pool(c, plan, user)
    local shard, count = pool_peek(pool)
    while shard and not plan.user_of[shard] and user_of(c, shard) ~= user.name do
        damaged(c)
        pool_drop(pool)
        shard, count = pool_peek(pool)
    end
    if count < plan.per_shard then
        pool_take(pool)
        return shard
    end
    if user.full then
        return nil, user.full
    end
    if call('ZCARD', key(c, 'load')) >= plan.max_shards then
        user.full = refused_by(c, ERR_SHARDS_FULL, 'max_shard_count')
        return nil, user.full
    end
    local node = choose_node(c, user.name)
    if not node then
        user.full = sight.all_blind(c) and ERR_BLIND or user_known(c, user.name) and ERR_NO_ROOM or no_token(user.name)
        return nil, user.full
    end
    local n = count_of(call('HGET', key(c, 'clock'), 'extended'))
    repeat
        n = n + 1
        shard = 'extended-shard-' .. string.format('%d', n)
    until call('EXISTS', key(c, 'shard', shard)) == 0
    create_shard(c, shard, user.name, node, 1, settings(c).stopped == '1' and 'new' or 'started')
    pool_add(pool, shard, 0)
    pool_take(pool)
    return shard
end

-- A shard the shard manager named, as far as this step has come with it, or nil: there is none.
local function plan_named(c, plan, shard)
    local named = plan.named[shard]
    if named == nil then
        local fields = {}
        if shard_id(shard) then
            fields = call('HMGET', key(c, 'shard', shard), 'user', 'channels')
        end
        named = login_of(fields[1]) and {user = fields[1], count = count_of(fields[2])} or false
        plan.named[shard] = named
        plan.nnamed = plan.nnamed + 1
    end
    return named or nil
end

-- One channel that has no shard: the shard it gets, or nil and why none. `where` as assign takes it.
local function plan_channel(c, plan, channel, where)
    if plan.no_node then
        return nil, plan.no_node
    end
    local kind, what = string.sub(where, 1, 1), string.sub(where, 2)
    local shard, why, user
    if kind == '=' then
        local named = plan_named(c, plan, what)
        if not named then
            return nil, 'Shard ' .. shown(what) .. ' does not exist.'
        end
        user = plan_user(c, plan, named.user)
        why = room_refused(c, user, channel)
        if not why and named.count >= plan.per_shard then
            why = refused_by(c, string.format('Shard %s is full: it has %d of %d channels.', what, named.count,
                plan.per_shard), 'channels_per_shard')
        end
        if why then
            return nil, why
        end
        named.count = named.count + 1
        shard = what
    elseif kind == '' or kind == '@' then
        user = plan_user(c, plan, kind == '' and plan.user or what)
        why = room_refused(c, user, channel)
        if not why then
            shard, why = plan_least_loaded(c, plan, user)
        end
        if why then
            return nil, why
        end
    else
        return nil, kind == '-' and 'The shard manager assigned it to no shard.' or what
    end
    if channel ~= user.name then
        user.rooms = user.rooms + 1
    end
    local channels = plan.by_shard[shard] or {}
    channels[#channels + 1] = channel
    plan.by_shard[shard] = channels
    plan.user_of[shard] = user.name
    return shard
end

-- Write what was planned.
function plan_apply(c, plan)
    local pairs_of, rooms, changes, placed = {}, {}, {}, {}
    for shard, channels in pairs(plan.by_shard) do
        local user = plan.user_of[shard]
        call('SADD', c.tag .. ':shard:' .. shard .. ':channels', unpack(channels))
        changes[shard] = #channels
        for _, channel in ipairs(channels) do
            pairs_of[#pairs_of + 1], pairs_of[#pairs_of + 2] = channel, shard
            if channel ~= user then
                rooms[user] = rooms[user] or {}
                table.insert(rooms[user], channel)
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
    for user, channels in pairs(rooms) do
        call('SADD', key(c, 'rooms', user), unpack(channels))
    end
    if #placed > 0 then
        call('SREM', key(c, 'waiting'), unpack(placed))
    end
    count_channels(c, changes)
end

-- Of channels as people wrote them, those that are channels: their logins, each once; the others go
-- to `refused`.
function channel_names(texts, refused)
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

-- The channels of an assign step, each once, in the order of their groups: names, where each may go, and all texts
-- as they were given. Texts that are no channels go to `refused`. nil: the arguments are none.
local function assign_groups(a, refused)
    local names, wheres, texts, at = {}, {}, {}, 6
    while at <= #a do
        local where, n = a[at], tonumber(a[at + 1] or '')
        if not n or n < 0 or n ~= math.floor(n) or at + 1 + n > #a then
            return nil
        end
        local first = #texts + 1
        for i = at + 2, at + 1 + n do
            texts[#texts + 1] = a[i]
        end
        if #texts <= MAX_CHANNELS_PER_REQUEST then
            for _, channel in ipairs(channel_names({unpack(texts, first)}, refused)) do
                if not wheres[channel] then
                    wheres[channel] = where
                    names[#names + 1] = channel
                end
            end
        end
        at = at + 2 + n
    end
    return names, wheres, texts
end

-- Channels that Twitch refused are tried again: `failed` is shard -> list. Their nodes are told when that was asked.
local function try_again(c, failed)
    local changes = {}
    for shard, channels in pairs(failed) do
        local asked = {}
        for _, channel in ipairs(channels) do
            asked[#asked + 1], asked[#asked + 2] = channel, c.stamp
        end
        call('HSET', key(c, 'shard', shard, 'retry'), unpack(asked))
        changes[shard] = 0
    end
    count_channels(c, changes)
end

-- Notes a channel of a shard for try_again, if Twitch refused it. Was it?
local function note_failed(c, failed, channel, shard)
    if call('HGET', key(c, 'channel', channel), 'state') ~= 'failed' then
        return false
    end
    failed[shard] = failed[shard] or {}
    table.insert(failed[shard], channel)
    return true
end

-- How a channel that found no shard goes on: it is kept as wanted, or it is refused.
local function kept(plan, mode, channel, where, why)
    return why == ERR_BLIND or mode ~= 'join' or plan.no_node or plan.waited[channel] or string.sub(where, 1, 1) == '?'
end

-- assign: incarnation token entry id mode {where n channel*n}...
-- mode "join"; "initial" (only those never seen as initial before, and a refused one stays wanted); "waiting"
-- (only those that wait). where: "" the least-loaded open shard of the cluster's user, or a new one; "@USER" the
-- same of that user; "=SHARD" that one; "!WHY" nowhere; "?WHY" nowhere yet, but it is wanted; "-" where it is
-- already.
-- "done", reply | "gone" | "again", reply.
function steps.assign(keys, a)
    local c, failed = context(keys)
    if failed then
        return failed
    end
    local deposed = leader_check(c, a[1], a[2])
    if deposed then
        return deposed
    end
    local mode = a[5]
    local assigned, refused, waiting, bad = {}, {}, {}, {}
    local names, wheres, texts = assign_groups(a, bad)
    if not names then
        return badarg('assign: incarnation token entry id mode {where n channel*n}...')
    end
    local r, before = request_begin(c, a[3], a[4], 'join', texts)
    if not r then
        return before
    end
    if #texts == 0 or #texts > MAX_CHANNELS_PER_REQUEST then
        return request_end(c, r, {ok = false,
            error = 'A join names 1 to ' .. MAX_CHANNELS_PER_REQUEST .. ' channels.'})
    end
    if mode == 'initial' then
        names = never_initial(c, names)
    end
    if #names > 0 then
        local plan = plan_create(c, #names)
        local now = call('HMGET', key(c, 'channels'), unpack(names))
        local found, why, failures = {}, {}, {}
        -- Named shards first: what they take is known when the least loaded is looked for.
        for pass = 1, 2 do
            for i, channel in ipairs(names) do
                local where = wheres[channel]
                plan.waited[channel] = now[i] == ''
                if (string.sub(where, 1, 1) == '=') == (pass == 1) then
                    if now[i] and now[i] ~= '' then
                        found[channel] = now[i]
                        if mode == 'join' then
                            note_failed(c, failures, channel, now[i])
                        end
                    elseif now[i] or mode ~= 'waiting' then
                        found[channel], why[channel] = plan_channel(c, plan, channel, where)
                    end
                end
            end
        end
        for _, channel in ipairs(names) do
            if found[channel] then
                assigned[channel] = found[channel]
            elseif why[channel] and kept(plan, mode, channel, wheres[channel], why[channel]) then
                plan.waiting[channel] = why[channel]
                waiting[channel] = why[channel]
                if mode == 'initial' and not plan.no_node and string.sub(wheres[channel], 1, 1) ~= '?' then
                    event(c, 'error', {'where', 'assign_shard', 'channel', channel, 'error', why[channel]})
                end
            elseif why[channel] then
                refused[channel] = why[channel]
            end
        end
        plan_apply(c, plan)
        try_again(c, failures)
    end
    local ok, listed, more = request_refused(refused, bad)
    local reply = {ok = ok, assigned = assigned, refused = listed}
    if more then
        reply.refused_more = more
    end
    if next(waiting) then
        reply.waiting = waiting
    end
    return request_end(c, r, reply)
end

-- The channels are wanted no more. Those that were not are refused, and those that are not on `only`, if given.
local function part(c, names, refused, only)
    local by_shard, parted = {}, {}
    local now = call('HMGET', key(c, 'channels'), unpack(names))
    for i, channel in ipairs(names) do
        local shard = now[i]
        if not shard then
            refused[channel] = 'The channel is not joined.'
        elseif only and shard ~= only then
            refused[channel] = 'The channel is not on shard ' .. shown(only) .. '.'
        else
            parted[#parted + 1] = channel
            call('DEL', key(c, 'channel', channel))
            if not shard_id(shard) then
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
        call('ZREM', key(c, 'active'), unpack(parted))
    end
    local changes = {}
    for shard, channels in pairs(by_shard) do
        local sk = key(c, 'shard', shard)
        call('SREM', sk .. ':channels', unpack(channels))
        call('HDEL', sk .. ':read', unpack(channels))
        call('HDEL', sk .. ':retry', unpack(channels))
        local user = user_of(c, shard)
        if user then
            call('SREM', key(c, 'rooms', user), unpack(channels))
        end
        changes[shard] = -#channels
    end
    count_channels(c, changes)
    return parted
end

-- One of the shards that were idle. It may have channels by now, or never have been one that closes when idle.
local function close_idle(c, shard)
    if not call('ZSCORE', key(c, 'idle'), shard) then
        return
    elseif shard_id(shard) and call('HGET', key(c, 'shard', shard), 'closes_idle') == '1' and
        call('SCARD', key(c, 'shard', shard, 'channels')) == 0 then
        remove_shard(c, shard)
    else
        call('ZREM', key(c, 'idle'), shard)
        damaged(c)
    end
end

-- release: incarnation token entry id mode name... ; mode "part" (channels), "remove" (a shard, and channels of
-- it: others are refused) or "idle" (shards that close when idle, if they still are).
function steps.release(keys, a)
    local c, failed = context(keys)
    if failed then
        return failed
    end
    local deposed = leader_check(c, a[1], a[2])
    if deposed then
        return deposed
    end
    local mode = a[5]
    local shard = mode == 'remove' and (a[6] or '')
    local texts = {unpack(a, shard and 7 or 6)}
    local r, before = request_begin(c, a[3], a[4], mode == 'idle' and 'idle' or 'part', texts)
    if not r then
        return before
    end
    if mode == 'idle' then
        for i = 6, #a do
            close_idle(c, a[i])
        end
        return request_end(c, r, {ok = true})
    end
    if #texts == 0 or #texts > MAX_CHANNELS_PER_REQUEST then
        return request_end(c, r, {ok = false,
            error = 'A part names 1 to ' .. MAX_CHANNELS_PER_REQUEST .. ' channels.'})
    end
    local refused, bad = {}, {}
    local names = channel_names(texts, bad)
    local parted = #names > 0 and part(c, names, refused, shard) or {}
    local ok, listed, more = request_refused(refused, bad)
    local reply = {ok = ok, refused = listed, refused_more = more}
    if #parted > 0 then
        reply.parted = parted
    end
    return request_end(c, r, reply)
end

-- retry: incarnation token entry id mode(unused) channel... Those that failed are tried again at once.
function steps.retry(keys, a)
    local c, failed = context(keys)
    if failed then
        return failed
    end
    local deposed = leader_check(c, a[1], a[2])
    if deposed then
        return deposed
    end
    local texts = {unpack(a, 6)}
    local r, before = request_begin(c, a[3], a[4], 'retry', texts)
    if not r then
        return before
    end
    if #texts == 0 or #texts > MAX_CHANNELS_PER_REQUEST then
        return request_end(c, r, {ok = false,
            error = 'A retry names 1 to ' .. MAX_CHANNELS_PER_REQUEST .. ' channels.'})
    end
    local refused, bad, failures, retried = {}, {}, {}, {}
    local names = channel_names(texts, bad)
    local now = #names > 0 and call('HMGET', key(c, 'channels'), unpack(names)) or {}
    for i, channel in ipairs(names) do
        if not now[i] then
            refused[channel] = 'The channel is not joined.'
        elseif now[i] == '' then
            refused[channel] = 'The channel waits for a shard; it is tried again by itself.'
        elseif note_failed(c, failures, channel, now[i]) then
            retried[#retried + 1] = channel
        else
            refused[channel] = 'The channel has not failed.'
        end
    end
    try_again(c, failures)
    local ok, listed, more = request_refused(refused, bad)
    local reply = {ok = ok, refused = listed, refused_more = more}
    if #retried > 0 then
        reply.retried = retried
    end
    return request_end(c, r, reply)
end

end
