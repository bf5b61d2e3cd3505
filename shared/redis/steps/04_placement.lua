-- Placement: which node holds a shard.

local NODES_LOOKED_AT = 320  -- for one with room, by one step
local OTHERS_LOOKED_AT = 160 -- beyond these
local SHARDS_LOOKED_AT = 12  -- of a node that is silent
local READ_AT_ONCE = 1000
local SERVED_ALONG = 100     -- a shard takes those it sends for along, where they are no more

-- What this step knows of a node: until when its lease goes on, when it saw Twitch, its users
-- between commas.
local function facts_of(c, node)
    local facts = c.facts[node]
    if not facts then
        local fields = call('HMGET', key(c, 'node', node), 'seen', 'users')
        facts = {deadline = count_of(call('ZSCORE', key(c, 'nodes'), node)), seen = count_of(fields[1]),
            users = ',' .. (fields[2] or '') .. ','}
        c.facts[node] = facts
    end
    return facts
end

-- Can the node log in as `user`?
local function knows_user(facts, user)
    return user == 'anonymous' or
        (not string.find(user, ',', 1, true) and string.find(facts.users, ',' .. user .. ',', 1, true) ~= nil)
end

-- How many nodes are up. While Redis's clock is not trusted all of them are.
local function nodes_up(c)
    if c.now < grace_until(c) then
        return call('ZCARD', key(c, 'nodes'))
    end
    return call('ZCOUNT', key(c, 'nodes'), '(' .. c.stamp, '+inf')
end

-- The nodes that are up, as nodes_up has it, but for those beyond what a step looks at.
local function some_nodes_up(c)
    if not c.up then
        local from = c.now < grace_until(c) and '-inf' or '(' .. c.stamp
        c.up = call('ZRANGE', key(c, 'nodes'), '+inf', from, 'BYSCORE', 'REV', 'LIMIT', 0, NODES_LOOKED_AT)
    end
    return c.up
end

-- Can any node that is up log in as `user`? Where there are too many to look at all of them, one
-- may.
local function user_known(c, user)
    for _, node in ipairs(some_nodes_up(c)) do
        if knows_user(facts_of(c, node), user) then
            return true
        end
    end
    return #some_nodes_up(c) == NODES_LOOKED_AT
end

local accounts = {} -- what others need of them; the rest is in 09_accounts.lua

-- Why nobody can log in as the account; nil where that can be, or it is no account.
function accounts.trouble(c, account)
    local of = call('HMGET', key(c, 'account', account), 'state', 'error')
    local state, why = of[1] or 'usable', of[2] or ''
    return state ~= 'usable' and 'Account ' .. account .. ' is ' .. shown(state) .. (why ~= '' and ': ' or '') ..
        string.sub(why, 1, MAX_TOLD) .. (state == 'login_required' and '. (shoalctl account login)' or '.') or nil
end

local function no_token(c, user)
    return login_of(user) and accounts.trouble(c, user) or 'No node has a token for user ' .. shown(user) .. '.'
end

-- Of the nodes with room, from the place `from` on in their order (most room first), the first of
-- at most `n` that is alive, can log in as `user` and meets `wish`. Nil and whether there are more.
local function node_among(c, user, wish, from, n)
    for at = from, from + n - 1, 16 do
        local nodes = c.free[at] or call('ZREVRANGEBYSCORE', key(c, 'free'), '+inf', 1, 'LIMIT', at, 16)
        c.free[at] = nodes
        for _, node in ipairs(nodes) do
            local facts = facts_of(c, node)
            if facts.deadline > c.now + (wish.left_ms or 0) and knows_user(facts, user) and
                (not wish.since or (facts.seen > wish.since and facts.seen <= c.now)) and
                not (wish.apart and wish.apart[node]) then
                return node
            end
        end
        if #nodes < 16 then
            return nil, false
        end
    end
    return nil, true
end

