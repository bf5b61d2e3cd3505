-- Requests: joins, parts and retries.

do -- seen in here alone

-- Of `names`, those never asked for as initial channels before.
local function never_initial(c, names)
    local fresh = {}
    for i, known in ipairs(call_all('SMISMEMBER', key(c, 'initial'), names)) do
        if known == 0 then
            fresh[#fresh + 1] = names[i]
        end
    end
    call_all('SADD', key(c, 'initial'), fresh)
    return fresh
end

-- Why a request names too few channels or too many, or nil.
local function number_refused(what, texts)
    if #texts == 0 or #texts > MAX_CHANNELS then
        return {ok = false, error = what .. ' names 1 to ' .. MAX_CHANNELS .. ' channels.'}
    end
    return nil
end

-- Why nothing can be read as the user of "+USER", or nil.
local function as_refused(where)
    local user = where and string.sub(where, 2)
    return user and not login_of(user) and {ok = false, error = '"' .. shown(user) ..
        '" is no Twitch login in lower case, nor anonymous.'} or nil
end

-- The channels of an assign step, each once, in the order of their groups: names, where each may
-- go, and all texts as they were given. Texts that are no channels go to `refused`. Nil: the
-- arguments are none.
local function assign_groups(a, refused)
    local names, wheres, texts, at = {}, {}, {}, 6
    while at <= #a do
        local where, n = a[at], tonumber(a[at + 1] or '')
        if not n or n < 0 or n ~= math.floor(n) or at + 1 + n > #a then
            return nil
        end
        local first = #texts + 1
        for i = at + 2, at + 1 + n do
            texts[#texts + 1] = a[i]
        end
        if #texts <= MAX_CHANNELS then
            for _, channel in ipairs(channels.names({unpack(texts, first)}, refused)) do
                if not wheres[channel] then
                    wheres[channel] = where
                    names[#names + 1] = channel
                end
            end
        end
        at = at + 2 + n
    end
    return names, wheres, texts
end

-- A channel that found no shard is kept as wanted, or refused.
local function no_shard(c, join, channel, why)
    local plan, kind = join.plan, string.sub(join.wheres[channel], 1, 1)
    if why == ERR_BLIND or why == ERR_LOOKING or join.mode ~= 'join' or plan.no_node or join.waited[channel] or
        kind == '?' or (kind == '+' and settings(c).setup ~= 'done') then
        join.waiting[channel] = why
        join.users[channel] = kind == '+' and string.sub(join.wheres[channel], 2) or nil
        if join.mode == 'initial' and not plan.no_node and kind ~= '?' then
            event(c, 'error', {'where', 'assign_shard', 'channel', channel, 'error', why})
        end
    else
        join.refused[channel] = why
    end
end

-- Why a channel on the shard `now` is not read as the user of "+USER", or nil.
local function on_another(c, where, now)
    local user = string.match(where, '^%+(.*)')
    local other = user and user_of(c, now) or user
    return other ~= user and string.format('It is on shard %s already, which reads as %s; part it first.', shown(now),
        other) or nil
end

-- A channel that is on a shard stays there; where that is another user's than was asked for, it is
-- refused.
local function stays(c, join, channel, shard)
    join.refused[channel] = on_another(c, join.wheres[channel], shard)
    if join.refused[channel] then
        return
    end
    join.assigned[channel] = shard
    if join.mode == 'join' then
        channels.note_failed(c, join.failures, channel, shard)
    end
end

-- A channel that waits to be read as a user that was named waits for that.
local function keep_users(c, wheres, names, now)
    for i, channel in ipairs(names) do
        local user = now[i] == '' and string.sub(wheres[channel], 1, 1) ~= '+' and
            login_of(call('HGET', key(c, 'channel', channel), 'user'))
        if user then
            wheres[channel] = '+' .. user
        end
    end
end

-- The channels that are to have a shard, in groups that may go to the same. Those of named shards
-- come first: what they take is known when the least loaded is looked for.
local function in_groups(c, join, names, now)
    local by_where, named, others = {}, {}, {}
    for i, channel in ipairs(names) do
        local where, at = join.wheres[channel], now[i]
        if at and at ~= '' then
            stays(c, join, channel, at)
        elseif at or join.mode ~= 'waiting' then
            local group = by_where[where]
            if not group then
                local list = string.sub(where, 1, 1) == '=' and named or others
                group = {where = where}
                by_where[where], list[#list + 1] = group, group
            end
            group[#group + 1] = channel
            if at then
                join.waited[channel] = true
            end
        end
    end
    for _, group in ipairs(others) do
        named[#named + 1] = group
    end
    return named
end

-- Assigns the channels: what became of them.
local function assign(c, mode, names, wheres)
    local join = {mode = mode, wheres = wheres, assigned = {}, waiting = {}, refused = {}, waited = {}, failures = {},
        users = {}}
    if mode == 'initial' then
        names = never_initial(c, names)
    end
    if #names > 0 then
        local now = call('HMGET', key(c, 'channels'), unpack(names))
        keep_users(c, wheres, names, now)
        join.plan = plan_create(c, #names, join.assigned, function(channel, why) no_shard(c, join, channel, why) end)
        for _, group in ipairs(in_groups(c, join, names, now)) do
            plan_channels(c, join.plan, group.where, group)
        end
        channels.put(c, join.plan.by_shard, join.waited)
        channels.wait(c, join.waiting, join.waited, join.users)
        channels.try_again(c, join.failures)
    end
    return join
end

-- mode "join"; "initial" (only those never seen as initial before, and a refused one stays wanted);
-- "waiting" (only those that wait). where: "" the least-loaded open shard of the cluster's readers,
-- or a new one; "@USER" the same of that user; "+USER" the same, as was asked for: one that is on
-- a shard of another user is refused; "=SHARD" that one; "!WHY" nowhere; "?WHY" nowhere yet, but it
-- is wanted; "-" where it is already. Answers as request_step.
leader_step('assign', 'entry id mode {where n channel*n}...', function(c, a)
    local bad = {}
    local names, wheres, texts = assign_groups(a, bad)
    if not names then
        return nil
    end
    local as = string.match(a[6] or '', '^%+.*')
    local r, before = request_begin(c, a[3], a[4], 'join', {table.concat(texts, '\0'), as})
    if not r then
        return before
    end
    local reply = number_refused('A join', texts) or as_refused(as)
    if not reply then
        local join = assign(c, a[5], names, wheres)
        reply = {assigned = join.assigned, waiting = next(join.waiting) and join.waiting}
        request_refused(reply, join.refused, bad)
    end
    return {'done', request_reply(c, r, reply)}
end)

-- What a request does with each of its channels: `look` answers nil where it is done, or why not.
-- The reply, which lists what was done as `verb`; what was done, and on which shards.
local function each_channel(c, what, texts, verb, look)
    local refused, bad, done, shards = {}, {}, {}, {}
    local number = number_refused(what, texts)
    if number then
        return number, done, shards
    end
    local names = channels.names(texts, bad)
    for i, shard in ipairs(call_all('HMGET', key(c, 'channels'), names)) do
        local channel = names[i]
        local why = not shard and 'The channel is not joined.' or look(channel, shard)
        if why then
            refused[channel] = why
        else
            done[#done + 1] = channel
            shards[channel] = shard
        end
    end
    return request_refused({[verb] = #done > 0 and done or nil}, refused, bad), done, shards
end

-- The channels that are on that shard (nil: on any) are wanted no more: the reply.
local function part(c, texts, only)
    local reply, parted, shards = each_channel(c, 'A part', texts, 'parted', function(_, shard)
        return only and shard ~= only and 'The channel is not on shard ' .. shown(only) .. '.' or nil
    end)
    channels.forget(c, parted, shards)
    return reply
end

-- The channels are wanted no more.
request_step('part', 'channel...', part)

-- Channels of that shard are wanted no more, others are refused.
own_step('remove_channels', 'shard channel...', function(c, a)
    return part(c, {unpack(a, 4)}, a[3])
end)

-- Those that failed are tried again at once.
request_step('retry', 'channel...', function(c, texts)
    local failures = {}
    local reply = each_channel(c, 'A retry', texts, 'retried', function(channel, shard)
        if shard == '' then
            return 'The channel waits for a shard; it is tried again by itself.'
        end
        return not channels.note_failed(c, failures, channel, shard) and 'The channel has not failed.' or nil
    end)
    channels.try_again(c, failures)
    return reply
end)

end
