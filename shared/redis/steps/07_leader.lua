-- Leader: who decides, and what only the leader may take away.

local EXPIRED_AT_ONCE = 16   -- nodes that one answer names
local OVERDUE_LOOKED_AT = 64 -- of those that are kept there may be many

-- lead: coordinator incarnation link run_id host pid resign(0 or 1)
-- "standby", leader's id, remaining ms | "resigned" | "leading", token, lease, shards_rev,
-- ms to the next deadline of a node (-1: none), nodes that are up, waiting, homeless, setup done (0/1),
-- stopped (0/1), user,
-- {node, link, run_id of each expired}, {idle shards that may close}
local function lead(keys, a)
    local c, failed = context(keys)
    if failed then
        return failed
    end
    if #a ~= 7 then
        return badarg('lead: coordinator incarnation link run_id host pid resign')
    end
    local lease = limit(c, 'lease_ms')
    watch_clock(c, lease)
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
        local remaining = tonumber(leader[2] or 0) - c.now
        if remaining > 0 then
            return {'standby', leader[3], remaining}
        end
        call('HINCRBY', lk, 'token', 1)
        call('HSET', lk, 'id', a[1], 'incarnation', a[2], 'host', a[5], 'pid', a[6],
            'since', c.now)
        call('SET', key(c, 'version'), CONTRACT)
        event(c, 'leader.elected', {'coordinator', a[1]})
    end
    call('HSET', lk, 'deadline', c.now + lease, 'link', a[3], 'run_id', a[4])
    local nodes = key(c, 'nodes')
    local expired = {}
    local next_deadline = -1
    local grace = grace_until(c)
    if c.now >= grace then
        for _, node in ipairs(call('ZRANGEBYSCORE', nodes, '-inf', c.now, 'LIMIT', 0, OVERDUE_LOOKED_AT)) do
            local fields = call('HMGET', key(c, 'node', node), 'link', 'run_id', 'silent')
            if #expired == 3 * EXPIRED_AT_ONCE then
                break
            elseif could_take_any(c, node) then
                expired[#expired + 1] = node
                expired[#expired + 1] = fields[1] or ''
                expired[#expired + 1] = fields[2] or ''
            elseif (fields[3] or '') == '' then
                call('HSET', key(c, 'node', node), 'silent', '1')
                event(c, 'node.silent', {'node', node})
            end
        end
    end
    local first = call('ZRANGEBYSCORE', nodes, '(' .. c.now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
    if first[2] then
        next_deadline = math.max(tonumber(first[2]), grace) - c.now
    end
    local idle = call('ZRANGEBYSCORE', key(c, 'idle'), '-inf', c.now - limit(c, 'idle_shard_ms'),
        'LIMIT', 0, 16)
    return {
        'leading', call('HGET', lk, 'token'), lease,
        tonumber(call('HGET', key(c, 'clock'), 'shards') or 0), next_deadline,
        nodes_up(c), call('SCARD', key(c, 'waiting')), call('SCARD', key(c, 'homeless')),
        settings(c).setup == 'done' and 1 or 0, settings(c).stopped == '1' and 1 or 0,
        setting(c, 'user'),
        expired, idle,
    }
end

-- expire: incarnation token node link. An empty node only places homeless shards.
-- "expired" | "more" (call again) | "renewed" | "grace" | "link" (the link is another by now) |
-- "kept" (no live node could take anything of it: it keeps what it holds, and what it has read)
local function expire(keys, a)
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
        local deadline = tonumber(call('ZSCORE', key(c, 'nodes'), node) or 0)
        if c.now < grace_until(c) then
            return {'grace'}
        elseif deadline > c.now then
            return {'renewed'}
        elseif (call('HGET', key(c, 'node', node), 'link') or '') ~= a[4] then
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
