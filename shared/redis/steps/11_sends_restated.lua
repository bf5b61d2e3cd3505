-- Restate: what a node knows of its last minutes, where Redis may have forgotten it.

do -- seen in here alone

-- It may have been drawn when Redis had its last word written down, or before.
local KEPT_SLACK_MS = 1000

local FINAL = {sent = true, rejected = true, unknown = true}

-- Slots taken at these times, which are not in the list yet.
local function slots_add(bk, most, window, times)
    if most == math.huge then
        return
    end
    for _, at in ipairs(call('LRANGE', bk, 0, -1)) do
        times[#times + 1] = tonumber(at)
    end
    table.sort(times)
    slots_write(bk, times, math.max(1, #times - most + 1), window)
end

-- Notes a slot that Redis may have forgotten; `drawn` is a table of all those of a call.
local function slot_note(c, drawn, stated, bk, most, window)
    local since, wait = tonumber(stated.ago_ms), tonumber(stated.wait_ms)
    if not since or not wait or since < 0 or wait < 0 or wait < since - window or
        c.now - since < drawn.kept - KEPT_SLACK_MS then
        return
    end
    drawn[bk] = drawn[bk] or {most = most, window = window}
    table.insert(drawn[bk], math.min(c.now - since + wait, c.now + window))
end

-- A login is a new connection as well.
local function connects_add(c, bk, times)
    local interval = limit(c, 'connect_interval_ms')
    if interval == math.huge then
        return
    end
    local empty_at = tonumber(call('GET', bk) or 0)
    for _, at in ipairs(times) do
        empty_at = math.max(empty_at, at) + interval
    end
    call('SET', bk, empty_at, 'PX', 3600000)
end

local function slots_keep(c, drawn)
    for bk, slots in pairs(drawn) do
        if type(slots) == 'table' then
            table.sort(slots)
            local user = string.match(bk, ':budget:([^:]+):login$')
            if user then
                connects_add(c, key(c, 'budget', user, 'connect'), slots)
            end
            slots_add(bk, slots.most, slots.window, slots)
        end
    end
end

local function restate_draw(c, drawn, stated)
    local user = channel_name(tostring(stated.user))
    if user and (stated.kind == 'login' or stated.kind == 'join') then
        slot_note(c, drawn, stated, key(c, 'budget', user, stated.kind), limit(c, stated.kind .. '_limit'),
            limit(c, stated.kind .. '_window_ms'))
    end
end

local function text_of(value)
    return type(value) == 'string' and value or ''
end

-- The slots of a send that was said, or is about to be.
local function restate_message(c, drawn, stated, channel)
    local user = call('HGET', key(c, 'shard', text_of(stated.shard)), 'user') or setting(c, 'user')
    for _, budget in ipairs(message_budgets(c, user, channel)) do
        slot_note(c, drawn, stated, budget.key, budget.most, budget.window)
    end
end

-- The entry was claimed by this node, which says what becomes of it.
local function claim_again(c, node, send)
    local sk = key(c, 'sends')
    call('HSET', key(c, 'claims'), send.channel, send.entry .. ' ' .. node)
    call('HSET', key(c, 'node', node, 'claims'), send.entry, claim_note(send, c.now + limit(c, 'send_ttl_ms')))
    if not send.bytes then -- the stream has forgotten it
        return
    end
    if not call('ZSCORE', sk, member_of(send)) then -- not taken yet
        call('HINCRBY', key(c, 'queued'), send.channel, 1)
    end
    if send.given then
        call('HSET', key(c, 'ids'), send.channel .. ' ' .. send.id, send.entry)
    end
    call('ZADD', sk, c.now + CLAIM_MOST_MS, member_of(send))
end

-- One send: claimed, unclaimed, or its result.
local function restate_send(c, node, drawn, stated)
    local entry, channel = text_of(stated.entry), text_of(stated.channel)
    if not string.match(entry, '^%d+%-%d+$') or channel ~= (channel_name(channel) or '') then
        return
    end
    if stated.status == 'unclaimed' then
        local claimed, deadline = claimed_by(c, node, entry)
        if claimed then
            unclaim(c, claimed, deadline)
        end
        return
    end
    local send = outbox_entry(c, entry) or {entry = entry, channel = channel, id = text_of(stated.id)}
    if send.channel ~= channel or send.id == '' then
        return
    end
    restate_message(c, drawn, stated, channel)
    if known_result(c, send) then
        claimed_by(c, node, entry)
        unclaim(c, send, c.now)
        forget_send(c, send)
    elseif stated.status == 'claimed' then
        claim_again(c, node, send)
    elseif FINAL[stated.status] then
        claimed_by(c, node, entry)
        finish_send(c, send, stated.status, text_of(stated.reason), text_of(stated.text), stated.told == 1)
    end
end

-- What a node said, was told and drew (`report`, JSON), in portions: `last` (0 or 1) says that this
-- is the last one. back_ms: so far back Redis went, as this node knows. 0: it did not.
node_step('restate', 'last back_ms report', function(c, a)
    local node, back, report = a[1], tonumber(a[4]), read_report(c, a[5])
    if not back or not report then
        return nil
    end
    local ck = key(c, 'clock')
    local drawn = {kept = tonumber(call('HGET', ck, 'kept') or 0)}
    each_told(report, 'sends', nil, function(stated) restate_send(c, node, drawn, stated) end)
    each_told(report, 'draws', nil, function(stated) restate_draw(c, drawn, stated) end)
    slots_keep(c, drawn)
    if not restating(c) then
        return {'done'}
    end
    if back > 0 then -- others may come back that Redis does not know any more
        local until_ms = tonumber(call('HGET', ck, 'restate_until')) or c.now
        call('HSET', ck, 'restate_least', until_ms - limit(c, 'lease_ms'))
    end
    if a[3] == '1' then
        call('SADD', key(c, 'restated'), node)
    end
    return {'done'}
end)

end
