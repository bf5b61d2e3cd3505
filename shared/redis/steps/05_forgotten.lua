-- Restating: a Redis that was restarted, or that is the primary in another's place now, may have forgotten what
-- was answered last. Until all registered nodes have stated what they said, were told and drew lately (`restate`), at
-- most two leases, nothing is claimed, settled or drawn.
--
-- Of the hash clock: run_id, the server that was written to last; and while nodes restate: restate_until, when that
-- is over at the latest; restate_least, and at the earliest. kept: Redis's time up to which it surely has all.

local RESTATE_LOOK_MS = 250 -- whoever has to wait asks again
local restating, must_restate, too_early
do -- the others are seen in here alone

local this_run -- of this server: each start of Redis loads the library anew

local function server_run_id()
    if not this_run then
        local info = redis.pcall('INFO', 'server')
        this_run = type(info) == 'string' and string.match(info, 'run_id:(%x+)') or ''
    end
    return this_run
end

-- Every node has stated, or there is none.
local function all_restated(c)
    local done = {}
    for _, node in ipairs(call('SMEMBERS', key(c, 'restated'))) do
        done[node] = true
    end
    for _, node in ipairs(call('ZRANGE', key(c, 'nodes'), 0, -1)) do
        if not done[node] then
            return false
        end
    end
    return next(done) ~= nil
end

-- Do nodes still restate? To be asked before `seen` is written (watch_clock), and whatever rests on what Redis
-- remembers is done.
function restating(c)
    local ck, run = key(c, 'clock'), server_run_id()
    local clock = call('HMGET', ck, 'run_id', 'restate_until', 'restate_least', 'seen')
    local lease = limit(c, 'lease_ms')
    if clock[1] ~= run then
        call('HSET', ck, 'run_id', run)
        if clock[1] then
            call('HSET', ck, 'restate_until', c.now + 2 * lease, 'restate_least', c.now, 'kept', clock[4] or 0)
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

-- A node that has not restated tells what became of a send: it may not be known here yet.
function too_early(c, node)
    if must_restate(c, node) then
        return redis.error_reply('LATER node ' .. shown(node) .. ' has to restate first')
    end
    return nil
end

end
