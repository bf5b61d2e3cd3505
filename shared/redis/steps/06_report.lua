-- Report: what a node tells with its renewal of its shards, its channels and itself.

-- How a node may say it is.
local NODE_STATES = {active = true, blind = true, proving = true, draining = true}
local reported, each_told, read_report, take_report -- below

do -- the rest is seen in here alone

local ACTIVE_PER_REPORT = 1000 -- channels that had lines

-- Fields of the hashes that only steps write, and members of reports that are for steps alone. All
-- else that is reported is kept as it is told.
local NODE_OWN = {
    incarnation = true, link = true, run_id = true, rev = true, capacity = true, shards = true,
    since = true, renewed = true, read_until = true, silent = true, seen = true, state = true, error = true,
    taken = true, quiet = true,
}
local SHARD_OWN = {
    node = true, user = true, run = true, epoch = true, rev = true, channels = true, sender = true,
    since = true, closes_idle = true, stop = true, silent = true, silent_ms = true, moved = true,
}
local CHANNEL_OWN = {
    shard = true, since = true, since_ms = true, next_try = true, next_try_ms = true, unread_ms = true, user = true,
}

-- A value of a report as Redis keeps it. Nil: it is no value (null, a table).
function reported(value)
    local kind = type(value)
    if kind == 'string' then
        return value
    elseif kind == 'number' then
        return whole(value)
    elseif kind == 'boolean' then
        return value and '1' or '0'
    end
    return nil
end

-- When something was that is reported as so many ms ago. That counts from when the report was
-- written: a Redis that stood still reads it late.
local function ago(c, ms)
    return c.written - (whole(reported(ms)) or 0)
end

local function members(report, name)
    return type(report[name]) == 'table' and report[name] or {}
end

-- What is told in tables under that name, of what `is_name` takes (nil: of anything): `run` gets
-- each and its name.
function each_told(report, of, is_name, run)
    for name, told in pairs(members(report, of)) do
        if type(told) == 'table' and (not is_name or is_name(tostring(name))) then
            run(told, name)
        end
    end
end

-- Keep what is told, but for what is of steps alone. It is one command, unless somebody tells no
-- end of fields.
local function keep_fields(k, told, own, ...)
    local list = {...}
    local n = #list
    for name, value in pairs(told) do
        if type(value) ~= 'string' then
            value = value == 0 and '0' or reported(value) -- numbers are slow as arguments
        end
        if value and not own[name] then
            list[n + 1], list[n + 2], n = name, value, n + 2
        end
        if n >= 200 then
            call_all('HSET', k, list)
            list, n = {}, 0
        end
    end
    call_all('HSET', k, list)
end

local function report_login(c, node, shard, user, is_ready, refused, was_refused)
    if refused ~= was_refused then
        shards_changed(c, shard) -- shard managers ask whose token can be used
        if user and refused == '1' then
            logins.refused(c, node, user)
        end
    end
    if user and is_ready then
        logins.taken(c, user)
    end
end

-- Its joins go on: it is connected now, or Twitch has confirmed some.
local function report_joins(c, sk, is_ready, joined, before)
    if is_ready or count_of(joined) > count_of(before) then
        call('HSET', sk, 'moved', c.stamp)
    end
end

-- What is known of a shard that the node holds: nobody else might look at it for long.
local function check_held(c, node, shard, now)
    local known = now[1] == node and whole(now[2]) and login_of(now[5])
    if not known and call('ZSCORE', key(c, 'node', node, 'shards'), shard) then
        damaged(c)
    end
end

local function report_shard(c, node, shard, fields)
    local sk = key(c, 'shard', shard)
    local now = call('HMGET', sk, 'node', 'epoch', 'state', 'login_refused', 'user', 'joined')
    check_held(c, node, shard, now)
    if now[1] ~= node or whole(now[2]) ~= whole(reported(fields.epoch)) then
        return
    end
    local silent = count_of(reported(fields.silent_ms))
    keep_fields(sk, fields, SHARD_OWN, 'silent', silent > 0 and ago(c, silent) or '')
    local is_ready = fields.state == 'ready' and now[3] ~= 'ready'
    report_joins(c, sk, is_ready, reported(fields.joined), now[6])
    local refused = now[4] or '0' -- where it says nothing but for how long it is silent
    local told = tostring(reported(fields.login_refused) or refused)
    report_login(c, node, shard, login_of(now[5]), is_ready, told, refused)
    if type(fields.state) == 'string' and fields.state ~= now[3] then
        if fields.state == 'ready' or now[3] == 'ready' or fields.state == 'closed' then
            shards_changed(c, shard)
        end
        event(c, 'shard.' .. shown(fields.state), {'shard', shard, 'node', node, 'error', reported(fields.error) or ''})
    end
end

local function is_one(value)
    return tostring(reported(value)) == '1'
end

