-- Restate: what a node knows of its last minutes, where Redis may have forgotten it.

do -- seen in here alone

-- It may have been drawn when Redis had its last word written down, or before.
local KEPT_SLACK_MS = 1000

local FINAL = {sent = true, rejected = true, unknown = true}

-- Notes a slot that Redis may have forgotten in c.drawn.
local function slot_note(c, stated, bk, most, window)
    local since, wait = tonumber(stated.ago_ms), tonumber(stated.wait_ms)
    if not since or not wait or since < 0 or wait < 0 or wait < since - window or
        c.now - since < c.kept - KEPT_SLACK_MS then
        return
    end
    c.drawn[bk] = c.drawn[bk] or {most = most, window = window}
    table.insert(c.drawn[bk], math.min(c.now - since + wait, c.now + window))
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

-- The slots in c.drawn are taken.
local function slots_keep(c)
    for bk, slots in pairs(c.drawn) do
        table.sort(slots)
        local user = string.match(bk, ':budget:([^:]+):login$')
        if user then
            connects_add(c, key(c, 'budget', user, 'connect'), slots)
        end
        if slots.most ~= math.huge then
            for _, at in ipairs(call('LRANGE', bk, 0, -1)) do
                slots[#slots + 1] = tonumber(at)
            end
            table.sort(slots)
            slots_write(bk, slots, math.max(1, #slots - slots.most + 1), slots.window)
        end
    end
end

local function restate_draw(c, stated)
    local user = channel_name(tostring(stated.user))
    if user and (stated.kind == 'login' or stated.kind == 'join') then
        slot_note(c, stated, key(c, 'budget', user, stated.kind), limit_of(c, user, stated.kind .. '_limit'),
            limit(c, stated.kind .. '_window_ms'))
    end
end

local function text_of(value)
    return type(value) == 'string' and value or ''
end

-- One send: claimed, unclaimed, or its result.
local function restate_send(c, node, stated)
    local entry, channel = text_of(stated.entry), text_of(stated.channel)
    if not string.match(entry, '^%d+%-%d+$') or channel ~= (channel_name(channel) or '') then
        return
    end
    local parts = parts_of(text_of(stated.parts))
    if parts then
        keep_parts(c, entry, parts)
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
    local user = call('HGET', key(c, 'shard', text_of(stated.shard)), 'user') or setting(c, 'user')
    for _, budget in ipairs(message_budgets(c, user, channel)) do -- it was said, or is about to be
        slot_note(c, stated, budget.key, budget.most, budget.window)
    end
    if known_result(c, send) then
        claimed_by(c, node, entry)
        unclaim(c, send, c.now)
        forget_send(c, send)
    elseif stated.status == 'claimed' then
        keep_claim(c, node, send, user, c.now + limit(c, 'send_ttl_ms'), c.now + CLAIM_MOST_MS)
    elseif FINAL[stated.status] then
        claimed_by(c, node, entry)
        send.message_id, send.parts = text_of(stated.message_id), parts
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
    c.kept, c.drawn = tonumber(call('HGET', ck, 'kept') or 0), {}
    each_told(report, 'sends', nil, function(stated) restate_send(c, node, stated) end)
    each_told(report, 'draws', nil, function(stated) restate_draw(c, stated) end)
    slots_keep(c)
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
