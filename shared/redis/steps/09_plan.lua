-- Plan: where an assign step puts each of its channels. Nothing is written before it is whole, but
-- for new shards.

local plan_create, plan_channel -- below

do -- the rest is seen in here alone

-- The open shards of a user that channels may go to, the least loaded first: a queue for each
-- number of channels. Counts in here run ahead of Redis's until the step writes them.
local function pool_add(pool, shard, count)
    local queue = pool.queues[count] or {first = 1, last = 0}
    pool.queues[count] = queue
    queue.last = queue.last + 1
    queue[queue.last] = shard
    pool.size = pool.size + 1
    pool.least = math.min(pool.least, count)
end

-- Takes the least-loaded shard out: it, and how many channels it has. Nil, and endlessly many,
-- where none is left.
local function pool_take(pool)
    if pool.size == 0 then
        return nil, math.huge
    end
    local queue = pool.queues[pool.least]
    while not queue or queue.first > queue.last do
        pool.least = pool.least + 1
        queue = pool.queues[pool.least]
    end
    queue.first = queue.first + 1
    pool.size = pool.size - 1
    return queue[queue.first - 1], pool.least
end

-- What an assign step is about to do: channels by shard, and what limits it. `n`: how many channels
-- at most.
function plan_create(c, n)
    local plan = {
        n = n, user = setting(c, 'user'), users = {}, named = {}, nnamed = 0, by_shard = {}, owner = {},
        per_shard = limit(c, 'channels_per_shard'),
    }
    if nodes_up(c) == 0 or plan.user == '' then
        plan.no_node = ERR_NO_NODE
    end
    return plan
end

local function plan_user(c, plan, name)
    local user = plan.users[name]
    if not user then
        user = rooms.of(c, name)
        plan.users[name] = user
    end
    return user
end

-- The pool of a user: enough shards for all channels, and as many as may be behind those that were
-- named.
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

-- Why no shard more is opened for the user, or nil and the node that has room for it.
local function shards_refused(c, user)
    if call('ZCARD', key(c, 'load')) >= limit(c, 'max_shard_count') then
        return refused_by(c, ERR_SHARDS_FULL, 'max_shard_count')
    end
    local node = choose_node(c, user)
    if node then
        return nil, node
    elseif sight.all_blind(c) then
        return ERR_BLIND
    elseif c.no_node[user .. '  '] == 'looking' then
        return ERR_LOOKING
    end
    return user_known(c, user) and ERR_NO_ROOM or no_token(c, user)
end

-- A new shard of the user, or nil and why not.
local function plan_opened(c, user)
    local node
    if not user.full then
        user.full, node = shards_refused(c, user.name)
    end
    if user.full then
        return nil, user.full
    end
    local shard
    local n = count_of(call('HGET', key(c, 'clock'), 'extended'))
    repeat
        n = n + 1
        shard = 'extended-shard-' .. string.format('%d', n)
    until call('EXISTS', key(c, 'shard', shard)) == 0
    create_shard(c, shard, user.name, node, 1, settings(c).stopped == '1' and 'new' or 'started')
    return shard
end

-- The least-loaded open shard of the user, or a new one, or nil and why not.
local function plan_least_loaded(c, plan, user)
    local pool = plan_pool(c, plan, user)
    local shard, count = pool_take(pool)
    while shard and not plan.owner[shard] and user_of(c, shard) ~= user.name do
        damaged(c)
        shard, count = pool_take(pool)
    end
    if count >= plan.per_shard then -- one that is full is of no more use to this step
        local why
        shard, why = plan_opened(c, user)
        if not shard then
            return nil, why
        end
        count = 0
    end
    pool_add(pool, shard, count + 1)
    return shard
end

-- A shard the shard manager named, as far as this step has come with it, or false: there is none.
local function plan_named(c, plan, shard)
    local named = plan.named[shard]
    if named == nil then
        local fields = shard_id(shard) and call('HMGET', key(c, 'shard', shard), 'user', 'channels') or {}
        named = login_of(fields[1]) and {user = fields[1], count = count_of(fields[2])} or false
        plan.named[shard] = named
        plan.nnamed = plan.nnamed + 1
    end
    return named
end

-- The shard of the user that the channel goes to: that one, if it was `named`, else the
-- least-loaded; or nil and why none.
local function plan_shard(c, plan, channel, user, shard, named)
    local why = rooms.refused(c, user, channel)
    if why then
        return nil, why
    elseif not named then
        return plan_least_loaded(c, plan, user)
    elseif named.count >= plan.per_shard then
        return nil, refused_by(c, string.format('Shard %s is full: it has %d of %d channels.', shard, named.count,
            plan.per_shard), 'channels_per_shard')
    end
    named.count = named.count + 1
    return shard
end

local TO_A_SHARD = {[''] = true, ['@'] = true, ['='] = true}

-- One channel that has no shard: the shard it gets, or nil and why none. `where` as assign takes
-- it.
function plan_channel(c, plan, channel, where)
    local kind, what = string.sub(where, 1, 1), string.sub(where, 2)
    if plan.no_node then
        return nil, plan.no_node
    elseif not TO_A_SHARD[kind] then
        return nil, kind == '-' and 'The shard manager assigned it to no shard.' or what
    end
    local named = kind == '=' and plan_named(c, plan, what)
    if kind == '=' and not named then
        return nil, 'Shard ' .. shown(what) .. ' does not exist.'
    end
    local user = plan_user(c, plan, named and named.user or kind == '@' and what or plan.user)
    local shard, why = plan_shard(c, plan, channel, user, what, named)
    if not shard then
        return nil, why
    end
    if rooms.counts(user.name, channel) then
        user.rooms = user.rooms + 1
    end
    add_to(plan.by_shard, shard, channel)
    plan.owner[shard] = user.name
    return shard
end

end
