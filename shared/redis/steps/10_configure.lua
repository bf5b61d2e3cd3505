-- Configure: settings, start and stop, setting the cluster up, and what is told to those who watch.

do -- seen in here alone

request_step('set', 'name value', function(c, a)
    local why = setting_refused(a[1], a[2])
    if why then
        return {ok = false, error = why}
    end
    c.tell = true
    call('HSET', key(c, 'config'), a[1], a[2])
    event(c, 'config.set', {'name', a[1], 'value', a[2]})
    return {ok = true}
end)

request_step('unset', 'name', function(c, a)
    if not SETTINGS[a[1]] then
        return {ok = false, error = setting_refused(a[1], '')}
    end
    c.tell = true
    call('HDEL', key(c, 'config'), a[1])
    event(c, 'config.unset', {'name', a[1]})
    return {ok = true}
end)

-- The shard manager starts or stops the shards. No shard starts while the cluster is stopped.
local function stop_step(op, stopped)
    request_step(op, '', function(c)
        call('HSET', key(c, 'config'), 'stopped', stopped)
        event(c, 'cluster.' .. op, {})
        return {ok = true}
    end)
end

stop_step('start', '0')
stop_step('stop', '1')

-- The leader by itself ----------------------------------------------------------------------------

-- A cluster that is not set up takes this manager and those settings. The reply says which of them
-- differ from what it has.
own_step('create', 'manager {name value}...', function(c, a)
    local config, is_done = key(c, 'config'), settings(c).setup == 'done'
    local reply = {ok = true, different = {}}
    for i = 4, #a - 1, 2 do
        local why = setting_refused(a[i], a[i + 1])
        if why then
            return {ok = false, error = why}
        end
    end
    c.tell = not is_done
    if not is_done then
        call('HSET', config, 'manager', a[3])
    elseif settings(c).manager ~= a[3] then
        reply.manager = settings(c).manager or ''
    end
    for i = 4, #a - 1, 2 do
        local now = call('HGET', config, a[i])
        if not now and not is_done then
            call('HSET', config, a[i], a[i + 1])
        elseif (now or SETTINGS[a[i]].default) ~= a[i + 1] then
            reply.different[a[i]] = now or SETTINGS[a[i]].default
        end
    end
    return reply
end)

-- Setting the cluster up failed: as if it had never been created with these settings, unless it has
-- shards.
own_step('abandon', 'name...', function(c, a)
    if settings(c).setup ~= 'done' and call('ZCARD', key(c, 'load')) == 0 then
        c.tell = true
        call('HDEL', key(c, 'config'), 'manager', unpack(a, 3))
    end
end)

own_step('setup_done', '', function(c)
    call('HSET', key(c, 'config'), 'setup', 'done')
    event(c, 'cluster.setup', {})
end)

-- Something went wrong: an event.
own_step('tell_error', '{name value}...', function(c, a)
    event(c, 'error', {unpack(a, 3)})
end)

-- So many channels and shards of an earlier registry are gone, the first of them these.
own_step('tell_lost', 'channels shards names', function(c, a)
    call('HSET', key(c, 'clock'), 'lost_at', c.now, 'lost_channels', count_of(a[3]), 'lost_shards', count_of(a[4]))
    event(c, 'registry.lost', {'channels', count_of(a[3]), 'shards', count_of(a[4]), 'first', a[5]})
end)

end
