-- The functions of the library.

-- Not a step: which library this is.
local function version()
    return {CONTRACT, REVISION}
end

redis.register_function{function_name = 'shoal1_version', callback = version, flags = {'no-writes'}}
redis.register_function{function_name = 'shoal1_settings', callback = list_settings,
    flags = {'no-writes'}}
redis.register_function('shoal1_register', register)
redis.register_function('shoal1_renew', renew)
redis.register_function('shoal1_leave', leave)
redis.register_function{function_name = 'shoal1_publish', callback = publish, flags = {'allow-oom'}}
redis.register_function('shoal1_lead', lead)
redis.register_function('shoal1_expire', expire)
redis.register_function('shoal1_configure', configure)
redis.register_function('shoal1_compare', compare)
redis.register_function('shoal1_add_shard', add_shard)
redis.register_function('shoal1_assign', assign)
redis.register_function('shoal1_release', release)
redis.register_function('shoal1_draw', draw)
redis.register_function('shoal1_send_accept', send_accept)
redis.register_function('shoal1_send_take', send_take)
redis.register_function('shoal1_send_list', send_list)
redis.register_function('shoal1_send_listen', send_listen)
redis.register_function('shoal1_send_claim', send_claim)
redis.register_function('shoal1_send_unclaim', send_unclaim)
redis.register_function('shoal1_send_done', send_done)
