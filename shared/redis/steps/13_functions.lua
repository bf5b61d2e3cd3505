-- The functions of the library that are not steps.

-- Which library this is.
local function version()
    return {CONTRACT, REVISION}
end

-- The databases, beside our own, in which a cluster of this name is led now. Topics are
-- the server's: the two would hear each other. What is selected here ends with the function. SELECT
-- is no right that Shoal needs: where the user has it not, that is the answer.
local function elsewhere(keys, a)
    local own, found, try = tonumber(a[1]), {}, redis.pcall
    local now = redis.call('TIME')
    for db = 0, 15 do
        local selected = try('SELECT', db)
        if selected.err and db == 0 then
            return selected
        elseif selected.err then
            break -- there are no more
        end
        local deadline = db ~= own and try('HGET', keys[1] .. ':leader', 'deadline')
        if type(deadline) == 'string' and (tonumber(deadline) or 0) > now[1] * 1000 then
            found[#found + 1] = db
        end
    end
    return found
end

redis.register_function{function_name = 'shoal1_version', callback = version, flags = {'no-writes'}}
redis.register_function{function_name = 'shoal1_settings', callback = list_settings, flags = {'no-writes'}}
redis.register_function{function_name = 'shoal1_readers', callback = readers.list, flags = {'no-writes'}}
redis.register_function{function_name = 'shoal1_elsewhere', callback = elsewhere, flags = {'no-writes'}}
