-- Compare: accounts.

do -- seen in here alone

-- Of each some keys are looked at.
local AT_ONCE = 20
local COSTS = 5

-- What it may do, as somebody chose: what is no choice counts as not made.
local function compare_choices(c, account)
    local k = key(c, 'account', account)
    for name, values in pairs(accounts.CHOICES) do
        local chosen = call('HGET', k, name)
        if chosen and not values[chosen] then
            call('HDEL', k, name)
            compare.repaired(c, 'account', account, 'its ' .. name .. ' was none: it is as at first')
        elseif chosen == 'helix_app' and accounts.add_app(c) then
            compare.repaired(c, 'account', '@app', 'was not among the accounts: it is again')
        end
    end
end

-- Tokens that are there are nobody's affair here: what does not open is found by who has the key.
local function compare_account(c, account, due)
    local k = key(c, 'account', account)
    compare_choices(c, account)
    local of = call('HMGET', k, 'rev', 'state')
    local _, mended = accounts.mend_rev(c, account, of[1])
    if mended then
        compare.repaired(c, 'account', account, 'its rev was none')
    end
    if not accounts.secret(c, account) and accounts.without_secret(c, account) then
        compare.repaired(c, 'account', account, 'had no tokens: somebody has to log in again')
    elseif not accounts.STATES[of[2]] then
        accounts.look_anew(c, account)
        compare.repaired(c, 'account', account, 'had no state: the leader looks at it')
    elseif not due or due > c.now + accounts.LOOK_MOST_MS then
        call('ZADD', key(c, 'accounts'), c.now, account)
        compare.repaired(c, 'account', account, 'was to be looked at in a time that never comes: now')
    end
    c.left = c.left - COSTS
end

local function is_account(c, account)
    return call('ZSCORE', key(c, 'accounts'), account)
end

function compare.accounts(c, cursor)
    local scores = {}
    local following, names = compare.weed(c, 'ZSCAN', key(c, 'accounts'), cursor, 'account', nil, function(name, score)
        scores[name] = score
        return not accounts.name(name) and 'is not the name of an account: forgotten'
    end, AT_ONCE)
    for _, account in ipairs(names) do
        if is_account(c, account) then -- Redis may tell one twice
            compare_account(c, account, whole(scores[account]))
        end
    end
    return following
end

-- Users who have shards, and whose tokens are here, are accounts. (Of others nobody knows a name.)
function compare.lost_accounts(c, cursor)
    local users, following = compare.users(c, cursor)
    for _, user in ipairs(users) do
        if accounts.name(user) and not is_account(c, user) then
            if accounts.secret(c, user) then
                accounts.look_anew(c, user)
                compare.repaired(c, 'account', user, 'was not among the accounts: it is again')
            elseif call('DEL', key(c, 'account', user)) == 1 then
                compare.repaired(c, 'account', user, 'was not among the accounts, and had no tokens: forgotten')
            end
        end
    end
    return following
end

end
