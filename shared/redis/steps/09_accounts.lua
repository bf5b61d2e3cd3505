-- Accounts: Twitch users whose tokens Shoal keeps valid. Their tokens lie here sealed
-- (shared/seal.h): steps move them, and never see them.
--
-- The leader looks at an account when its time in `accounts` has come. It claims the account before
-- it asks Twitch anything, and says under the claim what came of that, and when to look again. What
-- can be done once (a refresh uses up its token) is kept so, also where the leader was deposed
-- meanwhile and another has claimed the account: new tokens take the place of those they were got
-- for, and of no others. A leader that comes after one that died knows that it may have been done.
-- `rev` grows with what nodes go by.

-- How an account says things: over its connections, or by Helix with its own token, or with the
-- application's.
local SAY_BY = {irc = true, helix = true, helix_app = true}

do -- the rest is seen in here alone

local ACCOUNTS_MOST = 1000
local SECRET_BYTES = 6000
local DUE_AT_ONCE = 20
local TOLD_AT_ONCE = 300
local CLAIM_MS = 30000         -- a claim of which no more is heard is looked at again then
local LOOK_MOST_MS = 86400000  -- no account is left alone for longer
local CHOICES = {
    reads = {yes = true, no = true},
    says = {yes = true, no = true},
    tier = {normal = true, verified = true},
    say_by = SAY_BY,
}
local AT_FIRST = {reads = 'yes', says = 'yes', tier = 'normal', say_by = 'irc'}
-- What the leader finds out, and may write.
local FOUND = {user_id = true, client_id = true, scopes = true, expires_at = true, ending = true, error = true,
    doubt = true}
local STATES = {new = true, usable = true, refused = true, locked = true, login_required = true}

-- Why it can be no account, or nil.
local function login_refused(login)
    if not login_of(login) or login == 'anonymous' then
        return '"' .. shown(login) .. '" is no Twitch login.'
    end
    return nil
end

local function unknown_account(c, login)
    return login_refused(login) or not call('ZSCORE', key(c, 'accounts'), login) and
        'There is no account ' .. login .. '.' or nil
end

-- Nodes have to read it again.
local function account_changed(c, login)
    bump(key(c, 'clock'), 'accounts', 1)
    bump(key(c, 'account', login), 'rev', 1)
end

local function put_refused(c, login, secret)
    local accounts = key(c, 'accounts')
    if login_refused(login) then
        return login_refused(login)
    elseif #secret > SECRET_BYTES or not string.match(secret, '^1%.%x+%.[%w+/]+=*$') then
        return 'The tokens of an account come sealed: shoalctl account login, or account add, does it.'
    elseif not call('ZSCORE', accounts, login) and call('ZCARD', accounts) >= ACCOUNTS_MOST then
        return 'There are ' .. ACCOUNTS_MOST .. ' accounts; there can be no more.'
    end
    return nil
end

-- New tokens of an account, which may be new itself. The leader looks at them at once.
request_step('account_put', 'account secret', function(c, a)
    local login, secret = a[1], a[2]
    local why = put_refused(c, login, secret)
    if why then
        return {ok = false, error = why}
    end
    local ak, known = key(c, 'account', login), call('ZSCORE', key(c, 'accounts'), login)
    call('SET', key(c, 'secret', login), secret)
    call('ZADD', key(c, 'accounts'), c.now, login)
    for name, value in pairs(AT_FIRST) do
        call('HSETNX', ak, name, value)
    end
    call('HSET', ak, 'state', 'new', 'since', c.now, 'error', '')
    call('HDEL', ak, 'claim', 'doubt', 'expires_at', 'refreshed_at', 'scopes', 'ending')
    account_changed(c, login)
    event(c, known and 'account.replaced' or 'account.added', {'account', login})
    return {ok = true}
end)

request_step('account_set', 'account name value', function(c, a)
    local login, name, value = a[1], a[2], a[3]
    local why = unknown_account(c, login)
    if not why and not (CHOICES[name] and CHOICES[name][value]) then
        why = 'An account has reads (yes, no), says (yes, no), tier (normal, verified), say_by (irc, helix, ' ..
            'helix_app).'
    end
    if why then
        return {ok = false, error = why}
    end
    call('HSET', key(c, 'account', login), name, value)
    account_changed(c, login)
    event(c, 'account.set', {'account', login, 'name', name, 'value', value})
    return {ok = true}
end)

request_step('account_remove', 'account', function(c, a)
    local login = a[1]
    local why = unknown_account(c, login)
    if why then
        return {ok = false, error = why}
    end
    call('ZREM', key(c, 'accounts'), login)
    call('DEL', key(c, 'account', login), key(c, 'secret', login))
    bump(key(c, 'clock'), 'accounts', 1)
    event(c, 'account.removed', {'account', login})
    return {ok = true}
end)

-- The leader --------------------------------------------------------------------------------------

