-- Replies: what waits in the request streams, and the one reply to each request.
--
-- There are two streams, `requests` and `admin`, so that an ACL can give the one and not the other.
-- An entry is named by its id ("5-0"), one of `admin` as "admin:5-0". A request without an id of
-- its own is answered under that name. Anything may stand in a stream: what is too large to be
-- handed on is refused here, where it is.

local request_begin, request_reply, request_refused, request_step, own_step -- below

do -- the rest is seen in here alone

local REQUEST_BYTES = 65536    -- of all fields of one request: 1,000 names take 26,000
local READ_BYTES = 1048576     -- of an answer, but for its last entry
local READ_ENTRIES = 200
local REFUSED_NAMES = 100      -- that a reply lists; the others are counted
local REFUSAL_SECONDS = 300    -- a reply that says only what was refused
local CROWDED_SECONDS = 60     -- any, where more than so many bytes of them are kept in a minute:
local REPLY_BYTES = 8388608

-- The stream of an entry, and its id there.
local function request_place(c, entry)
    local id = string.match(entry, '^admin:(.*)$')
    return key(c, id and 'admin' or 'requests'), id or entry
end

-- For how long a reply of that size is kept.
local function reply_seconds(c, size, refusal)
    local ck = key(c, 'clock')
    local minute = string.format('%d', math.floor(c.now / 60000))
    local kept = call('HMGET', ck, 'replies_minute', 'replies_bytes')
    local bytes = size + (kept[1] == minute and tonumber(kept[2]) or 0)
    call('HSET', ck, 'replies_minute', minute, 'replies_bytes', bytes)
    if bytes > REPLY_BYTES then
        return CROWDED_SECONDS
    end
    return refusal and REFUSAL_SECONDS or REPLY_SECONDS
end

