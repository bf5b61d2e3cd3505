-- Budgets: what Twitch allows a user: slots of a sliding window that slides for the whole cluster.

local slots_write -- what others use, this and:
local message_budgets, message_peek, message_take, message_said, message_refused

do -- seen in here alone

-- A slot further ahead than it may be, and this, was taken before Redis's clock went back.
local AHEAD_MOST_MS = 5000
local DRAWS_AT_ONCE = 1000
local REFUSED_PACE_MS = 1000 -- where there is no other
local REFUSED_MOST_MS = 600000
local RUN_MOST = 10
local SLOW_MOST = 3600 -- seconds
local SLOW_MARGIN_MS = 500

-- These are the slots, those from number `first` on.
function slots_write(bk, slots, first, window)
    call('DEL', bk)
    for from = first, #slots, 1000 do
        call('RPUSH', bk, unpack(slots, from, math.min(from + 999, #slots)))
    end
    call('PEXPIRE', bk, 3 * window + 60000)
end

-- The last of these slots is further ahead than any can be. Where Redis's clock went back, they all
-- move with it, as far as it is known to have gone. Else all count as taken now, and the next is a
-- window away. Answers the last one.
local function slots_move(c, bk, last, most, window, ahead)
    watch_clock(c, limit(c, 'lease_ms'))
    local back = count_of(call('HGET', key(c, 'clock'), 'back'))
    local moved = {}
    if last - back <= c.now + ahead + AHEAD_MOST_MS then
        for i, slot in ipairs(call('LRANGE', bk, 0, -1)) do
            moved[i] = math.max(0, math.min(count_of(slot), last) - back)
        end
    else
        for i = 1, math.max(most, #call('LRANGE', bk, 0, -1)) do
            moved[i] = c.now
        end
    end
    slots_write(bk, moved, 1, window)
    return moved[#moved]
end

-- The times of the last `most` slots are a list in their order. A new slot is not before the oldest
-- of them left the window. It may be before slots that were taken ahead: these wait for something
-- else as well (their channel's pace, a narrower limit), which holds up nobody who has room. None
-- is taken further ahead than `ahead`.
local function slot_peek(c, bk, most, window, ahead)
    if most == math.huge then
        return c.now
    end
    local last = count_of(call('LINDEX', bk, -1))
    if last > c.now + ahead + AHEAD_MOST_MS then
        last = slots_move(c, bk, last, most, window, ahead)
    end
    local oldest = most == 1 and last or call('LINDEX', bk, -most)
    return math.max(c.now, oldest and math.min(count_of(oldest), last, c.now + ahead) + window or 0)
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

-- New connections: a burst, then one an interval (a leaky bucket kept as the time it is empty). The
-- time of the next one, not before `after`, and what to keep once it is taken.
local function connect_peek(c, bk, after, window)
    local interval = limit(c, 'connect_interval_ms')
    if interval == math.huge then
        return after, nil
    end
    local burst = limit(c, 'connect_burst')
    local empty_at = math.max(count_of(call('GET', bk)), after)
    -- From before the clock went back.
    if empty_at > c.now + window + burst * interval + AHEAD_MOST_MS then
        empty_at = c.now + burst * interval
        call('SET', bk, empty_at, 'PX', 3600000)
    end
    return math.max(after, empty_at - (burst - 1) * interval), empty_at + interval
end

-- One more slot of the user's budget: the wait until then, or nil where that would be more than a
-- window.
local function draw_one(c, user, kind, bk, most, window)
    local at, empty_at = slot_peek(c, bk, most, window, window), nil
    local connect = key(c, 'budget', user, 'connect')
    if kind == 'login' then
        at, empty_at = connect_peek(c, connect, at, window)
    end
    if at > c.now + window then
        return nil
    end
    if empty_at then
        call('SET', connect, empty_at, 'PX', 3600000)
    end
    slot_take(bk, most, window, at)
    return at - c.now
end

-- {wait ms, ...}: fewer than n where the rest would be more than a window away. kind: "login" or
-- "join".
node_step('draw', 'user kind n', function(c, a)
    if restating(c) then
        return {}
    end
    local user, kind, n = a[3], a[4], tonumber(a[5])
    if not channel_name(user) or (kind ~= 'login' and kind ~= 'join') or not n or n < 1 or n > DRAWS_AT_ONCE then
        return nil
    end
    if kind == 'login' and logins.must_wait(c, a[1], user) then
        return {}
    end
    local most, window = limit_of(c, user, kind .. '_limit'), limit(c, kind .. '_window_ms')
    local waits = {}
    for i = 1, n do
        waits[i] = draw_one(c, user, kind, key(c, 'budget', user, kind), most, window)
        if not waits[i] then
            break
        end
    end
    return waits
end)

-- The least time between two messages in a room with these modes (as nodes tell them:
-- "slow=30 subs-only"), or nil.
local function pace_of(c, room)
    local pace = limit(c, 'channel_message_ms')
    local slow = string.match(' ' .. string.sub(room or '', 1, 100), ' slow=(%d+)')
    slow = slow and math.min(count_of(slow), SLOW_MOST) * 1000 + SLOW_MARGIN_MS
    if pace == math.huge then
        return slow
    end
    return math.max(pace, slow or 0)
end

-- The budgets a message to that channel draws from, the channel's own first: it keeps its pace
-- (`gap`, the time between two; a moderator or VIP has none), and to its `share` where it is not
-- the only joined channel: three quarters of what the account may say, but one slot at least.
function message_budgets(c, user, channel)
    local bk, window = key(c, 'budget', user), limit(c, 'message_window_ms')
    local least = limit_of(c, user, 'message_mod_limit')
    local own = {key = bk .. ':channel:' .. channel, refused = bk .. ':wait:' .. channel, window = window}
    local b = {own, {name = 'all', key = bk .. ':message_mod', most = least, window = window}}
    local standing = standing_of(c, user, channel)
    if standing ~= 'moderator' then
        b[3] = {name = 'plain', key = bk .. ':message', most = limit_of(c, user, 'message_limit'), window = window}
        least = math.min(least, b[3].most)
    end
    if not standing then
        own.gap = pace_of(c, call('HGET', key(c, 'channel', channel), 'room'))
        own.window = math.max(window, own.gap or 0)
    end
    own.share = math.max(1, math.floor(least * 3 / 4))
    own.most = own.share ~= math.huge and own.share or own.gap and 1 or math.huge -- of them kept
    b.joined = call('HEXISTS', key(c, 'channels'), channel) == 1
    return b
end

-- Twitch has refused to say anything there until then, as often in a row.
local function refused_until(c, own)
    local until_ms, run = string.match(call('GET', own.refused) or '', '^(%d+) (%d+)$')
    until_ms = count_of(until_ms)
    if until_ms > c.now + REFUSED_MOST_MS then
        until_ms = 0 -- Redis's clock went back
    end
    return until_ms, math.min(count_of(run), RUN_MOST)
end

-- How long nothing goes there after a message that was too fast: its pace, doubled with each.
local function refused_pace(own, run)
    return math.min((own.gap or REFUSED_PACE_MS) * 2 ^ run, REFUSED_MOST_MS)
end

-- Twitch has not said what `user` wanted said there, for now: nothing more of it goes there for
-- wait_ms.
function message_refused(c, user, channel, wait_ms)
    local own = message_budgets(c, user, channel)[1]
    local _, run = refused_until(c, own)
    wait_ms = math.min(wait_ms, REFUSED_MOST_MS)
    call('SET', own.refused, string.format('%d %d', c.now + wait_ms, run + 1), 'PX',
        string.format('%d', 3 * wait_ms + 10000))
end

-- The time a message may be said at, and what holds it back until then: "all" or "plain" (the
-- account's limits), "low" (the three quarters of them that low priority may use), "unjoined" (the
-- half of them, which is what channels that nobody joined may use, so that there is always room for
-- the others), or "channel" (what was said there: its share of them, its pace, that Twitch refused
-- what came last).
function message_peek(c, b)
    local own, at, by = b[1], c.now, 'channel'
    if b.joined and own.share ~= math.huge and call('HLEN', key(c, 'channels')) > 1 then
        at = slot_peek(c, own.key, own.share, b[2].window, CLAIM_AHEAD_MS)
    end
    if own.gap then
        at = math.max(at, slot_peek(c, own.key, 1, own.gap, CLAIM_AHEAD_MS))
    end
    local until_ms, run = refused_until(c, own)
    at = math.max(at, until_ms)
    b.pace = refused_pace(own, run)
    for i = 2, #b do
        local most = b.joined and b[i].most or math.ceil(b[i].most / 2)
        if b.low then
            most = math.min(most, math.max(1, math.floor(b[i].most * 3 / 4)))
        end
        local free = slot_peek(c, b[i].key, most, b[i].window, CLAIM_AHEAD_MS)
        if free > at then
            at, by = free, b.low and 'low' or b.joined and b[i].name or 'unjoined'
        end
    end
    return at, by
end

function message_take(b, at)
    for _, budget in ipairs(b) do
        slot_take(budget.key, budget.most, budget.window, at)
    end
    -- What left the window of the channel's own goes, faster than it comes: the share may be far
    -- more than is ever said there.
    local own = b[1]
    for _ = 1, own.most > 1 and 2 or 0 do
        local oldest = call('LINDEX', own.key, 0)
        if oldest and count_of(oldest) < at - own.window then
            call('LTRIM', own.key, 1, -1)
        end
    end
end

-- The user's last message to the channel was written at `at`, which may be later than its slot: the
-- next keeps its pace from then on. (The account's windows are wide enough for that.) Twitch told
-- with it as what the user stands there ("": it did not).
function message_said(c, user, channel, at, standing)
    if standing ~= '' then
        local shard = shard_id(call('HGET', key(c, 'channels'), channel))
        rooms.told(c, user, {[channel] = standing}, shard and user_of(c, shard) == user)
    end
    local own = message_budgets(c, user, channel)[1]
    local slot = whole(call('LINDEX', own.key, -1))
    if slot and slot < at then
        call('LTRIM', own.key, 0, -2)
        slot_take(own.key, own.most, own.window, at)
    end
end

end
