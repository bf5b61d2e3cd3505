-- Picture: what a node is told to hold and to serve, a portion an answer.
--
-- The lists `node:<node>:shards` and `node:<node>:serves` give each shard the node's rev at its
-- last change. So a picture since rev `seen` has four parts: the ids of all shards held; those that
-- changed since, with their channels; and the same of those served. Of what a node both holds and
-- serves a change of channels is noted once, in `shards`: such shards are looked for there, and are
-- told in both parts. Where a part has more than an answer tells, the answer says at which place
-- the next one goes on. A shard that changes meanwhile comes again, at the end.

local picture -- below
local RUN = {new = 0, started = 1, stopped = 2} -- what is asked of a shard, as a node is told it

do -- the rest is seen in here alone

local TOLD_AT_ONCE = 1000  -- ids and channels that one answer tells
local SHARDS_AT_ONCE = 100 -- and shards with their channels
local ADDS, MORE = 1, 2    -- of a shard: these channels come beside those told; others will come

-- Of the channels, those first that had lines lately.
local function active_first(c, names)
    local at = {}
    for i, when in ipairs(call('ZMSCORE', key(c, 'active'), unpack(names))) do
        at[names[i]] = count_of(when)
    end
    table.sort(names, function(a, b)
        return at[a] > at[b] or (at[a] == at[b] and a < b)
    end)
end

-- Of channels that are not read: channel -> for how many ms, -1 where it never was; channel -> when
-- somebody asked to try it again; and whether one was read before.
local function unread_of(c, sk, names)
    local unread, asked, some = {}, {}, false
    local retry = call_all('HMGET', sk .. ':retry', names)
    for i, since in ipairs(call_all('HMGET', sk .. ':read', names)) do
        if since ~= '' then
            local at, channel = since and whole(since), names[i]
            unread[channel] = at and math.max(1, c.now - at) or -1
            asked[channel] = retry[i] and tonumber(retry[i]) or nil
            some = some or since
        end
    end
    return unread, asked, some
end

-- Adds the channels to what is told of a shard. Where `held`, each that is not read has one number
-- or two behind it: those of unread_of. If one was read before, those that had lines lately come
-- first.
local function tell_channels(c, told, sk, names, held)
    local unread, asked, some, n = {}, {}, false, #told
    if held then
        unread, asked, some = unread_of(c, sk, names)
    end
    if some then
        active_first(c, names)
    end
    for _, channel in ipairs(names) do
        if login_of(channel) then
            n = n + 1
            told[n] = channel
            if unread[channel] then
                n = n + 1
                told[n] = unread[channel]
            end
            if asked[channel] then
                n = n + 1
                told[n] = asked[channel]
            end
        end
    end
end

-- What a node is told of a shard it holds, before its channels. Nil: it cannot be held, as what is
-- known of it does not suffice. The node goes on as it does.
local function held_shard(c, shard)
    local fields = call('HMGET', key(c, 'shard', shard), 'epoch', 'rev', 'user', 'run')
    local epoch = whole(fields[1])
    return epoch and epoch >= 0 and login_of(fields[3]) and
        {shard, epoch, count_of(fields[2]), fields[3], RUN[fields[4]] or 0} or nil
end

local function served_shard(c, shard)
    local sender = sender_of_shard(c, shard)
    return sender and {shard, sender} or nil
end

