-- Plan: where an assign step puts each of its channels. Nothing is written before it is whole, but
-- for new shards.

local plan_create, plan_channel -- below

do -- the rest is seen in here alone

local READERS_TOLD = 12 -- of more, those in the middle are counted
local ERR_SETUP = 'The cluster is being set up.'

-- The open shards of a user that channels may go to, the least loaded first: a queue for each
-- number of channels. Counts in here run ahead of Redis's until the step writes them. Redis has
-- others (pool.read were read), with `beyond` channels at least.
local function pool_add(pool, shard, count)
    local queue = pool.queues[count] or {first = 1, last = 0}
    pool.queues[count] = queue
    queue.last = queue.last + 1
    queue[queue.last] = shard
    pool.least = pool.size > 0 and math.min(pool.least, count) or count
    pool.size = pool.size + 1
end

-- Reads more of them. (What is no count was put there by somebody else.)
local function pool_read(c, plan, user)
    local pool, n = user.pool, plan.portion
    local found = call('ZRANGE', key(c, 'open', user.name), pool.read, pool.read + n - 1, 'WITHSCORES')
    for i = 1, #found, 2 do
        local named = plan.named[found[i]]
        pool_add(pool, found[i], named and named.count or count_of(found[i + 1]))
        pool.beyond = math.max(0, tonumber(found[i + 1]))
    end
    pool.read = pool.read + n
    pool.beyond = #found == 2 * n and pool.beyond or math.huge
end

-- The first of the least loaded, and how many channels it has. Nil, and endlessly many, where there
-- is none.
local function pool_first(pool)
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

local function pool_drop_first(pool)
    local queue = pool.queues[pool.least]
    queue.first = queue.first + 1
    pool.size = pool.size - 1
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
        user.refused = readers.refused(c, name)
        user.pool = {queues = {}, size = 0, read = 0, beyond = 0}
        plan.users[name] = user
    end
    return user
end

-- The readers that take channels now, by name; nil where the setting has none.
local function plan_readers(c, plan)
    local names = readers.names(c)
    if names and not plan.readers then
        plan.readers, plan.passed_over = {}, {}
        for _, name in ipairs(names) do
            local why = readers.passed_over(c, name)
            if why then
                table.insert(plan.passed_over, name .. ': ' .. why)
            else
                table.insert(plan.readers, plan_user(c, plan, name))
            end
        end
    end
    return plan.readers
end

