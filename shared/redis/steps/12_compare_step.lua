-- Compare: nodes, users and indices; and the step.

do -- seen in here alone

local AT_ONCE = 300 -- members and the like that one call looks at: some ms of Redis

-- What the node is told to hold or to serve, though another does by now, or nobody.
local function compare_list(c, node, role, cursor, right_node)
    local names, following = compare.scan(c, 'ZSCAN', key(c, 'node', node, role), cursor)
    for _, shard in ipairs(names) do
        if right_node(shard) ~= node then
            untouch(c, node, role, {shard})
            compare.repaired(c, 'node', node, role .. ' ' .. shown(shard) .. ', which is not its affair')
        end
    end
    return following
end

-- Is the node among those that may take shards, and among the blind, as its state says?
local function indices_right(c, node, state, capacity, held)
    local free = state == 'active' and count_of(capacity) - held or nil
    local blind = state == 'blind' or state == 'proving'
    return whole(call('ZSCORE', key(c, 'free'), node)) == free and
        (call('ZSCORE', key(c, 'blind'), node) and true or false) == blind
end

local function compare_node_counts(c, node)
    local nk = key(c, 'node', node)
    local n = call('HMGET', nk, 'shards', 'capacity', 'state', 'incarnation', 'error')
    local held = call('ZCARD', nk .. ':shards')
    local right = whole(n[1]) == held
    if not right then
        call('HSET', nk, 'shards', held)
    end
    if n[4] and n[2] and n[3] ~= 'leaving' then
        if not NODE_STATES[n[3]] then
            n[3], right = 'active', false -- a node that is not says so again and again
        end
        right = right and indices_right(c, node, n[3], n[2], held)
        if not right then
            sight.keep_state(c, node, n[3], c.now, n[5] or '')
        end
    end
    if not right then
        compare.repaired(c, 'node', node, 'its counts were wrong: it holds ' .. held .. ' shards')
    end
    return '0'
end

local NODE_PARTS = {
    function(c, node, cursor)
        return compare_list(c, node, 'shards', cursor, function(shard)
            return compare.known_shard(c, shard) and node_of(c, shard)
        end)
    end,
    function(c, node, cursor)
        return compare_list(c, node, 'serves', cursor, function(shard)
            local sender = is_shard(c, shard) and sender_of_shard(c, shard)
            return sender and node_of(c, sender)
        end)
    end,
    compare_node_counts,
}

local function compare_node(c, node, cursor)
    c.left = c.left - 1
    if not call('ZSCORE', key(c, 'nodes'), node) then -- it is gone since it was put on the list
        return '0'
    end
    return compare.in_parts(c, NODE_PARTS, cursor, function(part, inner)
        return part(c, node, inner)
    end)
end

local USER_PARTS = {
    -- Rooms where the user is moderator are none of those that count.
    function(c, user, cursor)
        local wanted = {'HMGET', key(c, 'channels')}
        return compare.weed(c, 'SSCAN', key(c, 'rooms', user), cursor, 'channel', wanted, function(_, shard)
            return not compare.is_of(c, shard, user) and 'was counted among the rooms of ' .. user
        end)
    end,
    -- As what it stands in a channel that is not wanted is forgotten when nothing was said there
    -- for as long as its budget there is kept. That repairs nothing.
    function(c, user, cursor)
        local standing, wanted = key(c, 'standing', user), {'HMGET', key(c, 'channels')}
        return compare.weed(c, 'HSCAN', standing, cursor, 'channel', wanted, function(channel, shard)
            if not shard and call('EXISTS', key(c, 'budget', user, 'channel:' .. channel)) == 0 then
                call('HDEL', standing, channel)
            end
            return nil
        end)
    end,
}

local function compare_user(c, user, cursor)
    c.left = c.left - 1
    return compare.in_parts(c, USER_PARTS, cursor, function(part, inner)
        return part(c, user, inner)
    end)
end

-- Indices that `assign` and `place` go by, and what they are of.
local INDICES = {idle = 'load', homeless = 'load', places = 'load', free = 'nodes', blind = 'nodes'}
local SCANS = {homeless = 'SSCAN', places = 'HSCAN'}

