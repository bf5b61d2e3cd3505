#!lua name=shoal1
-- The registry's steps: the only writers of Shoal's state in Redis.
--
-- The files of this directory are joined in the order of their names into one library
-- (embed.cmake). Lua has room for 200 local names there. Files that others need little of keep the
-- rest in a block.
--
-- Each registered function is one atomic step. KEYS[1] is the cluster's tag key, `shoal:{main}`.
-- Every other key is derived from it and shares its hash tag. Steps own every invariant (how many
-- shards, how many channels in each, who may write) and the one choice "the least-loaded open
-- shard, or open one, or refuse". C decides when a step is called, and with which arguments
-- (registry.h says for each step what it takes and answers).
--
-- Answers are arrays whose first element is a word ("current", "held", ...). A caller that may not
-- act gets an error: LOST (a node whose lease is another's or gone) or DEPOSED (a leader that no
-- longer leads). Bad arguments are errors that begin with BADARG. A step checks before it writes,
-- since Redis does not undo what a failed function wrote.
--
-- Redis does nothing else while a step runs. So a step looks at no more than 1,000 channels,
-- shards, nodes and sends beside those that its caller names, whatever the settings are. Where
-- there are more it answers how its caller goes on. (Only the slots of a budget are looked at all
-- at once, as many as the limit allows: when Redis's clock went back, and when a node restates.)
--
-- These keys are internal, beside those of the public contract (shared/contract.md):
--   node:<node>:shards   zset  shards placed on the node -> the node's rev when last changed
--   node:<node>:serves   zset  shards whose sends this node serves -> the same
--   node:<node>:claims   hash  claimed outbox entry -> its channel, id, by and deadline, JSON
--   shard:<shard>:serves set   shards whose sender this shard is
--   shard:<shard>:read   hash  channel -> '' while it is read, else since when not; absent: never
--   shard:<shard>:retry  hash  failed channel -> when somebody asked to try it again
--   changed              zset  shard that changed or is gone -> clock.changes as of then
--   compare              list  what the comparing of the registry with itself has yet to look at
--   free                 zset  node -> shards it can still take
--   blind                zset  nodes that do not see Twitch -> since when; see 05_sight.lua
--   places               hash  shard -> whose it is, its node, ... in one text (04_counts.lua)
--   homeless             set   shards that no node holds
--   waiting              set   wanted channels without a shard
--   active               zset  wanted channel that had lines -> when the last came, to ten seconds
--   idle                 zset  shards that close when idle, without channels -> since when
--   initial              set   channels that were ever asked for as initial channels
--   senders              hash  user -> the shard that says what goes to channels nobody joined
--   standing:<user>      hash  channel -> as what the user stands there (04_rooms.lua)
--   claims               hash  channel -> its claimed outbox entry, and the node that claimed it
--   account:<login>      hash    a Twitch user whose tokens Shoal keeps valid; see 09_accounts.lua
--   secret:<login>       string  its tokens, sealed
--   accounts             zset    accounts -> when the leader looks at them next
--   sends, queued, ids   what of the outbox is known and has no result yet (05_outbox.lua)
--   muted, too_fast      accounts of which Twitch says nothing (05_muted.lua)
--   room_id:<channel>    string its id at Twitch, of one that nobody joined: asked for, kept a day
--   parts:<entry>        string of a send that is said in parts: how many were, of how many ("2/3")
--   heard:<node>         string process of the node that entered sends, and the last one's number
--   listeners            hash  node -> its connection for topics, since when it is to be killed;
--                              " ": of which server

local CONTRACT = '1' -- the contract's version, part of library and function names
local REVISION = 43  -- grows with every change here: a program loads its library over an older one
local REPLY_SECONDS = 3600
local RESULT_SECONDS = 86400
local REFUSED_SECONDS = 3600 -- a result of what was surely not said
local LOG_ENTRIES = 10000
local MAX_CHANNELS = 1000
local SHARDS_PER_EXPIRE = 50
local CLAIM_AHEAD_MS = 2000    -- a send is claimed when its account's slot is no further away
local CLAIM_MOST_MS = 60000    -- a claim whose claimer says nothing for so long is given up
local SENDS_PER_LIST = 500     -- a node is told of more in several answers
local MAX_ID = 128             -- bytes of the id of a request or a send
local MAX_TOLD = 500 -- bytes of a text in an event
local LEASE_MOST_MS = 60000 -- what lease_ms may be
local CLOCK_TOLD_MS = 1000
local REPORT_LATE_MOST_MS = 600000 -- a report that says it was written before is not believed
local SILENT_MS = 1000 -- a node reports a connection on which nothing was read for so long

local ERR_SHARDS_FULL = 'All shards are full, and the shard count limit has been reached.'
local ERR_NO_ROOM = 'No node has room for another shard. (--shard-capacity of the nodes)'
local ERR_NO_NODE = 'No node is up.'
local ERR_BLIND = 'No node sees Twitch.'
local ERR_LOOKING = 'A node with room for another shard is being looked for.'
local ERR_NOT_A_CHANNEL = 'Not a channel name: 1 to 25 of a-z, 0-9 and _.'

-- redis.call, with care (02_context.lua): set when a step begins.
local call

local function badarg(text)
    return redis.error_reply('BADARG ' .. text)
end
