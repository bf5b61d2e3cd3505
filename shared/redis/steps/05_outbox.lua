-- Outbox: entries and their one result. Claims are in 11_sends.lua.

-- An outbox entry as a table, or nil if it is gone. `channel` is the channel's login, or empty.
local function outbox_entry(c, entry)
    if not string.match(entry, '^%d+%-%d+$') then
        return nil
    end
    local found = call('XRANGE', key(c, 'outbox'), entry, entry)[1]
    if not found then
        return nil
    end
    local fields = {}
    for i = 1, #found[2], 2 do
        fields[found[2][i]] = found[2][i + 1]
    end
    local given = fields.id or ''
    fields.id_refused = not usable_id(given)
    if given == '' or fields.id_refused then
        fields.id = entry
    end
    fields.channel = channel_name(fields.channel or '') or ''
    return fields
end

local function publish_result(c, channel, result)
    call('PUBLISH', c.topic .. 'sent:' .. channel, to_json(result))
end

-- The one result of a send: kept, published, the entry gone and its claim with it.
local function finish_send(c, entry, send, status, reason, text)
    local result = {id = send.id, channel = send.channel, status = status, at = c.now}
    if reason and reason ~= '' then
        result.reason = reason
    end
    if text and text ~= '' then
        result.text = text
    end
    local rk = key(c, 'result', send.id)
    call('DEL', rk)
    for name, value in pairs(result) do
        call('HSET', rk, name, value)
    end
    call('EXPIRE', rk, RESULT_SECONDS)
    call('XDEL', key(c, 'outbox'), entry)
    if call('HGET', key(c, 'claims'), send.channel) == entry then
        call('HDEL', key(c, 'claims'), send.channel)
    end
    publish_result(c, send.channel, result)
end

-- What a node noted with its claim, which outlives the entry: an operator may have trimmed the stream.
local function claim_note(send)
    return send.channel .. ' ' .. send.id
end

local function noted_claim(note)
    local channel, id = string.match(note, '^(%S+) (.*)$')
    return {channel = channel, id = id}
end

-- A node is gone: nobody knows whether what it had claimed was said.
local function unknown_claims(c, node)
    local ck = key(c, 'node', node, 'claims')
    local claims = call('HGETALL', ck)
    for i = 1, #claims, 2 do
        finish_send(c, claims[i], noted_claim(claims[i + 1]), 'unknown', 'node_lost',
            'The node that was sending it is gone; it may have been said.')
    end
    call('DEL', ck)
end
