-- Muted: accounts of which Twitch says nothing for half an hour, as they were too fast
-- (shared/irc/twitch.md). It does not tell; it refuses one message after the other.
--
--   muted     zset  account -> until when
--   too_fast  hash  account -> messages refused as too fast since the last one that was said

local muted = {}

do -- seen in here alone

local IN_A_ROW = 5
local LOOKED_AT = 20

-- Until when, or nil. Asked once a step.
local function until_ms(c, user)
    c.muted = c.muted or {}
    if c.muted[user] == nil then
        local at = whole(call('ZSCORE', key(c, 'muted'), user))
        at = at and math.min(at, c.now + limit(c, 'muted_ms')) -- Redis's clock went back
        c.muted[user] = at and at > c.now and at or false
    end
    return c.muted[user] or nil
end
muted.until_ms = until_ms

-- Why what the user is to say until `deadline` is not said: reason and text, or nil.
function muted.refusal(c, user, deadline)
    local at = until_ms(c, user)
    if not at or at <= deadline then
        return nil
    end
    local second = math.floor(at / 1000) % 86400
    return 'muted', string.format('Twitch says nothing of %s until %02d:%02d:%02d UTC: it was too fast.', user,
        second / 3600, second / 60 % 60, second % 60)
end

-- Twitch has refused a message of the user as too fast.
function muted.too_fast(c, user)
    if until_ms(c, user) or bump(key(c, 'too_fast'), user, 1) < IN_A_ROW then
        return
    end
    local at = c.now + limit(c, 'muted_ms')
    call('ZADD', key(c, 'muted'), string.format('%d', at), user)
    call('HDEL', key(c, 'too_fast'), user)
    event(c, 'account.muted', {'account', user, 'until', at})
end

-- It said one.
function muted.said(c, user)
    call('HDEL', key(c, 'too_fast'), user)
end

-- Those whose time is over may speak again. Until when others have to wait at most, or nil. None
-- waits for longer than from now on, also where Redis's clock went back.
function muted.look(c)
    local mk, most = key(c, 'muted'), string.format('%d', c.now + limit(c, 'muted_ms'))
    for _, user in ipairs(call('ZRANGEBYSCORE', mk, '(' .. most, '+inf', 'LIMIT', 0, LOOKED_AT)) do
        call('ZADD', mk, most, user)
    end
    for _, user in ipairs(call('ZRANGEBYSCORE', mk, '-inf', c.stamp, 'LIMIT', 0, LOOKED_AT)) do
        call('ZREM', mk, user)
        event(c, 'account.unmuted', {'account', user})
    end
    return whole(call('ZRANGE', mk, -1, -1, 'WITHSCORES')[2])
end

end
