-- Accounts: Twitch users whose tokens Shoal keeps valid. Their tokens lie here sealed
-- (shared/seal.h): steps move them, and never see them.
--
-- The leader looks at an account when its time in `accounts` has come. It claims the account before
-- it asks Twitch anything, and says under the claim what came of that, and when to look again. What
-- can be done once (a refresh uses up its token) is kept so, also where the leader was deposed
-- meanwhile and another has claimed the account: new tokens take the place of those they were got
-- for, and of no others. A leader that comes after one that died knows that it may have been done.
-- `rev` grows with what nodes go by. Where an account says by the token of the application (say_by
-- is helix_app), that is one of the accounts, under a name that no user can have.

-- How an account says things: over its connections, or by Helix with its own token, or with the
-- application's.
accounts.SAY_BY = {irc = true, helix = true, helix_app = true}

do -- the rest is seen in here alone

local APP = '@app'
local ACCOUNTS_MOST = 900      -- a step may look at all of them
local SECRET_BYTES = 6000
local DUE_AT_ONCE = 20
local TOLD_AT_ONCE = 300
local SHOWN_AT_ONCE = 150
local CLAIM_MS = 30000         -- a claim of which no more is heard is looked at again then
local LOOK_MOST_MS = 86400000  -- no account is left alone for longer
accounts.LOOK_MOST_MS = LOOK_MOST_MS
accounts.CHOICES = {
    reads = {yes = true, no = true},
    says = {yes = true, no = true},
    tier = {normal = true, verified = true},
    say_by = accounts.SAY_BY,
}
local AT_FIRST = {reads = 'yes', says = 'yes', tier = 'normal', say_by = 'irc'}
-- What the leader finds out, and may write.
local FOUND = {user_id = true, client_id = true, scopes = true, ending = true, error = true,
    doubt = true}
accounts.STATES = {new = true, usable = true, refused = true, locked = true, login_required = true, revoking = true}

-- The name of an account, or nil.
local function account_of(text)
    return text == APP and APP or text ~= 'anonymous' and login_of(text) or nil
end
accounts.name = account_of

-- Why nobody can ask for it as an account, or nil.
local function login_refused(login)
    if login == APP or not account_of(login) then
        return '"' .. shown(login) .. '" is no Twitch login.'
    end
    return nil
end

local function unknown_account(c, login)
    return login_refused(login) or not call('ZSCORE', key(c, 'accounts'), login) and
        'There is no account ' .. login .. '.' or nil
end

-- It is in another state from now on.
local function enter(c, login, state, error)
    call('HSET', key(c, 'account', login), 'state', state, 'since', c.now, 'error', error)
    event(c, 'account.' .. state, {'account', login, 'error', error})
end

-- Nodes have to read it again.
local function account_changed(c, login)
    c.tell = true
    bump(key(c, 'clock'), 'accounts', 1)
    bump(key(c, 'account', login), 'rev', 1)
end

-- Its state is not known: the leader looks at it at once.
function accounts.look_anew(c, login)
    call('ZADD', key(c, 'accounts'), c.now, login)
    enter(c, login, 'new', '')
    account_changed(c, login)
end

-- The tokens as they lie here; nil: there are none.
function accounts.secret(c, login)
    local secret = call('GET', key(c, 'secret', login))
    return secret and secret ~= '' and #secret <= SECRET_BYTES and secret or nil
end

-- Its tokens are gone: somebody has to log in again. (The application just gets another.) Was that
-- not known?
function accounts.without_secret(c, login)
    local state = call('HGET', key(c, 'account', login), 'state')
    call('HDEL', key(c, 'account', login), 'claim')
    local was_none = call('DEL', key(c, 'secret', login)) == 1 -- what lay there could be none
    if login == APP then
        return was_none
    end
    call('ZADD', key(c, 'accounts'), c.now + LOOK_MOST_MS, login)
    if state ~= 'login_required' then
        enter(c, login, 'login_required', 'its tokens are gone from Redis')
        account_changed(c, login)
    end
    return state ~= 'login_required'
end

-- A rev that is none would never be the one that somebody looked at.
function accounts.mend_rev(c, login, rev)
    if rev ~= string.format('%d', count_of(rev)) then
        account_changed(c, login)
        return call('HGET', key(c, 'account', login), 'rev'), true
    end
    return rev, false
end

-- Under which key it is sealed; nil: it is no sealed text.
local function seal_key(secret)
    return string.match(secret or '', '^1%.(%x+)%.')
end

