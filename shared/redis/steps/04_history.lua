-- History: the streams lines:<k>, which keep what was published (each node adds to them in the
-- transaction that publishes) for who was away, for as long and as many bytes as the settings say,
-- and which say what is missing.

local history = {}

do -- the rest is seen in here alone

local STREAMS_MOST = 16 -- what history_streams may be
local GOES_PART = 10    -- where there are too many bytes, such a part of the oldest entries goes
local SHORT_AT = 0.8    -- of maxmemory: history gives way
local LOOK_MS = 1000    -- at how much memory is used; a node trims where nobody did for so long
local EMPTY_MS = 5000   -- what is empty is trimmed after as long
local TRIM_MS = 700     -- the leader trims after as long: with each of its renewals, mostly
local TOLD_MS = 60000   -- it is told that it gives way
local MISSES_MS = 10000 -- a group is told that it missed something
local AHEAD_MOST_MS = 86400000
local GROUPS_LOOKED_AT = 32
-- Entries of which a group is remembered that it has not acknowledged them, though they are gone;
-- each counts as many bytes. And so many are forgotten at once.
local PENDING_MOST, FORGOTTEN_AT_ONCE = 10000, 1000
local MISSED_MS = 3000  -- nothing was published without being kept for so long: that is over

local crc_table -- made when it is first used: before that, bit is not there
-- When the memory was looked at; bytes that are used, and that may be (0: as many as there are).
local looked, used, most = 0, 0, 0

-- The CRC-32 of the text, as zlib, Python and Ethernet have it.
local function crc32(text)
    local bxor, band, rshift = bit.bxor, bit.band, bit.rshift
    if not crc_table then
        crc_table = {}
        for byte = 0, 255 do
            local crc = byte
            for _ = 1, 8 do
                crc = band(crc, 1) == 1 and bxor(rshift(crc, 1), 0xedb88320) or rshift(crc, 1)
            end
            crc_table[byte] = crc
        end
    end
    local crc = 0xffffffff
    for i = 1, #text do
        crc = bxor(rshift(crc, 8), crc_table[band(bxor(crc, string.byte(text, i)), 255)])
    end
    return bxor(crc, 0xffffffff) % 4294967296
end

local function ms_of(id)
    return tonumber(string.match(id, '^%d+')) or 0
end

local function seq_of(id)
    return tonumber(string.match(id, '%d+$')) or 0
end

local function is_before(id, other)
    local ms, other_ms = ms_of(id), ms_of(other)
    return ms < other_ms or ms == other_ms and seq_of(id) < seq_of(other)
end

local function stream(c, k)
    return key(c, 'lines') .. ':' .. string.format('%d', k)
end

local function is_kept(c)
    return setting(c, 'history_ms') ~= 'off'
end

-- The stream of a channel.
function history.stream_of(c, channel)
    local n = limit(c, 'history_streams')
    return stream(c, n > 1 and crc32(tostring(channel)) % n or 0)
end

-- What is missing of a channel: JSON, as the event says it.
function history.gap(c, channel, text)
    if is_kept(c) then
        call('XADD', history.stream_of(c, channel), '*', 'gap', text)
    end
end

-- An entry whose id is behind all that readers may have seen, where the clock is not.
local function add_ahead(name, now, ms, field, text)
    local added = ms >= now and ms < now + AHEAD_MOST_MS and
        redis.pcall('XADD', name, string.format('%d-0', ms + 1), field, text)
    if type(added) ~= 'string' then
        call('XADD', name, '*', field, text)
    end
end

-- Lines of the node, by its numbers, were answered and are forgotten; those from `kept_from` on
-- follow.
function history.rewound(c, node, from, to, kept_from, ms)
    if not is_kept(c) then
        return
    end
    call('HINCRBY', key(c, 'lines'), 'rewinds', 1)
    call('HSET', key(c, 'lines'), 'rewound', c.time) -- a count may be forgotten, and come again
    for k = 0, limit(c, 'history_streams') - 1 do
        for _, part in ipairs({{from, math.min(to, kept_from - 1), false}, {math.max(from, kept_from), to, true}}) do
            if part[1] <= part[2] then
                add_ahead(stream(c, k), c.now, ms, 'rewound',
                    to_json({node = node, from = part[1], to = part[2], kept = part[3]}))
            end
        end
    end
