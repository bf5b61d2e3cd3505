-- Shards that shard managers open, start and stop, and who sends for them. The leader takes these
-- steps by itself.

do -- seen in here alone

local SENDERS_AT_ONCE = 100 -- changes a step

-- Why the channels cannot be a new shard's, or nil.
local function shard_channels_refused(c, shard, user, names)
    local per_shard, room = limit(c, 'channels_per_shard'), rooms.of(c, user)
    if #names > per_shard then
        return refused_by(c, string.format('Shard %s cannot have %d channels.', shard, #names), 'channels_per_shard')
    end
    local more, why = 0, #names > 0 and readers.refused(c, user)
    if why then
        return why
    end
    for i, now in ipairs(call_all('HMGET', key(c, 'channels'), names)) do
        if now and now ~= '' then
            return string.format('Channel %s is on shard %s already.', names[i], now)
        end
        more = more + (rooms.counts(user, names[i]) and 1 or 0)
    end
    if room.rooms + more > room.room_limit then
        return refused_by(c, string.format(
            '%d channels more are above the room limit of user %s: it is in %d of %d rooms.', more, user, room.rooms,
            room.room_limit), 'room_limit')
    end
    return nil
end

-- What is answered where the shard cannot be added, or nil; and the names of its channels.
local function shard_refused(c, shard, user, texts)
    local refused, login = {}, login_of(user)
    local names = channels.names(texts, refused)
    local text, why = next(refused)
    if speakers.is(shard) then
        why = 'Ids like ' .. shard .. ' are those of the setting speaker; take another.'
    elseif not login or not user_known(c, login) then
        return {login and 'later' or 'refused', no_token(c, user)}
    elseif call('ZCARD', key(c, 'load')) >= limit(c, 'max_shard_count') then
        why = refused_by(c, ERR_SHARDS_FULL, 'max_shard_count')
    else
        why = text and text .. ': ' .. why or shard_channels_refused(c, shard, user, names)
    end
    return why and {'refused', why}, names
end

-- The shard is not started. Where no node has room, none holds it yet. All or nothing: "added" |
-- "exists" | "refused", why | "later", why: it passes by itself
leader_step('add_shard', 'shard user channel...', function(c, a)
    local shard, user = a[3], a[4]
    if #a > 4 + MAX_CHANNELS then
        return nil
    elseif not shard_id(shard) then
        return {'refused', 'Not a shard id: ' .. shown(shard) .. '; it is 1 to 64 of a-z, 0-9, _ and -.'}
    elseif is_shard(c, shard) then
        return {'exists'}
    end
    local refused, names = shard_refused(c, shard, user, {unpack(a, 5)})
    if refused then
        return refused
    end
    create_shard(c, shard, user, nil, 0, 'new')
    local waited = {}
    for i, at in ipairs(call_all('HMGET', key(c, 'channels'), names)) do
        waited[names[i]] = at == ''
    end
    channels.put_on(c, shard, names, waited)
    return {'added'}
end)

-- A step that starts a shard or stops it: its node connects it, or closes it. `why_not` says what
-- is against it.
local function run_step(name, to, why_not)
    own_step(name, 'shard', function(c, a)
        local shard = a[3]
        local sk = key(c, 'shard', shard)
        local run = is_shard(c, shard) and call('HGET', sk, 'run')
        local why = not run and ' does not exist.' or why_not(c, run)
        if why then
            return {ok = false, error = 'Shard ' .. shown(shard) .. why}
        end
        call('HSET', sk, 'run', to, 'rev', rev_of(c))
        if to == 'started' then
            call('HSET', sk, 'state', 'idle') -- closed is what its node says when it is
        end
        touch(c, node_of(c, shard), {shard}, {})
        shards_changed(c)
        return nil
    end)
end

run_step('shard_start', 'started', function(c, run)
    return run == 'started' and ' cannot be started. Perhaps it has already been started?' or
        settings(c).stopped == '1' and ' cannot be started: the cluster is stopped.'
end)

run_step('shard_stop', 'stopped', function(_, run)
    return run ~= 'started' and ' has not been started.'
end)

-- Who sends for a shard, or for "@USER": for channels that nobody joined. Nobody but the speaker
-- speaks for another user's shard. A shard that is gone by now is no sender. Such pairs are passed
-- over.
own_step('senders', '{shard sender}...', function(c, a)
    for i = 3, math.min(#a - 1, 1 + 2 * SENDERS_AT_ONCE), 2 do
        local user = shard_id(a[i + 1]) and user_of(c, a[i + 1])
        local reader = user and shard_id(a[i]) and user_of(c, a[i])
        if user and a[i] == '@' .. user then
            c.tell = true
            call('HSET', key(c, 'senders'), user, a[i + 1])
        elseif reader and (user == reader or user == speakers.of(c, reader)) then
            set_sender(c, a[i], a[i + 1])
        end
    end
end)

-- Some of the shards that no node holds are placed.
own_step('place_homeless', '', place_homeless)

-- One of the shards that were idle. It may have channels by now, or never have been one that closes
-- when idle.
local function close_idle(c, shard)
    if not call('ZSCORE', key(c, 'idle'), shard) then
        return
    end
    local is_idle = shard_id(shard) and call('HGET', key(c, 'shard', shard), 'closes_idle') == '1' and
        call('SCARD', key(c, 'shard', shard, 'channels')) == 0
    if not is_idle then
        call('ZREM', key(c, 'idle'), shard)
    end
    local user = is_idle and user_of(c, shard) or nil
    if not user then
        damaged(c)
    end
    if is_idle and shard_gone(c, shard, {user}) then
        event(c, 'shard.removed', {'shard', shard})
    end
end

-- Shards that close when idle, if they still are.
own_step('close_idle', 'shard...', function(c, a)
    for i = 3, #a do
        close_idle(c, a[i])
    end
end)

end
