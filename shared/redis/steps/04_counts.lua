-- Counts: how many channels each shard has, and all that depends on it.

-- The user of a shard, its node (nil: on none), the shard that sends for it. Nil where it is not
-- known.
local function user_of(c, shard)
    return login_of(call('HGET', key(c, 'shard', shard), 'user'))
end

local function node_of(c, shard)
    return node_id(call('HGET', key(c, 'shard', shard), 'node'))
end

local function sender_of_shard(c, shard)
    return shard_id(call('HGET', key(c, 'shard', shard), 'sender'))
end

local function is_shard(c, shard)
    return shard_id(shard) and call('ZSCORE', key(c, 'load'), shard)
end

-- Places: what a change of its channels takes to know of a shard, of many in one look. `places` has
-- it as one text: its user, its node, the node that sends for it, whether it closes when idle. What
-- changes any of that forgets the text, and the next look makes it anew.
local places = {}

do -- the rest is seen in here alone

local function to_text(place)
    return string.format('%s %s %s %d', place.user, place.node, place.sends, place.closes_idle and 1 or 0)
end

-- The text as it should be; nil where it is not known whose shard it is.
local function text_of(c, shard)
    local s = call('HMGET', key(c, 'shard', shard), 'user', 'node', 'sender', 'closes_idle')
    local node, sender = node_id(s[2]) or '', shard_id(s[3])
    local sends = (not sender or sender == shard) and node or node_of(c, sender) or ''
    return login_of(s[1]) and to_text({user = s[1], node = node, sends = sends, closes_idle = s[4] == '1'})
end

-- What a text says: {user, node, sends, closes_idle}; a node is '' where there is none. Many shards
-- have the same.
local function place_of(c, text)
    local place
    if text then
        local user, node, sends, closes = string.match(text, '^([a-z0-9_]+) (%S*) (%S*) ([01])$')
        place = user and {user = user, node = node, sends = sends, closes_idle = closes == '1'}
        c.place[text] = place
    end
    return place
end

-- Looks at all of the shards: c.places has the place of each then, or false.
function places.look(c, shards)
    local known, unknown, fresh = c.places, {}, {}
    for _, shard in ipairs(shards) do
        if known[shard] == nil then
            unknown[#unknown + 1] = shard
        end
    end
    for i, text in ipairs(call_all('HMGET', key(c, 'places'), unknown)) do
        local shard, place = unknown[i], c.place[text] or place_of(c, text)
        if not place then
            text = shard_id(shard) and text_of(c, shard)
            place = place_of(c, text)
            if place then
                fresh[#fresh + 1], fresh[#fresh + 2] = shard, text
            end
        end
        known[shard] = place or false
    end
    call_all('HSET', key(c, 'places'), fresh)
end

-- The place of a shard that was not looked at yet, perhaps.
function places.of(c, shard)
    if c.places[shard] == nil then
        places.look(c, {shard})
    end
    return c.places[shard]
end

-- Looks how many channels each of the shards has: c.counts.
function places.count(c, shards)
    local counts, unknown = c.counts, {}
    for _, shard in ipairs(shards) do
        if not counts[shard] then
            unknown[#unknown + 1] = shard
        end
    end
    for i, count in ipairs(call_all('ZMSCORE', key(c, 'load'), unknown)) do
        counts[unknown[i]] = count_of(count)
    end
end

-- The place of a new shard is known.
function places.note(c, shard, place)
    c.places[shard], c.counts[shard] = place, 0
    call('HSET', key(c, 'places'), shard, to_text(place))
end

-- Something of theirs changes.
function places.forget(c, shards)
    call_all('HDEL', key(c, 'places'), shards)
    for _, shard in ipairs(shards) do
        c.places[shard] = nil
    end
end

-- Is what is kept of the shard, if anything, what is so?
function places.right(c, shard)
    local kept = call('HGET', key(c, 'places'), shard)
    return not kept or kept == text_of(c, shard)
end

end

local count_channels
do -- the rest is seen in here alone

-- The same for one that closes when idle.
local function tally_idle(c, tally, shard, count, change)
    if count == 0 then
        add_to(tally, 'idle', c.stamp, shard)
    elseif count == change then
        add_to(tally, 'busy', shard)
    end
end

-- The shard has so many channels now, which a change made: what there is to write of it all at
-- once. `scored`: user -> {count, shard, ...} for the index of its open shards, '' -> the same of
-- others.
local function tally_shard(c, tally, shard, count, change)
    local place = c.places[shard]
    local user = place and not speakers.is(shard) and place.user or ''
    local score, list = tally.digits[count], tally.scored[user]
    if not score then
        score = string.format('%d', count) -- numbers are slow as arguments
        tally.digits[count] = score
    end
    call('HSET', tally.prefix .. shard, 'channels', score, 'rev', tally.rev, 'moved', c.stamp)
    if list then
        local n = #list
        list[n + 1], list[n + 2] = score, shard
    else
        tally.scored[user] = {score, shard}
    end
    if place then
        add_to(tally.held, place.node, shard)
        if place.sends ~= place.node then -- it is told as the holder else (06_picture.lua)
            add_to(tally.served, place.sends, shard)
        end
    else
        damaged(c)
    end
    if count == change and change > 0 then
        tally.first = true
    end
    if place and place.closes_idle then
        tally_idle(c, tally, shard, count, change)
    end
end

-- The nodes look that hold the shards, or send for them.
local function tally_touch(c, tally)
    for node, shards in pairs(tally.held) do
        touch(c, node_id(node), shards, tally.served[node] or {})
        tally.served[node] = nil
    end
    for node, serves in pairs(tally.served) do
        touch(c, node_id(node), {}, serves)
    end
end

-- Channels of these shards came or went, `by` how many of each. Keeps every count and every index
-- that depends on one, and makes the nodes look that are concerned.
function count_channels(c, shards, by)
    if #shards == 0 then
        return
    end
    local tally = {prefix = key(c, 'shard', ''), rev = rev_of(c), digits = {}, scored = {}, idle = {}, busy = {},
        held = {}, served = {}}
    places.look(c, shards)
    places.count(c, shards)
    for i, shard in ipairs(shards) do
        local count = c.counts[shard] + by[i]
        count = count > 0 and count or 0
        c.counts[shard] = count
        tally_shard(c, tally, shard, count, by[i])
    end
    for user, scored in pairs(tally.scored) do
        call('ZADD', key(c, 'load'), unpack(scored))
        if user ~= '' then
            call('ZADD', key(c, 'open', user), unpack(scored))
        end
    end
    call_all('ZADD', key(c, 'idle'), tally.idle)
    call_all('ZREM', key(c, 'idle'), tally.busy)
    if tally.first then
        shards_changed(c) -- who sends for a shard is chosen when it has channels
    end
    tally_touch(c, tally)
end

end