end

-- What is published now is not kept: Redis is full.
function history.missed(c)
    if is_kept(c) then
        call('HSETNX', key(c, 'lines'), 'missed_from', c.stamp)
        call('HSET', key(c, 'lines'), 'missed_to', c.stamp)
    end
end

-- What this event tells of is missing in the stream, of all channels.
local function add_gap(name, text, reason)
    local gap = cjson.decode(text)
    gap.event, gap.channel, gap.lines, gap.reason, gap.key = 'gap', '', 0, reason, nil
    call('XADD', name, '*', 'gap', to_json(gap))
end

-- What was published then is not in the streams.
local function tell_missing(c, n, reason, from, to)
    local text = event(c, 'history.' .. reason, {'from', count_of(from), 'to', count_of(to)})
    for k = 0, n - 1 do
        add_gap(stream(c, k), text, reason)
    end
end

-- The streams are begun anew where there are none yet, or were another number, and end where
-- nothing is kept any more. How many there are; nil: they are to be begun when there is a node.
-- (If Redis was emptied, the first one tells that in them before anything else.)
local function begun(c)
    local lk, n = key(c, 'lines'), limit(c, 'history_streams')
    local is = call('HMGET', lk, 'epoch', 'streams', 'missed_from', 'missed_to', 'registry')
    if not is_kept(c) then
        if is[1] then
            call('DEL', lk)
        end
        return 0
    end
    if not is[1] and call('ZCARD', key(c, 'nodes')) == 0 then
        return nil
    elseif not is[1] or count_of(is[2]) ~= n then
        call('HDEL', lk, 'emptied')
        for k = 0, STREAMS_MOST - 1 do
            call('HDEL', lk, 'first:' .. k, 'gone:' .. k)
        end
        call('HSET', lk, 'epoch', c.time, 'streams', n, 'since', c.stamp)
        call('HSETNX', lk, 'rewinds', 0)
        call('HSETNX', lk, 'rewound', '')
    end
    if not is[5] then
        call('HSET', lk, 'registry', registry_of(c))
    end
    if is[4] and math.abs(c.now - count_of(is[4])) > MISSED_MS then
        call('HDEL', lk, 'missed_from', 'missed_to')
        tell_missing(c, n, 'not_kept', is[3], is[4])
    end
    return n
end

-- The first of its entries behind that id: its id, or nil.
local function first_of(name, behind)
    local first = call('XRANGE', name, behind and '(' .. behind or '-', '+', 'COUNT', 1)[1]
    return first and first[1]
end

-- What the streams had since `from` is gone with all that was in Redis, as a node has found out:
-- before `to`, and before what they have now. Of the node itself it lacks what was published up to
-- `lacks`. The first node tells it for all, another one only if it lacks more than was told.
function history.emptied(c, from, lacks, to)
    local n, told = begun(c) or 0, whole(call('HGET', key(c, 'lines'), 'emptied'))
    for k = 0, n - 1 do
        local first = first_of(stream(c, k))
        to = first and math.min(to, ms_of(first)) or to
    end
    lacks = math.min(lacks, to)
    if n == 0 or told and lacks <= told then
        return
    end
    to = told and lacks or to
    call('HSET', key(c, 'lines'), 'emptied', string.format('%d', to))
    tell_missing(c, n, 'emptied', math.min(told or from, to), to)
end

-- Is most of what Redis may have used?
local function memory_is_short(c)
    if math.abs(c.now - looked) >= LOOK_MS then
        local info = redis.call('INFO', 'memory')
        looked = c.now
        used = tonumber(string.match(info, '\nused_memory:(%d+)')) or 0
        most = tonumber(string.match(info, '\nmaxmemory:(%d+)')) or 0
    end
    return most > 0 and used >= SHORT_AT * most
end

-- Of the stream, the oldest entries go, so many that `len` are left.
local function shorten(name, len)
    call('XTRIM', name, 'MAXLEN', '~', string.format('%d', len))
end

local function tell_short(c)
    local lk = key(c, 'lines')
    if math.abs(c.now - count_of(call('HGET', lk, 'short'))) >= TOLD_MS then
        call('HSET', lk, 'short', c.stamp)
        event(c, 'history.short', {'used', used, 'limit', most})
    end
