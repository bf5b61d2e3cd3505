-- Speakers, the step: shards of the speaker are opened, and those that are too many or of another
-- account are closed.

do -- seen in here alone

local OPENED_AT_ONCE = 10
local CLOSE_COSTS, SERVED_COSTS, CLOSE_MOST = 20, 5, 300 -- keys: a shard, one it sends for, a step

-- How many shards the speaker should have; where that is none, perhaps why.
local function wanted(c, speaker)
    if speaker == '' or speaker == 'anonymous' or settings(c).setup ~= 'done' then
        return 0, nil
    elseif call('HGET', key(c, 'account', speaker), 'says') == 'no' then
        return 0, 'Nothing is said as account ' .. speaker .. ': its "says" is "no".'
    end
    return limit(c, 'speaker_shard_count'), nil
end

-- Why the speaker cannot have another shard, or nil.
local function speaker_refused(c, speaker)
    if not user_known(c, speaker) then
        return no_token(c, speaker)
    elseif call('ZCARD', key(c, 'load')) >= limit(c, 'max_shard_count') then
        return refused_by(c, ERR_SHARDS_FULL, 'max_shard_count')
    end
    return nil
end

-- Closes those that should not be there, a portion: the numbers of the others, nil where it has to
-- go on later. What nothing is known of is left to the compare.
local function close_others(c, speaker, most)
    local kept, closed, cost = {}, 0, 0
    for _, shard in ipairs(speakers.list(c)) do
        local n, user = tonumber(string.match(shard, '%d+$')), user_of(c, shard)
        if not user or (n <= most and user == speaker) then
            kept[n] = true
        else
            cost = cost + CLOSE_COSTS + SERVED_COSTS * call('SCARD', key(c, 'shard', shard, 'serves'))
            if (closed > 0 and cost > CLOSE_MOST) or not shard_gone(c, shard, {user}) then
                return nil
            end
            closed = closed + 1
            event(c, 'shard.removed', {'shard', shard})
        end
    end
    return kept
end

-- Opens those that are missing, a portion: why it could not, or nil.
local function open_missing(c, speaker, most, kept)
    local opened = 0
    for n = 1, most do
        if not kept[n] then
            local why = speaker_refused(c, speaker)
            if why or opened == OPENED_AT_ONCE then
                return why
            end
            create_shard(c, 'speaker-shard-' .. n, speaker, nil, 0, settings(c).stopped == '1' and 'new' or 'started')
            opened = opened + 1
        end
    end
    return nil
end

-- Tells once why the speaker has not all of its shards. Not at once: a node that has just come has
-- yet to read its tokens.
local function tell_refused(c, why)
    local ck = key(c, 'clock')
    local told = call('HMGET', ck, 'speaker_error', 'speaker_since')
    if not why then
        call('HDEL', ck, 'speaker_error', 'speaker_since')
    elseif told[1] ~= why then
        call('HSET', ck, 'speaker_error', why, 'speaker_since', c.now)
    elseif told[2] and c.now - count_of(told[2]) >= 2 * limit(c, 'lease_ms') then
        call('HDEL', ck, 'speaker_since')
        event(c, 'error', {'where', 'speaker', 'error', why})
    end
end

-- What has to be done comes in portions: the leader takes this step again and again.
own_step('speakers', '', function(c)
    local speaker = setting(c, 'speaker')
    local most, why = wanted(c, speaker)
    local kept = close_others(c, speaker, most)
    if kept then
        tell_refused(c, why or open_missing(c, speaker, most, kept))
    end
end)

end
