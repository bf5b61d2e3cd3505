-- Readers: the users that channels are read as, where nobody says which (the setting `readers`).

local readers = {}

do -- the rest is seen in here alone

-- Whom the nodes that are up can log in as: user -> true.
local function known_users(c)
    if not c.known then
        local seen = {}
        c.known = {anonymous = true}
        for _, node in ipairs(some_nodes_up(c)) do
            local users = facts_of(c, node).users
            for user in string.gmatch(seen[users] and '' or users, '[^,]+') do
                c.known[user] = true
            end
            seen[users] = true
        end
    end
    return c.known
end

-- The users between commas, by name; of `all` those that a node can log in as and that read, as far
-- as some are looked at.
local function names_of(c, value)
    local names, seen = {}, {}
    for name in string.gmatch(value ~= 'all' and value or '', '[^,]+') do
        names[#names + 1] = not seen[name] and name or nil
        seen[name] = true
    end
    if value == 'all' then
        local all = {}
        for user in pairs(known_users(c)) do
            all[#all + 1] = user ~= 'anonymous' and login_of(user) or nil
        end
        table.sort(all)
        for i = 1, math.min(#all, 2 * READERS_MOST) do
            if #names < READERS_MOST and not readers.refused(c, all[i]) then
                names[#names + 1] = all[i]
            end
        end
    end
    table.sort(names)
    return names
end

-- Why nothing is read as the user, or nil.
function readers.refused(c, user)
    return call('HGET', key(c, 'account', user), 'reads') == 'no' and
        'Account ' .. user .. ' does not read: shoalctl account set ' .. user .. ' reads yes changes that.' or nil
end

-- The users, by name; nil where it is the user of the cluster alone. That one takes what comes,
-- whatever becomes of its account: there is no other.
function readers.names(c)
    local value = setting(c, 'readers')
    if value ~= 'first' and not c.readers then
        c.readers = names_of(c, value)
    end
    return c.readers
end

-- Why the reader takes nothing now, or nil.
function readers.passed_over(c, user)
    local account = call('HMGET', key(c, 'account', user), 'reads', 'state')
    if account[1] == 'no' then
        return 'it does not read'
    elseif (account[2] or 'usable') ~= 'usable' then
        return 'its account is ' .. shown(account[2])
    elseif not known_users(c)[user] and #some_nodes_up(c) < NODES_LOOKED_AT then
        return 'no node can log in as it'
    end
    return logins.refused_by_all(c, user) and 'Twitch refuses its token' or nil
end

-- Not a step, writes nothing: {{user, rooms, room limit (0: none), why it takes no channels now or
-- ''}...}, by name.
function readers.list(keys)
    local c, failed = context(keys, true)
    if failed then
        return failed
    end
    local list, names = {}, readers.names(c)
    for _, name in ipairs(names or {login_of(setting(c, 'user'))}) do
        local user = rooms.of(c, name)
        local why = names and readers.passed_over(c, name) or not names and readers.refused(c, name)
        list[#list + 1] = {name, user.rooms, user.room_limit ~= math.huge and user.room_limit or 0, why or ''}
    end
    return list
end

end
