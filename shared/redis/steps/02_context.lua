-- Context: what every step begins with: the cluster's names, the time, who may act, hints and
-- events.

-- What is in Redis is input: whoever may write there may have written anything. What cannot be
-- right counts as absent, steps go on without it, and the compare puts it right.

local MOST = 2 ^ 53 -- whole numbers up to here are exact

-- The whole number that a field, a score or a number of a report is; nil where it is none.
local function whole(value)
    local n = tonumber(value or '')
    return n and n > -MOST and n < MOST and math.floor(n) or nil
end

-- The same of what is never below 0: 0 where it is none.
local function count_of(value)
    local n = tonumber(value or '')
    return n and n > 0 and n < MOST and math.floor(n) or 0
end

-- Names become parts of keys: nothing else may. nil: it is none.
local function shard_id(text)
    return text and #text <= 64 and string.match(text, '^[a-z0-9_-]+$')
end

local function node_id(text)
    return text and #text <= 64 and string.match(text, '^[A-Za-z0-9_.-]+$')
end

-- A channel's name or a user's, as Shoal writes it.
local function login_of(text)
    return text and #text <= 25 and string.match(text, '^[a-z0-9_]+$')
end

-- The leader is to compare soon.
local function damaged(c)
    if not c.damaged then
        c.damaged = true
        call('HSET', c.tag .. ':clock', 'damaged', 1)
    end
end

-- Called a dozen times in each step: without a table for its arguments.
local function key(c, kind, name, part)
    if part then
        return c.tag .. ':' .. kind .. ':' .. name .. ':' .. part
    elseif name then
        return c.tag .. ':' .. kind .. ':' .. name
    end
    return c.tag .. ':' .. kind
end

-- The forms of a character of several bytes in UTF-8.
local UTF8_FORMS = {
    '^[\194-\223][\128-\191]',
    '^[\225-\236\238\239][\128-\191][\128-\191]',
    '^\224[\160-\191][\128-\191]',
    '^\237[\128-\159][\128-\191]', -- no surrogates
    '^\240[\144-\191][\128-\191][\128-\191]',
    '^[\241-\243][\128-\191][\128-\191][\128-\191]',
    '^\244[\128-\143][\128-\191][\128-\191]',
}

