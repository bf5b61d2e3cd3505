-- Rooms: in how many a user is, as far as Twitch limits that; and as what it stands in a channel.

local rooms = {}

-- As what the user stands in the channel: "moderator" (or broadcaster), "vip", or nil. That is what
-- the last USERSTATE said: after a join, or after a message where it speaks without being in the
-- room. `standing:<user>` holds it for wanted channels, and for others while something was said
-- there lately (12_compare_step.lua).
local function standing_of(c, user, channel)
    local standing = channel == user and 'moderator' or call('HGET', key(c, 'standing', user), channel)
    return (standing == 'moderator' or standing == 'vip') and standing or nil
end

-- Does Twitch count the channel among the rooms of the user? It counts neither the user's own nor
-- one where the user is moderator. `rooms:<user>` holds those that count.
function rooms.counts(user, channel, is_moderator)
    return channel ~= user and not is_moderator
end

-- A user, its limit (Twitch caps named accounts only), and in how many rooms it is.
function rooms.of(c, user)
    local most = user == 'anonymous' and math.huge or limit(c, 'room_limit')
    return {name = user, room_limit = most, rooms = count_of(call('SCARD', key(c, 'rooms', user)))}
end

-- Can the user be in the channel as well?
function rooms.has_room(user, channel)
    return user.rooms < user.room_limit or not rooms.counts(user.name, channel)
end

-- Why it cannot, or nil.
function rooms.refused(c, user, channel)
    if rooms.has_room(user, channel) then
        return nil
    end
    return refused_by(c, string.format('The room limit of user %s has been reached: it is in %d of %d rooms.',
        user.name, user.rooms, user.room_limit), 'room_limit')
end

-- Twitch told as what the user stands in channels: channel -> "moderator", "vip" or neither.
-- `reads`: shards of the user hold them.
function rooms.told(c, user, standings, reads)
    local stands, nothing, counted, others = {}, {}, {}, {}
    for channel, standing in pairs(standings) do
        if standing == 'moderator' or standing == 'vip' then
            stands[#stands + 1], stands[#stands + 2] = channel, standing
        else
            nothing[#nothing + 1] = channel
        end
        local list = rooms.counts(user, channel, standing == 'moderator') and counted or others
        list[#list + 1] = channel
    end
    call_all('HSET', key(c, 'standing', user), stands)
    call_all('HDEL', key(c, 'standing', user), nothing)
    if reads then
        call_all('SADD', key(c, 'rooms', user), counted)
        call_all('SREM', key(c, 'rooms', user), others)
    end
end
