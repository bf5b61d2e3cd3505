-- Leader: who decides, and what only the leader may take away.

do -- seen in here alone

local EXPIRED_AT_ONCE = 16   -- nodes that one answer names
local OVERDUE_LOOKED_AT = 64 -- of those that are kept there may be many

-- Keys that are one in a cluster, and what they are.
local TYPES = {
    config = 'hash', nodes = 'zset', load = 'zset', channels = 'hash', free = 'zset', homeless = 'set',
    waiting = 'set', active = 'zset', idle = 'zset', initial = 'set', senders = 'hash', claims = 'hash',
    requests = 'stream', admin = 'stream', outbox = 'stream', log = 'stream', sends = 'zset', queued = 'hash',
    ids = 'hash', listeners = 'hash',
}

-- What somebody put in their place is removed: programs read some of them without a step.
local function check_types(c)
    for name, right in pairs(TYPES) do
        local is = call('TYPE', key(c, name)).ok
        if is ~= right and is ~= 'none' then
            call('DEL', key(c, name))
            damaged(c)
            event(c, 'registry.repaired', {'key', key(c, name), 'what', 'was a ' .. is .. ': removed'})
        end
    end
end

-- Nodes whose lease ran out: node, link, run_id of each. What is no node is forgotten.
local function expired_nodes(c)
    local nodes, expired = key(c, 'nodes'), {}
    bring_near(c, 'nodes', c.now + LEASE_MOST_MS, c.now + limit(c, 'lease_ms'))
    for _, node in ipairs(call('ZRANGEBYSCORE', nodes, '-inf', c.now, 'LIMIT', 0, OVERDUE_LOOKED_AT)) do
        local nk = node_id(node) and key(c, 'node', node)
        local fields = nk and call('HMGET', nk, 'link', 'run_id', 'silent')
        if #expired == 3 * EXPIRED_AT_ONCE then
            break
        elseif not nk then
            call('ZREM', nodes, node)
            event(c, 'registry.repaired', {'node', shown(node), 'what', 'is not the name of a node: forgotten'})
        elseif could_take_any(c, node) then
            expired[#expired + 1] = node
            expired[#expired + 1] = string.format('%d', count_of(fields[1]))
            expired[#expired + 1] = fields[2] or ''
        elseif (fields[3] or '') == '' then
            call('HSET', nk, 'silent', '1')
            event(c, 'node.silent', {'node', node})
        end
    end
    return expired
end

-- Take or renew the lead: nil, or what is answered to who does not lead.
local function take_lead(c, a, lease)
    local lk = key(c, 'leader')
    local leader = call('HMGET', lk, 'incarnation', 'deadline', 'id', 'token')
    local mine = leader[1] == a[2]
    if a[7] == '1' then
        if mine then
            call('HSET', lk, 'deadline', 0, 'incarnation', '')
        end
        return {'resigned'}
    end
    if not mine then
        local remaining = count_of(leader[2]) - c.now
        if remaining > LEASE_MOST_MS then -- never given
            remaining = lease
            call('HSET', lk, 'deadline', c.now + lease)
        end
        if remaining > 0 then
            return {'standby', leader[3], remaining, registry_of(c)}
        end
    end
    if not mine or count_of(leader[4]) == 0 or #leader[4] > 20 then
        bump(lk, 'token', 1)
    end
    if not mine then
        call('HSET', lk, 'id', a[1], 'incarnation', a[2], 'host', a[5], 'pid', a[6],
            'since', c.now)
        call('SET', key(c, 'version'), CONTRACT)
        event(c, 'leader.elected', {'coordinator', a[1]})
    end
    call('HSET', lk, 'deadline', c.now + lease, 'link', a[3], 'run_id', a[4])
    return nil
end

-- lead: coordinator incarnation link run_id host pid resign(0 or 1)
-- "standby", leader's id, remaining ms, registry | "resigned" | "leading", token, lease, shards_rev,
-- ms to the next deadline of a node (-1: none), nodes that are up, waiting, homeless, setup done (0/1),
-- stopped (0/1), user,
-- {node, link, run_id of each expired}, {idle shards that may close},
-- registry, something is damaged (0/1)
function steps.lead(keys, a)
    local c, failed = context(keys)
    if failed then
        return failed
    end
    if #a ~= 7 then
        return badarg('lead: coordinator incarnation link run_id host pid resign')
    end
    local lease = limit(c, 'lease_ms')
    restating(c) -- before `seen` is written
    watch_clock(c, lease)
    local other = take_lead(c, a, lease)
    if other then
        return other
    end
    check_types(c)
    local nodes = key(c, 'nodes')
    local next_deadline = -1
    local grace = grace_until(c)
    local expired = c.now >= grace and expired_nodes(c) or {}
    local first = call('ZRANGEBYSCORE', nodes, '(' .. c.now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
    if first[2] then
        next_deadline = math.max(whole(first[2]) or c.now + lease, grace) - c.now
    end
    local idle = call('ZRANGEBYSCORE', key(c, 'idle'), '-inf', c.now - limit(c, 'idle_shard_ms'),
        'LIMIT', 0, 16)
    return {
        'leading', call('HGET', key(c, 'leader'), 'token'), lease,
        count_of(call('HGET', key(c, 'clock'), 'shards')), next_deadline,
        nodes_up(c), call('SCARD', key(c, 'waiting')), call('SCARD', key(c, 'homeless')),
        settings(c).setup == 'done' and 1 or 0, settings(c).stopped == '1' and 1 or 0,
        setting(c, 'user'),
        expired, idle, registry_of(c), call('HEXISTS', key(c, 'clock'), 'damaged'),
    }
end

-- expire: incarnation token node link. An empty node only places homeless shards.
-- "expired" | "more" (call again) | "renewed" | "grace" | "link" (the link is another by now) |
-- "kept" (no live node could take anything of it: it keeps what it holds, and what it has read)
function steps.expire(keys, a)
    local c, failed = context(keys)
    if failed then
        return failed
    end
    local deposed = leader_check(c, a[1], a[2])
    if deposed then
        return deposed
    end
    local node = a[3]
    local word = 'expired'
    if node ~= '' then
        watch_clock(c, limit(c, 'lease_ms'))
        if not node_id(node) then
            return badarg('expire: incarnation token node link')
        end
        local deadline = count_of(call('ZSCORE', key(c, 'nodes'), node))
        if c.now < grace_until(c) then
            return {'grace'}
        elseif deadline > c.now then
            return {'renewed'}
        elseif count_of(call('HGET', key(c, 'node', node), 'link')) ~= count_of(a[4]) then
            return {'link'}
        elseif not could_take_any(c, node) then
            return {'kept'}
        end
        -- From here on its renewals are refused, also between two portions of its shards.
        call('HDEL', key(c, 'node', node), 'incarnation')
        call('ZREM', key(c, 'free'), node)
        unknown_claims(c, node)
        if evacuate(c, node) then
            call('ZREM', key(c, 'nodes'), node)
            forget_node(c, node, 'node.expired')
        else
            word = 'more'
        end
    end
    place_homeless(c)
    hint(c)
    return {word}
end

end
