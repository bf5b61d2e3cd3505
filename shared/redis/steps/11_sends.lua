-- Sends: from the outbox to the connection: accepted, claimed, done.

local keep_claim, claimed_by, unclaim, keep_parts -- 11_sends_restated.lua needs them, too
do -- seen in here alone

local LISTENERS_LOOKED_AT = 100
local TOO_FAST = 'msg_ratelimit'
local ROOM_ID_SECONDS = 86400 -- a channel's id that was asked for is kept so long
-- What becomes of a send.
local SEND_STATUS = {sent = true, rejected = true, expired = true, unknown = true}

-- Was it entered already? A call whose answer was lost is made again, and may be carried out late.
-- So each process of a node counts what it enters.
local function entered_before(c, node, process, number)
    if number == '' then
        return false
    end
    local hk = key(c, 'heard', node)
    local last_process, last = string.match(call('GET', hk) or '', '^(%S+) (%d+)$')
    if last_process == process and tonumber(number) <= tonumber(last) then
        return true
    end
    call('SET', hk, process .. ' ' .. number, 'EX', RESULT_SECONDS)
    return false
end

-- Fields of an entry.
local TOLD = {'channel', 'text', 'id', 'reply_to', 'user', 'ttl_ms', 'by', 'command', 'priority', 'split'}

