-- The functions of the library.

-- Not a step: which library this is.
local function version()
    return {CONTRACT, REVISION}
end

-- Not a step: the databases, beside our own, in which a cluster of this name is led now. Topics are the server's:
-- the two would hear each other. What is selected here ends with the function.
-- SELECT is no right that Shoal needs: where the user has it not, that is the answer.
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
redis.register_function{function_name = 'shoal1_settings', callback = list_settings,
    flags = {'no-writes'}}
redis.register_function{function_name = 'shoal1_elsewhere', callback = elsewhere, flags = {'no-writes'}}

-- When Redis's memory is full, it refuses what needs more of it. These go on: leases, and whatever overwrites, frees
-- or settles what is there. What they add is bounded by what there is (results by the outbox, state by channels,
-- shards and nodes, the log by its length).
local function always(name)
    redis.register_function{function_name = 'shoal1_' .. name, callback = steps[name], flags = {'allow-oom'}}
end

always('register')
always('renew')
always('leave')
always('publish')
always('lead')
always('expire')
always('configure')
always('compare')
always('requests')
always('refuse')
always('release')
always('retry')
always('draw')
always('restate')
always('send_take')
always('send_list')
always('send_listen')
always('send_claim')
always('send_unclaim')
always('send_done')

-- These add channels, shards and sends: refused then, with Redis's words.
redis.register_function('shoal1_add_shard', steps.add_shard)
redis.register_function('shoal1_assign', steps.assign)
redis.register_function('shoal1_send_accept', steps.send_accept)
