-- Logins that Twitch refused. An account whose token is not taken is tried once in a while, for all
-- of its shards on all nodes that were refused; one that was not may have another token, and tries.
--
-- `budget:<user>:refused` (hash): `until`, before which no such node logs in as the user; `wait`,
-- how long that was; and a field for each of the nodes.

local logins = {FIRST_MS = 30000, MOST_MS = 600000, NODES_ASKED = 32}

function logins.refused(c, node, user)
    local rk = key(c, 'budget', user, 'refused')
    if call('EXISTS', rk) == 0 then
        call('HSET', rk, 'until', c.now + logins.FIRST_MS, 'wait', logins.FIRST_MS)
    end
    call('HSET', rk, 'node:' .. node, 1)
    call('PEXPIRE', rk, 3 * logins.MOST_MS)
end

-- It logged in.
function logins.taken(c, user)
    call('DEL', key(c, 'budget', user, 'refused'))
end

-- The node has read tokens: what it was refused with before does not count.
function logins.tokens_are_new(c, node, users)
    for user in string.gmatch(users, '[^,]+') do
        if login_of(user) then
            call('HDEL', key(c, 'budget', user, 'refused'), 'node:' .. node)
        end
    end
end

-- Must the node wait with its login? If not, that is the one try, and the next waits for twice as
-- long.
function logins.must_wait(c, node, user)
    local rk = key(c, 'budget', user, 'refused')
    local refused = call('HMGET', rk, 'until', 'wait', 'node:' .. node)
    if not refused[3] then
        return false
    end
    local wait = math.min(math.max(count_of(refused[2]), logins.FIRST_MS), logins.MOST_MS)
    if c.now < math.min(count_of(refused[1]), c.now + wait) then
        return true
    end
    wait = math.min(2 * wait, logins.MOST_MS)
    call('HSET', rk, 'until', c.now + wait, 'wait', wait)
    call('PEXPIRE', rk, 3 * logins.MOST_MS)
    return false
end

-- Is the user refused on all nodes that are up and could log in as it, as far as some are looked
-- at?
function logins.refused_by_all(c, user)
    local rk, asked = key(c, 'budget', user, 'refused'), 0
    if call('EXISTS', rk) ~= 1 then
        return false
    end
    for _, node in ipairs(some_nodes_up(c)) do
        if asked < logins.NODES_ASKED and knows_user(facts_of(c, node), user) then
            if call('HEXISTS', rk, 'node:' .. node) ~= 1 then
                return false
            end
            asked = asked + 1
        end
    end
    return true
end