-- A send heard on the topic age_ms ago becomes an outbox entry: "accepted", entry | "refused",
-- entry | "again" `command` and `split` are 0 or 1.
local HEARD = 'channel id text reply_to user ttl_ms by command priority split process number age_ms problem'
node_step('send_accept', HEARD, function(c, a)
    local heard, fields = by_name(c, a), {}
    if entered_before(c, a[1], heard.process, heard.number) then
        return {'again'}
    end
    for _, name in ipairs(TOLD) do
        if name == 'channel' or name == 'text' or (heard[name] ~= '' and heard[name] ~= '0') then
            fields[#fields + 1], fields[#fields + 2] = name, heard[name]
        end
    end
    local entry = call('XADD', key(c, 'outbox'), '*', unpack(fields))
    local send = send_of(entry, fields)
    local status = take_send(c, send, c.now - count_of(heard.age_ms), heard.problem ~= '' and heard.problem or nil)
    tell_taken(c, a[1])
    return {status and 'refused' or 'accepted', told_entry(send)}
end)

-- What waits, from that place in their order on, for this node to say: "more" (from + 500 is the
-- next place) | "done", send_ttl_ms, channel, entry, ... Behind an entry stands its priority ("h",
-- "l").
node_step('send_list', 'from', function(c, a)
    local from = tonumber(a[3])
    if not from then
        return nil
    end
    local waiting = call('ZRANGE', key(c, 'sends'), from, from + SENDS_PER_LIST - 1)
    local answer, here = {#waiting == SENDS_PER_LIST and 'more' or 'done', limit(c, 'send_ttl_ms')}, {}
    for _, member in ipairs(waiting) do
        local send = send_of_member(member)
        if send and here[send.channel] == nil then
            here[send.channel] = select(2, sender_of(c, send.channel)) == a[1]
        end
        if send and here[send.channel] then
            answer[#answer + 1], answer[#answer + 2] = send.channel, told_entry(send)
        end
    end
    return answer
end)

-- A connection that listens, and since when it is to be killed (0: it is not). It is named twice, a
-- lease apart: who was to kill it the first time may have lost his own connection in that moment.
local function listener_of(value)
    local id, named = string.match(value or '', '^(%d+) ?(%d*)$')
    return count_of(id), count_of(named)
end

-- Is that connection of the node there? It hears what the node is told.
local function is_connected(c, node)
    return call('PUBSUB', 'NUMSUB', c.topic .. 'node:' .. node)[2] > 0
end

-- Connections that still listen, of nodes that are gone, or could yet begin to (the node stands
-- still behind the answer that it may): some are looked at, from where an earlier call ended.
-- `heard`: somebody listens.
local function listeners_gone(c, lk, node, heard, gone)
    local ck = key(c, 'clock')
    local cursor = string.match(call('HGET', ck, 'listeners') or '', '^%d+$') or '0'
    local found = call('HSCAN', lk, cursor, 'COUNT', LISTENERS_LOOKED_AT)
    call('HSET', ck, 'listeners', found[1])
    local others = {}
    for i = 1, #found[2], 2 do
        others[#others + 1] = found[2][i]
    end
    for i, deadline in ipairs(call_all('ZMSCORE', key(c, 'nodes'), others)) do
        local other = others[i]
        local id, named = listener_of(found[2][2 * i])
        if other ~= node and other ~= ' ' and named <= c.now - limit(c, 'lease_ms') and
            count_of(deadline) < c.now and (heard or is_connected(c, other)) then
            gone[#gone + 1] = id
            if named == 0 then
                call('HSET', lk, other, id .. ' ' .. c.stamp)
            else
                call('HDEL', lk, other)
            end
        end
    end
end

-- Who listens to these topics, and who is not to any more? patience ms, {count, ...}, {link, ...}:
-- connections of nodes that are gone; while there are some, nobody begins to listen.
node_step('send_listen', 'link run_id topic...', function(c, a)
    local node, link, run_id = a[1], a[3], a[4]
    local lk = key(c, 'listeners')
    if call('HGET', lk, ' ') ~= run_id then
        call('DEL', lk) -- another server: there these ids are somebody else's
        call('HSET', lk, ' ', run_id)
    end
    local counts, gone, heard = {}, {}, false
    local found = call('PUBSUB', 'NUMSUB', unpack(a, 5))
    for i = 2, #found, 2 do
        counts[#counts + 1] = found[i]
        heard = heard or found[i] > 0
    end
    local before = listener_of(call('HGET', lk, node))
    if before ~= 0 and before ~= count_of(link) then
        gone[1] = before
    end
    call('HSET', lk, node, link)
    listeners_gone(c, lk, node, heard, gone)
    return {math.ceil(1.5 * limit(c, 'lease_ms')), counts, gone}
end)

-- Until when a send may be said, or its claimer may be silent; and whether its channel has a
-- claimed one.
local function send_deadline(c, send)
    local claimed, node = claim_of(c, send)
    local deadline = whole(call('ZSCORE', key(c, 'sends'), member_of(send))) or c.now
    if claimed then
        return deadline, true
    end
    local entered = math.min(tonumber(string.match(send.entry, '^%d+')), c.now)
    return math.min(deadline, entered + ttl_of(c, send)), node
end

-- The send is claimed by this node, which may say it as `user` until `deadline`, and nothing of it
-- until `silent_ms`.
function keep_claim(c, node, send, user, deadline, silent_ms)
    call('HSET', key(c, 'claims'), send.channel, send.entry .. ' ' .. node)
    call('HSET', key(c, 'node', node, 'claims'), send.entry,
        cjson.encode({send.channel, send.id, send.by or '', deadline, user, send.sign or '', send.split or ''}))
    if send.given then
        call('HSET', key(c, 'ids'), send.channel .. ' ' .. send.id, send.entry)
    end
    -- (Without its size, it is not from the stream, which has forgotten it.)
    if send.bytes and call('ZADD', key(c, 'sends'), silent_ms, member_of(send)) == 1 then
        call('HINCRBY', key(c, 'queued'), send.channel, 1) -- it was not taken before
    end
end

-- A channel's id at Twitch; nil: it can be none.
local function room_id_of(text)
    return text and #text <= 20 and string.match(text, '^%d+$')
end

-- How the user says it ("irc", "helix", "helix_app"), and the channel's id, where it is known.
local function way_of(c, user, channel)
    local say_by = call('HGET', key(c, 'account', user), 'say_by')
    local told = room_id_of(call('HGET', key(c, 'channel', channel), 'room_id'))
    return accounts.SAY_BY[say_by] and say_by or 'irc',
        told or room_id_of(call('GET', key(c, 'room_id', channel))) or ''
end

-- A node that asked Twitch for a channel's id keeps it here. "kept"
node_step('keep_room_id', 'channel room_id', function(c, a)
    if not login_of(a[3]) or not room_id_of(a[4]) then
        return nil
    end
    call('SET', key(c, 'room_id', a[3]), a[4], 'EX', ROOM_ID_SECONDS)
    return {'kept'}
end)

-- The send is this node's to say, as soon as the budgets allow it.
local function claim(c, node, send, deadline, shard, user)
    local reason, text = muted.refusal(c, user, deadline)
    if reason then
        return {'done', not_said(c, send, 'rejected', reason, text)}
    end
    local muted_until = muted.until_ms(c, user)
    if muted_until then
        return {'later', muted_until - c.now, 'muted', user}
    end
    local budgets = message_budgets(c, user, send.channel)
    budgets.low = send.priority == 'low'
    local at, by = message_peek(c, budgets)
    -- What was said in its own channel holds it back alone: no slot is kept for it meanwhile that
    -- others may use.
    local ahead = by == 'channel' and 0 or CLAIM_AHEAD_MS
    if at > deadline then
        return {'done', not_said(c, send, 'expired')}
    elseif at > c.now + ahead then
        return {'later', at - c.now, by, user}
    end
    local said = send.split == '1' and count_of(string.match(parts_said(c, send) or '', '^%d')) or -1
    message_take(budgets, at)
    keep_claim(c, node, send, user, deadline, at + CLAIM_MOST_MS)
    return {'claimed', at - c.now, send.channel, shard, send.id, send.text, send.reply_to or '', send.command or '',
        deadline - c.now, budgets.pace, said, user, way_of(c, user, send.channel)}
end

-- "gone" | "done", status | "busy" | "later", ms, by, user | "elsewhere" |
-- "claimed", wait ms, channel, shard, id, text, reply_to, as_command, ms that are left of its time,
-- ms that it waits if Twitch finds it too fast, parts of it that were said (-1: it is not split),
-- user, say_by, room_id ("" where it is not known)
node_step('send_claim', 'entry', function(c, a)
    if restating(c) then
        return {'later', RESTATE_LOOK_MS, 'channel', ''}
    end
    local send = outbox_entry(c, a[3])
    if not send then
        return {'gone'}
    end
    local status = take_send(c, send)
    if status then
        return {'done', status}
    end
    local deadline, claimed = send_deadline(c, send)
    status = c.now > deadline and settle(c, send) or send.given and told_again(c, send)
    if status then
        return {'done', status}
    end
    local shard, serving, user = sender_of(c, send.channel)
    local reason, text = user_refused(send, user)
    if claimed then
        return {'busy'}
    elseif reason then
        return {'done', not_said(c, send, 'rejected', reason, text)}
    elseif not shard or serving ~= a[1] then
        return {'elsewhere'}
    end
    return claim(c, a[1], send, deadline, shard, user)
end)

-- As whom a send that was claimed is said.
local function said_by(c, send)
    return send.said_by or setting(c, 'user')
end

-- The claimer's own claim, which is taken back, or nil. And the send's deadline.
function claimed_by(c, node, entry)
    local ck = key(c, 'node', node, 'claims')
    local note = call('HGET', ck, entry)
    call('HDEL', ck, entry)
    return noted_claim(entry, note)
end

-- So many parts of it were said.
function keep_parts(c, entry, parts)
    local known = parts_said(c, {entry = entry})
    if not known or known < parts then
        call('SET', key(c, 'parts', entry), parts, 'EX', REFUSED_SECONDS)
    end
end

function unclaim(c, send, deadline)
    drop_claim(c, send)
    call('ZADD', key(c, 'sends'), 'XX', deadline or c.now + limit(c, 'send_ttl_ms'), member_of(send))
end

-- A step of a node that has claimed a send, which is taken back. `read` makes of the arguments what
-- the step needs; nil: they are not as they should be. One that has not restated tells what became
-- of a send: it may not be known here yet.
local function claimer_step(name, usage, read, run)
    node_step(name, 'entry ' .. usage, function(c, a)
        if must_restate(c, a[1]) then
            return redis.error_reply('LATER node ' .. shown(a[1]) .. ' has to restate first')
        end
        local told = read(a)
        local send, deadline
        if told then
            send, deadline = claimed_by(c, a[1], a[3])
        end
        return told and (send and run(c, send, told, deadline) or {'gone'})
    end)
end

-- It may be claimed again.
local function taken_back(c, send, deadline)
    unclaim(c, send, deadline)
    return {'unclaimed'}
end

-- Surely not written.
claimer_step('send_unclaim', '', function()
    return {}
end, function(c, send, _, deadline)
    return taken_back(c, send, deadline)
end)

-- Not said, as Twitch has said, for a reason that passes: tried again in wait_ms at the earliest.
claimer_step('send_later', 'wait_ms msg_id', function(a)
    local wait_ms = whole(a[4])
    return wait_ms and wait_ms >= 0 and {wait_ms = wait_ms, msg_id = a[5]} or nil
end, function(c, send, told, deadline)
    local user = said_by(c, send)
    message_refused(c, user, send.channel, told.wait_ms)
    if told.msg_id == TOO_FAST then
        muted.too_fast(c, user)
    end
    return taken_back(c, send, deadline)
end)

-- One part was said; the next is claimed as any send. `parts`: "1/3", after the first.
claimer_step('send_part', 'parts said_ms', function(a)
    local parts = parts_of(a[4])
    return parts and {parts = parts, said_ms = count_of(a[5])}
end, function(c, send, told, deadline)
    local user = said_by(c, send)
    message_said(c, user, send.channel, c.now - told.said_ms, '')
    muted.said(c, user)
    keep_parts(c, send.entry, told.parts)
    return taken_back(c, send, deadline)
end)

-- The one result. said_ms: it was written so long ago. Where Twitch told them: message_id, and
-- standing ("moderator", "vip" or "none"), else "". parts: "3/3", of a text that is split.
claimer_step('send_done', 'sent|rejected|expired|unknown reason text said_ms message_id standing parts', function(a)
    return SEND_STATUS[a[4]] and {status = a[4], reason = a[5], text = a[6], said_ms = count_of(a[7]),
        message_id = a[8], standing = a[9], parts = parts_of(a[10])}
end, function(c, send, told)
    local user = said_by(c, send)
    message_said(c, user, send.channel, c.now - told.said_ms, told.standing)
    if told.status == 'sent' then
        muted.said(c, user)
    elseif told.reason == TOO_FAST then
        muted.too_fast(c, user)
    end
    send.message_id, send.parts = told.message_id, told.parts
    finish_send(c, send, told.status, told.reason, told.text)
    return {'done'}
end)

end