-- The live node with the most free capacity that can log in as `user`. With wish.since: that has
-- seen Twitch after that. With wish.left_ms: whose lease goes on for longer. With wish.apart: that
-- is none of those. Where none is found, c.no_node says whether all were looked at: of very many
-- nodes a step looks at the first, and at some of the others, each second at others again.
local function choose_node(c, user, wish)
    wish = wish or {}
    local name = user .. ' ' .. (wish.since or '') .. ' ' .. (wish.left_ms or '') .. (wish.apart and ' apart' or '')
    if c.no_node[name] then
        return nil
    end
    local node, more = node_among(c, user, wish, 0, NODES_LOOKED_AT)
    if more then
        local others = call('ZCOUNT', key(c, 'free'), 1, '+inf') - NODES_LOOKED_AT
        local turn = math.floor(c.now / 1000) % math.max(1, math.ceil(others / OTHERS_LOOKED_AT))
        node = node_among(c, user, wish, NODES_LOOKED_AT + turn * OTHERS_LOOKED_AT, OTHERS_LOOKED_AT)
    end
    if not node then
        c.no_node[name] = more and 'looking' or 'none'
    end
    return node
end

-- The shards that this one sends for, itself included. One that says another sends for it was left
-- there by damage.
local function served_by(c, shard)
    local sk, served = key(c, 'shard', shard, 'serves'), {}
    for _, other in ipairs(call('SMEMBERS', sk)) do
        if sender_of_shard(c, other) == shard then
            served[#served + 1] = other
        else
            call('SREM', sk, other)
        end
    end
    return served
end

local could_take_any -- below
do -- the rest is seen in here alone

-- Was the node cut off together with one that is back? Then it may be, too, within a lease. (What
-- lies ahead is of a time before Redis's clock went back.)
local function may_return(c, node)
    local returned = count_of(call('HGET', key(c, 'clock'), 'returned'))
    return returned <= c.now and c.now < returned + limit(c, 'lease_ms') and facts_of(c, node).deadline <= returned
end

-- Could any live node take a shard of those `node` holds? Some are looked at, each time others.
-- Where nothing is known of the node, there is nothing to keep. A node that renewed as long ago as
-- half a lease may have been cut off together with it.
function could_take_any(c, node)
    local nk = key(c, 'node', node)
    local wish = {left_ms = math.floor(limit(c, 'lease_ms') / 2)}
    local shards = call('ZRANDMEMBER', nk .. ':shards', SHARDS_LOOKED_AT)
    if #shards == 0 or call('HEXISTS', nk, 'incarnation') == 0 then
        return true
    elseif may_return(c, node) then
        return false
    end
    for _, shard in ipairs(shards) do
        local user = shard_id(shard) and user_of(c, shard)
        if user and choose_node(c, user, wish) then
            return true
        end
    end
    return false
end

end

-- Whoever read the channels of a shard is gone. What came after `until_ms` may be missing, and what
-- came after the last line that was read at all: of a shard that is silent that was not before it
-- became that, nor before what its node told of all of them. `said`: all that was read was fanned
-- out, so that what its node told of channels it did not read any more is exact. This is noted in
-- the shard's field `stop`, and carried out before another is told to hold the shard. Until then
-- nobody reads it.
local function stop_reading(c, shard, until_ms, said)
    local sk = key(c, 'shard', shard)
    local fields = call('HMGET', sk, 'silent', 'stop', 'node')
    if not fields[2] then
        local silent = whole(fields[1])
        local quiet = silent and call('HGET', key(c, 'node', fields[3] or ''), 'quiet')
        until_ms = math.min(until_ms - SILENT_MS, silent and math.max(silent, whole(quiet) or 0) or until_ms)
        call('HSET', sk, 'stop', string.format('%d %d 0', until_ms, said and 1 or 0))
    end
end

-- Carries out what stop_reading noted, a portion. True where nothing is left to do.
local function reading_settled(c, shard)
    local sk = key(c, 'shard', shard)
    local stop = call('HGET', sk, 'stop')
    if not stop then
        return true
    end
    local until_ms, said, cursor = string.match(stop, '^(%d+) ([01]) (%d+)$')
    until_ms = whole(until_ms) or c.now
    local found = call('HSCAN', sk .. ':read', cursor or '0', 'COUNT', READ_AT_ONCE)
    local stopped = {}
    for i = 1, #found[2], 2 do
        local at = whole(found[2][i + 1]) -- nil: it is read
        if not at or (said ~= '1' and at > until_ms) then
            stopped[#stopped + 1], stopped[#stopped + 2] = found[2][i], until_ms
        end
    end
    call_all('HSET', sk .. ':read', stopped)
    c.left = c.left - #found[2] / 2
    if found[1] == '0' then
        call('HDEL', sk, 'stop')
        return true
    end
    call('HSET', sk, 'stop', string.format('%d %s %s', until_ms, said or '0', found[1]))
    return false
end

-- Up to when all that a node had read was fanned out, for certain.
local function read_until(c, node)
    return math.min(whole(call('HGET', key(c, 'node', node), 'read_until')) or c.now, c.now)
end

-- Nothing is read on it as far as anybody knows.
local function set_idle(c, shard)
    c.changed[shard] = true
    call('HSET', key(c, 'shard', shard), 'state', 'idle', 'queued', 0, 'joining', 0, 'joined', 0, 'failed', 0,
        'silent', '', 'lines_s', 0, 'bytes_s', 0, 'lag_ms', 0)
end

-- The shard is on that node now, or on none (''): `served` are those that it sends for.
local function set_node(c, shard, node, served)
    call('HSET', key(c, 'shard', shard), 'node', node)
    places.forget(c, {shard, unpack(served)})
end

local function unplace(c, shard)
    local node, served = node_of(c, shard), {}
    if node then
        untouch(c, node, 'shards', {shard})
        call('HINCRBY', key(c, 'node', node), 'shards', -1)
        if call('ZSCORE', key(c, 'free'), node) then
            call('ZINCRBY', key(c, 'free'), 1, node)
            c.no_node, c.free = {}, {}
        end
        served = served_by(c, shard)
        untouch(c, node, 'serves', served)
        if call('ZSCORE', key(c, 'node', node, 'serves'), shard) then
            touch(c, node, {}, {shard}) -- what changed was told to its holder
        end
    end
    set_node(c, shard, '', served)
    set_idle(c, shard)
end

-- Speaker shards are on different nodes, where there are as many.
function speakers.choose_node(c, shard, user)
    local nodes = {}
    for _, other in ipairs(speakers.is(shard) and speakers.list(c) or {}) do
        nodes[node_of(c, other) or ''] = true
    end
    return next(nodes) and choose_node(c, user, {apart = nodes}) or choose_node(c, user)
end

-- The shard, which no node holds, is on that one. It sends for `served`.
local function put_on(c, shard, node, epoch, served)
    call('HSET', key(c, 'shard', shard), 'node', node, 'state', 'idle', 'joined', 0, 'epoch', epoch, 'rev', rev_of(c))
    call('ZINCRBY', key(c, 'free'), -1, node)
    c.free = {}
    call('HINCRBY', key(c, 'node', node), 'shards', 1)
    touch(c, node, {shard}, served)
    shards_changed(c)
    event(c, 'shard.placed', {'shard', shard, 'node', node})
end

-- Places a shard that no node holds on the best. Where none has room, it is homeless. A shard of
-- which nobody knows whose it is cannot be placed.
local function place(c, shard)
    local s = call('HMGET', key(c, 'shard', shard), 'user', 'epoch')
    local user = login_of(s[1])
    if not user then
        damaged(c)
    end
    local node = user and speakers.choose_node(c, shard, user)
    local served = served_by(c, shard)
    if not node then
        set_node(c, shard, '', served)
        call('SADD', key(c, 'homeless'), shard)
        return
    end
    places.forget(c, {shard, unpack(served)})
    call('SREM', key(c, 'homeless'), shard)
    put_on(c, shard, node, count_of(s[2]) + 1, served)
end
