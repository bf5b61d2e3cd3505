-- What must hold in the registry after every step, looked at in the raw keys. KEYS[1] is the tag key,
-- ARGV[1] the highest channels_per_shard there has been, ARGV[2] the highest max_shard_count.
-- Answers the first few breaches as one text, or the empty one.
local tag = KEYS[1]
local broken = {}

local function k(...)
    return tag .. ':' .. table.concat({...}, ':')
end

local function check(good, ...)
    if not good then
        local words = {}
        for i = 1, select('#', ...) do
            words[i] = tostring((select(i, ...)))
        end
        broken[#broken + 1] = table.concat(words, ' ')
    end
end

local function map(list)
    local out = {}
    for i = 1, #list, 2 do
        out[list[i]] = list[i + 1]
    end
    return out
end

local function set(list)
    local out = {}
    for _, v in ipairs(list) do
        out[v] = true
    end
    return out
end

local load = map(redis.call('ZRANGE', k('load'), 0, -1, 'WITHSCORES'))
local channels = map(redis.call('HGETALL', k('channels')))
local nodes = map(redis.call('ZRANGE', k('nodes'), 0, -1, 'WITHSCORES'))
local free = map(redis.call('ZRANGE', k('free'), 0, -1, 'WITHSCORES'))
local blind = map(redis.call('ZRANGE', k('blind'), 0, -1, 'WITHSCORES'))
local homeless = set(redis.call('SMEMBERS', k('homeless')))
local waiting = set(redis.call('SMEMBERS', k('waiting')))
local idle = map(redis.call('ZRANGE', k('idle'), 0, -1, 'WITHSCORES'))
local placed, serves_of, shards, users, assigned = {}, {}, 0, {}, 0

for shard, count in pairs(load) do
    shards = shards + 1
    local s = map(redis.call('HGETALL', k('shard', shard)))
    count = tonumber(count)
    check(s.user, shard, 'in load has no hash')
    check(redis.call('SCARD', k('shard', shard, 'channels')) == count, shard, 'load', count, 'but set',
        redis.call('SCARD', k('shard', shard, 'channels')))
    check(tonumber(s.channels) == count, shard, 'load', count, 'but hash', s.channels)
    local speaks = string.find(shard, '^speaker%-shard%-')
    local is_open = tonumber(redis.call('ZSCORE', k('open', s.user), shard) or nil)
    check(is_open == (not speaks and count or nil), shard, 'open and load differ')
    check(not speaks or count == 0, shard, 'speaks, and has channels')
    check(count <= tonumber(ARGV[1]), shard, 'is above the limit:', count)
    for _, channel in ipairs(redis.call('SMEMBERS', k('shard', shard, 'channels'))) do
        check(channels[channel] == shard, channel, 'is in', shard, 'but assigned to', channels[channel])
        assigned = assigned + 1
        -- Twitch does not count the rooms of a moderator.
        local counts = channel ~= s.user and redis.call('HGET', k('standing', s.user), channel) ~= 'moderator'
        check(not counts or redis.call('SISMEMBER', k('rooms', s.user), channel) == 1, channel,
            'is not a room of', s.user)
    end
    for channel, since in pairs(map(redis.call('HGETALL', k('shard', shard, 'read')))) do
        check(channels[channel] == shard, channel, 'is read by', shard, 'but assigned to', channels[channel])
        check(since == '' or tonumber(since), channel, 'is unread since', since)
        -- What nobody reads any more is noted as one field, and told of each channel before another reads it.
        check(since ~= '' or s.node ~= '' or s.stop, channel, 'is read, but', shard, 'is on no node')
    end
    check((s.silent or '') == '' or tonumber(s.silent), shard, 'is silent since', s.silent)
    users[s.user] = (users[s.user] or 0) + (speaks and 0 or 1)
    check((s.node == '') == (homeless[shard] == true), shard, 'on', s.node, 'homeless', homeless[shard])
    if s.node ~= '' then
        placed[s.node] = (placed[s.node] or 0) + 1
        check(redis.call('ZSCORE', k('node', s.node, 'shards'), shard), shard, 'is not among those of', s.node)
        check(nodes[s.node], shard, 'is on', s.node, 'which is no node')
    end
    check(s.sender and load[s.sender], shard, 'has the sender', s.sender, 'which is no shard')
    check(redis.call('SISMEMBER', k('shard', s.sender or '', 'serves'), shard) == 1, s.sender,
        'does not know that it serves', shard)
    local node = redis.call('HGET', k('shard', s.sender or ''), 'node')
    if node and node ~= '' then
        serves_of[node] = (serves_of[node] or 0) + 1
        check(redis.call('ZSCORE', k('node', node, 'serves'), shard), node, 'does not know that it serves', shard)
    end
    check((idle[shard] ~= nil) == (s.closes_idle == '1' and count == 0), shard, 'idle', idle[shard],
        'with', count)
    check(redis.call('HGET', k('senders'), s.user), s.user, 'has shards and no default sender')
end
check(shards <= tonumber(ARGV[2]), 'shards', shards, 'above the limit')
for shard, text in pairs(map(redis.call('HGETALL', k('places')))) do
    local s = map(redis.call('HGETALL', k('shard', shard)))
    local sends = redis.call('HGET', k('shard', s.sender or ''), 'node') or ''
    check(text == table.concat({s.user or '', s.node or '', sends, s.closes_idle or ''}, ' '), shard, 'is not at', text)
end
for user, n in pairs(users) do
    check(redis.call('ZCARD', k('open', user)) == n, 'open of', user, 'has others than', n)
    check(load[redis.call('HGET', k('senders'), user)], 'the default sender of', user, 'is no shard')
end
for user in pairs(map(redis.call('HGETALL', k('senders')))) do
    for _, channel in ipairs(redis.call('SMEMBERS', k('rooms', user))) do
        check(channels[channel] and redis.call('HGET', k('shard', channels[channel]), 'user') == user, channel,
            'is a room of', user, 'and on no shard of it')
    end
end
for channel in pairs(map(redis.call('ZRANGE', k('active'), 0, -1, 'WITHSCORES'))) do
    check(channels[channel], channel, 'is active and not wanted')
end
local in_sets, wanted = 0, 0
for channel, shard in pairs(channels) do
    wanted = wanted + 1
    if shard ~= '' then
        in_sets = in_sets + 1
        check(load[shard], channel, 'is on', shard, 'which is no shard')
        check(not waiting[channel], channel, 'waits and is on', shard)
    else
        check(waiting[channel], channel, 'has no shard and does not wait')
    end
    check(redis.call('EXISTS', k('channel', channel)) == 1, channel, 'has no state')
end
check(in_sets == assigned, 'channels assigned', in_sets, 'in sets', assigned)
for channel in pairs(waiting) do
    check(channels[channel] == '', channel, 'waits and is', channels[channel])
end
for shard in pairs(homeless) do
    check(load[shard], shard, 'is homeless and no shard')
end
for shard in pairs(idle) do
    check(load[shard], shard, 'is idle and no shard')
end
for node in pairs(nodes) do
    local n = map(redis.call('HGETALL', k('node', node)))
    local held = placed[node] or 0
    check(redis.call('ZCARD', k('node', node, 'shards')) == held, node, 'lists others than', held)
    check(redis.call('ZCARD', k('node', node, 'serves')) == (serves_of[node] or 0), node, 'serves others than',
        serves_of[node] or 0)
    check(tonumber(n.shards) == held, node, 'counts', n.shards, 'holds', held)
    check(n.state ~= 'blind' or tonumber(blind[node]), node, 'is blind, but since', blind[node])
    check(n.state ~= 'proving' or blind[node] == 'inf', node, 'is proving, but blind since', blind[node])
    check(not blind[node] or n.state == 'blind' or n.state == 'proving' or n.state == 'leaving', node,
        'is among the blind, but', n.state)
    if n.state ~= 'active' then
        check(not free[node], node, 'may take shards, but is', n.state)
    elseif n.incarnation then
        check(tonumber(free[node]) == tonumber(n.capacity) - held, node, 'free', free[node], 'capacity',
            n.capacity, 'held', held)
        check(tonumber(free[node]) >= 0, node, 'holds more than it can')
    end
end
for node in pairs(blind) do
    check(nodes[node], node, 'is blind and no node')
end
for node in pairs(free) do
    check(nodes[node], node, 'is free and no node')
end
for channel, claim in pairs(map(redis.call('HGETALL', k('claims')))) do
    local entry = string.match(claim, '^%S+')
    local holder
    for node in pairs(nodes) do
        if redis.call('HEXISTS', k('node', node, 'claims'), entry) == 1 then
            check(not holder, entry, 'is claimed by two')
            holder = node
        end
    end
    check(holder, entry, 'of', channel, 'is claimed by nobody')
end
for account, due in pairs(map(redis.call('ZRANGE', k('accounts'), 0, -1, 'WITHSCORES'))) do
    local state = redis.call('HGET', k('account', account), 'state')
    local secret = redis.call('TYPE', k('secret', account)).ok
    check(string.match(account, '^[a-z0-9_]+$') or account == '@app', account, 'is no account')
    check(tonumber(due) and tonumber(due) < 4e12, account, 'is looked at', due)
    check(secret == 'string' or account == '@app' or state == 'login_required', account, 'is', state,
        'and its secret is', secret)
    check(tonumber(redis.call('HGET', k('account', account), 'rev')), account, 'has no rev')
    check(string.find(' new usable refused locked login_required revoking ', ' ' .. (state or '') .. ' ', 1, true),
        account, 'is', state)
    check(secret ~= 'string' or redis.call('GET', k('secret', account)) ~= '', account, 'has an empty secret')
    for name, values in pairs({reads = ' yes no ', says = ' yes no ', tier = ' normal verified ',
        say_by = ' irc helix helix_app '}) do
        local chosen = redis.call('HGET', k('account', account), name)
        check(not chosen or string.find(values, ' ' .. chosen .. ' ', 1, true), account, name, chosen)
        check(chosen ~= 'helix_app' or redis.call('ZSCORE', k('accounts'), '@app'), account, 'says by no account')
    end
end
return table.concat(broken, '; ', 1, math.min(#broken, 6))