-- Tells a shard with its channels, those from `cursor` on ("0": from the first). The cursor to go
-- on with, "0" where it is all told, nil where it does not fit into this answer.
local function tell_shard(c, out, shard, cursor, held)
    local told = shard_id(shard) and (held and held_shard or served_shard)(c, shard)
    if not told then
        damaged(c)
        return '0'
    end
    local sk = key(c, 'shard', shard)
    if held and not reading_settled(c, shard) then
        return nil
    end
    local count = call('SCARD', sk .. ':channels')
    if cursor == '0' and count <= c.left then
        told[#told + 1] = 0
        tell_channels(c, told, sk, call('SMEMBERS', sk .. ':channels'), held)
        c.left = c.left - count
    elseif c.left < TOLD_AT_ONCE then
        return nil
    else
        local found = call('SSCAN', sk .. ':channels', cursor, 'COUNT', TOLD_AT_ONCE)
        told[#told + 1] = (cursor ~= '0' and ADDS or 0) + (found[1] ~= '0' and MORE or 0)
        cursor = found[1]
        tell_channels(c, told, sk, found[2], held)
        c.left = 0
    end
    out[#out + 1] = told
    return cursor
end

-- The ids of the list behind rev at.after. True where all are told.
local function tell_ids(c, list, out, at)
    local from, n = at.after == '-inf' and at.after or '(' .. at.after, #out
    local some = call('ZRANGEBYSCORE', list, from, '+inf', 'LIMIT', 0, c.left)
    for i, shard in ipairs(some) do
        out[n + i] = shard
    end
    c.left = c.left - #some
    if c.left == 0 and #some > 0 then
        at.after = call('ZSCORE', list, some[#some])
    end
    return c.left > 0
end

-- Of {shard, rev, ...} those that are not in that list, or changed there since rev `seen`.
local function not_to_tell(served, some, seen)
    local names, skipped = {}, {}
    for i = 1, #some, 2 do
        names[#names + 1] = some[i]
    end
    for i, rev in ipairs(call_all('ZMSCORE', served, names)) do
        skipped[names[i]] = not rev or tonumber(rev) > tonumber(seen)
    end
    return skipped
end

-- The shards that changed since rev at.after. `served`: only those in that list, too, and not
-- changed there.
local function tell_changed(c, list, out, at, held, served)
    local some = call('ZRANGEBYSCORE', list, '(' .. at.after, '+inf', 'WITHSCORES', 'LIMIT', 0, SHARDS_AT_ONCE)
    local skipped = served and not_to_tell(served, some, at.seen) or {}
    for i = 1, #some, 2 do
        local from = some[i] == at.shard and at.cursor or '0'
        local cursor = skipped[some[i]] and '0' or tell_shard(c, out, some[i], from, held)
        if cursor ~= '0' then
            at.shard, at.cursor = some[i], cursor or from
            return false
        end
        at.after, at.shard = some[i + 1], nil
    end
    return #some < 2 * SHARDS_AT_ONCE
end

local PARTS = {
    {list = 'shards', tell = tell_ids},
    {list = 'shards', tell = tell_changed, since = true, held = true},
    {list = 'serves', tell = tell_ids},
    {list = 'serves', tell = tell_changed, since = true},
    {list = 'shards', tell = tell_changed, since = true, served = true},
}

-- A portion of the picture from a place on (rev asked with, part, rev behind which it goes on, and
-- where that is within a shard, the shard and a cursor): {ids held}, {{shard, epoch, rev, user,
-- run, how, channel, [unread, [retry,]]...}...}, {ids served}, {{shard, sender, how,
-- channel...}...}, and the place of the next portion, "" where this was the last. `how` says
-- whether the channels come beside those told before (1), and whether others will come (2).
local function portion(c, node, at)
    local out = {{}, {}, {}, {}, ''}
    c.left = TOLD_AT_ONCE
    while at.part <= #PARTS do
        local part = PARTS[at.part]
        local list, served = key(c, 'node', node, part.list), part.served and key(c, 'node', node, 'serves')
        if not part.tell(c, list, out[math.min(at.part, 4)], at, part.held, served) then
            out[5] = string.format('%s %d %s %s %s', at.seen, at.part, at.after, at.shard or '-', at.cursor or '0')
            return out
        end
        local following = PARTS[at.part + 1]
        if following and following.served and at.seen == '-1' then
            break -- all that is served was told
        end
        at = {seen = at.seen, part = at.part + 1, after = following and following.since and at.seen or '-inf'}
    end
    return out
end

-- What a node should hold and serve, as far as it changed since rev `seen` (-1: everything):
-- "current", {setting, value, ...}, rev, seq, default sender, the lists of a portion (empty where
-- rev == seen), registry, another node is blind (0/1), {time, must restate (0/1), time up to which
-- Redis has all}, the place of the next portion.
function picture(c, node, seen)
    local rev = count_of(call('HGET', key(c, 'node', node), 'rev'))
    local user = speakers.of(c)
    -- Where the rev is lower, the counter began anew.
    local since = seen > rev and '-1' or string.format('%d', seen)
    local told = portion(c, node, {seen = since, part = rev == seen and #PARTS + 1 or 1, after = '-inf'})
    return {
        'current', node_settings(c), rev,
        count_of(call('HGET', key(c, 'fan', node), 'seq')),
        shard_id(call('HGET', key(c, 'senders'), user == '' and 'anonymous' or user)) or '',
        told[1], told[2], told[3], told[4], registry_of(c), sight.others_blind(c, node),
        {c.now, must_restate(c, node) and 1 or 0, count_of(call('HGET', key(c, 'clock'), 'kept'))},
        told[5],
    }
end

-- The next portion, where an answer named its place.
node_step('picture', 'place', function(c, a)
    local seen, part, after, shard, cursor = string.match(a[3], '^(%-?%d+) ([1-5]) (%S+) (%S+) (%d+)$')
    return seen and
        portion(c, a[1], {seen = seen, part = tonumber(part), after = after, shard = shard, cursor = cursor})
end)

end
