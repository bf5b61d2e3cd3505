#!lua name=shoal1
-- The registry's steps: the only writers of Shoal's state in Redis.
--
-- The files of this directory are joined in the order of their names into one library (embed.cmake). Lua has room for
-- 200 local names there: files of which nobody needs more than their steps keep the others in a block.
-- Each registered function is one atomic step. KEYS[1] is the cluster's tag key, `shoal:{main}`; every
-- other key is derived from it and shares its hash tag. Steps own every invariant (how many shards, how
-- many channels in each, who may write) and the one choice "the least-loaded open shard, or open
-- one, or refuse". When to call them, and with which arguments, is decided in C (registry.h, which
-- says for each step what it takes and answers).
--
-- Answers are arrays whose first element is a word ("current", "held", ...). A caller that may not
-- act gets an error: LOST (a node whose lease is another's or gone) or DEPOSED (a leader that no
-- longer leads). Bad arguments are errors that begin with BADARG. A step checks before it writes:
-- Redis does not undo what a failed function wrote.
--
-- Keys beside those of the public contract (shared/contract.md), all internal:
--   node:<node>:shards   zset  shards placed on the node -> the node's rev when last changed
--   node:<node>:serves   zset  shards whose sends this node serves -> the same
--   node:<node>:claims   hash  outbox entry this node has claimed -> its channel, id, by and deadline, JSON
--   shard:<shard>:serves set   shards whose sender this shard is
--   shard:<shard>:read   hash  channel -> '' while it is read, else since when it is not; absent: never was
--   shard:<shard>:retry  hash  failed channel -> when somebody asked to try it again
--   free                 zset  node -> shards it can still take
--   blind                zset  nodes that do not see Twitch -> since when; see 05_sight.lua
--   homeless             set   shards that no node holds
--   waiting              set   wanted channels without a shard
--   active               zset  wanted channel -> when its last line came, to ten seconds: of those that had any
--   idle                 zset  shards that close when idle, without channels -> since when
--   initial              set   channels that were ever asked for as initial channels
--   senders              hash  user -> the shard that says what goes to channels nobody joined
--   claims               hash  channel -> the claimed outbox entry, one at a time, and the node that claimed it
--   sends, queued, ids   what of the outbox is known and has no result yet (05_outbox.lua)
--   heard:<node>         string which process of the node entered sends, and the number of the last one
--   listeners            hash  node -> its connection for topics, since when it is to be killed; " ": of which server

local CONTRACT = '1' -- the contract's version, part of library and function names
local REVISION = 18  -- grows with every change here: a program loads its library over an older one
local REPLY_SECONDS = 3600
local RESULT_SECONDS = 86400
local REFUSED_SECONDS = 3600 -- a result of what was surely not said
local LOG_ENTRIES = 10000
local MAX_CHANNELS_PER_REQUEST = 1000
local SHARDS_PER_EXPIRE = 50
local SHARDS_PER_PICTURE = 250 -- a node is told of more in several answers
local CLAIM_AHEAD_MS = 2000    -- a send is claimed when its account's slot is no further away than this
local CLAIM_MOST_MS = 60000    -- a claim whose claimer says nothing for so long is given up
local SENDS_PER_LIST = 500     -- a node is told of more in several answers
local MAX_ID = 128
local MAX_TOLD = 500 -- bytes of a text in an event
local LEASE_MOST_MS = 60000 -- what lease_ms may be
local CLOCK_TOLD_MS = 1000
local REPORT_LATE_MOST_MS = 600000 -- a report that says it was written before is not believed
local SILENT_MS = 1000 -- a node reports a connection on which nothing was read for so long

local ERR_SHARDS_FULL = 'All shards are full, and the shard count limit has been reached.'
local ERR_NO_ROOM = 'No node has room for another shard. (--shard-capacity of the nodes)'
local ERR_NO_NODE = 'No node is up.'
local ERR_BLIND = 'No node sees Twitch.'
local ERR_NOT_A_CHANNEL = 'Not a channel name: 1 to 25 of a-z, 0-9 and _.'

local steps = {} -- name -> the function that is registered (13_functions.lua)

-- redis.call, with care (02_context.lua): set when a step begins.
local call

local function badarg(text)
    return redis.error_reply('BADARG ' .. text)
end