-- The least-loaded open shard of the user, and how many channels it has; nil and endlessly many
-- where there is none. At first as many are read as all channels of the step may need, and as may
-- be behind those that were named, shared among the readers.
local function plan_first(c, plan, user)
    local pool = user.pool
    plan.portion = plan.portion or math.ceil((plan.n + plan.nnamed) / math.max(1, #(readers.names(c) or {})))
    while true do
        local shard, count = pool_first(pool)
        if count > pool.beyond then
            pool_read(c, plan, user)
        elseif not shard or pool.sure == shard or plan.owner[shard] or user_of(c, shard) == user.name then
            pool.sure = shard
            return shard, count
        else
            damaged(c)
            pool_drop_first(pool)
        end
    end
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

-- Opens a shard for the user: nil, or why not.
local function plan_open(c, user)
    local node
    if not user.full then
        user.full, node = shards_refused(c, user.name)
    end
    if user.full then
        return user.full
    end
    local shard
    local n = count_of(call('HGET', key(c, 'clock'), 'extended'))
    repeat
        n = n + 1
        shard = 'extended-shard-' .. string.format('%d', n)
    until call('EXISTS', key(c, 'shard', shard)) == 0
    create_shard(c, shard, user.name, node, 1, settings(c).stopped == '1' and 'new' or 'started')
    pool_add(user.pool, shard, 0)
    user.pool.sure = shard
    return nil
end

-- The least-loaded open shard of the user, or a new one, or nil and why not.
local function plan_least_loaded(c, plan, user)
    local shard, count = plan_first(c, plan, user)
    if count >= plan.per_shard then
        local why = plan_open(c, user)
        if why then
            return nil, why
        end
        shard, count = pool_first(user.pool)
    end
    pool_drop_first(user.pool)
    pool_add(user.pool, shard, count + 1)
    return shard
end

-- Why no reader takes a channel, where it is not that shards are full: rooms, mostly.
local function readers_refused(c, plan)
    local list, names = {}, setting(c, 'readers')
    for i, user in ipairs(plan.readers) do
        list[i] = string.format('%s is in %d of %d rooms', user.name, user.rooms, user.room_limit)
    end
    for _, passed_over in ipairs(plan.passed_over) do
        list[#list + 1] = passed_over
    end
    local left_out = #list - READERS_TOLD
    if left_out > 0 then
        for i = READERS_TOLD / 2 + 1, READERS_TOLD do
            list[i] = list[i + left_out]
        end
        list[READERS_TOLD / 2] = list[READERS_TOLD / 2] .. string.format(', ... (%d more) ...', left_out)
    end
    local text = #list > 0 and table.concat(list, ', ', 1, math.min(#list, READERS_TOLD)) or
        'no node can log in as anybody'
    if #plan.readers > 0 then
        return refused_by(c, 'No reader has a room left: ' .. text .. '.', 'room_limit')
    end
    return string.format('No reader takes channels now: %s. (readers is %s)', text,
        #names > MAX_ID and string.sub(names, 1, MAX_ID) .. '...' or names)
end

-- Has the first of the two more rooms left? Where both may be in any number, is it in fewer?
local function is_roomier(user, other)
    local left, others = user.room_limit - user.rooms, other.room_limit - other.rooms
    return left > others or (left == others and user.rooms < other.rooms)
end

-- Of the readers with a room left for the channel: the one whose least-loaded open shard has the
-- fewest channels (nil: all of them are full); the one with most rooms left of those that a shard
-- may be opened for; and why none can be for another.
local function plan_look(c, plan, channel)
    local best, opens, why
    for _, user in ipairs(plan.readers) do
        if rooms.has_room(user, channel) then
            local _, count = plan_first(c, plan, user)
            user.count = count
            if count < plan.per_shard and
                (not best or count < best.count or (count == best.count and is_roomier(user, best))) then
                best = user
            end
            if not user.full and (not opens or is_roomier(user, opens)) then
                opens = user
            end
            why = why ~= ERR_LOOKING and user.full or why
        end
    end
    return best, opens, why
end

-- The reader that takes the channel: it has an open shard that is not full. Nil and why none.
local function plan_reader(c, plan, channel)
    local best, opens, why = plan_look(c, plan, channel)
    if best then
        return best
    elseif opens then
        -- Who is full is not tried again, so that this ends.
        if plan_open(c, opens) then
            return plan_reader(c, plan, channel)
        end
        return opens
    end
    plan.refusal = plan.refusal or readers_refused(c, plan)
    return nil, why or plan.refusal
end

-- A shard the shard manager named, as far as this step has come with it, or false: there is none.
local function plan_named(c, plan, shard)
    local named = plan.named[shard]
    if named == nil then
        local takes = shard_id(shard) and not speakers.is(shard)
        local fields = takes and call('HMGET', key(c, 'shard', shard), 'user', 'channels') or {}
        named = login_of(fields[1]) and {user = fields[1], count = count_of(fields[2])} or false
        plan.named[shard] = named
        plan.nnamed = plan.nnamed + 1
    end
    return named
end

local function named_refused(shard)
    local why = speakers.is(shard) and ' takes no channels: it only speaks.' or ' does not exist.'
    return 'Shard ' .. shown(shard) .. why
end

-- The shard of the user that the channel goes to: that one, if it was `named`, else the
-- least-loaded; or nil and why none.
local function plan_shard(c, plan, channel, user, shard, named)
    local why = user.refused or rooms.refused(c, user, channel)
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

local TO_A_SHARD = {[''] = true, ['@'] = true, ['+'] = true, ['='] = true}

-- Whose shards the channel may go to, if none is named; or nil and why nobody's.
local function plan_whose(c, plan, channel, kind, what)
    if kind == '+' and settings(c).setup ~= 'done' then
        return nil, ERR_SETUP
    elseif kind == '' and plan_readers(c, plan) then
        return plan_reader(c, plan, channel)
    end
    return plan_user(c, plan, kind == '' and plan.user or what)
end

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
        return nil, named_refused(what)
    end
    local shard
    local user, why = plan_whose(c, plan, channel, named and '@' or kind, named and named.user or what)
    if user then
        shard, why = plan_shard(c, plan, channel, user, what, named)
    end
    if not shard then
        return nil, why
    end
    plan.refusal = nil
    if rooms.counts(user.name, channel) then
        user.rooms = user.rooms + 1
    end
    add_to(plan.by_shard, shard, channel)
    plan.owner[shard] = user.name
    return shard
end

end
