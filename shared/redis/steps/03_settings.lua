-- Settings: default, and what is allowed: a range, and `off` as the word for "no limit"; or a
-- login; or at most so many `logins` (words as "all" look the same). `node`: nodes are told it.
local READERS_MOST = 100
local SETTINGS = {
    channels_per_shard = {default = '25', min = 1, max = 1000000, off = 'none'},
    max_shard_count = {default = '5', min = 1, max = 1000000, off = 'none'},
    initial_shard_count = {default = '1', min = 1, max = 10000},
    room_limit = {default = '100', min = 1, max = 1000000, off = 'off'},
    join_limit = {default = '20', min = 1, max = 100000, off = 'off'},
    join_window_ms = {default = '11000', min = 100, max = 600000},
    login_limit = {default = '20', min = 1, max = 100000, off = 'off'},
    login_window_ms = {default = '11000', min = 100, max = 600000},
    connect_burst = {default = '5', min = 1, max = 10000},
    connect_interval_ms = {default = '2000', min = 1, max = 600000, off = 'off'},
    message_limit = {default = '20', min = 1, max = 100000, off = 'off'},
    message_mod_limit = {default = '100', min = 1, max = 100000, off = 'off'},
    message_window_ms = {default = '32000', min = 100, max = 600000},
    channel_message_ms = {default = '1200', min = 1, max = 600000, off = 'off'},
    muted_ms = {default = '1800000', min = 1000, max = 3600000},
    channel_send_queue = {default = '200', min = 1, max = 10000},
    send_queue = {default = '10000', min = 1, max = 1000000},
    send_ttl_ms = {default = '30000', min = 100, max = 600000, node = true},
    blind_ms = {default = '15000', min = 1000, max = 600000, off = 'off', node = true},
    lease_ms = {default = '3000', min = 300, max = 60000, node = true},
    resume_delay_ms = {default = '1000', min = 0, max = 60000, node = true},
    failed_retry_ms = {default = '3600000', min = 1000, max = 86400000, node = true},
    idle_shard_ms = {default = '60000', min = 0, max = 86400000},
    history_ms = {default = '600000', min = 1000, max = 86400000, off = 'off', node = true},
    history_bytes = {default = '67108864', min = 1048576, max = 1099511627776},
    history_streams = {default = '1', min = 1, max = 16, node = true},
    compare_ms = {default = '60000', min = 500, max = 86400000, node = true},
    request_limit = {default = '10000', min = 10, max = 1000000},
    request_limit_bytes = {default = '8388608', min = 65536, max = 268435456},
    user = {default = '', login = true},
    readers = {default = 'first', logins = READERS_MOST},
    speaker = {default = '', login = true},
    speaker_shard_count = {default = '1', min = 1, max = 100},
}

local setting_refused, settings, setting, limit, limit_of, node_settings, refused_by, list_settings

do -- the rest is seen in here alone

local ALLOWED = {} -- name -> the value that was last found to be allowed: that costs

-- Are there logins between the commas of the text, `most` at most?
local function are_logins(text, most)
    local n = 0
    for name in string.gmatch(text .. ',', '([^,]*),') do
        n = n + 1
        if not login_of(name) or n > most then
            return false
        end
    end
    return true
end

-- What a setting takes, in words.
local function setting_takes(spec)
    if spec.login then
        return 'a Twitch login in lower case, or anonymous'
    elseif spec.logins then
        return string.format('first, all, anonymous, or Twitch logins in lower case between commas, at most %d',
            spec.logins)
    end
    return string.format('a number from %d to %d%s', spec.min, spec.max, spec.off and (', or ' .. spec.off) or '')
end

local function setting_allows(spec, value)
    if spec.login then
        return login_of(value)
    elseif spec.logins then
        return are_logins(value, spec.logins)
    end
    local number = #value <= 15 and string.match(value, '^%d+$') and tonumber(value)
    return (number and number >= spec.min and number <= spec.max) or value == spec.off
end

-- Is `value` allowed for the setting? nil, or what is allowed.
function setting_refused(name, value)
    local spec = SETTINGS[name]
    if not spec then
        local names = {}
        for known in pairs(SETTINGS) do
            names[#names + 1] = known
        end
        table.sort(names)
        return 'Unknown setting ' .. shown(name) .. '; settings are: ' .. table.concat(names, ', ') .. '.'
    elseif setting_allows(spec, value) then
        return nil
    end
    return string.format('Setting %s takes %s, not "%s".', name, setting_takes(spec), shown(value))
end

-- All of `config`, read once a step. (One of another type counts as none, also for who writes
-- nothing: the next renewal of the lead removes it.)
function settings(c)
    if not c.config then
        c.config = {}
        local all = redis.pcall('HGETALL', key(c, 'config'))
        for i = 1, #all, 2 do
            c.config[all[i]] = all[i + 1]
        end
    end
    return c.config
end

-- A setting in force: what is not allowed counts as not set.
function setting(c, name)
    local value = settings(c)[name] or SETTINGS[name].default
    if value == ALLOWED[name] then
        return value
    elseif setting_refused(name, value) then
        return SETTINGS[name].default
    end
    ALLOWED[name] = value
    return value
end

-- A numeric setting; huge where it is switched off.
function limit(c, name)
    return tonumber(setting(c, name)) or math.huge
end

-- What Twitch takes of an account whose tier is verified (shared/irc/twitch.md).
local VERIFIED_LOGINS = 200
local VERIFIED_JOINS = 2000
local VERIFIED_MESSAGES = 7500
local VERIFIED = {join_limit = VERIFIED_JOINS, login_limit = VERIFIED_LOGINS, message_limit = VERIFIED_MESSAGES,
    message_mod_limit = VERIFIED_MESSAGES}

-- A limit of one user's: the setting, or what its tier has where that is more.
function limit_of(c, user, name)
    local most = limit(c, name)
    if most >= VERIFIED[name] then
        return most
    elseif c.verified[user] == nil then
        c.verified[user] = call('HGET', key(c, 'account', user), 'tier') == 'verified'
    end
    return c.verified[user] and VERIFIED[name] or most
end

-- What nodes are told: {name, value, name, value, ...}; 0 where it is switched off. And with it how
-- often the accounts have changed, and all of this.
function node_settings(c)
    local clock = call('HMGET', key(c, 'clock'), 'accounts', 'told')
    local told = {'accounts', string.format('%d', count_of(clock[1])),
        'told', string.format('%d', count_of(clock[2]))}
    for name, spec in pairs(SETTINGS) do
        if spec.node then
            local value = setting(c, name)
            told[#told + 1], told[#told + 2] = name, value == spec.off and '0' or value
        end
    end
    return told
end

-- A refusal, and the setting that makes it one.
function refused_by(c, text, name)
    return string.format('%s (%s is %s)', text, name, setting(c, name))
end

-- Not a step, writes nothing: {{name, value in force, default, what is allowed}, ...} by name.
function list_settings(keys)
    local c, failed = context(keys)
    if failed then
        return failed
    end
    local list = {}
    for name, spec in pairs(SETTINGS) do
        local allowed = string.gsub(setting_takes(spec), '^a number from ', '')
        list[#list + 1] = {name, setting(c, name), spec.default, allowed}
    end
    table.sort(list, function(a, b) return a[1] < b[1] end)
    return list
end

end
