-- Restating: a Redis that was restarted, or that is the primary in another's place now, may have
-- forgotten what was answered last. Then nothing is claimed, settled or drawn until all registered
-- nodes have stated what they said, were told and drew lately (`restate`), or for two leases at
-- most.
--
-- These fields of the hash clock belong to it. run_id: the server that was written to last.
-- restate_until: when nodes have restated at the latest, while they do. restate_least: and at the
-- earliest. kept: Redis's time up to which it surely has all.

local RESTATE_LOOK_MS = 250 -- whoever has to wait asks again
local restating, must_restate
do -- the others are seen in here alone

local this_run -- of this server: each start of Redis loads the library anew

local function server_run_id()
    if not this_run then
        local info = redis.pcall('INFO', 'server')
        this_run = type(info) == 'string' and string.match(info, 'run_id:(%x+)') or ''
    end
    return this_run
end

-- Every node has stated, and there is one. Of very many nodes some are looked at.
local function all_restated(c)
    local done = call('SCARD', key(c, 'restated'))
    if done == 0 or done < call('ZCARD', key(c, 'nodes')) then
        return false
    end
    local nodes = call('ZRANGE', key(c, 'nodes'), 0, NODES_LOOKED_AT - 1)
    for _, stated in ipairs(call_all('SMISMEMBER', key(c, 'restated'), nodes)) do
        if stated == 0 then
            return false
        end
    end
    return true
end

-- Up to when Redis has all: the last time that a step has seen, or with which a node at rest has
-- renewed its lease by itself.
local function kept_until(c, seen)
    local node = call('ZRANGE', key(c, 'nodes'), -1, -1)[1]
    local renewed = node and count_of(call('HGET', key(c, 'node', node), 'renewed')) or 0
    return string.format('%d', math.max(count_of(seen), math.min(renewed, c.now)))
end

-- Do nodes still restate? To be asked before `seen` is written (watch_clock), and whatever rests on
-- what Redis remembers is done.
function restating(c)
    local ck, run = key(c, 'clock'), server_run_id()
    local clock = call('HMGET', ck, 'run_id', 'restate_until', 'restate_least', 'seen')
    local lease = limit(c, 'lease_ms')
    if clock[1] ~= run then
        call('HSET', ck, 'run_id', run)
        if clock[1] then
            call('HSET', ck, 'restate_until', c.now + 2 * lease, 'restate_least', c.now,
                'kept', kept_until(c, clock[4]))
            call('DEL', key(c, 'restated'))
        end
        return clock[1] and true
    elseif not clock[2] then
        return false
    end
    local until_ms = tonumber(clock[2]) or 0
    if c.now < until_ms and until_ms <= c.now + 2 * lease and
        (c.now < (tonumber(clock[3]) or 0) or not all_restated(c)) then
        return true
    end
    call('HDEL', ck, 'restate_until', 'restate_least')
    call('DEL', key(c, 'restated'))
    return false
end

-- Is this node to restate?
function must_restate(c, node)
    return restating(c) and call('SMISMEMBER', key(c, 'restated'), node)[1] == 0
end

end
