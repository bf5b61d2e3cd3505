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
        kind == '?' then
        join.waiting[channel] = why
        if join.mode == 'initial' and not plan.no_node and kind ~= '?' then
            event(c, 'error', {'where', 'assign_shard', 'channel', channel, 'error', why})
        end
    else
        join.refused[channel] = why
    end
end

-- Finds a shard for the channel, which has the shard `now` ("": it waits for one; nil: not wanted).
local function find_shard(c, join, channel, now)
    if now and now ~= '' then
        join.assigned[channel] = now
        if join.mode == 'join' then
            channels.note_failed(c, join.failures, channel, now)
        end
    elseif now or join.mode ~= 'waiting' then
        join.waited[channel] = now == ''
        local shard, why = plan_channel(c, join.plan, channel, join.wheres[channel])
        join.assigned[channel] = shard
        if not shard then
            no_shard(c, join, channel, why)
        end
    end
end

-- Assigns the channels: what became of them. Named shards come first: what they take is known when
-- the least loaded is looked for.
local function assign(c, mode, names, wheres)
    local join = {mode = mode, wheres = wheres, assigned = {}, waiting = {}, refused = {}, waited = {}, failures = {}}
    if mode == 'initial' then
        names = never_initial(c, names)
    end
    if #names > 0 then
        local plan, later = plan_create(c, #names), {}
        local now = call('HMGET', key(c, 'channels'), unpack(names))
        join.plan = plan
        for i, channel in ipairs(names) do
            if string.sub(wheres[channel], 1, 1) == '=' then
                find_shard(c, join, channel, now[i])
            else
                later[#later + 1] = i
            end
        end
        for _, i in ipairs(later) do
            find_shard(c, join, names[i], now[i])
        end
        channels.put(c, plan.by_shard, plan.owner, join.waited)
        channels.wait(c, join.waiting, join.waited)
        channels.try_again(c, join.failures)
    end
    return join
end

-- mode "join"; "initial" (only those never seen as initial before, and a refused one stays wanted);
-- "waiting" (only those that wait). where: "" the least-loaded open shard of the cluster's user, or
-- a new one; "@USER" the same of that user; "=SHARD" that one; "!WHY" nowhere; "?WHY" nowhere yet,
-- but it is wanted; "-" where it is already. Answers as request_step.
leader_step('assign', 'entry id mode {where n channel*n}...', function(c, a)
    local bad = {}
    local names, wheres, texts = assign_groups(a, bad)
    if not names then
        return nil
    end
    local r, before = request_begin(c, a[3], a[4], 'join', texts)
    if not r then
        return before
    end
    local number = number_refused('A join', texts)
    if number then
        return request_end(c, r, number)
    end
    local join = assign(c, a[5], names, wheres)
    local ok, listed, more = request_refused(join.refused, bad)
    local reply = {ok = ok, assigned = join.assigned, refused = listed}
    if more then
        reply.refused_more = more
    end
    if next(join.waiting) then
        reply.waiting = join.waiting
    end
    return request_end(c, r, reply)
end)

-- What a request does with each of its channels: `look` answers nil where it is done, or why not.
-- The reply, which lists what was done as `verb`.
local function each_channel(c, texts, verb, look)
    local refused, bad, done, shards = {}, {}, {}, {}
    local names = channels.names(texts, bad)
    local now = call_all('HMGET', key(c, 'channels'), names)
    for i, channel in ipairs(names) do
        local why = not now[i] and 'The channel is not joined.' or look(channel, now[i])
        if why then
            refused[channel] = why
        else
            done[#done + 1] = channel
            shards[channel] = now[i]
        end
    end
    local ok, listed, more = request_refused(refused, bad)
    local reply = {ok = ok, refused = listed, refused_more = more}
    if #done > 0 then
        reply[verb] = done
    end
    return reply, done, shards
end

-- The channels are wanted no more.
request_step('part', 'channel...', function(c, texts)
    local number = number_refused('A part', texts)
    if number then
        return number
    end
    local reply, parted, shards = each_channel(c, texts, 'parted', function() end)
    channels.forget(c, parted, shards)
    return reply
end)

-- Those that failed are tried again at once.
request_step('retry', 'channel...', function(c, texts)
    local failures = {}
    local reply = number_refused('A retry', texts) or each_channel(c, texts, 'retried', function(channel, shard)
        if shard == '' then
            return 'The channel waits for a shard; it is tried again by itself.'
        end
        return not channels.note_failed(c, failures, channel, shard) and 'The channel has not failed.' or nil
    end)
    channels.try_again(c, failures)
    return reply
end)

-- Channels of that shard are wanted no more, others are refused.
own_step('remove_channels', 'shard channel...', function(c, a)
    local texts = {unpack(a, 4)}
    local reply, parted, shards = number_refused('A part', texts), {}, nil
    if not reply then
        reply, parted, shards = each_channel(c, texts, 'parted', function(_, shard)
            return shard ~= a[3] and 'The channel is not on shard ' .. shown(a[3]) .. '.' or nil
        end)
    end
    channels.forget(c, parted, shards)
    return reply
end)

end
