-- Speakers: who says what. With the setting `speaker` that account says all that goes to channels,
-- whoever reads them; without it whoever reads a channel speaks there.
--
-- A speaker shard (`speaker-shard-N`) is one of the speaker that holds no channels and takes none:
-- it is in no list of open shards. Its name alone tells that it is one.

local speakers = {MOST = 100}

function speakers.is(shard)
    return string.find(shard, '^speaker%-shard%-%d+$') ~= nil
end

-- As whom it is said what goes to channels that `reader` reads (nil: that nobody joined). Empty
-- while no user is chosen.
function speakers.of(c, reader)
    local speaker = setting(c, 'speaker')
    return speaker ~= '' and speaker or reader or setting(c, 'user')
end

-- The speaker shards there are, in the order of their numbers.
function speakers.list(c)
    local names, there = {}, {}
    for n = 1, speakers.MOST do
        names[n] = 'speaker-shard-' .. n
    end
    for n, score in ipairs(call('ZMSCORE', key(c, 'load'), unpack(names))) do
        there[#there + 1] = score and names[n] or nil
    end
    return there
end
