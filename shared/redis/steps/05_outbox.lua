-- Outbox: what applications want said, from XADD to the one result. Claims are in 11_sends.lua.
--
-- Each entry is *taken* once: cut, looked at, and refused or known from then on. No field of an
-- entry leaves Redis before that: it may have 500 MB. What is known, and has no result yet:
--   sends   zset  "ENTRY CHANNEL ID" -> when it must be settled (its ttl, or a claimer's time); the
--                 entry with its priority behind it, if that is not normal (SIGNS)
--   queued  hash  channel -> how many of them
--   ids     hash  "CHANNEL ID" -> the entry; of several with that id the one whose result all have:
--                 the one that was claimed last, else the first

local SETTLE = 100           -- settled in one step
local MAX_ENTRY_BYTES = 8192 -- of all names and values of an entry
local MAX_TEXT = 500         -- characters
local MAX_PARTS = 5          -- of so many, of a text that is split
local SIGNS = {high = 'h', normal = '', low = 'l'} -- of priorities

-- Fields that are known, and the most bytes each is kept of: one more than it may have.
local SEND_FIELDS = {
    id = MAX_ID + 1, channel = 64, text = MAX_ENTRY_BYTES + 1, reply_to = MAX_ID + 1, user = 64,
    ttl_ms = 16, by = MAX_ID + 1, command = 8, priority = 8, split = 8,
}

-- Why a send cannot be known by that id, or nil.
local function id_problem(id)
    if string.match(id, '^%d+%-%d+$') then -- who could choose one of those, could take another's
        return 'id: digits, a dash and digits are kept for ids that Redis gives; "' .. shown(id) .. '" is such a one.'
    end
    return not usable_id(id) and 'id: has at most ' .. MAX_ID .. ' bytes, in UTF-8; this one has not.' or nil
end

-- The fields of an entry, cut, as a table; `channel` is the channel's login, or empty.
local function send_of(entry, list)
    local send = {entry = entry, bytes = 0}
    for i = 1, #list, 2 do
        local name, value = list[i], list[i + 1]
        send.bytes = send.bytes + #name + #value
        if SEND_FIELDS[name] then
            send[name] = string.sub(value, 1, SEND_FIELDS[name])
        end
    end
    local given = send.id or ''
    send.id_problem = id_problem(given)
    send.given = given ~= '' and not send.id_problem
    if not send.given then
        send.id = entry
    end
    send.channel = channel_name(send.channel or '') or ''
    send.sign = SIGNS[send.priority or 'normal'] or ''
    return send
end

-- An outbox entry as a table, or nil if it is gone.
local function outbox_entry(c, entry)
    if not string.match(entry, '^%d+%-%d+$') then
        return nil
    end
    local found = call('XRANGE', key(c, 'outbox'), entry, entry)[1]
    return found and send_of(entry, found[2])
end

-- The entry as nodes are told it: with its priority.
local function told_entry(send)
    return send.entry .. (send.sign or '')
end

local function member_of(send)
    return told_entry(send) .. ' ' .. send.channel .. ' ' .. send.id
end

-- Of what waits in `sends`; nil where it is none of it.
local function send_of_member(member)
    local entry, sign, channel, id = string.match(member, '^(%d+%-%d+)([hl]?) (%S*) (.*)$')
    return entry and login_of(channel) and {entry = entry, sign = sign, channel = channel, id = id} or nil
end

-- Has a send of that channel and id its result? It, or nil.
local function known_result(c, send)
    local result, all = {}, call('HGETALL', key(c, 'result', send.channel, send.id))
    for i = 1, #all, 2 do
        result[all[i]] = all[i + 1]
    end
    if not result.status then
        return nil
    end
    result.at = count_of(result.at) -- as it was told the first time
    result.channel = send.channel
    return result
end

-- Is the send claimed? And the claim of its channel: by which node, if there is one.
local function claim_of(c, send)
    local entry, node = string.match(call('HGET', key(c, 'claims'), send.channel) or '', '^(%S+) ?(%S*)')
    return entry == send.entry, node
end

-- It is claimed no more, if it was.
local function drop_claim(c, send)
    if claim_of(c, send) then
        call('HDEL', key(c, 'claims'), send.channel)
    end
end

-- The entry is no more, and its claim with it.
local function forget_send(c, send)
    call('XDEL', key(c, 'outbox'), send.entry)
    if call('ZREM', key(c, 'sends'), member_of(send)) == 1 and
        call('HINCRBY', key(c, 'queued'), send.channel, -1) <= 0 then
        call('HDEL', key(c, 'queued'), send.channel)
    end
    local named = send.channel .. ' ' .. send.id
    if call('HGET', key(c, 'ids'), named) == send.entry then
        call('HDEL', key(c, 'ids'), named)
    end
    drop_claim(c, send)
end

-- "2/3": of a text that is split, so many parts were said. nil: it is none.
local function parts_of(text)
    return string.match(text or '', '^%d/%d$')
end

local function parts_said(c, send)
    return parts_of(call('GET', key(c, 'parts', send.entry)))
end

-- The one result of a send: kept, published (but for what was `told`, before), the entry gone. Its
-- status.
local function finish_send(c, send, status, reason, text, told)
    local result = {id = send.id, channel = send.channel, status = status, at = c.now}
    local message_id = string.sub(send.message_id or '', 1, MAX_ID)
    local parts = send.parts or send.split == '1' and parts_said(c, send) or nil
    local more = {reason = reason, text = text, by = send.by, message_id = message_id, parts = parts}
    for name, value in pairs(more) do
        if value ~= '' then
            result[name] = to_utf8(value)
        end
    end
    local rk, fields = key(c, 'result', send.channel, send.id), {}
    for name, value in pairs(result) do
        fields[#fields + 1], fields[#fields + 2] = name, value
    end
    call('DEL', rk)
    call('HSET', rk, unpack(fields))
    local said = status == 'sent' or status == 'unknown'
    call('EXPIRE', rk, said and RESULT_SECONDS or REFUSED_SECONDS)
    forget_send(c, send)
    if not told then
        bump(key(c, 'clock'), 'sends_' .. status, 1)
        call('PUBLISH', c.topic .. 'sent:' .. result.channel, to_json(result))
    end
    return status
end

-- Its claimer has gone on without a word of it.
local function no_word(c, send)
    return finish_send(c, send, 'unknown', 'no_word', 'The node that was sending it never said whether it was said.')
end

-- What a node noted with its claim (keep_claim), which outlives the entry: an operator may have
-- trimmed the stream.
local function noted_claim(entry, note)
    local ok, fields = pcall(cjson.decode, note)
    if not ok or type(fields) ~= 'table' or type(fields[1]) ~= 'string' or type(fields[2]) ~= 'string' or
        not login_of(fields[1]) then
        return nil
    end
    local send = {entry = entry, channel = fields[1], id = fields[2], by = tostring(fields[3] or '')}
    send.said_by = login_of(tostring(fields[5] or ''))
    send.sign = string.match(tostring(fields[6] or ''), '^[hl]$')
    send.split = tostring(fields[7] or '')
    return send, whole(fields[4])
end

-- A node is gone: nobody knows whether what it had claimed was said. A portion. True where nothing
-- is left. (What is left where the node is another process by now is settled as overdue.)
local function unknown_claims(c, node)
    local ck = key(c, 'node', node, 'claims')
    local found = call('HSCAN', ck, '0', 'COUNT', SETTLE)
    local claims = found[2]
    for i = 1, #claims, 2 do
        local send = noted_claim(claims[i], claims[i + 1])
        if send then
            finish_send(c, send, 'unknown', 'node_lost', 'The node that was sending it is gone; it may have been said.')
        else
            damaged(c)
        end
        call('HDEL', ck, claims[i])
    end
    return found[1] == '0'
end

-- The shard with its node, if it is one of that user.
function speakers.shard(c, shard, user)
    local fields = shard_id(shard) and call('HMGET', key(c, 'shard', shard), 'node', 'user') or {}
    return fields[2] == user and {shard, node_id(fields[1]) or '', user} or nil
end

-- Who says what goes to `channel`: shard and its node, nil while nobody does; as which user, empty
-- while none is chosen. And: is it joined? (What was written down as the sender may be another's,
-- where the setting `speaker` was changed: nobody speaks as another.)
local function sender_of(c, channel)
    local joined = shard_id(call('HGET', key(c, 'channels'), channel))
    local sender = not joined and c.unjoined -- all channels that nobody joined have the same
    if not sender then
        local reader = joined and call('HMGET', key(c, 'shard', joined), 'user', 'sender') or {}
        local user = speakers.of(c, login_of(reader[1]))
        sender = speakers.shard(c, reader[2], user) or
            speakers.shard(c, call('HGET', key(c, 'senders'), user), user) or {nil, nil, user}
        c.unjoined = not joined and sender or c.unjoined
    end
    return sender[1], sender[2], sender[3], joined
end

local send_problem
do -- seen in here alone

local YES = {['0'] = true, ['1'] = true}

local function text_problem(text, most)
    if not text or text == '' then
        return 'text: is missing or empty.'
    elseif string.find(text, '[%z\r\n]') then
        return 'text: CR, LF and NUL cannot be said.'
    elseif #text > most and (#text > 4 * most or
        select(2, string.gsub(text, '[^\128-\191]', '')) > most) then
        return 'text: is longer than ' .. most .. ' characters.'
    elseif to_utf8(text) ~= text then
        return 'text: is not UTF-8.'
    end
    return nil
end

-- What is wrong with the fields that say how it is to be said, or nil.
local function way_problem(send)
    if send.ttl_ms and not (string.match(send.ttl_ms, '^%d+$') and
        tonumber(send.ttl_ms) <= SETTINGS.send_ttl_ms.max) then
        return 'ttl_ms: takes a number of milliseconds up to ' .. SETTINGS.send_ttl_ms.max .. '.'
    elseif not SIGNS[send.priority or 'normal'] then
        return 'priority: is high, normal or low.'
    elseif not YES[send.split or '0'] then
        return 'split: is 1 or 0.'
    elseif send.split == '1' and send.command == '1' then
        return 'split: a command cannot be split.'
    end
    return nil
end

-- What is wrong with an entry, whoever would say it, or nil.
function send_problem(send)
    local most = send.split == '1' and MAX_PARTS * MAX_TEXT or MAX_TEXT
    if send.bytes > MAX_ENTRY_BYTES and #(send.text or '') <= 4 * most then
        return 'an entry has at most ' .. MAX_ENTRY_BYTES .. ' bytes; this one has ' .. send.bytes .. '.'
    elseif send.id_problem then
        return send.id_problem
    elseif send.channel == '' then
        return 'channel: not a channel name: 1 to 25 of a-z, 0-9 and _.'
    end
    local problem = text_problem(send.text, most) or way_problem(send)
    if problem then
        return problem
    end
    for _, name in ipairs({'by', 'reply_to'}) do
        if #(send[name] or '') > MAX_ID then
            return name .. ': has at most ' .. MAX_ID .. ' bytes; this one has more.'
        end
    end
    return nil
end

end

-- Can `user` never say it? Reason and text, or nil.
local function user_refused(send, user)
    if send.user and user ~= '' and send.user ~= user then
        return 'unknown_user', 'What goes to this channel is sent as ' .. user .. '.'
    elseif user == 'anonymous' then
        return 'anonymous', 'The channel is read anonymously; sending needs an account: the setting speaker names one.'
    end
    return nil
end

local function ttl_of(c, send)
    return tonumber(send.ttl_ms or limit(c, 'send_ttl_ms'))
end

-- It is not said. What repeats one that waits has the result of that one.
local function not_said(c, send, status, reason, text)
    local first = send.id ~= send.entry and call('HGET', key(c, 'ids'), send.channel .. ' ' .. send.id)
    if first and first ~= send.entry then
        forget_send(c, send)
        return status
    end
    return finish_send(c, send, status, reason, text)
end

-- Has another with its id the result already? Then it is told again: that one's status, or nil.
local function told_again(c, send)
    local known = known_result(c, send)
    if not known then
        return nil
    end
    forget_send(c, send)
    call('PUBLISH', c.topic .. 'sent:' .. known.channel, to_json(known))
    return known.status
end

local take_send -- below
do -- the rest is seen in here alone

-- Do too many wait already? Reason and text, or nil. Channels that nobody joined leave half of the
-- room to the others.
local function queue_full(c, channel, joined)
    local most, queued = limit(c, 'channel_send_queue'), count_of(call('HGET', key(c, 'queued'), channel))
    if queued >= most then
        return 'queue_full', string.format('%d sends wait in this channel (channel_send_queue is %d).', queued, most)
    end
    c.waiting = c.waiting or call('ZCARD', key(c, 'sends'))
    most, queued = limit(c, 'send_queue'), c.waiting
    if queued >= most then
        return 'queue_full', string.format('%d sends wait in all channels (send_queue is %d).', queued, most)
    elseif queued >= most / 2 and not joined then
        return 'queue_full', string.format('%d sends wait in all channels; one that nobody joined gets in only ' ..
            'while they are less than half of send_queue (%d).', queued, most)
    end
    return nil
end

-- Why the send is refused: reason and text, or nil. And the node that would say it, and as whom.
local function send_refused(c, send, problem)
    problem = problem or send_problem(send)
    if problem then
        return 'bad_request', problem
    end
    local _, node, user, joined = sender_of(c, send.channel)
    local reason, text = user_refused(send, user)
    if not reason then
        reason, text = queue_full(c, send.channel, joined)
    end
    return reason, text, node, user or setting(c, 'user')
end

-- Takes an entry: nil where it waits from now on, else the status it got. `heard` is when it was
-- asked for, if that was before it was entered. `problem` is what is wrong with it, if that is
-- known.
function take_send(c, send, heard, problem)
    if call('ZSCORE', key(c, 'sends'), member_of(send)) then
        return nil
    end
    local known = send.given and told_again(c, send)
    if known then
        return known
    end
    local reason, text, node, user = send_refused(c, send, problem)
    if reason then
        return not_said(c, send, 'rejected', reason, text)
    end
    local since = heard or tonumber(string.match(send.entry, '^%d+'))
    local deadline = math.min(since, c.now) + ttl_of(c, send)
    if c.now > deadline then
        return not_said(c, send, 'expired')
    end
    reason, text = muted.refusal(c, user, deadline)
    if reason then
        return not_said(c, send, 'rejected', reason, text)
    end
    call('ZADD', key(c, 'sends'), deadline, member_of(send))
    call('HINCRBY', key(c, 'queued'), send.channel, 1)
    c.waiting = c.waiting and c.waiting + 1
    if send.given then
        call('HSETNX', key(c, 'ids'), send.channel .. ' ' .. send.id, send.entry)
    end
    add_to(c.taken, node or '', send.channel .. ' ' .. told_entry(send))
    return nil
end

end

local settle, tell_taken -- below
do -- the rest is seen in here alone

local TAKE_ENTRIES = 200     -- taken in one step,
local TAKE_BYTES = 1048576   -- or until they had so many bytes

-- Takes what is new in the stream, a portion. Is there more, perhaps? And how many these were.
local function take_new(c)
    local ok, sk, ck = key(c, 'outbox'), key(c, 'sends'), key(c, 'clock')
    if call('XLEN', ok) == call('ZCARD', sk) then
        return false, 0
    end
    local after = string.match(call('HGET', ck, 'outbox') or '', '^%d+%-%d+$') or '0-0'
    after = #after <= 32 and whole(string.match(after, '^%d+')) and after or '0-0'
    local taken, bytes = 0, 0
    while taken < TAKE_ENTRIES and bytes < TAKE_BYTES do
        local found = call('XRANGE', ok, '(' .. after, '+', 'COUNT', 1)[1]
        if not found then
            break
        end
        after = found[1]
        local send = send_of(after, found[2])
        taken, bytes = taken + 1, bytes + send.bytes
        take_send(c, send)
    end
    if taken > 0 then
        call('HSET', ck, 'outbox', after)
        return taken == TAKE_ENTRIES or bytes >= TAKE_BYTES, taken
    end
    -- Entries before the place that was reached: the stream was deleted, and Redis's clock went
    -- back.
    return call('XLEN', ok) > call('ZCARD', sk) and call('HDEL', ck, 'outbox') == 1, 0
end

-- Is it to be said until `deadline`, by an account that is muted for longer? Reason and text, or
-- nil.
local function muted_refusal(c, send, deadline)
    local _, _, user = sender_of(c, send.channel)
    return muted.refusal(c, user, deadline)
end

-- Its time is over: the status it gets.
function settle(c, send)
    local claimed, node = claim_of(c, send)
    if claimed and node_id(node) then -- one that is alive and silent for so long will never say
        call('HDEL', key(c, 'node', node, 'claims'), send.entry)
    end
    local reason, text = muted_refusal(c, send, c.now)
    return told_again(c, send) or claimed and no_word(c, send) or
        not_said(c, send, reason and 'rejected' or 'expired', reason, text)
end

-- A send that waits, with what the result tells of it.
local function waiting_send(c, member)
    local send = send_of_member(member)
    if send then
        local full = outbox_entry(c, send.entry) -- unless an operator has trimmed the stream
        send.by, send.split = full and full.by, full and full.split
    else
        call('ZREM', key(c, 'sends'), member)
    end
    return send
end

-- What waits for an account that is muted beyond its time is settled, at most so many.
local function settle_muted(c, most)
    local until_ms = muted.look(c)
    if not until_ms or most <= 0 then
        return
    end
    local waiting = call('ZRANGEBYSCORE', key(c, 'sends'), c.stamp, string.format('(%d', until_ms), 'WITHSCORES',
        'LIMIT', 0, most)
    for i = 1, #waiting, 2 do
        local send = waiting_send(c, waiting[i])
        if send and not claim_of(c, send) then
            local reason, text = muted_refusal(c, send, count_of(waiting[i + 1]))
            if reason then
                not_said(c, send, 'rejected', reason, text)
            end
        end
    end
end

-- What should have been said by now is settled.
local function settle_overdue(c)
    local sk = key(c, 'sends')
    local overdue = call('ZRANGEBYSCORE', sk, '-inf', '(' .. c.stamp, 'LIMIT', 0, SETTLE)
    for _, member in ipairs(overdue) do
        local send = waiting_send(c, member)
        if send then
            settle(c, send)
        end
    end
    settle_muted(c, SETTLE - #overdue)
    -- Further ahead than any can be: Redis's clock went back.
    local most = string.format('(%d', c.now + SETTINGS.send_ttl_ms.max + CLAIM_MOST_MS + CLAIM_AHEAD_MS)
    for _, member in ipairs(call('ZRANGEBYSCORE', sk, most, '+inf', 'LIMIT', 0, SETTLE)) do
        call('ZADD', sk, c.now + limit(c, 'send_ttl_ms'), member)
    end
end

-- Tells the nodes concerned what was taken for them, but for the one that asks.
function tell_taken(c, asking)
    for node, list in pairs(c.taken) do
        if node ~= asking and node ~= '' then
            call('PUBLISH', c.topic .. 'node:' .. node, 'sends ' .. table.concat(list, ' '))
        end
    end
end

-- Takes what is new, settles what is overdue, a portion of each: "more" | "done"
step('send_take', '', function(c)
    if restating(c) then
        return {'done'}
    end
    settle_overdue(c)
    local more, taken = take_new(c)
    tell_taken(c)
    return {more and 'more' or 'done', taken > 0 and 'new' or ''}
end)

end