local function put_refused(c, login, secret)
    local known = key(c, 'accounts')
    if login_refused(login) then
        return login_refused(login)
    elseif #secret > SECRET_BYTES or not string.match(secret, '^1%.%x+%.[%w+/]+=*$') then
        return 'The tokens of an account come sealed: shoalctl account login, or account add, does it.'
    elseif not call('ZSCORE', known, login) and call('ZCARD', known) >= ACCOUNTS_MOST then
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
    call('HSET', ak, 'state', 'new', 'since', c.now, 'error', '', 'key', seal_key(secret))
    call('HDEL', ak, 'claim', 'doubt', 'expires_at', 'refreshed_at', 'scopes', 'ending')
    account_changed(c, login)
    event(c, known and 'account.replaced' or 'account.added', {'account', login})
    return {ok = true}
end)

local function drop(c, login, told)
    call('ZREM', key(c, 'accounts'), login)
    call('DEL', key(c, 'account', login), key(c, 'secret', login))
    c.tell = true
    bump(key(c, 'clock'), 'accounts', 1)
    event(c, told, {'account', login})
end

local function says_by_app(c, login)
    return call('HGET', key(c, 'account', login), 'say_by') == 'helix_app'
end

local function app_is_wanted(c)
    for _, login in ipairs(call('ZRANGE', key(c, 'accounts'), 0, -1)) do
        if login ~= APP and login_of(login) and says_by_app(c, login) then
            return true
        end
    end
    return false
end

-- Somebody says by its token: the application is one of the accounts. Was it none?
function accounts.add_app(c)
    if call('ZSCORE', key(c, 'accounts'), APP) then
        return false
    end
    call('ZADD', key(c, 'accounts'), c.now, APP)
    call('HSET', key(c, 'account', APP), 'state', 'new', 'since', c.now, 'error', '')
    account_changed(c, APP)
    event(c, 'account.added', {'account', APP})
    return true
end

-- The application is one of the accounts where, and as long as, one of them says by its token.
local function keep_app(c)
    if app_is_wanted(c) then
        accounts.add_app(c)
    elseif call('ZSCORE', key(c, 'accounts'), APP) then
        drop(c, APP, 'account.removed')
    end
end

local function forget(c, login, told)
    local said_by_app = says_by_app(c, login)
    drop(c, login, told)
    if said_by_app then
        keep_app(c)
    end
end

request_step('account_set', 'account name value', function(c, a)
    local login, name, value = a[1], a[2], a[3]
    local why = unknown_account(c, login)
    if not why and not (accounts.CHOICES[name] and accounts.CHOICES[name][value]) then
        why = 'An account has reads (yes, no), says (yes, no), tier (normal, verified), say_by (irc, helix, ' ..
            'helix_app).'
    end
    if why then
        return {ok = false, error = why}
    end
    local said_by_app = says_by_app(c, login)
    call('HSET', key(c, 'account', login), name, value)
    account_changed(c, login)
    event(c, 'account.set', {'account', login, 'name', name, 'value', value})
    if said_by_app ~= says_by_app(c, login) then
        keep_app(c)
    end
    return {ok = true}
end)

request_step('account_remove', 'account', function(c, a)
    local why = unknown_account(c, a[1])
    if why then
        return {ok = false, error = why}
    end
    forget(c, a[1], 'account.removed')
    return {ok = true}
end)

-- Nobody logs in as it any more; the leader ends its tokens at Twitch, and then it is gone.
-- However often that is begun anew, it is one of the accounts until then.
request_step('account_revoke', 'account', function(c, a)
    local login = a[1]
    local why = unknown_account(c, login)
    if why then
        return {ok = false, error = why}
    end
    if call('HEXISTS', key(c, 'account', login), 'claim') == 0 then -- else the claim comes first
        call('ZADD', key(c, 'accounts'), c.now, login)
    end
    enter(c, login, 'revoking', '')
    account_changed(c, login)
    return {ok = true}
end)

-- The leader --------------------------------------------------------------------------------------

-- From one time to another, 0 where that is behind; -1 where one of them is not known.
local function span_ms(from, to)
    from, to = count_of(from), count_of(to)
    return (from == 0 or to == 0) and -1 or math.max(0, to - from)
end

