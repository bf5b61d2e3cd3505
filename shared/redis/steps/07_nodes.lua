-- Nodes: they register, renew, and leave.

local node_gone -- the others are seen in here alone
do

-- A link that its process gave up for a later one (ids grow while a server runs) may still be
-- executed, and after that one. It must not be the registered link again, or whoever fences the
-- node would kill the wrong one.
local function overtaken(c, node, link, run_id)
    local now = call('HMGET', key(c, 'node', node), 'link', 'run_id')
    return now[2] == run_id and count_of(now[1]) > count_of(link) and
        redis.error_reply('OVERTAKEN node ' .. shown(node) .. ' has renewed on a later link') or nil
end

-- Another process has the node's id, and nobody has seen to it that it is gone: who. Or the error
-- of one that was overtaken. Nil: the id may be had. `r` is what registers.
local function held_by_another(c, r, lease)
    local holder = call('HMGET', key(c, 'node', r.node), 'incarnation', 'link', 'host', 'pid', 'run_id')
    if holder[1] == r.incarnation then
        return overtaken(c, r.node, r.link, r.run_id)
    elseif not holder[1] then
        return nil
    end
    local deadline = count_of(call('ZSCORE', key(c, 'nodes'), r.node))
    local link = count_of(holder[2]) -- 0: nobody knows
    if link ~= count_of(r.takeover) or (link == 0 and deadline > c.now) then
        return {'held', holder[3], holder[4], link, deadline - c.now, lease, holder[5]}
    end
    return nil
end

local TAKEN_AT_ONCE = 100

