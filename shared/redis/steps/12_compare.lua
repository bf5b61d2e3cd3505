-- Compare: what the registry says in one place with what it says in the other, a portion a call.
-- What differs is put right and told.
--
-- Steps keep all of this by themselves. What differs was written by somebody else, or by a mistake
-- of ours. What is wanted stays wanted: a channel that one of two places knows is kept, and where
-- both do, `channels` decides.
--
-- There are phases (12_compare_step.lua). Some look at what they scan, others put what they scan on
-- the list `compare`, which is worked off before the phase goes on: shards, nodes and others that
-- have members of their own.

local compare = {} -- what the parts of it share

do -- the rest is seen in here alone

local COMPARE_TOLD = 20     -- events of a call; the others are counted
local MEMBERS_AT_ONCE = 100 -- that are looked at together
local SOME_USERS = 250
local REMOVE = {HSCAN = 'HDEL', SSCAN = 'SREM', ZSCAN = 'ZREM'}

function compare.repaired(c, kind, name, what)
    c.repairs = (c.repairs or 0) + 1
    if c.repairs == 1 then
        call('HSET', key(c, 'clock'), 'repaired', 1)
        c.tell = true -- whatever it was
    end
    if kind == 'shard' then
        c.changed[name] = true
    end
    if c.repairs <= COMPARE_TOLD then
        event(c, 'registry.repaired', {kind, shown(name), 'what', what})
    end
end

-- Puts it on the list: `kind` says what looks at it.
function compare.later(c, kind, name)
    call('RPUSH', key(c, 'compare'), kind .. ' ' .. name)
end

-- Members of a key, from `cursor` on; the next cursor ("0": these were the last); and their values.
-- (Redis may tell one twice.)
function compare.scan(c, command, k, cursor, count)
    local found = call(command, k, cursor, 'COUNT', count or MEMBERS_AT_ONCE)
    local names, values = found[2], {}
    if command ~= 'SSCAN' then
        names = {}
        for i = 1, #found[2], 2 do
            names[#names + 1], values[#values + 1] = found[2][i], found[2][i + 1]
        end
    end
    c.left = c.left - #names
    return names, found[1], values
end

-- Looks at members of a key, from `cursor` on: the next cursor, and those that stay. `wrong` says
-- what is wrong with those that go; it takes each, and what `other` (a command and its key) answers
-- of it; nil: its value.
function compare.weed(c, command, k, cursor, kind, other, wrong, count)
    local names, following, answers = compare.scan(c, command, k, cursor, count)
    local good = {}
    answers = other and call_all(other[1], other[2], names) or answers
    for i, name in ipairs(names) do
        local what = wrong(name, answers[i])
        if what then
            call(REMOVE[command], k, name)
            compare.repaired(c, kind, name, what)
        else
            good[#good + 1] = name
        end
    end
    return following, good
end

-- The same of what should be names of that kind.
function compare.names(c, command, index, cursor, kind, is_name, count)
    return compare.weed(c, command, key(c, index), cursor, kind, nil, function(name)
        return not is_name(name) and 'is not the name of a ' .. kind .. ': forgotten'
    end, count)
end

-- Those who have, or had, shards: a portion, and the cursor of the next.
function compare.users(c, cursor)
    local following, users = compare.names(c, 'HSCAN', 'senders', cursor or '0', 'user', login_of, SOME_USERS)
    table.sort(users)
    return users, following
end

-- Looks at something in parts, each of which may take several calls, from `cursor` on ("0": the
-- beginning): `look` takes a part and the cursor within, and answers the next. So does this.
function compare.in_parts(c, parts, cursor, look)
    local part, inner = string.match(cursor, '^(%d):(%d+)$')
    part, inner = tonumber(part) or 1, inner or '0'
    while part <= #parts and c.left > 0 do
        inner = look(parts[part], inner)
        part = inner == '0' and part + 1 or part
    end
    return part > #parts and '0' or part .. ':' .. inner
end

-- Whose shard it is, or nil. Its user's list of shards knows it, too.
function compare.user_of(c, shard)
    local now = shard_id(shard) and user_of(c, shard)
    if now and (speakers.is(shard) or call('ZSCORE', key(c, 'open', now), shard)) then
        return now
    end
    for _, user in ipairs(compare.users(c)) do
        if call('ZSCORE', key(c, 'open', user), shard) then
            call('HSET', key(c, 'shard', shard), 'user', user)
            places.forget(c, {shard})
            compare.repaired(c, 'shard', shard, 'its user was another: it is ' .. user)
            return user
        end
    end
    return now
end

-- Is it that user's? Where that is not known, it is put right first: it is known from where the
-- shard would be removed.
function compare.is_of(c, shard, user)
    return shard_id(shard) and user_of(c, shard) == user or is_shard(c, shard) and compare.user_of(c, shard) == user
end

-- The user of what should be a shard, or nil. One that is not among the shards, though all is known
-- of it, is again.
function compare.known_shard(c, shard)
    local user = shard_id(shard) and user_of(c, shard)
    if user and not is_shard(c, shard) then
        call('ZADD', key(c, 'load'), call('SCARD', key(c, 'shard', shard, 'channels')), shard)
        compare.repaired(c, 'shard', shard, 'was not among the shards: it is again')
        compare.later(c, 'shard', shard)
    elseif not user and is_shard(c, shard) then
        user = compare.user_of(c, shard)
        compare.later(c, 'shard', shard)
    end
    return user
end

-- A wanted channel that no shard holds (any more).
function compare.make_wait(c, channel, why, what)
    channels.wait(c, {[channel] = why}, {}, {})
    compare.repaired(c, 'channel', channel, what)
end

-- Channels that only their shard, or only `channels`, knows are the shard's in every place.
function compare.make_assigned(c, shard, names)
    local waited = {}
    for _, channel in ipairs(names) do
        waited[channel] = true -- perhaps
    end
    channels.put_on(c, shard, names, waited)
end

end