-- The one reply. Where the request has an entry: kept, published, and the entry is gone. The text.
function request_reply(c, r, reply)
    reply.id, reply.op, reply.request = r.id, shown(r.op), r.digest
    local refusal = not reply.ok and not reply.waiting and not reply.parted and not reply.retried and
        next(reply.assigned or {}) == nil
    local text = to_json(reply)
    if r.entry ~= '' then
        local stream, at = request_place(c, r.entry)
        call('SET', key(c, 'reply', r.id), text, 'EX', reply_seconds(c, #text, refusal))
        call('PUBLISH', c.topic .. 'replies', text)
        call('XDEL', stream, at)
    end
    return text
end

-- Why a request cannot be known by the id it gives, or nil.
local function request_id_refused(id)
    if not usable_id(id) then
        return 'The id of a request has at most ' .. MAX_ID .. ' bytes, in UTF-8; this one has not'
    elseif string.match(id, '^%d+%-%d+$') or string.match(id, '^admin:') then
        return 'An id like "' .. shown(id) .. '" is that of an entry; give another, or none'
    end
    return nil
end

-- A request about to be carried out: {entry, id, op, digest}. `content`: what it asks for, beside
-- the op. Nil and what the step answers: its entry is gone, it was answered before, or it cannot be
-- carried out under the id it gives. Requests of the leader itself (setup, waiting channels) have
-- no entry and no id.
function request_begin(c, entry, id, op, content)
    local r = {entry = entry, id = entry, op = op}
    if entry == '' then
        return r
    end
    local stream, at = request_place(c, entry)
    if not string.match(at, '^%d+%-%d+$') or #call('XRANGE', stream, at, at) == 0 then
        return nil, {'gone'}
    end
    if id == '' or id == entry then
        return r
    end
    local why = request_id_refused(id)
    if why then
        return nil, {'again', request_reply(c, r, {ok = false, error = why .. ', so the reply is under its entry.'})}
    end
    local digest = redis.sha1hex(op .. '\0' .. table.concat(content, '\0'))
    local before = call('GET', key(c, 'reply', id))
    if before and string.match(before, '"request":"(%x+)"') == digest then
        call('XDEL', stream, at)
        call('PUBLISH', c.topic .. 'replies', before)
        return nil, {'again', before}
    elseif before then
        return nil, {'again', request_reply(c, r, {ok = false, given = id,
            error = 'Another request had the id "' .. shown(id) ..
                '", so this one is not carried out and the reply is under its entry. Give each request an id of ' ..
                'its own, or none.'})}
    end
    r.id, r.digest = id, digest
    return r
end

-- The reply, which tells now which channels were refused, and which texts are none.
function request_refused(reply, refused, bad)
    local list, n = {}, 0
    for _, names in ipairs({refused, bad}) do
        for name, why in pairs(names) do
            n = n + 1
            if n <= REFUSED_NAMES then
                list[name] = why
            end
        end
    end
    reply.ok, reply.refused, reply.refused_more = n == 0, list, n > REFUSED_NAMES and n - REFUSED_NAMES or nil
    return reply
end

-- Refuses an entry that is not looked at any closer. An id that cannot be used is passed over, and
-- so is one that has a reply: it may be that of another request.
local function refuse_entry(c, entry, id, op, why)
    local r = {entry = entry, id = entry, op = op}
    if id ~= '' and not request_id_refused(id) and call('EXISTS', key(c, 'reply', id)) == 0 then
        r.id, r.digest = id, '0' -- that of no request: what comes under this id is another one
    end
    return request_reply(c, r, {ok = false, error = why})
end

-- One entry as the leader is told it, and how many bytes it has. What is too large has its reply at
-- once: then a third value is true, and for its step the entry is gone.
local function entry_told(c, entry, list)
    local size, fields = 0, {id = '', op = ''}
    for i = #list - 1, 1, -2 do -- of two with a name the first counts
        size = size + #list[i] + #list[i + 1]
        fields[list[i]] = list[i + 1]
    end
    if size <= REQUEST_BYTES then
        return {entry, list}, size
    end
    refuse_entry(c, entry, fields.id, string.sub(fields.op, 1, MAX_ID),
        string.format('A request has at most %d bytes; this one has %d.', REQUEST_BYTES, size))
    return {entry, {}}, 0, true
end

-- What waits behind these entries, administration first: {last of admin, last of requests, {{entry,
-- {name, value, ...}}...}}, a portion a call. Nothing is left where the list is empty.
leader_step('requests', 'after_admin after_requests', function(c, a)
    local last, list, bytes, large = {a[3], a[4]}, {}, 0, false
    for i, stream in ipairs({'admin', 'requests'}) do
        while #list < READ_ENTRIES and bytes < READ_BYTES and not large do
            local found = call('XRANGE', key(c, stream), '(' .. last[i], '+', 'COUNT', 1)[1]
            if not found then
                break
            end
            last[i] = found[1]
            local size
            list[#list + 1], size, large = entry_told(c, (i == 1 and 'admin:' or '') .. found[1], found[2])
            bytes = bytes + size
        end
    end
    if large then
        collectgarbage() -- some hundred MB, perhaps
    end
    return {last[1], last[2], list}
end)

-- What the leader has no room for. "done"
leader_step('refuse', 'why {entry id op}...', function(c, a)
    for i = 4, #a - 2, 3 do
        local stream, at = request_place(c, a[i])
        if #call('XRANGE', stream, at, at) > 0 then
            refuse_entry(c, a[i], a[i + 1], a[i + 2], a[3])
        end
    end
    return {'done'}
end)

-- Streams -----------------------------------------------------------------------------------------

-- What may be asked for, and in which stream.
local STREAM_OF = {join = 'requests', part = 'requests', retry = 'requests', set = 'admin', unset = 'admin',
    start = 'admin', stop = 'admin', account_put = 'admin', account_set = 'admin', account_remove = 'admin',
    account_revoke = 'admin'}

-- Why the op cannot be asked for by that entry, or nil. What the leader does by itself has no
-- entry.
local function op_refused(c, entry, op)
    local stream = STREAM_OF[op]
    local given = string.match(entry, '^admin:') and 'admin' or 'requests'
    if entry == '' or stream == given then
        return nil
    elseif stream == 'admin' then
        return 'Op "' .. op .. '" is administration: add it to the stream ' .. key(c, 'admin') .. '.'
    elseif stream then
        return 'Op "' .. op .. '" is no administration: add it to the stream ' .. key(c, 'requests') .. '.'
    elseif given == 'admin' then
        return 'Unknown op "' .. shown(op) .. '"; ops of this stream are set, unset, start, stop, ' ..
            'account_put, account_set, account_remove and account_revoke.'
    end
    return 'Unknown op "' .. shown(op) .. '"; ops are join, part and retry; set, unset, start and stop are for ' ..
        key(c, 'admin') .. '.'
end

-- A step that a request asks for, or the leader by itself: the entry and the id of the request come
-- first, then what it asks for. `run` gets that and answers the reply. "done", reply | "again",
-- reply (it was answered before) | "gone" (the entry is)
function request_step(name, usage, run)
    leader_step(name, 'entry id ' .. usage, function(c, a)
        local wishes = {unpack(a, 5)}
        local r, before = request_begin(c, a[3], a[4], name, wishes)
        if not r then
            return before
        end
        local why = op_refused(c, r.entry, name)
        return {'done', request_reply(c, r, why and {ok = false, error = why} or run(c, wishes))}
    end)
end

-- A step that the leader takes by itself, answered as a request: `run` answers the reply, if there
-- is anything to say. "done", reply
function own_step(name, usage, run)
    leader_step(name, usage, function(c, a)
        return {'done', to_json(run(c, a) or {ok = true})}
    end)
end

-- An op that cannot be asked for, or not in that stream. As request_step.
leader_step('refuse_op', 'entry id op', function(c, a)
    local r, before = request_begin(c, a[3], a[4], a[5], {})
    if not r then
        return before
    end
    local why = op_refused(c, r.entry, a[5]) or 'Not for the leader itself.'
    return {'done', request_reply(c, r, {ok = false, error = why})}
end)

end
