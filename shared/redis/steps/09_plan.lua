-- Plan: where an assign step puts each of its channels. Nothing is written before it is whole, but
-- for new shards.

local plan_create, plan_channels -- below

do -- the rest is seen in here alone

local READERS_TOLD = 12 -- of more, those in the middle are counted
local ERR_SETUP = 'The cluster is being set up.'

-- What an assign step is about to do: channels by shard, and what limits it. `n`: how many channels
-- at most. `named`: how many channels those have with this step that were named. `assigned` gets
-- the shard of each channel; `none` is told which has none, and why.
function plan_create(c, n, assigned, none)
    local plan = {
        n = n, user = setting(c, 'user'), users = {}, named = {}, nnamed = 0, by_shard = {},
        assigned = assigned, none = none, per_shard = limit(c, 'channels_per_shard'),
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

-- The open shards of a user fill up level by level, as water does. `level` are those that have
-- `count` channels with what this step has put there, and from `at` on they may take one more.
-- `shards` (with `counts`) is what Redis has beyond, least loaded first, from `first` to `last`, as
-- far as `read`: the others have `most` at least, and full ones are not read.

local function pool_add(pool, shard, count)
    local last = pool.last + 1
    pool.shards[last], pool.counts[last], pool.last = shard, count, last
end

-- Those that were named, up to that count: they have more channels than Redis knows of.
local function pool_add_named(plan, pool, most)
    local shard = pool.named[#pool.named]
    while shard and plan.named[shard] <= most do
        pool_add(pool, shard, plan.named[shard])
        table.remove(pool.named)
        shard = pool.named[#pool.named]
    end
end

-- Reads more of those that Redis has: at first as many as all channels of the step may need, and as
-- may be behind those that were named, shared among the readers. (What is no count, or no shard of
-- the user, was put there by somebody else.)
local function pool_read(c, plan, pool)
    plan.portion = plan.portion or math.ceil((plan.n + plan.nnamed) / math.max(1, #(readers.names(c) or {})))
    local found = call('ZRANGEBYSCORE', key(c, 'open', pool.name), '-inf',
        plan.per_shard == math.huge and '+inf' or '(' .. plan.per_shard, 'WITHSCORES', 'LIMIT', pool.read, plan.portion)
    local shards, known, counts, score, count = {}, c.places, c.counts, nil, nil
    for i = 1, #found, 2 do
        shards[(i + 1) / 2] = found[i]
    end
    places.look(c, shards)
    for i, shard in ipairs(shards) do
        if found[2 * i] ~= score then
            score = found[2 * i]
            count = count_of(score)
            pool_add_named(plan, pool, count)
        end
        if not known[shard] or known[shard].user ~= pool.name then
            damaged(c)
        elseif not plan.named[shard] then
            pool_add(pool, shard, count)
            counts[shard] = count
        end
    end
    pool.most = count
    pool.read = pool.read + plan.portion
    if #shards < plan.portion then
        pool.read = nil
        pool_add_named(plan, pool, math.huge)
    end
end

-- The level is full: it rises to the next, with whatever has no more than that. Where there is
-- nothing, its count is endless.
local function pool_rise(c, plan, pool)
    local n = #pool.level
    while pool.first > pool.last and pool.read and (n == 0 or pool.most <= pool.count) do
        pool_read(c, plan, pool)
    end
    local first, beyond = pool.first, pool.counts[pool.first] or math.huge
    if beyond > pool.count then
        pool.count = math.min(n > 0 and pool.count + 1 or math.huge, beyond)
        pool.at = 1
    end
    while first <= pool.last and pool.counts[first] <= pool.count do
        n = n + 1
        pool.level[n] = pool.shards[first]
        first = first + 1
    end
    pool.first = first
end

-- The pool of the user, with one of the least loaded at hand. (When it is asked for, all that are
-- named are known.)
local function plan_pool(c, plan, user)
    local pool = user.pool
    if not pool then
        local named = {}
        for shard in pairs(plan.named) do
            named[#named + 1] = c.places[shard].user == user.name and shard or nil
        end
        table.sort(named, function(a, b) return plan.named[a] > plan.named[b] end)
        pool = {name = user.name, level = {}, at = 1, count = 0, shards = {}, counts = {}, first = 1, last = 0,
            read = 0, named = named}
        user.pool = pool
    end
    if not pool.level[pool.at] then
        pool_rise(c, plan, pool)
    end
    return pool
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
    local n = last_extended(c)
    repeat
        n = n + 1
        shard = 'extended-shard-' .. string.format('%d', n)
    until call('EXISTS', key(c, 'shard', shard)) == 0
    create_shard(c, shard, user.name, node, 1, settings(c).stopped == '1' and 'new' or 'started')
    local pool = user.pool
    pool.level, pool.at, pool.count = {shard}, 1, 0 -- all others are full
    return nil
end

local function plan_put(plan, channel, shard)
    local names = plan.by_shard[shard]
    plan.assigned[channel] = shard
    if names then
        names[#names + 1] = channel
    else
        plan.by_shard[shard] = {channel}
    end
end

-- Puts the channels from that one on on the least-loaded open shards of the user, one after the
-- other, as far as they are on one level and there are rooms, or on a new one: the place of the
-- next channel. Nil where there is no shard for the first, and why.
local function plan_least_loaded(c, plan, user, names, first, last)
    local pool = plan_pool(c, plan, user)
    local why = pool.count >= plan.per_shard and plan_open(c, user)
    if why then
        return nil, why
    end
    local level, at, name, taken = pool.level, pool.at, user.name, user.rooms
    for i = first, last do
        local channel, shard = names[i], level[at]
        if not shard or (taken >= user.room_limit and channel ~= name) then
            last = i - 1
            break
        end
        taken = taken + (channel ~= name and 1 or 0) -- rooms.counts
        at = at + 1
        plan_put(plan, channel, shard)
    end
    pool.at, user.rooms = at, taken
    return last + 1
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
            local count = plan_pool(c, plan, user).count
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

-- Where channels go for which the shard manager named that shard.
local function target_named(c, plan, shard)
    local known = shard_id(shard) and not speakers.is(shard) and places.of(c, shard)
    if not known then
        local why = speakers.is(shard) and ' takes no channels: it only speaks.' or ' does not exist.'
        return {why = 'Shard ' .. shown(shard) .. why}
    end
    places.count(c, {shard})
    plan.named[shard] = c.counts[shard]
    plan.nnamed = plan.nnamed + 1
    return {user = plan_user(c, plan, known.user), shard = shard}
end

-- Where channels may go that have this `where`, as assign takes it: a user's shards, or one of
-- them; those of the user that plan_reader chooses of each (`readers`); or nowhere, and why.
local function target_of(c, plan, where)
    local kind, what = string.sub(where, 1, 1), string.sub(where, 2)
    if plan.no_node then
        return {why = plan.no_node}
    elseif kind == '=' then
        return target_named(c, plan, what)
    elseif kind == '' and plan_readers(c, plan) then
        return {readers = true}
    elseif kind == '+' and settings(c).setup ~= 'done' then
        return {why = ERR_SETUP}
    elseif kind == '' or kind == '@' or kind == '+' then
        return {user = plan_user(c, plan, kind == '' and plan.user or what)}
    end
    return {why = kind == '-' and 'The shard manager assigned it to no shard.' or what}
end

-- Puts the channel on that shard of the user, which was named: nil, or why not.
local function plan_named(c, plan, user, channel, shard)
    local count = plan.named[shard]
    if count >= plan.per_shard then
        return refused_by(c, string.format('Shard %s is full: it has %d of %d channels.', shard, count,
            plan.per_shard), 'channels_per_shard')
    end
    plan.named[shard] = count + 1
    user.rooms = user.rooms + (rooms.counts(user.name, channel) and 1 or 0)
    plan_put(plan, channel, shard)
    return nil
end

-- Channels that have no shard: where they go, which is the same for all of them; `where` as assign
-- takes it.
function plan_channels(c, plan, where, names)
    local target, i = target_of(c, plan, where), 1
    while i <= #names do
        local channel, user, why, following = names[i], target.user, target.why, i + 1
        if target.readers then
            user, why = plan_reader(c, plan, channel)
        end
        why = why or user.refused or rooms.refused(c, user, channel)
        if not why and target.shard then
            why = plan_named(c, plan, user, channel, target.shard)
        elseif not why then
            following, why = plan_least_loaded(c, plan, user, names, i, target.readers and i or #names)
        end
        if why then
            plan.none(channel, why)
        else
            plan.refusal = nil
        end
        i = following or i + 1
    end
end

end