-- Shards and nodes that are none (any more), or another user's, in an index.
local function compare_index(c, index, cursor)
    local user, of = string.match(index, '^open:(.*)$'), INDICES[index] or 'load'
    local scan, kind = SCANS[index] or 'ZSCAN', of == 'load' and 'shard' or 'node'
    return compare.weed(c, scan, key(c, index), cursor, kind, {'ZMSCORE', key(c, of)}, function(name, score)
        local others = user and (speakers.is(name) or not compare.is_of(c, name, user))
        return (not score or others) and 'was in ' .. index .. ', and is none of those'
    end)
end

-- Phases that put on the list what is to be looked at.

local function list_of(index, kind, is_name)
    return function(c, cursor)
        local following, names = compare.names(c, 'ZSCAN', index, cursor, kind, is_name)
        for _, name in ipairs(names) do
            compare.later(c, kind, name)
        end
        return following
    end
end

local function list_users(c, cursor)
    local users, following = compare.users(c, cursor)
    for _, user in ipairs(users) do
        compare.later(c, 'user', user)
    end
    return following
end

local function list_indices(c, cursor)
    local users, following = compare.users(c, cursor)
    if cursor == '0' then
        for index in pairs(INDICES) do
            compare.later(c, 'index', index)
        end
    end
    for _, user in ipairs(users) do
        compare.later(c, 'index', 'open:' .. user)
    end
    return following
end

-- Where something was put right, a node may hold what nothing says any more that it does: all look.
local function all_look(c, cursor)
    if call('HEXISTS', key(c, 'clock'), 'repaired') == 0 then
        return '0'
    end
    local names, following = compare.scan(c, 'ZSCAN', key(c, 'nodes'), cursor)
    for _, node in ipairs(names) do
        if node_id(node) then
            bump(key(c, 'node', node), 'rev', 1)
            c.dirty[node] = true
        end
    end
    if following == '0' then
        call('HDEL', key(c, 'clock'), 'repaired')
    end
    return following
end

-- In this order: what an earlier one puts right, a later one finds right.
local PHASES = {
    compare.channels, list_of('load', 'shard', shard_id), compare.waiting, list_of('nodes', 'node', node_id),
    list_users, list_indices, compare.active, compare.claims,
    compare.accounts, compare.lost_accounts, all_look,
}
local LOOKS = {shard = compare.shard, node = compare_node, user = compare_user, index = compare_index}

-- Works off the list. The cursor within the first that is left, nil where none is.
local function work_off(c, cursor)
    local list = key(c, 'compare')
    while true do
        local kind, name = string.match(call('LINDEX', list, 0) or '', '^(%S+) (.*)$')
        if not kind then
            call('DEL', list)
            return nil
        elseif c.left <= 0 then
            return cursor
        end
        cursor = LOOKS[kind] and LOOKS[kind](c, name, cursor) or '0'
        if cursor == '0' then
            call('LTRIM', list, 1, -1)
        end
    end
end

-- cursor "1 0" is the beginning. "more", "REPAIRS CURSOR" (call again with that cursor) | "done",
-- "REPAIRS"
leader_step('compare', 'cursor', function(c, a)
    local phase, cursor, inner = string.match(a[3] .. ' 0', '^(%d+) (%d+) (%S+)')
    phase = tonumber(phase)
    if not phase or phase < 1 then
        return nil
    end
    if a[3] == '1 0' then
        call('HDEL', key(c, 'clock'), 'damaged')
        call('DEL', key(c, 'compare'))
    end
    c.left = AT_ONCE
    inner = work_off(c, inner)
    if not inner and PHASES[phase] then
        cursor, inner = PHASES[phase](c, cursor), '0'
        if cursor == '0' then
            phase = phase + 1
        end
    end
    if not inner then
        return {'done', tostring(c.repairs or 0)}
    end
    return {'more', string.format('%d %d %s %s', c.repairs or 0, phase, cursor, inner)}
end)

end
