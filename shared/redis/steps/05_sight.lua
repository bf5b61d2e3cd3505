-- Sight: nodes that reach Redis and not Twitch. They take nothing, and nodes that see it take what
-- they hold.
--
-- `blind` (zset) says since when the tries of a node fail that does not see Twitch (ms). That is
-- endless where it has begun to see again and has yet to prove it. A blind node does not connect
-- its shards before its renewal has said that it sees. So they may be placed elsewhere without a
-- word to it.

local sight = {}
local BLIND_LOOKED_AT = 8 -- nodes whose shards are given away in one step

-- Does a node other than `node` hold what it cannot read? Then those that see Twitch say so with
-- each renewal.
function sight.others_blind(c, node)
    for _, blind in ipairs(call('ZRANGEBYSCORE', key(c, 'blind'), '-inf', '(inf', 'LIMIT', 0, BLIND_LOOKED_AT)) do
        if blind ~= node and node_id(blind) and call('ZCARD', key(c, 'node', blind, 'shards')) > 0 then
            return 1
        end
    end
    return 0
end

-- Some of what `blind` holds goes to nodes that have seen Twitch after `since`: a share, for others
-- will ask as well.
function sight.take_share(c, blind, since, takers)
    local shards = call('ZRANDMEMBER', key(c, 'node', blind, 'shards'), SHARDS_PER_EXPIRE)
    local share = math.ceil(#shards / takers)
    for _, shard in ipairs(shards) do
        local user = shard_id(shard) and user_of(c, shard)
        local node = share > 0 and user and choose_node(c, user, {since = since})
        if node and rehome(c, shard, SERVED_ALONG) then
            stop_reading(c, shard, c.now, true)
            unplace(c, shard)
            place(c, shard, node)
            share = share - 1
        end
    end
end

-- A node that takes shards has heard of Twitch at `seen`.
function sight.report_seen(c, node, seen)
    call('HSET', key(c, 'node', node), 'seen', seen)
    local takers = call('ZCARD', key(c, 'free'))
    local blind = call('ZRANGEBYSCORE', key(c, 'blind'), '-inf', '(' .. string.format('%d', seen), 'WITHSCORES',
        'LIMIT', 0, BLIND_LOOKED_AT)
    for i = 1, #blind, 2 do
        if node_id(blind[i]) then
            sight.take_share(c, blind[i], count_of(blind[i + 1]), math.max(1, takers))
        end
    end
end

-- How the node is, and with that whether it may take shards: "active", "proving", "blind" (its
-- tries fail since `since`, because of `why`) or "draining".
function sight.keep_state(c, node, state, since, why)
    local nk = key(c, 'node', node)
    call('HSET', nk, 'state', state, 'error', state == 'blind' and why or '')
    c.free = {}
    if state == 'active' then
        local capacity = count_of(call('HGET', nk, 'capacity'))
        call('ZADD', key(c, 'free'), capacity - call('ZCARD', nk .. ':shards'), node)
    else
        call('ZREM', key(c, 'free'), node)
    end
    if state == 'blind' or state == 'proving' then
        call('ZADD', key(c, 'blind'), state == 'blind' and since or 'inf', node)
    else
        call('ZREM', key(c, 'blind'), node)
    end
end

-- The node says that; true where it may take shards from now on.
function sight.report_state(c, node, state, failing_ms, why)
    local was = call('HGET', key(c, 'node', node), 'state')
    if was == 'draining' then
        return false
    end
    sight.keep_state(c, node, state, c.now - failing_ms, why)
    if state == was then
        return false
    end
    c.tell = true
    if state == 'blind' then
        event(c, 'node.blind', {'node', node, 'why', why})
    elseif state == 'active' then
        event(c, 'node.sees', {'node', node})
    end
    shards_changed(c)
    return state == 'active'
end

-- Are all nodes that are up blind, but for those that take nothing for another reason?
function sight.all_blind(c)
    return call('ZCARD', key(c, 'free')) == 0 and call('ZCARD', key(c, 'blind')) > 0
end