-- {{account, rev, state, over (0/1), age_ms, claimed (0/1), of, client_id, secret}, ...}: those to
-- be looked at now, the longest due first. over: its token has ended. age_ms: since it was
-- refreshed (-1: not known). claimed: its refresh token may be used up, by a refresh of which no
-- more was heard. of: names the secret for account_keep. Where that is gone,
-- there is nothing to look at; the application begins without one.
leader_step('accounts_due', '', function(c)
    local due = {}
    for _, login in ipairs(call('ZRANGEBYSCORE', key(c, 'accounts'), '-inf', c.now, 'LIMIT', 0, DUE_AT_ONCE)) do
        local secret = account_of(login) and (accounts.secret(c, login) or login == APP and '')
        if secret then
            local of = call('HMGET', key(c, 'account', login), 'rev', 'state', 'expires_at', 'refreshed_at', 'claim',
                'doubt', 'client_id')
            due[#due + 1] = {login, count_of(accounts.mend_rev(c, login, of[1])), of[2] or 'new',
                span_ms(c.now, of[3]) == 0 and 1 or 0, span_ms(of[4], c.now), (of[5] or of[6] == '1') and 1 or 0,
                redis.sha1hex(secret), of[7] or '', secret}
        elseif account_of(login) then
            accounts.without_secret(c, login)
        else
            call('ZREM', key(c, 'accounts'), login)
            damaged(c)
        end
    end
    return due
end)

-- Can somebody log in as the account? "usable", "" | "none", "" (there is no such account) |
-- "trouble", why not
leader_step('account_state', 'account', function(c, a)
    if not account_of(a[3]) or not call('ZSCORE', key(c, 'accounts'), a[3]) then
        return {'none', ''}
    end
    local why = accounts.trouble(c, a[3])
    return {why and 'trouble' or 'usable', why or ''}
end)

-- Is it what somebody looked at?
local function is_current(c, login, field, value)
    return account_of(login) and call('ZSCORE', key(c, 'accounts'), login) and
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

-- What is sealed under another key than that one is looked at now, unless that is under way:
-- accounts behind `after` ("": from the first). "more", the last one | "done"
leader_step('accounts_look', 'key after', function(c, a)
    local all, looked_at = call('ZRANGE', key(c, 'accounts'), 0, -1), 0
    table.sort(all)
    for _, login in ipairs(all) do
        if login > a[4] and account_of(login) then
            local other = seal_key(call('GET', key(c, 'secret', login))) ~= a[3]
            if other and call('HEXISTS', key(c, 'account', login), 'claim') == 0 then
                call('ZADD', key(c, 'accounts'), c.now, login)
            end
            looked_at = looked_at + 1
            if looked_at == TOLD_AT_ONCE then
                return {'more', login}
            end
        end
    end
    return {'done', ''}
end)

-- What was found out, and the events that tell it.
local function keep_found(c, login, state, refreshed, found)
    local ak = key(c, 'account', login)
    local before = call('HMGET', ak, 'state', 'ending')
    for i = 1, #found - 1, 2 do
        if found[i] == 'left_ms' then -- programs' clocks may be wrong
            call('HSET', ak, 'expires_at', c.now + count_of(found[i + 1]))
        elseif FOUND[found[i]] then
            call('HSET', ak, found[i], string.sub(found[i + 1], 1, 2 * MAX_TOLD))
        end
    end
    call('HSET', ak, 'looked_at', c.now)
    local now = call('HMGET', ak, 'error', 'ending', 'expires_at')
    if state ~= before[1] then
        enter(c, login, state, now[1] or '')
    elseif refreshed then
        event(c, 'account.refreshed', {'account', login})
    end
    if now[2] == '1' and before[2] ~= '1' then
        event(c, 'account.ending', {'account', login, 'expires_at', count_of(now[3])})
    end
    return state ~= before[1] or refreshed
end

-- Is it still that secret, whoever claims the account by now?
local function is_still(c, login, of)
    return account_of(login) and call('ZSCORE', key(c, 'accounts'), login) and
        redis.sha1hex(call('GET', key(c, 'secret', login)) or '') == of
end