end

-- The groups of readers of a stream (some are looked at): `who` is the group's name as it may be
-- shown, `unread` the id of the first entry that it was not given, `pending` how many it has not
-- acknowledged. Of what is no stream there are none.
local function groups_of(name)
    local groups, all = {}, redis.pcall('XINFO', 'GROUPS', name)
    for i = 1, math.min(#all, GROUPS_LOOKED_AT) do
        local group = {}
        for j = 1, #all[i], 2 do
            group[all[i][j]] = all[i][j + 1]
        end
        groups[i] = {name = group.name, who = shown(group.name), pending = group.pending,
            unread = first_of(name, group['last-delivered-id'])}
    end
    return groups
end

-- What was known of the groups with the last trim: by stream and group.
local function groups_until_now(c)
    local groups, known = {}, call('HGET', key(c, 'lines'), 'groups')
    local ok, list = pcall(cjson.decode, known or '[]')
    for _, group in ipairs(ok and type(list) == 'table' and list or {}) do
        if type(group) == 'table' and type(group.group) == 'string' then
            groups[tostring(group.key) .. ' ' .. group.group] = group
        end
    end
    return groups
end

-- What the group was not given, or did not acknowledge, it will not have.
local function miss(group, from, to)
    group.from = group.to > 0 and math.min(group.from, from) or from
    group.to = math.max(group.to, to)
end

-- Of a group that acknowledges too little, or nothing, what is gone is forgotten.
local function forget_pending(name, group, first)
    local gone, ids = call('XPENDING', name, group.name, '-', first and '(' .. first or '+', FORGOTTEN_AT_ONCE), {}
    for i, one in ipairs(gone) do
        ids[i] = one[1]
    end
    if #ids > 0 then
        group.pending = group.pending - call('XACK', name, group.name, unpack(ids))
        miss(group, ms_of(ids[1]), ms_of(ids[#ids]))
    end
end

-- What the group missed since it was told last; not at once where that was just now.
local function tell_missed(c, name, group)
    if group.to > 0 and (c.now < group.told or c.now - group.told >= MISSES_MS) then
        event(c, 'history.unread', {'group', group.who, 'key', name, 'from', group.from, 'to', group.to})
        group.told, group.from, group.to = c.now, 0, 0
    end
end

-- What the groups missed, with how far they are: for those who look, and for the next trim. `cuts`:
-- how often a trim took what it was not given; `told`: when it was told last that it missed
-- something; `from` and `to`: what it has missed since (0: nothing).
local function look_at_groups(c, name, groups, first, known)
    local looked_at = {}
    for i, group in ipairs(groups) do
        local was = known[name .. ' ' .. group.who] or {}
        group.cuts, group.told = count_of(was.cuts), count_of(was.told)
        group.from, group.to = count_of(was.from), count_of(was.to)
        if group.pending > PENDING_MOST then
            forget_pending(name, group, first)
        end
        if group.unread and (not first or is_before(group.unread, first)) then
            miss(group, ms_of(group.unread), first and ms_of(first) or c.now)
            group.cuts, group.unread = group.cuts + 1, first
        end
        tell_missed(c, name, group)
        looked_at[i] = {key = name, group = group.who, pending = group.pending, cuts = group.cuts,
            behind_ms = group.unread and math.max(0, c.now - ms_of(group.unread)) or 0,
            told = group.told, from = group.from, to = group.to}
    end
    return looked_at
end

-- Where is the stream's beginning? Fields of `lines`: `first:<k>` is the id of its first entry ('':
-- it has none); what has a higher id than `gone:<k>` is there.
local function beginning(c, k, first)
    if first then
        local ms, seq = ms_of(first), seq_of(first)
        local gone = seq > 0 and string.format('%.0f-%.0f', ms, seq - 1) or
            string.format('%.0f-18446744073709551615', ms - 1)
        return {'first:' .. k, first, 'gone:' .. k, gone}
    end
    local info, fields = redis.pcall('XINFO', 'STREAM', stream(c, k)), {'first:' .. k, ''}
    for i = 1, #info, 2 do
        if info[i] == 'last-generated-id' then
            fields[3], fields[4] = 'gone:' .. k, info[i + 1]
        end
    end
    return fields
end

-- Entries that no trim took off were removed by somebody else.
local function tell_removed(c, k, was)
    if not was or was == '' then
        return
    end
    local name = stream(c, k)
    local first = first_of(name)
    if not first or is_before(was, first) then
        add_gap(name, event(c, 'history.removed', {'key', name, 'from', ms_of(was),
            'to', first and ms_of(first) or c.now}), 'removed')
    end
end

-- Where all streams have too many bytes, part of the largest goes. The bytes of all.
local function trim_bytes(c, n)
    local all, largest, bytes = 0, nil, 0
    for k = 0, n - 1 do
        local size = call('MEMORY', 'USAGE', stream(c, k)) or 0
        all = all + size
        if size > bytes then
            largest, bytes = stream(c, k), size
        end
    end
    if all > limit(c, 'history_bytes') then
        local len = call('XLEN', largest)
        shorten(largest, len - math.ceil(len / GOES_PART))
    end
    return all
end

-- Takes what is too old off the streams, half of the rest where Redis is short of memory, and part
-- of it where there are too many bytes. What is left is written for those who look.
local function trim_streams(c, n)
    local groups, looked_at, entries, oldest = {}, {}, 0, nil
    local too_old = string.format('%d', math.max(0, c.now - limit(c, 'history_ms')))
    for k = 0, n - 1 do
        tell_removed(c, k, call('HGET', key(c, 'lines'), 'first:' .. k))
        groups[k] = groups_of(stream(c, k))
        call('XTRIM', stream(c, k), 'MINID', '~', too_old)
    end
    if memory_is_short(c) then
        for k = 0, n - 1 do
            shorten(stream(c, k), math.floor(call('XLEN', stream(c, k)) / 2))
        end
        looked = 0
        tell_short(c)
    end
    local bytes, known = trim_bytes(c, n), groups_until_now(c)
    for k = 0, n - 1 do
        local first = first_of(stream(c, k))
        for _, group in ipairs(look_at_groups(c, stream(c, k), groups[k], first, known)) do
            looked_at[#looked_at + 1] = group
        end
        call('HSET', key(c, 'lines'), unpack(beginning(c, k, first)))
        oldest = first and math.min(ms_of(first), oldest or ms_of(first)) or oldest
        entries = entries + call('XLEN', stream(c, k))
    end
    call('HSET', key(c, 'lines'), 'trimmed', c.stamp, 'bytes', bytes, 'entries', entries,
        'oldest', oldest or 0, 'groups', #looked_at > 0 and to_json(looked_at) or '[]')
end

-- Nothing is kept, nor was when the streams were trimmed last; and nothing is to be told of them.
local function is_empty(c)
    local is, n = call('HMGET', key(c, 'lines'), 'entries', 'streams', 'missed_to'), limit(c, 'history_streams')
    if is[1] ~= '0' or count_of(is[2]) ~= n or is[3] or not is_kept(c) then
        return false
    end
    for k = 0, n - 1 do
        if call('XLEN', stream(c, k)) > 0 then
            return false
        end
    end
    return true
end

-- Is it so long ago that the streams were trimmed? (Of empty ones there is little to do.)
local function is_due(c, ms)
    local since = math.abs(c.now - count_of(call('HGET', key(c, 'lines'), 'trimmed')))
    return since >= ms and (since >= EMPTY_MS or not is_empty(c))
end

-- Trims the streams, and removes those of a time when there were more.
local function trim(c)
    local n, gone = begun(c), {}
    if not n then
        return
    end
    for k = n, STREAMS_MOST - 1 do
        gone[#gone + 1] = stream(c, k)
    end
    if #gone > 0 then
        call('UNLINK', unpack(gone))
    end
    if n > 0 then
        trim_streams(c, n)
    end
end

-- By the leader, now and then.
function history.trim_led(c)
    if is_due(c, TRIM_MS) then
        trim(c)
    end
end

-- By a node, where no leader does: there may be many nodes.
function history.trim_unled(c)
    if is_kept(c) and is_due(c, LOOK_MS) then
        trim(c)
    end
end

end
