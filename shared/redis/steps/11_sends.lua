-- Sends: from the outbox to the connection: accepted, claimed, done.

local claimed_by, unclaim -- 11_sends_restated.lua needs them, too
do -- seen in here alone

-- Was it entered already? A call whose answer was lost is made again, and may be carried out late: each process
-- of a node counts what it enters.
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

-- send_accept: node incarnation channel id text reply_to user ttl_ms by as_command(0/1) process number age_ms problem
-- A send heard on the topic age_ms ago becomes an outbox entry: "accepted", entry | "refused", entry | "again"
function steps.send_accept(keys, a)
    local c, failed = context(keys)
    if failed then
        return failed
    end
    if #a ~= 14 then
        return badarg('send_accept: node incarnation channel id text reply_to user ttl_ms by as_command ' ..
            'process number age_ms problem')
    end
    local lost = node_check(c, a[1], a[2])
    if lost then
        return lost
    end
    if entered_before(c, a[1], a[11], a[12]) then
        return {'again'}
    end
    local fields = {'channel', a[3], 'text', a[5]}
    for i, name in pairs({[4] = 'id', [6] = 'reply_to', [7] = 'user', [8] = 'ttl_ms', [9] = 'by',
        [10] = 'command'}) do
        if a[i] ~= '' and a[i] ~= '0' then
            fields[#fields + 1] = name
            fields[#fields + 1] = a[i]
        end
    end
    local entry = call('XADD', key(c, 'outbox'), '*', unpack(fields))
    local status = take_send(c, send_of(entry, fields), c.now - count_of(a[13]),
        a[14] ~= '' and a[14] or nil)
    tell_taken(c, a[1])
    return {status and 'refused' or 'accepted', entry}
end

-- send_list: node incarnation from. What waits, from that place in their order on, for this node to say:
-- "more" (from + 500 is the next place) | "done", send_ttl_ms, channel, entry, ...
function steps.send_list(keys, a)
    local c, failed = context(keys)
    if failed then
        return failed
    end
    local lost = node_check(c, a[1], a[2])
    if lost then
        return lost
    end
    local from = tonumber(a[3])
    if not from then
        return badarg('send_list: node incarnation from')
    end
    local waiting = call('ZRANGE', key(c, 'sends'), from, from + SENDS_PER_LIST - 1)
    local answer, here = {#waiting == SENDS_PER_LIST and 'more' or 'done', limit(c, 'send_ttl_ms')}, {}
    for _, member in ipairs(waiting) do
        local send = send_of_member(member)
        if send and here[send.channel] == nil then
            here[send.channel] = select(2, sender_of(c, send.channel)) == a[1]
        end
        if send and here[send.channel] then
            answer[#answer + 1] = send.channel
            answer[#answer + 1] = send.entry
        end
    end
    return answer
end

-- A connection that listens, and since when it is to be killed (0: it is not). It is named twice, a lease apart: who
-- was to kill it the first time may have lost his own connection in that moment.
local function listener_of(value)
    local id, named = string.match(value or '', '^(%d+) ?(%d*)$')
    return count_of(id), count_of(named)
end

-- send_listen: node incarnation link run_id topic... Who listens to these topics, and who is not to any more?
-- patience ms, {count, ...}, {link, ...}: connections of nodes that are gone, which still listen.
function steps.send_listen(keys, a)
    local c, failed = context(keys)
    if failed then
        return failed
    end
    local node, link, run_id = a[1], a[3], a[4]
    local lost = node_check(c, node, a[2])
    if lost then
        return lost
    end
    local lk = key(c, 'listeners')
    if call('HGET', lk, ' ') ~= run_id then
        call('DEL', lk) -- another server: there these ids are somebody else's
        call('HSET', lk, ' ', run_id)
    end
    local counts, gone, heard = {}, {}, false
    for i = 5, #a do
        counts[#counts + 1] = call('PUBSUB', 'NUMSUB', a[i])[2]
        heard = heard or counts[#counts] > 0
    end
    local before = listener_of(call('HGET', lk, node))
    if before ~= 0 and before ~= count_of(link) then
        gone[1] = before
    end
    call('HSET', lk, node, link)
    local all = heard and call('HGETALL', lk) or {}
    for i = 1, #all, 2 do
        local id, named = listener_of(all[i + 1])
        if all[i] ~= node and all[i] ~= ' ' and named <= c.now - limit(c, 'lease_ms') and
            count_of(call('ZSCORE', key(c, 'nodes'), all[i])) < c.now then
            gone[#gone + 1] = id
            if named == 0 then
                call('HSET', lk, all[i], id .. ' ' .. c.now)
            else
                call('HDEL', lk, all[i])
            end
        end
    end
    return {math.ceil(1.5 * limit(c, 'lease_ms')), counts, gone}
end

-- Until when a send may be said, or its claimer may be silent; and whether its channel has a claimed one.
local function send_deadline(c, send)
    local claim = call('HGET', key(c, 'claims'), send.channel)
    local deadline = whole(call('ZSCORE', key(c, 'sends'), member_of(send))) or c.now
    if claim and string.match(claim, '^%S+') == send.entry then
        return deadline, true
    end
    local entered = math.min(tonumber(string.match(send.entry, '^%d+')), c.now)
    return math.min(deadline, entered + ttl_of(c, send)), claim
end

-- send_claim: node incarnation entry (empty node and incarnation: only settles what can be)
-- "gone" | "done", status | "busy" | "later", ms, by, user | "elsewhere" |
-- "claimed", wait ms, channel, shard, id, text, reply_to, as_command
function steps.send_claim(keys, a)
    local c, failed = context(keys)
    if failed then
        return failed
    end
    local node, entry = a[1], a[3]
    if node ~= '' then
        local lost = node_check(c, node, a[2])
        if lost then
            return lost
        end
    end
    if restating(c) then
        return {'later', RESTATE_LOOK_MS, 'channel', ''}
    end
    local send = outbox_entry(c, entry)
    if not send then
        return {'gone'}
    end
    local status = take_send(c, send)
    if status then
        return {'done', status}
    end
    local deadline, claimed = send_deadline(c, send)
    if c.now > deadline then
        return {'done', settle(c, send)}
    end
    local known = send.given and told_again(c, send)
    if known then
        return {'done', known}
    end
    local channel = send.channel
    local shard, serving, user = sender_of(c, channel)
    local reason, text = user_refused(send, user or setting(c, 'user'))
    if claimed then
        return {'busy'}
    elseif reason then
        return {'done', not_said(c, send, 'rejected', reason, text)}
    elseif not shard or serving ~= node or node == '' then
        return {'elsewhere'}
    end
    local budgets = message_budgets(c, user, channel)
    local at, by = message_peek(c, budgets)
    -- What was said in its own channel holds it back alone: no slot is kept for it meanwhile that others may use.
    local ahead = by == 'channel' and 0 or CLAIM_AHEAD_MS
    if at > deadline then
        return {'done', not_said(c, send, 'expired')}
    elseif at > c.now + ahead then
        return {'later', at - c.now, by, user}
    end
    message_take(budgets, at)
    call('HSET', key(c, 'claims'), channel, entry .. ' ' .. node)
    if send.given then
        call('HSET', key(c, 'ids'), channel .. ' ' .. send.id, entry)
    end
    call('HSET', key(c, 'node', node, 'claims'), entry, claim_note(send, deadline))
    call('ZADD', key(c, 'sends'), at + CLAIM_MOST_MS, member_of(send))
    return {'claimed', at - c.now, channel, shard, send.id, send.text, send.reply_to or '', send.command or ''}
end

-- The claimer's own claim, or nil; it is taken back. And the send's deadline.
function claimed_by(c, node, entry)
    local ck = key(c, 'node', node, 'claims')
    local note = call('HGET', ck, entry)
    if not note then
        return nil
    end
    call('HDEL', ck, entry)
    return noted_claim(entry, note)
end

function unclaim(c, send, deadline)
    if string.match(call('HGET', key(c, 'claims'), send.channel) or '', '^%S*') == send.entry then
        call('HDEL', key(c, 'claims'), send.channel)
    end
    call('ZADD', key(c, 'sends'), 'XX', deadline or c.now + limit(c, 'send_ttl_ms'), member_of(send))
end

-- send_unclaim: node incarnation entry. Surely not written: it may be claimed again.
function steps.send_unclaim(keys, a)
    local c, failed = context(keys)
    if failed then
        return failed
    end
    local lost = node_check(c, a[1], a[2]) or too_early(c, a[1])
    if lost then
        return lost
    end
    local send, deadline = claimed_by(c, a[1], a[3])
    if not send then
        return {'gone'}
    end
    unclaim(c, send, deadline)
    return {'unclaimed'}
end

local STATUS = {sent = true, rejected = true, expired = true, unknown = true}

-- send_done: node incarnation entry status reason text said_ms (it was written so long ago)
function steps.send_done(keys, a)
    local c, failed = context(keys)
    if failed then
        return failed
    end
    local lost = node_check(c, a[1], a[2]) or too_early(c, a[1])
    if lost then
        return lost
    end
    if #a ~= 7 or not STATUS[a[4]] then
        return badarg('send_done: node incarnation entry sent|rejected|expired|unknown reason text said_ms')
    end
    local send = claimed_by(c, a[1], a[3])
    if not send then
        return {'gone'}
    end
    message_said(c, send.channel, c.now - count_of(a[7]))
    finish_send(c, send, a[4], a[5], a[6])
    return {'done'}
end

end