-- Since when channels of the shard are not read, if they are not.
local function report_read(c, shard, names, told)
    local sk, since, joined = key(c, 'shard', shard), {}, {}
    for _, channel in ipairs(names) do
        local unread = whole(reported(told[channel].unread_ms))
        if told[channel].state == 'joined' then
            joined[#joined + 1] = channel
            since[#since + 1], since[#since + 2] = channel, ''
        elseif unread then
            since[#since + 1], since[#since + 2] = channel, ago(c, unread)
        end
    end
    call_all('HSET', sk .. ':read', since)
    call_all('HDEL', sk .. ':retry', joined)
end

local function report_channel(c, channel, fields, shard)
    local ck = key(c, 'channel', channel)
    if fields.state == 'failed' and call('HGET', ck, 'state') ~= 'failed' then
        event(c, 'channel.failed', {'channel', channel, 'shard', shard, 'reason', reported(fields.reason) or ''})
    end
    if fields.since_ms then
        local next_ms = count_of(reported(fields.next_try_ms))
        keep_fields(ck, fields, CHANNEL_OWN, 'since', string.format('%d', ago(c, fields.since_ms)),
            'next_try', next_ms > 0 and c.now + next_ms or '0')
    else
        keep_fields(ck, fields, CHANNEL_OWN)
    end
end

-- What is told of channels of one shard. As what its user stands in them goes to `standings`: user
-- -> channel -> that.
local function report_on_shard(c, shard, names, told, standings)
    local s = call('HMGET', key(c, 'shard', shard), 'user', 'stop')
    local user = login_of(s[1])
    for _, channel in ipairs(names) do
        local fields = told[channel]
        report_channel(c, channel, fields, shard)
        if reported(fields.moderator) ~= nil and user then
            standings[user] = standings[user] or {}
            standings[user][channel] = is_one(fields.moderator) and 'moderator' or is_one(fields.vip) and 'vip' or ''
        end
    end
    if not s[2] then -- else this node does not hold it any more
        report_read(c, shard, names, told)
    end
end

-- What is told of these channels, as far as they are on the shard of which it is told.
local function report_channels(c, names, told)
    local by_shard, standings = {}, {}
    for i, at in ipairs(call_all('HMGET', key(c, 'channels'), names)) do
        if shard_id(at) and at == told[names[i]].shard then
            add_to(by_shard, at, names[i])
        end
    end
    for shard, some in pairs(by_shard) do
        report_on_shard(c, shard, some, told, standings)
    end
    for user, of in pairs(standings) do
        rooms.told(c, user, of, true)
    end
end

-- These had lines since the last report. One that was parted meanwhile is forgotten.
local function note_active(c, names)
    local wanted, scored = {}, {}
    for _, name in ipairs(names) do
        if type(name) == 'string' and #wanted < ACTIVE_PER_REPORT then
            wanted[#wanted + 1] = name
        end
    end
    for i, shard in ipairs(call_all('HMGET', key(c, 'channels'), wanted)) do
        if shard then
            scored[#scored + 1], scored[#scored + 2] = c.stamp, wanted[i]
        end
    end
    call_all('ZADD', key(c, 'active'), scored)
end

-- What the node tells of itself.
local function report_node(c, node, told)
    keep_fields(key(c, 'node', node), told, NODE_OWN)
    if reported(told.rewound_ms) then
        event(c, 'redis.rewound', {'node', node, 'ms', reported(told.rewound_ms),
            'lines', reported(told.rewound_lines) or 0})
    end
    if reported(told.fenced) then
        event(c, 'node.fenced', {'node', node, 'why', reported(told.fenced)})
    end
    if reported(told.lost) then
        event(c, 'node.lost', {'node', node, 'why', reported(told.lost)})
    end
    local takes = NODE_STATES[told.state] and
        sight.report_state(c, node, told.state, count_of(reported(told.failing_ms)), reported(told.why) or '')
    if told.users then
        logins.tokens_are_new(c, node, tostring(reported(told.users) or ''))
        shards_changed(c)
    end
    if takes or told.users then
        place_homeless(c) -- it may take more now
    end
    if reported(told.seen_ms) then
        sight.report_seen(c, node, ago(c, told.seen_ms))
    end
end

-- The report; nil where it is none.
function read_report(c, text)
    local ok, report = pcall(cjson.decode, text == '' and '{}' or text)
    if not ok or type(report) ~= 'table' then
        return nil
    end
    local at = whole(reported(report.at_ms))
    c.written = at and at > c.now - REPORT_LATE_MOST_MS and math.min(at, c.now) or c.now
    return report
end

function take_report(c, node, report)
    each_told(report, 'shards', shard_id, function(fields, shard) report_shard(c, node, shard, fields) end)
    local names = {}
    each_told(report, 'channels', login_of, function(_, channel) names[#names + 1] = channel end)
    for first = 1, #names, MAX_CHANNELS do
        report_channels(c, {unpack(names, first, math.min(first + MAX_CHANNELS - 1, #names))}, report.channels)
    end
    note_active(c, members(report, 'active'))
    if reported(report.quiet_ms) then
        call('HSET', key(c, 'node', node), 'quiet', ago(c, report.quiet_ms))
    end
    each_told(report, 'gaps', nil, function(gap)
        local channel = reported(gap.channel) or ''
        local text = event(c, 'gap', {'channel', channel, 'from', ago(c, gap.from_ms), 'to', ago(c, gap.to_ms),
            'lines', reported(gap.lines) or 0, 'reason', reported(gap.reason) or ''})
        history.gap(c, channel, text)
    end)
    report_node(c, node, members(report, 'node'))
end

end
