-- What somebody may do to a registry. KEYS[1] is the tag key; ARGV[1] what is asked:
--   "keep"           a copy of all keys, in database 1
--   "list" SEED      every damage, one a line: "WHAT key field junk", between tabs
--   "restore"        the copy again, with leases that begin now
--   "damage" LINE    one of them
local tag, what = KEYS[1], ARGV[1]

local JUNK = {
    '', 'x', '-1', 'nan', 'inf', '1e300', '99999999999999999999', '9007199254740993', '0.5', 'a:b',
    'n\0u\r\nl \255', string.rep('y', 300), 'n1', 'main-shard',
}
local SCORES = {'inf', '-inf', '-5', '1e300', '0.5', '9007199254740993'}

if what == 'keep' then
    for _, key in ipairs(redis.call('KEYS', '*')) do
        redis.call('COPY', key, key, 'DB', 1, 'REPLACE')
    end
    return ''
end

if what == 'restore' then
    redis.call('FLUSHDB')
    redis.call('SELECT', 1)
    for _, key in ipairs(redis.call('KEYS', '*')) do
        redis.call('COPY', key, key, 'DB', 0)
    end
    redis.call('SELECT', 0)
    local time = redis.call('TIME')
    local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
    for _, node in ipairs(redis.call('ZRANGE', tag .. ':nodes', 0, -1)) do
        redis.call('ZADD', tag .. ':nodes', now + 3000, node)
    end
    redis.call('HSET', tag .. ':leader', 'deadline', now + 3000)
    redis.call('HSET', tag .. ':clock', 'seen', now, 'grace', 0)
    return ''
end

if what == 'damage' then
    local words = {}
    for word in string.gmatch(ARGV[2] .. '\t', '([^\t]*)\t') do
        words[#words + 1] = word
    end
    local kind, key, field, junk = words[1], words[2], words[3], JUNK[tonumber(words[4])] or words[4]
    if kind == 'gone' then
        redis.call('DEL', key)
    elseif kind == 'another' then
        local is = redis.call('TYPE', key).ok
        redis.call('DEL', key)
        redis.call(is == 'string' and 'RPUSH' or 'SET', key, 'x')
    elseif kind == 'less' then
        redis.call('HDEL', key, field)
    elseif kind == 'set' then
        redis.call('HSET', key, field, junk)
    elseif kind == 'score' then
        redis.call('ZADD', key, junk, field)
    elseif kind == 'member' then
        local is = redis.call('TYPE', key).ok
        if is == 'zset' then
            redis.call('ZADD', key, 1, junk)
        elseif is == 'set' then
            redis.call('SADD', key, junk)
        elseif is == 'hash' then
            redis.call('HSET', key, junk, 'x')
        elseif is == 'list' then
            redis.call('RPUSH', key, junk)
        elseif is == 'stream' then
            redis.call('XADD', key, '*', 'x', junk)
        else
            redis.call('SET', key, junk)
        end
    end
    return ''
end

-- Of each kind of key one or two, and of the junk some, drawn from the seed.
local random = tonumber(ARGV[2])
local function pick(n)
    random = (random * 16807) % 2147483647
    return random % n + 1
end

local lines = {}
local function line(...)
    lines[#lines + 1] = table.concat({...}, '\t')
end

local keys = redis.call('KEYS', '*')
table.sort(keys)
for _, key in ipairs(keys) do
    if not string.find(key, 'initial%-shard%-2') and not string.find(key, ':channel:[bc]$') then
        local is = redis.call('TYPE', key).ok
        line('gone', key)
        line('another', key)
        for _ = 1, 4 do
            line('member', key, '', pick(#JUNK))
        end
        if is == 'hash' then
            for _, field in ipairs(redis.call('HKEYS', key)) do
                line('less', key, field)
                for _ = 1, 3 do
                    line('set', key, field, pick(#JUNK))
                end
            end
        elseif is == 'zset' then
            for _, member in ipairs(redis.call('ZRANGE', key, 0, -1)) do
                line('score', key, member, SCORES[pick(#SCORES)])
                line('score', key, member, SCORES[pick(#SCORES)])
            end
        end
    end
end
return table.concat(lines, '\n')