-- What the process that had the node's id before held is held by this one, and not read yet, and
-- nobody knows what became of what it was sending. A portion. True where nothing is left. (Until
-- then nobody renews as this node; if nobody goes on either, it expires.)
local function taken_over(c, node, incarnation)
    local nk = key(c, 'node', node)
    local was = call('HMGET', nk, 'incarnation', 'taken')
    if was[1] ~= incarnation then
        call('HDEL', nk, 'incarnation')
        call('ZREM', key(c, 'free'), node)
        c.free = {}
        if not unknown_claims(c, node) then
            return false
        end
    end
    local held = call('ZRANGEBYSCORE', nk .. ':shards', '(' .. (was[2] or '-inf'), '+inf', 'WITHSCORES', 'LIMIT',
        0, TAKEN_AT_ONCE)
    local until_ms = read_until(c, node)
    for i = 1, #held, 2 do
        if node_of(c, held[i]) == node then
            stop_reading(c, held[i], until_ms)
            set_idle(c, held[i])
        end
    end
    if #held < 2 * TAKEN_AT_ONCE then
        call('HDEL', nk, 'taken')
        return true
    end
    call('HSET', nk, 'taken', held[#held])
    return false
end

-- The node has the lease, and said this of itself. All it read up to `until_ms` is fanned out. (At
-- rest it writes the same by itself: registry_rest.c.)
local function keep_lease(c, r, lease, until_ms)
    local deadline = whole(call('ZSCORE', key(c, 'nodes'), r.node))
    if deadline and deadline <= c.now then -- see may_return()
        call('HSET', key(c, 'clock'), 'returned', c.now)
    end
    call('ZADD', key(c, 'nodes'), c.now + lease, r.node)
    call('HSET', key(c, 'node', r.node), 'link', r.link, 'run_id', r.run_id, 'host', r.host, 'pid', r.pid,
        'version', r.version, 'capacity', count_of(r.capacity), 'users', r.users, 'renewed', c.stamp,
        'read_until', until_ms, 'silent', '')
end

-- takeover: the link of a holder that is gone, or "". state: "active", "blind" or "proving". As
-- picture() | "held" ... | "more" (call again)
step('register', 'node incarnation link run_id host pid version capacity users takeover state', function(c, a)
    local r = by_name(c, a)
    local capacity = whole(r.capacity)
    if not NODE_STATES[r.state] or not node_id(r.node) or not capacity or capacity < 0 or
        capacity ~= tonumber(r.capacity) then
        return nil
    end
    local lease = limit(c, 'lease_ms')
    restating(c) -- before `seen` is written
    watch_clock(c, lease)
    local other = held_by_another(c, r, lease)
    if other then
        return other
    elseif not taken_over(c, r.node, r.incarnation) then
        return {'more'}
    end
    local nk = key(c, 'node', r.node)
    keep_lease(c, r, lease, c.now)
    call('HSET', nk, 'incarnation', r.incarnation, 'since', c.now, 'seen', 0, 'quiet', '',
        'shards', call('ZCARD', nk .. ':shards'))
    c.tell = r.state ~= 'active'
    sight.keep_state(c, r.node, r.state, c.now, '')
    event(c, 'node.up', {'node', r.node, 'host', r.host, 'pid', r.pid})
    place_homeless(c)
    shards_changed(c)
    return picture(c, r.node, -1)
end)

-- `report` is JSON, and may be empty; `registry` is as it was answered before, or empty. EMPTIED
-- where this is another registry, which does not know the node.
step('renew', 'node incarnation link run_id seen_rev report registry host pid version capacity users', function(c, a)
    local r = by_name(c, a)
    local node, seen = r.node, whole(r.seen_rev)
    if not seen or not node_id(node) then
        return nil
    elseif r.registry ~= '' and r.registry ~= registry_of(c) and
        call('HEXISTS', key(c, 'node', node), 'incarnation') == 0 then
        return redis.error_reply('EMPTIED all that was in Redis is gone')
    end
    local refused = node_check(c, node, r.incarnation) or overtaken(c, node, r.link, r.run_id)
    if refused then
        return refused
    end
    local report, lease = read_report(c, r.report), limit(c, 'lease_ms')
    if not report then
        return badarg('renew: the report is not JSON')
    end
    restating(c) -- before `seen` is written
    watch_clock(c, lease)
    -- What was read before the last renewal was carried out, by a node that still answers for it,
    -- is not missing: but for what still waited there to be fanned out.
    local renewed = math.min(whole(call('HGET', key(c, 'node', node), 'renewed')) or c.now, c.now)
    keep_lease(c, r, lease, renewed - count_of(reported(report.waits_ms)))
    if r.report ~= '' then
        take_report(c, node, report)
    end
    history.trim_unled(c)
    return picture(c, node, seen)
end)

-- Nodes up to 0.7.0 ask this where they have nothing to tell; they renew then.
step('rest', 'node incarnation link run_id rev told lease_ms quiet', function()
    return {'look'}
end)

local SERVED_MOVED = 500 -- with the shards that send for them, by one step

-- A node's shards go to others, a portion a call. True when none is left. `said` as stop_reading()
-- takes it.
local function evacuate(c, node, said)
    local shards = call('ZRANGE', key(c, 'node', node, 'shards'), 0, SHARDS_PER_EXPIRE - 1)
    local until_ms, moved = read_until(c, node), 0
    shards_changed(c)
    for _, shard in ipairs(shards) do
        if not shard_id(shard) or node_of(c, shard) ~= node then -- not its affair
            call('ZREM', key(c, 'node', node, 'shards'), shard)
            damaged(c)
        elseif not rehome(c, shard, SERVED_ALONG) or moved > SERVED_MOVED then
            return false
        else
            moved = moved + call('SCARD', key(c, 'shard', shard, 'serves'))
            stop_reading(c, shard, until_ms, said)
            unplace(c, shard)
            place(c, shard)
        end
    end
    return #shards < SHARDS_PER_EXPIRE
end

-- The node is gone, or goes: its shards go to others, a portion a call. Then it is forgotten, which
-- that event tells. True where nothing is left to do.
function node_gone(c, node, event_name, said)
    call('ZREM', key(c, 'free'), node)
    c.free = {}
    if not unknown_claims(c, node) or not evacuate(c, node, said) then
        return false
    end
    local nk = key(c, 'node', node)
    call('DEL', nk, nk .. ':shards', nk .. ':serves', key(c, 'fan', node))
    call('ZREM', key(c, 'blind'), node)
    call('ZREM', key(c, 'nodes'), node)
    call('SREM', key(c, 'restated'), node)
    c.dirty[node] = nil
    event(c, event_name, {'node', node})
    return true
end

-- Orderly: the shards are closed already. `said` (0 or 1): all it read is fanned out, and reported
-- up to when it read. "gone" or "more" (call again).
node_step('leave', 'said', function(c, a)
    -- It stays among the nodes until its last shard is placed: if it dies before, it expires.
    call('HSET', key(c, 'node', a[1]), 'state', 'leaving')
    return {node_gone(c, a[1], 'node.left', a[3] == '1') and 'gone' or 'more'}
end)

end
