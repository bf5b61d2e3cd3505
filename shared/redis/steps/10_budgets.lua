-- Budgets: what Twitch allows a user: slots of a sliding window that slides for the whole cluster.

local message_budgets, message_peek, message_take -- what others use

do -- seen in here alone

-- A slot further ahead than this beyond its window was taken before Redis's clock went back.
local AHEAD_MOST_MS = 5000

-- The last of these slots is further ahead than any can be. Where Redis's clock went back, they all move with it, as
-- far as it is known to have gone; else all count as taken now, and the next is a window away. The last one, then.
local function slots_move(c, bk, last, most, window)
    watch_clock(c, limit(c, 'lease_ms'))
    local back = count_of(call('HGET', key(c, 'clock'), 'back'))
    local moved = {}
    if last - back <= c.now + window then
        for i, slot in ipairs(call('LRANGE', bk, 0, -1)) do
            moved[i] = math.max(0, math.min(count_of(slot), last) - back)
        end
    else
        for i = 1, math.max(most, #call('LRANGE', bk, 0, -1)) do
            moved[i] = c.now
        end
    end
    call('DEL', bk)
    for from = 1, #moved, 1000 do
        call('RPUSH', bk, unpack(moved, from, math.min(from + 999, #moved)))
    end
    call('PEXPIRE', bk, 3 * window + 60000)
    return moved[#moved]
end

-- The times of the last `most` slots are a list in their order; a new slot is not before the oldest of them left the
-- window. It may be before slots that were taken ahead: these wait for something else as well (their channel's
-- pace, a narrower limit), which holds up nobody who has room.
local function slot_peek(c, bk, most, window)
    if most == math.huge then
        return c.now
    end
    local last = count_of(call('LINDEX', bk, -1))
    if last > c.now + window + AHEAD_MOST_MS then
        last = slots_move(c, bk, last, most, window)
    end
    local oldest = call('LINDEX', bk, -most)
    return math.max(c.now, oldest and math.min(count_of(oldest), last) + window or 0)
end

local function slot_take(bk, most, window, at)
    if most == math.huge then
        return
    end
    local later, last = {}, call('LINDEX', bk, -1)
    while count_of(last) > at do
        later[#later + 1] = last
        call('LTRIM', bk, 0, -2)
        last = call('LINDEX', bk, -1)
    end
    call('RPUSH', bk, at)
    for i = #later, 1, -1 do
        call('RPUSH', bk, later[i])
    end
    call('LTRIM', bk, -most, -1)
    call('PEXPIRE', bk, 3 * window + 60000)
end

-- New connections: a burst, then one an interval (a leaky bucket kept as the time it is empty). The time
-- of the next one, not before `after`, and what to keep once it is taken.
local function connect_peek(c, bk, after, window)
    local interval = limit(c, 'connect_interval_ms')
    if interval == math.huge then
        return after, nil
    end
    local burst = limit(c, 'connect_burst')
    local empty_at = math.max(count_of(call('GET', bk)), after)
    if empty_at > c.now + window + burst * interval + AHEAD_MOST_MS then -- from before the clock went back
        empty_at = c.now + burst * interval
        call('SET', bk, empty_at, 'PX', 3600000)
    end
    return math.max(after, empty_at - (burst - 1) * interval), empty_at + interval
end

-- draw: node incarnation user kind(login or join) n -> {wait ms, ...}, fewer than n where the rest
-- would be more than a window away.
function steps.draw(keys, a)
    local c, failed = context(keys)
    if failed then
        return failed
    end
    local lost = node_check(c, a[1], a[2])
    if lost then
        return lost
    end
    if restating(c) then
        return {}
    end
    local user, kind, n = a[3], a[4], tonumber(a[5])
    if not channel_name(user or '') or (kind ~= 'login' and kind ~= 'join') or not n or n < 1 or
        n > 1000 then
        return badarg('draw: node incarnation user login|join 1..1000')
    end
    if kind == 'login' and logins.must_wait(c, a[1], user) then
        return {}
    end
    local bk = key(c, 'budget', user, kind)
    local connect = key(c, 'budget', user, 'connect')
    local most, window = limit(c, kind .. '_limit'), limit(c, kind .. '_window_ms')
    local waits = {}
    for i = 1, n do
        local at = slot_peek(c, bk, most, window)
        local empty_at
        if kind == 'login' then
            at, empty_at = connect_peek(c, connect, at, window)
        end
        if at > c.now + window then
            break
        end
        if empty_at then
            call('SET', connect, empty_at, 'PX', 3600000)
        end
        slot_take(bk, most, window, at)
        waits[i] = at - c.now
    end
    return waits
end

-- Half of a limit: what channels that nobody joined may use of it, so that there is always room for the others.
local function half(most)
    return most == math.huge and most or math.ceil(most / 2)
end

-- The keys a message to that channel draws from, and how much of each it may use.
function message_budgets(c, user, channel)
    local b = {
        window = limit(c, 'message_window_ms'),
        joined = call('HEXISTS', key(c, 'channels'), channel) == 1,
        gap = limit(c, 'channel_message_ms'),
        last = key(c, 'budget', user, 'channel') .. ':' .. channel,
        {name = 'all', key = key(c, 'budget', user, 'message_mod'), most = limit(c, 'message_mod_limit')},
    }
    if channel == user or call('HGET', key(c, 'channel', channel), 'moderator') == '1' then
        b.gap = math.huge
    else
        b[2] = {name = 'plain', key = key(c, 'budget', user, 'message'), most = limit(c, 'message_limit')}
    end
    return b
end

-- The time a message may be said at, and what holds it back until then: "all" or "plain" (the account's
-- limits), "unjoined" (the half of them), or "channel".
function message_peek(c, b)
    local at, by = c.now, 'channel'
    for _, budget in ipairs(b) do
        local free = slot_peek(c, budget.key, b.joined and budget.most or half(budget.most), b.window)
        if free > at then
            at, by = free, b.joined and budget.name or 'unjoined'
        end
    end
    if b.gap ~= math.huge then
        -- Further ahead than a claim is made: Redis's clock went back.
        local last = count_of(call('GET', b.last))
        local free = (last > c.now + CLAIM_AHEAD_MS and c.now or last) + b.gap
        if free > at then
            at, by = free, 'channel'
        end
    end
    return at, by
end

function message_take(b, at)
    for _, budget in ipairs(b) do
        slot_take(budget.key, budget.most, b.window, at)
    end
    if b.gap ~= math.huge then
        call('SET', b.last, at, 'PX', b.gap + 60000)
    end
end

end
