-- The functions of the library.

-- Not a step: which library this is.
local function version()
    return {CONTRACT, REVISION}
end

redis.register_function{function_name = 'shoal1_version', callback = version, flags = {'no-writes'}}
redis.register_function{function_name = 'shoal1_settings', callback = list_settings,
    flags = {'no-writes'}}

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