-- What came of the claim, and in how many ms the account is looked at again. secret: the tokens as
-- they are to be kept, or ""; refreshed (0/1): they are new ones, got for those that accounts_due
-- named `of`. state "revoked": its tokens have ended, and it goes. "kept" | "changed" (somebody
-- else has it, or another secret is there: nothing is kept)
step('account_keep', 'account claim next_ms state of secret refreshed {name value}...', function(c, a)
    local login, next_ms, state, secret, refreshed = a[1], count_of(a[3]), a[4], a[6], a[7] == '1'
    if not (accounts.STATES[state] or state == 'revoked') or #secret > SECRET_BYTES then
        return nil
    elseif not is_current(c, login, 'claim', a[2]) and not (refreshed and is_still(c, login, a[5])) then
        return {'changed'}
    end
    local ak = key(c, 'account', login)
    if state == 'revoked' then
        forget(c, login, 'account.revoked')
        return {'kept'}
    elseif call('HGET', ak, 'state') == 'revoking' and state ~= 'revoking' then
        state, next_ms = 'revoking', 0 -- that was asked for meanwhile
    end
    call('HDEL', ak, 'claim')
    call('ZADD', key(c, 'accounts'), c.now + math.min(next_ms, LOOK_MOST_MS), login)
    if secret ~= '' then
        call('SET', key(c, 'secret', login), secret)
        call('HSET', ak, 'key', seal_key(secret) or '')
    end
    if refreshed then
        call('HSET', ak, 'refreshed_at', c.now)
    elseif secret ~= '' then
        event(c, 'account.resealed', {'account', login})
    end
    if keep_found(c, login, state, refreshed, {unpack(a, 8)}) then
        account_changed(c, login)
    end
    return {'kept'}
end)

-- Nodes -------------------------------------------------------------------------------------------

-- Twitch did not take the token that the node had of that rev, or it has ended: the leader looks at
-- once. Not where somebody looks already: a second refresh would find the token used up by the
-- first. "told" | "later"
node_step('account_refused', 'account rev', function(c, a)
    local of = is_current(c, a[3], 'rev', a[4]) and call('HMGET', key(c, 'account', a[3]), 'state', 'claim')
    if of and of[2] then
        return {'later'}
    elseif of and of[1] == 'usable' then
        call('ZADD', key(c, 'accounts'), c.now, a[3])
    end
    return {'told'}
end)

-- {rev of all, {account, rev, state, left_ms (-1: not known), client_id, user_id, reads (0/1), says
-- (0/1), say_by, secret}...}: accounts behind that one ("": from the first), a portion an answer;
-- nothing is left where it has none.
node_step('accounts', 'after', function(c, a)
    local all = call('ZRANGE', key(c, 'accounts'), 0, -1)
    table.sort(all)
    local told = {count_of(call('HGET', key(c, 'clock'), 'accounts'))}
    for _, login in ipairs(all) do
        if login > a[3] and account_of(login) and #told <= TOLD_AT_ONCE then
            local of = call('HMGET', key(c, 'account', login), 'rev', 'state', 'client_id', 'user_id', 'reads', 'says',
                'say_by', 'expires_at')
            told[#told + 1] = {login, count_of(of[1]), of[2] or 'new', span_ms(c.now, of[8]), of[3] or '', of[4] or '',
                of[5] == 'no' and 0 or 1, of[6] == 'no' and 0 or 1, accounts.SAY_BY[of[7]] and of[7] or 'irc',
                call('GET', key(c, 'secret', login)) or ''}
        end
    end
    return told
end)

-- For people -------------------------------------------------------------------------------------

-- How many messages the user may say now where it is not moderator, and of how many (0: any
-- number). Of one that is muted Twitch says none.
local function messages_left(c, user)
    local most, window = limit_of(c, user, 'message_limit'), limit(c, 'message_window_ms')
    if most == math.huge then
        return 0, 0
    elseif muted.until_ms(c, user) then
        return 0, most
    end
    local used, beyond = 0, most + 1 -- the newest `used` slots are in the window, `beyond` are not
    while beyond - used > 1 do
        local middle = math.floor((used + beyond) / 2)
        if count_of(call('LINDEX', key(c, 'budget', user, 'message'), -middle)) + window > c.now then
            used = middle
        else
            beyond = middle
        end
    end
    return most - used, most
end

-- Not a step, writes nothing: {{account, rooms, room_limit (0: none), messages_left, message_limit
-- (0: none), shards, {field, value, ...}}, ...}: accounts behind that one ("": from the first), a
-- portion an answer; nothing is left where it has none.
local function show_accounts(keys, a)
    local c, failed = context(keys, true)
    if failed then
        return failed
    end
    local all, told = call('ZRANGE', key(c, 'accounts'), 0, -1), {}
    table.sort(all)
    for _, login in ipairs(all) do
        if login > (a[1] or '') and account_of(login) and #told < SHOWN_AT_ONCE then
            local room, left, most = rooms.of(c, login), messages_left(c, login)
            told[#told + 1] = {login, room.rooms, room.room_limit ~= math.huge and room.room_limit or 0, left, most,
                count_of(call('ZCARD', key(c, 'open', login))), call('HGETALL', key(c, 'account', login))}
        end
    end
    return told
end

redis.register_function{function_name = 'shoal1_show_accounts', callback = show_accounts, flags = {'no-writes'}}

end
