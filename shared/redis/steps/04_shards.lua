-- Shards: they come, they have a sender, they are gone.

-- Nobody sends for the shard.
local function leave_sender(c, shard)
    local old = sender_of_shard(c, shard)
    if old then
        call('SREM', key(c, 'shard', old, 'serves'), shard)
        untouch(c, node_of(c, old), 'serves', {shard})
    end
end

local function set_sender(c, shard, sender)
    if sender_of_shard(c, shard) ~= sender then
        leave_sender(c, shard)
        call('HSET', key(c, 'shard', shard), 'sender', sender)
        places.forget(c, {shard})
        call('SADD', key(c, 'shard', sender, 'serves'), shard)
        touch(c, node_of(c, sender), {}, {shard})
    end
end

-- Which shard sends for this one, of that user, as long as nobody has chosen one, and not
-- `leaving`: the default sender of a speaker that is not its user, else itself.
function speakers.first_sender(c, shard, reader, leaving)
    local speaker = speakers.of(c, reader)
    local default = speaker ~= reader and shard_id(call('HGET', key(c, 'senders'), speaker))
    return default and default ~= leaving and is_shard(c, default) and default or shard
end

-- No number of an extended shard is used twice: the highest there has been.
local function last_extended(c)
    c.extended = c.extended or count_of(call('HGET', key(c, 'clock'), 'extended'))
    return c.extended
end

-- Creates a shard on `node` (nil: on the best, or on none yet). The caller has checked the limits.
-- `run` is "started" (it connects at once) or "new" (not before it is started).
local function create_shard(c, shard, user, node, closes_idle, run)
    local n = count_of(string.match(shard, '^extended%-shard%-(%d+)$'))
    if n > 0 and n > last_extended(c) then
        call('HSET', key(c, 'clock'), 'extended', n)
        c.extended = n
    end
    local sender = speakers.first_sender(c, shard, user)
    call('HSET', key(c, 'shard', shard), 'user', user, 'node', '', 'sender', sender, 'closes_idle', closes_idle,
        'channels', 0, 'rev', rev_of(c), 'epoch', 0, 'joined', 0, 'state', 'idle', 'run', run, 'since', c.now)
    call('ZADD', key(c, 'load'), 0, shard)
    if not speakers.is(shard) then
        call('ZADD', key(c, 'open', user), 0, shard)
    end
    if closes_idle == 1 then
        call('ZADD', key(c, 'idle'), c.now, shard)
    end
    call('SADD', key(c, 'shard', sender, 'serves'), shard)
    c.tell = call('HSETNX', key(c, 'senders'), user, shard) == 1 or c.tell
    event(c, 'shard.added', {'shard', shard, 'user', user})
    node = node or speakers.choose_node(c, shard, user)
    local sends = sender == shard and node or node_of(c, sender)
    if sender ~= shard then
        touch(c, sends, {}, {shard})
    end
    if node then
        put_on(c, shard, node, 1, sender == shard and {shard} or {})
    else
        call('SADD', key(c, 'homeless'), shard)
    end
    places.note(c, shard, {user = user, node = node or '', sends = sends or '', closes_idle = closes_idle == 1})
    shards_changed(c, shard)
end

local SERVED_PER_STEP = 100

-- The shards that `shard` sends for have the sender they had first, a portion, but for `most` of
-- them. True where nothing is left to do. (Whoever chooses senders is asked again.)
local function rehome(c, shard, most)
    local sk = key(c, 'shard', shard, 'serves')
    local excess = call('SCARD', sk) - most
    if excess <= 0 then
        return true
    end
    for _, served in ipairs(call('SRANDMEMBER', sk, math.min(excess, SERVED_PER_STEP))) do
        if served ~= shard then
            if sender_of_shard(c, served) == shard then
                set_sender(c, served, speakers.first_sender(c, served, user_of(c, served), shard))
            end
            call('SREM', sk, served)
        end
    end
    shards_changed(c)
    return excess <= SERVED_PER_STEP
end

-- A shard of the user, which may be a speaker shard; nil: there is none.
function speakers.next_sender(c, user)
    for _, shard in ipairs(user == setting(c, 'speaker') and speakers.list(c) or {}) do
        if user_of(c, shard) == user then
            return shard
        end
    end
    return call('ZRANGE', key(c, 'open', user), 0, 0)[1]
end

-- A shard without channels is gone, with all that is known of it. `users` are those whose it may
-- be: the first shard of what is left to them sends to channels that nobody joined. False where it
-- sends for so many that it has to go on later.
local function shard_gone(c, shard, users)
    if not rehome(c, shard, 0) then
        return false
    end
    leave_sender(c, shard)
    unplace(c, shard)
    local sk = key(c, 'shard', shard)
    call('DEL', sk, sk .. ':channels', sk .. ':serves', sk .. ':read', sk .. ':retry')
    call('ZREM', key(c, 'load'), shard)
    call('ZREM', key(c, 'idle'), shard)
    call('SREM', key(c, 'homeless'), shard)
    places.forget(c, {shard})
    for _, user in ipairs(users) do
        call('ZREM', key(c, 'open', user), shard)
        if call('HGET', key(c, 'senders'), user) == shard then
            c.tell = true
            local other = speakers.next_sender(c, user)
            if other then
                call('HSET', key(c, 'senders'), user, other)
            else
                call('HDEL', key(c, 'senders'), user)
                call('DEL', key(c, 'standing', user))
            end
        end
    end
    shards_changed(c)
    return true
end

-- Some of the shards that no node holds are placed. Each is tried: one user's shards may find no
-- node where another's do.
local function place_homeless(c)
    local shards = call('SRANDMEMBER', key(c, 'homeless'), SHARDS_PER_EXPIRE)
    table.sort(shards)
    for _, shard in ipairs(shards) do
        if not shard_id(shard) then
            call('SREM', key(c, 'homeless'), shard)
        elseif rehome(c, shard, SERVED_ALONG) then
            place(c, shard)
        end
    end
end