-- {{account, rev, state, expires_at, refreshed_at, claimed (0/1), of, secret}, ...}: those to be
-- looked at now, the longest due first. claimed: its refresh token may be used up, by a refresh of
-- which no more was heard. of: names the secret for account_keep. Of what is no account, or has no
-- secret, there is nothing to look at.
leader_step('accounts_due', '', function(c)
    local due = {}
    for _, login in ipairs(call('ZRANGEBYSCORE', key(c, 'accounts'), '-inf', c.now, 'LIMIT', 0, DUE_AT_ONCE)) do
        local secret = login_of(login) and call('GET', key(c, 'secret', login))
        if secret then
            local of = call('HMGET', key(c, 'account', login), 'rev', 'state', 'expires_at', 'refreshed_at', 'claim',
                'doubt')
            due[#due + 1] = {login, count_of(of[1]), of[2] or 'new', count_of(of[3]), count_of(of[4]),
                (of[5] or of[6] == '1') and 1 or 0, redis.sha1hex(secret), secret}
        else
            call('ZREM', key(c, 'accounts'), login)
            damaged(c)
        end
    end
    return due
end)

-- Is it what somebody looked at?
local function is_current(c, login, field, value)
    return login_of(login) and call('ZSCORE', key(c, 'accounts'), login) and
        call('HGET', key(c, 'account', login), field) == value
end

-- "claimed" | "changed"
leader_step('account_claim', 'account rev claim', function(c, a)
    if not is_current(c, a[3], 'rev', a[4]) then
        return {'changed'}
    end
    call('HSET', key(c, 'account', a[3]), 'claim', a[5])
    call('ZADD', key(c, 'accounts'), c.now + CLAIM_MS, a[3])
    return {'claimed'}
end)

-- What was found out, and the events that tell it.
local function keep_found(c, login, state, refreshed, found)
    local ak = key(c, 'account', login)
    local before = call('HMGET', ak, 'state', 'ending')
    for i = 1, #found - 1, 2 do
        if FOUND[found[i]] then
            call('HSET', ak, found[i], string.sub(found[i + 1], 1, 2 * MAX_TOLD))
        end
    end
    call('HSET', ak, 'state', state, 'looked_at', c.now)
    local now = call('HMGET', ak, 'error', 'ending', 'expires_at')
    if state ~= before[1] then
        call('HSET', ak, 'since', c.now)
        event(c, 'account.' .. state, {'account', login, 'error', now[1] or ''})
    elseif refreshed then
        event(c, 'account.refreshed', {'account', login})
    end
    if now[2] == '1' and before[2] ~= '1' then
        event(c, 'account.ending', {'account', login, 'expires_at', count_of(now[3])})
    end
    return state ~= before[1] or refreshed
end

-- Are these new tokens for the ones that are there, whoever claims the account by now?
local function are_next(c, login, of, secret)
    return secret ~= '' and login_of(login) and redis.sha1hex(call('GET', key(c, 'secret', login)) or '') == of
end

-- What came of the claim, and in how many ms the account is looked at again. secret: new tokens, or
-- "", got for those that accounts_due named `of`. "kept" | "changed" (somebody else has it, or
-- another secret is there: nothing is kept)
step('account_keep', 'account claim next_ms state of secret {name value}...', function(c, a)
    local login, next_ms, state, secret = a[1], count_of(a[3]), a[4], a[6]
    if not STATES[state] or #secret > SECRET_BYTES then
        return nil
    elseif not is_current(c, login, 'claim', a[2]) and not are_next(c, login, a[5], secret) then
        return {'changed'}
    end
    local ak = key(c, 'account', login)
    call('HDEL', ak, 'claim')
    call('ZADD', key(c, 'accounts'), c.now + math.min(next_ms, LOOK_MOST_MS), login)
    if secret ~= '' then
        call('SET', key(c, 'secret', login), secret)
        call('HSET', ak, 'refreshed_at', c.now)
    end
    if keep_found(c, login, state, secret ~= '', {unpack(a, 7)}) then
        account_changed(c, login)
    end
    return {'kept'}
end)

-- Nodes -------------------------------------------------------------------------------------------

-- Twitch did not take the token that the node had of that rev, or it has ended: the leader looks at
-- once. Not where somebody looks already: a second refresh would find the token used up by the
-- first. "told"
node_step('account_refused', 'account rev', function(c, a)
    local of = is_current(c, a[3], 'rev', a[4]) and call('HMGET', key(c, 'account', a[3]), 'state', 'claim')
    if of and of[1] == 'usable' and not of[2] then
        call('ZADD', key(c, 'accounts'), c.now, a[3])
    end
    return {'told'}
end)

-- {rev of all, {account, rev, state, expires_at, client_id, user_id, reads (0/1), says (0/1),
-- say_by, secret}...}: accounts behind that one ("": from the first), a portion an answer; nothing
-- is left where it has none.
node_step('accounts', 'after', function(c, a)
    local all = call('ZRANGE', key(c, 'accounts'), 0, -1)
    table.sort(all)
    local told = {count_of(call('HGET', key(c, 'clock'), 'accounts'))}
    for _, login in ipairs(all) do
        if login > a[3] and login_of(login) and #told <= TOLD_AT_ONCE then
            local of = call('HMGET', key(c, 'account', login), 'rev', 'state', 'client_id', 'user_id', 'reads', 'says',
                'say_by', 'expires_at')
            told[#told + 1] = {login, count_of(of[1]), of[2] or 'new', count_of(of[8]), of[3] or '', of[4] or '',
                of[5] == 'no' and 0 or 1, of[6] == 'no' and 0 or 1, SAY_BY[of[7]] and of[7] or 'irc',
                call('GET', key(c, 'secret', login)) or ''}
        end
    end
    return told
end)

end
