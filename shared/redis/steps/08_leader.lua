-- Leader: who decides, and what only the leader may take away.

do -- seen in here alone

local EXPIRED_AT_ONCE = 16   -- nodes that one answer names
local OVERDUE_LOOKED_AT = 64 -- of those that are kept there may be many
local IDLE_AT_ONCE = 16

-- Keys that are one in a cluster, and what they are.
local TYPES = {
    {'config', 'hash'}, {'nodes', 'zset'}, {'load', 'zset'}, {'channels', 'hash'}, {'free', 'zset'},
    {'homeless', 'set'}, {'waiting', 'set'}, {'active', 'zset'}, {'idle', 'zset'}, {'initial', 'set'},
    {'senders', 'hash'}, {'claims', 'hash'}, {'requests', 'stream'}, {'admin', 'stream'}, {'outbox', 'stream'},
    {'log', 'stream'}, {'sends', 'zset'}, {'queued', 'hash'}, {'ids', 'hash'}, {'listeners', 'hash'},
    {'accounts', 'zset'}, {'places', 'hash'}, {'changed', 'zset'},
}
local TYPES_AT_ONCE = 8 -- of them: all in three calls, which is less than a lease
local checked = 0       -- the last one

-- What somebody put in their place is removed: programs read some of them without a step.
local function check_types(c)
    for _ = 1, TYPES_AT_ONCE do
        checked = checked % #TYPES + 1
        local name, right = unpack(TYPES[checked])
        local is = call('TYPE', key(c, name)).ok
        if is ~= right and is ~= 'none' then
            call('DEL', key(c, name))
            c.tell = true
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
            expired[#expired + 1], expired[#expired + 2] = node, string.format('%d', count_of(fields[1]))
            expired[#expired + 1] = fields[2] or ''
        elseif (fields[3] or '') == '' then
            call('HSET', nk, 'silent', '1')
            event(c, 'node.silent', {'node', node})
        end
    end
    return expired
end

-- Takes or renews the lead: the token, or nil and what is answered to who does not lead.
local function take_lead(c, a, lease)
    local lk = key(c, 'leader')
    local leader = call('HMGET', lk, 'incarnation', 'deadline', 'id', 'token')
    local mine = leader[1] == a[2]
    local remaining = mine and 0 or count_of(leader[2]) - c.now
    if remaining > LEASE_MOST_MS then -- never given
        remaining = lease
        call('HSET', lk, 'deadline', c.now + lease)
    end
    if remaining > 0 then
        return nil, {'standby', leader[3], remaining, registry_of(c)}
    end
    local token = leader[4]
    if not mine or count_of(token) == 0 or #token > 20 then
        token = string.format('%d', bump(lk, 'token', 1))
    end
    if not mine then
        call('HSET', lk, 'id', a[1], 'incarnation', a[2], 'host', a[5], 'pid', a[6], 'since', c.now)
        call('SET', key(c, 'version'), CONTRACT)
        event(c, 'leader.elected', {'coordinator', a[1]})
    end
    call('HSET', lk, 'deadline', c.now + lease, 'link', a[3], 'run_id', a[4])
    return token
end

-- The ms until the next lease of a node ends, -1 where there is none.
local function next_deadline(c, grace, lease)
    local first = call('ZRANGEBYSCORE', key(c, 'nodes'), '(' .. c.now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
    return first[2] and math.max(whole(first[2]) or c.now + lease, grace) - c.now or -1
end

-- "standby", leader's id, remaining ms, registry | "leading", token, lease, shards_rev, ms to the
-- next deadline of a node (-1: none), nodes that are up, waiting, homeless, setup done (0/1),
-- stopped (0/1), user, {node, link, run_id of each expired}, {idle shards that may close},
-- registry, something is damaged (0/1), an account is to be looked at (0/1), the outbox holds
-- something (0/1), Redis's time in ms
step('lead', 'coordinator incarnation link run_id host pid', function(c, a)
    local lease = limit(c, 'lease_ms')
    restating(c) -- before `seen` is written
    watch_clock(c, lease)
    local token, other = take_lead(c, a, lease)
    if not token then
        return other
    end
    check_types(c)
    history.trim_led(c)
    local grace = grace_until(c)
    local expired = c.now >= grace and expired_nodes(c) or {}
    local idle = call('ZRANGEBYSCORE', key(c, 'idle'), '-inf', c.now - limit(c, 'idle_shard_ms'),
        'LIMIT', 0, IDLE_AT_ONCE)
    local clock = call('HMGET', key(c, 'clock'), 'shards', 'damaged')
    return {
        'leading', token, lease, count_of(clock[1]), next_deadline(c, grace, lease),
        nodes_up(c), call('SCARD', key(c, 'waiting')), call('SCARD', key(c, 'homeless')),
        settings(c).setup == 'done' and 1 or 0, settings(c).stopped == '1' and 1 or 0,
        setting(c, 'user'),
        expired, idle, registry_of(c), clock[2] and 1 or 0,
        call('ZCOUNT', key(c, 'accounts'), '-inf', c.now) > 0 and 1 or 0,
        call('XLEN', key(c, 'outbox')) + call('ZCARD', key(c, 'sends')) > 0 and 1 or 0, c.now,
    }
end)

-- Whoever leads may take the lead at once. Of one that does not lead this changes nothing.
step('resign', 'incarnation', function(c, a)
    local lk = key(c, 'leader')
    if call('HGET', lk, 'incarnation') == a[1] then
        call('HSET', lk, 'deadline', 0, 'incarnation', '')
    end
    return {'resigned'}
end)

-- "expired" | "more" (call again) | why it is not: "renewed" | "grace" | "link" (the link is
-- another by now) | "kept" (no live node could take anything of it: it keeps what it holds, and
-- what it has read)
leader_step('expire', 'node link', function(c, a)
    local node = a[3]
    if not node_id(node) then
        return nil
    end
    watch_clock(c, limit(c, 'lease_ms'))
    if c.now < grace_until(c) then
        return {'grace'}
    elseif count_of(call('ZSCORE', key(c, 'nodes'), node)) > c.now then
        return {'renewed'}
    elseif count_of(call('HGET', key(c, 'node', node), 'link')) ~= count_of(a[4]) then
        return {'link'}
    elseif not could_take_any(c, node) then
        return {'kept'}
    end
    -- From here on its renewals are refused, also between two portions of its shards.
    call('HDEL', key(c, 'node', node), 'incarnation')
    local done = node_gone(c, node, 'node.expired')
    place_homeless(c)
    return {done and 'expired' or 'more'}
end)

end