-- Bytes that are not UTF-8 become U+FFFD.
local function to_utf8(text)
    if string.find(text, '^[%z\1-\127]*$') then -- four times as fast as to look for the others
        return text
    end
    local parts, start, at = {}, 1, string.find(text, '[\128-\255]')
    while at do
        local last
        for _, form in ipairs(UTF8_FORMS) do
            last = last or select(2, string.find(text, form, at))
        end
        if not last then
            parts[#parts + 1], start = string.sub(text, start, at - 1), at + 1
        end
        at = string.find(text, '[\128-\255]', (last or at) + 1)
    end
    parts[#parts + 1] = string.sub(text, start)
    return table.concat(parts, '\239\191\189')
end

-- The table as JSON; cjson copies bytes as they are.
local function to_json(object)
    return to_utf8(cjson.encode(object))
end

-- Can a request or a send be known by this id, which was given with it?
local function usable_id(id)
    return #id <= MAX_ID and to_utf8(id) == id
end

-- Publish an event and keep it in the log. `fields` is a flat list: name, value, ... Long texts are
-- cut: the log is bounded in entries, and so in bytes, as steps write it when Redis's memory is
-- full, too.
local function event(c, name, fields)
    local object = {event = name, at = c.now}
    for i = 1, #fields, 2 do
        local value = fields[i + 1]
        object[fields[i]] = type(value) == 'string' and string.sub(value, 1, MAX_TOLD) or value
    end
    local text = to_json(object)
    call('XADD', key(c, 'log'), 'MAXLEN', '~', LOG_ENTRIES, '*', 'event', text)
    call('PUBLISH', c.topic .. 'events', text)
    return text
end

-- The command for all of a list at once; {} where that is empty.
local function call_all(command, name, list)
    return #list > 0 and call(command, name, unpack(list)) or {}
end

local context -- below

do -- the rest is seen in here alone

-- redis.call, but for what only another could have written: a key of another type (or a stream that
-- takes no more entries), which is nothing of Shoal's, and is removed; a counter that is none,
-- which begins anew.
local function call_in(c)
    local try, type_of = redis.pcall, type
    return function(command, name, ...)
        local reply = try(command, name, ...)
        if type_of(reply) ~= 'table' or not reply.err then
            return reply
        end
        if string.find(reply.err, 'WRONGTYPE', 1, true) or string.find(reply.err, 'last possible ID', 1, true) then
            redis.call('DEL', name)
            damaged(c)
            event(c, 'registry.repaired', {'key', name, 'what', 'was nothing of Shoal\'s: removed'})
        elseif command == 'HINCRBY' then
            redis.call('HDEL', name, (...))
        end
        return redis.call(command, name, ...) -- with its error, if it is another
    end
end

-- The same for what writes nothing: a key of another type counts as not there.
local function peek(...)
    local reply = redis.pcall(...)
    return type(reply) == 'table' and reply.err and {} or reply
end

-- The cluster as one step sees it: key and topic names, and Redis's time in ms. `looks`: it writes
-- nothing.
function context(keys, looks)
    call = redis.call
    local tag = keys[1]
    local name = tag and string.match(tag, '^shoal:{([a-z0-9_-]+)}$')
    if not name then
        return nil, badarg('KEYS[1] must be shoal:{CLUSTER}')
    end
    local time = call('TIME')
    local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
    local c = {
        tag = tag,
        topic = 'shoal:' .. name .. ':',
        now = now,
        time = time[1] .. '-' .. time[2],
        stamp = string.format('%d', now), -- the same as text, for what is written often
        dirty = {},   -- nodes that must look
        changed = {}, -- shards that the leader reads anew
        verified = {}, -- user -> is its tier that, as far as this step has asked
        facts = {},   -- what this step knows of nodes
        places = {},  -- and of shards (04_counts.lua)
        place = {},
        counts = {},
        no_node = {}, -- users that no node has room for, as found in this step
        free = {},    -- nodes with room, most first, as far as they were looked at
        taken = {},   -- node -> sends that were taken for it
    }
    call = looks and peek or call_in(c)
    return c
end

end

-- A channel as people write it -> its login, or nil.
local function channel_name(text)
    return login_of(text) or login_of(string.lower(string.gsub(text, '^#', '')))
end

-- What a caller sent, fit to be shown in a reply (JSON, UTF-8).
local function shown(text)
    return (string.gsub(string.sub(text, 1, 64), '[^\32-\126]', '?'))
end

-- Count up; a counter that somebody set to what is no count begins anew.
local function bump(k, field, by)
    local n = call('HINCRBY', k, field, by)
    if n < 1 or n >= MOST then
        call('HSET', k, field, by)
        return by
    end
    return n
end

-- The rev of the shards that change in this step. It grows, and no other step has it. It begins as
-- the time in us: above whatever there was.
local function rev_of(c)
    if not c.rev then
        local clock = key(c, 'clock')
        local n = bump(clock, 'rev', 1)
        if n == 1 then
            n = c.now * 1000
            call('HSET', clock, 'rev', string.format('%d', n))
        end
        c.rev = string.format('%d', n)
    end
    return c.rev
end

-- Something about the set of shards changed that the leader's choice of senders depends on; of
-- which one, where that is noted nowhere else.
local function shards_changed(c, shard)
    c.shards_changed = true
    if shard then
        c.changed[shard] = true
    end
end

-- `of` is name -> list; one member more, or two.
local function add_to(of, name, member, another)
    local list = of[name] or {}
    of[name] = list
    list[#list + 1] = member
    if another then
        list[#list + 1] = another
    end
end

local touch, keep_changed
do -- the rest is seen in here alone

-- The shards with the revs up to that one.
local function with_revs(shards, rev)
    local scored = {}
    for i, shard in ipairs(shards) do
        scored[2 * i - 1], scored[2 * i] = string.format('%d', rev - i + 1), shard
    end
    return scored
end

local CHANGES_KEPT, TRIMMED_AT_ONCE = 100000, 1000

-- So the leader finds these shards without a look at the others: behind clock.changes as of its
-- last look, in the index `changed`, which says nothing of what was before clock.changes_from.
function keep_changed(c)
    local shards = {}
    for shard in pairs(c.changed) do
        shards[#shards + 1] = shard
    end
    if #shards == 0 then
        return
    end
    local clock, index = key(c, 'clock'), key(c, 'changed')
    local n = bump(clock, 'changes', #shards)
    call('ZADD', index, unpack(with_revs(shards, n)))
    if n % TRIMMED_AT_ONCE < #shards and n > CHANGES_KEPT then
        local from = string.format('%d', n - CHANGES_KEPT)
        call('HSET', clock, 'changes_from', from)
        call_all('ZREM', index, call('ZRANGEBYSCORE', index, '-inf', from, 'LIMIT', 0, TRIMMED_AT_ONCE))
    end
end

-- The node, if there is one, must look at shards that it holds, and at some that it sends for. Of a
-- list each gets a rev of its own, behind which a picture can go on.
function touch(c, node, shards, serves)
    for _, list in ipairs({shards, serves}) do
        for _, shard in ipairs(list) do
            c.changed[shard] = true
        end
    end
    if not node then
        return
    end
    local nk = key(c, 'node', node)
    local rev = bump(nk, 'rev', math.max(#shards, #serves))
    call_all('ZADD', nk .. ':shards', with_revs(shards, rev))
    call_all('ZADD', nk .. ':serves', with_revs(serves, rev))
    c.dirty[node] = true
end

end

-- It has nothing to do with these shards any more: `role` is "shards" (it held them) or "serves"
-- (it sent for them).
local function untouch(c, node, role, shards)
    if node and #shards > 0 then
        bump(key(c, 'node', node), 'rev', 1)
        call('ZREM', key(c, 'node', node, role), unpack(shards))
        c.dirty[node] = true
    end
end

local function leader_check(c, incarnation, token)
    local leader = call('HMGET', key(c, 'leader'), 'incarnation', 'token')
    local leads = incarnation ~= '' and leader[1] == incarnation and leader[2] == token
    return not leads and redis.error_reply('DEPOSED another coordinator leads') or nil
end

local function node_check(c, node, incarnation)
    return call('HGET', key(c, 'node', node), 'incarnation') ~= incarnation and
        redis.error_reply('LOST the lease of node ' .. shown(node) .. ' is not held by this process') or nil
end

local registry_of, bring_near, watch_clock
do -- the rest is seen in here alone

local function registry_in(hash)
    local id = call('HGET', hash, 'registry')
    return id and #id <= 31 and string.match(id, '^%d+%-%d+$') and id or nil
end

-- Tells this registry from one that begins anew where all was lost. It is with the streams as well:
-- where the clock alone is gone, they have all that was published, and get none of it again.
function registry_of(c)
    local id = registry_in(key(c, 'clock'))
    if not id then
        id = registry_in(key(c, 'lines')) or c.time
        call('HSET', key(c, 'clock'), 'registry', id)
    end
    return id
end

local NEAR_PORTION = 250

-- What is due later than `most` is due at `at`, a portion. True where nothing is left.
function bring_near(c, index, most, at)
    local late = call('ZRANGEBYSCORE', key(c, index), '(' .. most, '+inf', 'LIMIT', 0, NEAR_PORTION)
    for _, member in ipairs(late) do
        call('ZADD', key(c, index), at, member)
    end
    return #late < NEAR_PORTION
end

-- Redis's clock went back: what was counted from the time it had is as far ahead as it ever may be.
-- Each renewal does a portion.
local function clock_went_back(c, lease)
    local near = bring_near(c, 'nodes', c.now + lease, c.now + lease)
    near = bring_near(c, 'idle', c.now, c.now) and near
    if count_of(call('HGET', key(c, 'leader'), 'deadline')) > c.now + lease then
        call('HSET', key(c, 'leader'), 'deadline', c.now + lease)
    end
    if near then
        call('HDEL', key(c, 'clock'), 'went_back')
    else
        call('HSET', key(c, 'clock'), 'went_back', 1)
    end
end

-- Redis was away, or its clock jumped: for two leases nothing expires.
function watch_clock(c, lease)
    local ck = key(c, 'clock')
    local clock = call('HMGET', ck, 'seen', 'went_back')
    local back = (whole(clock[1]) or c.now) - c.now
    if back > 0 or -back > lease / 2 then
        call('HSET', ck, 'grace', c.now + 2 * lease)
        c.grace = nil
    end
    if back > 0 or clock[2] then
        clock_went_back(c, lease)
    end
    if back > 0 then
        call('HSET', ck, 'back', back)
    end
    if back >= CLOCK_TOLD_MS then
        event(c, 'redis.clock_back', {'ms', back})
    end
    call('HSET', ck, 'seen', c.now)
end

end

local function grace_until(c)
    if not c.grace then
        local grace = count_of(call('HGET', key(c, 'clock'), 'grace'))
        c.grace = grace <= c.now + 2 * LEASE_MOST_MS and grace or 0
    end
    return c.grace
end

-- Steps -------------------------------------------------------------------------------------------

-- The names of a step's arguments, and how many there may be. A word with "..." or "{" stands for
-- any number of them, and so does all that follows.
local function arguments_of(usage)
    local names = {}
    for word in string.gmatch(usage, '%S+') do
        if string.find(word, '[{.]') then
            return names, math.huge
        end
        names[#names + 1] = word
    end
    return names, #names
end

-- When Redis's memory is full, it refuses what needs more of it. Steps go on: leases, and whatever
-- overwrites, frees or settles what is there. What they add is bounded by what there is (results by
-- the outbox, state by channels, shards and nodes, the log by its length). These add channels,
-- shards and sends: refused then, with Redis's words.
local GROWS = {add_shard = true, assign = true, send_accept = true}

-- How each step begins: it looks at the cluster, at whether its caller may take it (`may`; nil:
-- anybody), and at how many arguments there are. `run` does the rest: nil where the arguments are
-- none that it can use. At the end the leader's choice of senders and the nodes concerned are told,
-- and, where `c.tell` was set, all nodes: what every picture says is another (06_picture.lua).
local function define(name, usage, may, run)
    local names, most -- made when the step is first called: until then Lua's own are not there
    usage = name .. ': ' .. usage
    local function callback(keys, a)
        local c, refused = context(keys)
        refused = refused or may and may(c, a[1], a[2])
        if refused then
            return refused
        elseif not names then
            names, most = arguments_of(string.match(usage, ': (.*)'))
        end
        c.names = names
        local answer = #a >= #names and #a <= most and run(c, a) or badarg(usage)
        keep_changed(c)
        if c.shards_changed then
            bump(key(c, 'clock'), 'shards', 1)
        end
        if c.tell then
            bump(key(c, 'clock'), 'told', 1)
        end
        for node in pairs(c.dirty) do -- a hint that is lost costs one renewal
            call('PUBLISH', c.topic .. 'node:' .. node, 'look')
        end
        return answer
    end
    redis.register_function{function_name = 'shoal1_' .. name, callback = callback,
        flags = GROWS[name] and {} or {'allow-oom'}}
end

-- The arguments by their names.
local function by_name(c, a)
    local values = {}
    for i, name in ipairs(c.names) do
        values[name] = a[i]
    end
    return values
end

local function step(name, usage, run)
    define(name, usage, nil, run)
end

-- A step that only the holder of a node may take.
local function node_step(name, usage, run)
    define(name, 'node incarnation ' .. usage, node_check, run)
end

-- A step that only the leader may take.
local function leader_step(name, usage, run)
    define(name, 'incarnation token ' .. usage, leader_check, run)
end
