-- Fan-out: what a transaction of a node does, as a function, for when Redis is full and takes no
-- transactions; and that Redis has forgotten some, or all.

-- Publishes the lines (at most 64) and notes how far the node has come. `before`: only if it has
-- come so far as yet, and an error else. Empty: in any case.
step('publish', 'node before seq channel line ...', function(c, a)
    if #a % 2 == 0 then
        return nil
    end
    local fk = key(c, 'fan', a[1])
    if call('TYPE', fk).ok ~= 'hash' then
        call('DEL', fk) -- somebody put something else there
    end
    if a[2] ~= '' and call('HGET', fk, 'seq') ~= a[2] then
        return redis.error_reply('BEHIND node ' .. shown(a[1]) .. ' has not come so far')
    end
    for i = 4, #a, 2 do
        call('PUBLISH', c.topic .. 'chat:' .. a[i], a[i + 1])
    end
    call('HSET', fk, 'seq', a[3])
    history.missed(c)
    return redis.status_reply('OK')
end)

-- Redis had answered the node's lines `from` to `to`, and has forgotten them. The node adds those
-- from `kept_from` on to the streams again, which are not published again. `ms`: the time that it
-- was by the Redis that is gone; what readers have seen there has no later ids.
step('rewound', 'node from to kept_from ms', function(c, a)
    local numbers = {}
    for i = 2, 5 do
        numbers[i - 1] = whole(a[i])
        if not numbers[i - 1] then
            return nil
        end
    end
    history.rewound(c, a[1], unpack(numbers))
    return redis.status_reply('OK')
end)

-- All that was in Redis is gone: the streams had what was published from `from` to `to` at the
-- latest, ms by the Redis that is gone. Of that, this node adds what came behind `lacks` again.
step('emptied', 'from lacks to', function(c, a)
    local from, lacks, to = whole(a[1]), whole(a[2]), whole(a[3])
    if not from or not lacks or not to then
        return nil
    end
    history.emptied(c, from, lacks, to)
    return redis.status_reply('OK')
end)
