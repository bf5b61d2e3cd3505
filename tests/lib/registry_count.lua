-- Put before the library of steps: counts what each step touches. The hash `counted` says of each
-- step the most keys of a call, and the most elements (arguments and answers of commands), beside
-- what its caller named: four keys and fifty elements for each argument.
local counted = {}
do
    local keys, nkeys, elements

    local function size_of(reply)
        if type(reply) ~= 'table' then
            return 1
        end
        local n = 0
        for _, each in ipairs(reply) do
            n = n + size_of(each)
        end
        return n
    end

    local function count(reply, ...)
        local name = ...
        if name and not keys[name] then
            keys[name] = true
            nkeys = nkeys + 1
        end
        elements = elements + select('#', ...) + size_of(reply)
        return reply
    end

    function counted.call(command, ...)
        return count(redis.call(command, ...), ...)
    end

    function counted.pcall(command, ...)
        return count(redis.pcall(command, ...), ...)
    end

    function counted.error_reply(text) return redis.error_reply(text) end
    function counted.status_reply(text) return redis.status_reply(text) end
    function counted.sha1hex(text) return redis.sha1hex(text) end

    local function keep(field, n)
        if n > tonumber(redis.call('HGET', 'counted', field) or -1e9) then
            redis.call('HSET', 'counted', field, n)
        end
    end

    local function wrapped(name, callback)
        return function(tags, a)
            keys, nkeys, elements = {}, 0, 0
            local answer = callback(tags, a)
            keep(name .. ' keys', nkeys - 4 * #a)
            keep(name .. ' elements', elements - 50 * #a)
            return answer
        end
    end

    function counted.register_function(named, callback)
        if callback then
            redis.register_function(named, wrapped(named, callback))
        elseif named.flags[1] == 'no-writes' then
            redis.register_function(named)
        else
            redis.register_function{function_name = named.function_name, flags = named.flags,
                callback = wrapped(named.function_name, named.callback)}
        end
    end
end
local redis = counted -- luacheck: ignore
