-- Sends: from the outbox to the connection: accepted, claimed, done.

-- The shard that says what goes to `channel`, or nil while there is none.
local function sender_of(c, channel)
    local shard = call('HGET', key(c, 'channels'), channel)
    if shard and shard ~= '' then
        return call('HGET', key(c, 'shard', shard), 'sender')
    end
    return call('HGET', key(c, 'senders'), setting(c, 'user'))
end

-- send_accept: node incarnation channel id text reply_to user ttl_ms by as_command(0/1)
-- A send heard on the topic becomes an outbox entry: "accepted", entry | "elsewhere"
local function send_accept(keys, a)
    local c, failed = context(keys)
    if failed then
        return failed
    end
    if #a ~= 10 then
        return badarg('send_accept: node incarnation channel id text reply_to user ttl_ms by as_command')
    end
    local lost = node_check(c, a[1], a[2])
    if lost then
        return lost
    end
    -- While a channel's sender moves to another node, both may hear the topic: the one that serves it
    -- now enters the send. As long as that one does not listen yet, the former one still does.
    local sender = sender_of(c, a[3])
    local serving = sender and call('HGET', key(c, 'shard', sender), 'node')
    if serving ~= a[1] and call('PUBSUB', 'NUMSUB', c.topic .. 'send:' .. a[3])[2] > 1 then
        return {'elsewhere'}
    end
    local fields = {'channel', a[3], 'text', a[5]}
    for i, name in pairs({[4] = 'id', [6] = 'reply_to', [7] = 'user', [8] = 'ttl_ms', [9] = 'by',
        [10] = 'command'}) do
        if a[i] ~= '' and a[i] ~= '0' then
            fields[#fields + 1] = name
            fields[#fields + 1] = a[i]
        end
    end
    return {'accepted', call('XADD', key(c, 'outbox'), '*', unpack(fields))}
end

-- What is wrong with an entry that can never be said as `user`, or nil: reason, text.
local function send_refused(send, user)
    if send.id_refused then
        return 'bad_request', 'id: has at most ' .. MAX_ID .. ' bytes, in UTF-8; this one has not.'
    end
    if send.channel == '' then
        return 'bad_request', 'channel: not a channel name: 1 to 25 of a-z, 0-9 and _.'
    end
    if not send.text or send.text == '' then
        return 'bad_request', 'text: is missing or empty.'
    end
    if string.find(send.text, '[%z\r\n]') then
        return 'bad_request', 'text: CR, LF and NUL cannot be said.'
    end
    if #send.text > 2000 then
        return 'bad_request', 'text: is longer than 500 characters.'
    end
    if not_utf8(send.text, 1) then
        return 'bad_request', 'text: is not UTF-8.'
    end
    if send.ttl_ms and not (string.match(send.ttl_ms, '^%d+$') and
        tonumber(send.ttl_ms) <= SETTINGS.send_ttl_ms.max) then
        return 'bad_request', 'ttl_ms: takes a number of milliseconds up to ' ..
            SETTINGS.send_ttl_ms.max .. '.'
    end
    if send.user and user ~= '' and send.user ~= user then
        return 'unknown_user', 'What goes to this channel is sent as ' .. user .. '.'
    end
    if user == 'anonymous' then
        return 'anonymous', 'The channel is read anonymously; sending needs a user with a token.'
    end
    return nil
end

-- A claimer that is alive and yet silent for so long will never say: the send gets its result, and the
-- channel its next one.
local function claim_overdue(c, entry, send)
    local fields = call('HMGET', key(c, 'result', send.id), 'at', 'node')
    if c.now <= tonumber(fields[1] or 0) + CLAIM_MOST_MS then
        return false
    end
    if fields[2] then
        call('HDEL', key(c, 'node', fields[2], 'claims'), entry)
    end
    finish_send(c, entry, send, 'unknown', 'no_word',
        'The node that was sending it never said whether it was said.')
    return true
end

-- send_claim: node incarnation entry (empty node and incarnation: only expires what is too old)
-- "gone" | "done", status | "busy" | "later", ms | "elsewhere" |
-- "claimed", wait ms, channel, shard, id, text, reply_to, as_command
local function send_claim(keys, a)
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
    local send = outbox_entry(c, entry)
    if not send then
        return {'gone'}
    end
    local channel = send.channel
    local claimed = call('HGET', key(c, 'claims'), channel)
    local known = call('HGET', key(c, 'result', send.id), 'status')
    if claimed == entry then
        return claim_overdue(c, entry, send) and {'done', 'unknown'} or {'busy'}
    elseif known == 'claimed' then
        return {'busy'}
    elseif known then
        -- The same id again: said once, told again.
        local all = call('HGETALL', key(c, 'result', send.id))
        local result = {}
        for i = 1, #all, 2 do
            result[all[i]] = all[i + 1]
        end
        result.at = tonumber(result.at) -- as it was told the first time
        call('XDEL', key(c, 'outbox'), entry)
        publish_result(c, result.channel or '', result)
        return {'done', known}
    end
    local sender = sender_of(c, channel)
    local fields = sender and call('HMGET', key(c, 'shard', sender), 'node', 'user') or {}
    local reason, text = send_refused(send, fields[2] or setting(c, 'user'))
    if reason then
        finish_send(c, entry, send, 'rejected', reason, text)
        return {'done', 'rejected'}
    end
    local ttl = tonumber(send.ttl_ms or limit(c, 'send_ttl_ms'))
    if c.now > tonumber(string.match(entry, '^%d+')) + ttl then
        finish_send(c, entry, send, 'expired')
        return {'done', 'expired'}
    end
    if claimed then
        return {'busy'}
    end
    if not sender or fields[1] ~= node or node == '' then
        return {'elsewhere'}
    end
    local wait, later = message_slot(c, fields[2], channel)
    if not wait then
        return {'later', later}
    end
    call('HSET', key(c, 'claims'), channel, entry)
    call('HSET', key(c, 'node', node, 'claims'), entry, claim_note(send))
    call('HSET', key(c, 'result', send.id), 'id', send.id, 'channel', channel, 'status', 'claimed',
        'at', c.now, 'node', node)
    call('EXPIRE', key(c, 'result', send.id), RESULT_SECONDS)
    return {'claimed', wait, channel, sender, send.id, send.text, send.reply_to or '',
        send.command or ''}
end

-- The claimer's own claim, or nil; it is taken back.
local function claimed_by(c, node, entry)
    local ck = key(c, 'node', node, 'claims')
    local note = call('HGET', ck, entry)
    if not note then
        return nil
    end
    call('HDEL', ck, entry)
    return noted_claim(note)
end

-- send_unclaim: node incarnation entry. Surely not written: it may be claimed again.
local function send_unclaim(keys, a)
    local c, failed = context(keys)
    if failed then
        return failed
    end
    local lost = node_check(c, a[1], a[2])
    if lost then
        return lost
    end
    local send = claimed_by(c, a[1], a[3])
    if not send then
        return {'gone'}
    end
    call('HDEL', key(c, 'claims'), send.channel)
    call('DEL', key(c, 'result', send.id))
    return {'unclaimed'}
end

local STATUS = {sent = true, rejected = true, expired = true, unknown = true}

-- send_done: node incarnation entry status reason text
local function send_done(keys, a)
    local c, failed = context(keys)
    if failed then
        return failed
    end
    local lost = node_check(c, a[1], a[2])
    if lost then
        return lost
    end
    if #a ~= 6 or not STATUS[a[4]] then
        return badarg('send_done: node incarnation entry sent|rejected|expired|unknown reason text')
    end
    local send = claimed_by(c, a[1], a[3])
    if not send then
        return {'gone'}
    end
    finish_send(c, a[3], send, a[4], a[5], a[6])
    return {'done'}
end
