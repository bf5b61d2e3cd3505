/* Figures: all that is known of a node, a shard and a channel, a row each.
 *
 *   report of a node -> hash in Redis -> reader of the cluster -> shoalctl
 *
 * Each of them goes by these rows: a row is a member of the struct, a member of the report where
 * nodes tell it, a field of the hash (its name), and a column. */
#ifndef SHOAL_FIGURES_H
#define SHOAL_FIGURES_H

#include "shared/base.h"

enum figure_type {
    FIGURE_TEXT,
    FIGURE_TIME,    /* since 1970, Redis's clock; tables show for how long */
    FIGURE_COUNTER, /* counts up, from 0 where its shard or node begins anew */
    FIGURE_GAUGE,   /* goes up and down */
    FIGURE_LIVE, /* a gauge that is 0, whatever was told last, while its shard is not ready or its
                  * node is silent */
    FIGURE_LEFT  /* ms from now; negative: it is over */
};

/* Who says it: a node, with its lease or in its report; a step, and no node may; or whoever reads,
 * as it is the name, or counted, and no field of the hash. */
enum figure_by { FIGURE_BY_LEASE, FIGURE_BY_NODE, FIGURE_BY_STEPS, FIGURE_BY_READER };

struct figure {
    const char *name;
    enum figure_type type;
    size_t offset; /* in the struct: of a slice, a uint64_t, a struct wall or, LEFT, an int64_t */
    enum figure_by by;
    const char *unit;   /* "" where it has none */
    const char *column; /* its title in shoalctl, in this order; NULL: it has no column */
    const char *help;
};

/* X(name, type, by, unit, column, help) */
#define FIGURES_OF_NODE(X)                                                                         \
    X(node, TEXT, READER, "", "NODE", "name of the node")                                          \
    X(state, TEXT, NODE, "", "STATE", "active, blind, proving, draining or leaving")               \
    X(host, TEXT, LEASE, "", "HOST", "host it runs on")                                            \
    X(pid, GAUGE, LEASE, "", "PID", "its process")                                                 \
    X(shards, GAUGE, READER, "shards", "SHARDS", "shards it holds")                                \
    X(capacity, GAUGE, LEASE, "shards", "CAPACITY", "shards it may hold")                          \
    X(lease_ms, LEFT, READER, "ms", "LEASE_MS", "what is left of its lease")                       \
    X(since, TIME, STEPS, "ms", "UP", "when it registered")                                        \
    X(lines_s, LIVE, NODE, "lines/s", "LINES/S", "lines its shards read, of all kinds")            \
    X(bytes_s, LIVE, NODE, "bytes/s", NULL, "bytes of these lines")                                \
    X(published_s, LIVE, NODE, "lines/s", NULL, "lines that Redis took to be published")           \
    X(latency_ms, LIVE, NODE, "ms", NULL, "from reading a line to Redis's answer, the worst")      \
    X(age_ms, LIVE, NODE, "ms", NULL, "how old a line was when it was read, by Twitch's clock")    \
    X(lag_ms, LIVE, NODE, "ms", "LAG_MS", "the worst of its shards")                               \
    X(buffer_bytes, LIVE, NODE, "bytes", NULL, "chat that Redis has not taken yet")                \
    X(buffer_limit, GAUGE, NODE, "bytes", NULL, "so much of it may be held")                       \
    X(version, TEXT, LEASE, "", "VERSION", "its version of Shoal")                                 \
    X(error, TEXT, NODE, "", "ERROR", "why it is blind")                                           \
    X(users, TEXT, LEASE, "", NULL, "accounts it can log in as, with commas")                      \
    X(link, GAUGE, LEASE, "", NULL, "how Redis numbers its link")                                  \
    X(rev, GAUGE, STEPS, "", NULL, "grows when it is to hold or serve something else")             \
    X(renewed, TIME, STEPS, "ms", NULL, "when its lease was renewed")                              \
    X(read_until, TIME, STEPS, "ms", NULL, "up to then its channels were surely read")

#define FIGURES_OF_SHARD(X)                                                                        \
    X(shard, TEXT, READER, "", "SHARD", "name of the shard")                                       \
    X(node, TEXT, STEPS, "", "NODE", "node that holds it; empty: none")                            \
    X(user, TEXT, STEPS, "", "USER", "account it logs in as")                                      \
    X(state, TEXT, NODE, "", "STATE", "how its connection is")                                     \
    X(channels, GAUGE, STEPS, "channels", "CHANNELS", "channels assigned to it")                   \
    X(joined, GAUGE, NODE, "channels", "JOINED", "channels that Twitch has confirmed")             \
    X(queued, GAUGE, NODE, "channels", NULL, "channels that wait for their JOIN")                  \
    X(joining, GAUGE, NODE, "channels", NULL, "channels whose JOIN is not answered yet")           \
    X(failed, GAUGE, NODE, "channels", NULL, "channels that Twitch does not let be read")          \
    X(lines_s, LIVE, NODE, "lines/s", "LINES/S", "lines read, of all kinds")                       \
    X(bytes_s, LIVE, NODE, "bytes/s", NULL, "bytes of these lines")                                \
    X(lag_ms, LIVE, NODE, "ms", "LAG_MS", "answer to the newest PING; 0: not measured yet")        \
    X(bad_lines, COUNTER, NODE, "lines", NULL, "lines that are too long or do not parse")          \
    X(login_refused, GAUGE, NODE, "", NULL, "1: Twitch does not take the token")                   \
    X(sender, TEXT, STEPS, "", "SENDER", "shard that sends to its channels")                       \
    X(error, TEXT, NODE, "", "ERROR", "why it is not ready")                                       \
    X(run, TEXT, STEPS, "", NULL, "what is asked of it: new, started or stopped")                  \
    X(epoch, GAUGE, STEPS, "", NULL, "grows when another node holds it")                           \
    X(rev, GAUGE, STEPS, "", NULL, "grows when its channels change")                               \
    X(closes_idle, GAUGE, STEPS, "", NULL, "1: it is closed when it has no channels")              \
    X(since, TIME, STEPS, "ms", NULL, "when it was opened")                                        \
    X(moved, TIME, STEPS, "ms", NULL, "when it got channels, connected, or Twitch confirmed one")

#define FIGURES_OF_CHANNEL(X)                                                                      \
    X(channel, TEXT, READER, "", "CHANNEL", "name of the channel")                                 \
    X(shard, TEXT, READER, "", "SHARD", "shard that reads it; empty: it waits for one")            \
    X(state, TEXT, NODE, "", "STATE", "waiting, assigned, queued, joining, joined or failed")      \
    X(since, TIME, NODE, "ms", "FOR", "when it came to be in that state")                          \
    X(reason, TEXT, NODE, "", "REASON", "why it waits or failed")                                  \
    X(room, TEXT, NODE, "", NULL, "modes of the room that are on")                                 \
    X(room_id, TEXT, NODE, "", NULL, "its id at Twitch")                                           \
    X(moderator, GAUGE, NODE, "", NULL, "1: the account that reads it is moderator there")         \
    X(vip, GAUGE, NODE, "", NULL, "1: it is VIP there")                                            \
    X(next_try, TIME, NODE, "ms", NULL, "when it is tried again; 0: it is not")

#define FIGURES_OF_ACCOUNT(X)                                                                      \
    X(account, TEXT, READER, "", "ACCOUNT", "login of the account")                                \
    X(state, TEXT, STEPS, "", "STATE", "new, usable, refused, locked, login_required or revoking") \
    X(since, TIME, STEPS, "ms", "FOR", "when it came to be in that state")                         \
    X(reads, TEXT, STEPS, "", "READS", "no: its shards read no channels")                          \
    X(says, TEXT, STEPS, "", "SAYS", "no: nothing is said as it")                                  \
    X(say_by, TEXT, STEPS, "", "SAY_BY", "irc, helix or helix_app")                                \
    X(tier, TEXT, STEPS, "", NULL, "normal or verified")                                           \
    X(user_id, TEXT, STEPS, "", NULL, "its id at Twitch")                                          \
    X(client_id, TEXT, STEPS, "", NULL, "application that its tokens are of")                      \
    X(scopes, TEXT, STEPS, "", "SCOPES", "what its token may do")                                  \
    X(left_ms, LEFT, READER, "ms", "LEFT", "what is left of its token")                            \
    X(rooms, GAUGE, READER, "rooms", "ROOMS", "rooms it is in, of those that count")               \
    X(room_limit, GAUGE, READER, "rooms", NULL, "rooms it may be in; 0: any number")               \
    X(messages_left, GAUGE, READER, "messages", "MESSAGES", "messages it may say now")             \
    X(message_limit, GAUGE, READER, "messages", NULL, "of so many; 0: any number")                 \
    X(shards, GAUGE, READER, "shards", "SHARDS", "shards that log in as it")                       \
    X(error, TEXT, STEPS, "", "ERROR", "why it is not usable")                                     \
    X(key, TEXT, STEPS, "", NULL, "name of the key that seals its tokens")                         \
    X(expires_at, TIME, STEPS, "ms", NULL, "when its token ends")                                  \
    X(refreshed_at, TIME, STEPS, "ms", NULL, "when its token was refreshed")                       \
    X(looked_at, TIME, STEPS, "ms", NULL, "when Twitch was asked about it")                        \
    X(ending, GAUGE, STEPS, "", NULL, "1: its token ends soon, and it has no refresh token")       \
    X(rev, GAUGE, STEPS, "", NULL, "grows when nodes have to read it again")

#define FIGURE_MEMBER_TEXT                                struct slice
#define FIGURE_MEMBER_TIME                                struct wall
#define FIGURE_MEMBER_COUNTER                             uint64_t
#define FIGURE_MEMBER_GAUGE                               uint64_t
#define FIGURE_MEMBER_LIVE                                uint64_t
#define FIGURE_MEMBER_LEFT                                int64_t
#define FIGURE_MEMBER(name, type, by, unit, column, help) FIGURE_MEMBER_##type name;

/* Texts are borrowed. What is not known is empty, or 0. */
struct figures_node {
    FIGURES_OF_NODE(FIGURE_MEMBER)
};
struct figures_shard {
    FIGURES_OF_SHARD(FIGURE_MEMBER)
};
struct figures_channel {
    FIGURES_OF_CHANNEL(FIGURE_MEMBER)
};
struct figures_account {
    FIGURES_OF_ACCOUNT(FIGURE_MEMBER)
};

/* The rows, closed by one without name. */
extern const struct figure figures_of_node[];
extern const struct figure figures_of_shard[];
extern const struct figure figures_of_channel[];
extern const struct figure figures_of_account[];

/* A hash as Redis has it: name and value in turn. Each ends in a NUL. What Redis holds is input: a
 * field that should be a number and is none leaves what was in the struct of its rows, and one that
 * no row knows is told here alone. */
struct registry_hash {
    size_t n; /* words */
    const struct slice *word;
    const char *bad; /* the first field that should be a number and is none, or NULL */
};

/* The row of that name, or NULL. */
const struct figure *figure_find(const struct figure *figures, struct slice name);
/* Its value in a struct of those rows: one is for texts, one for the others. */
struct slice figure_text(const struct figure *f, const void *of);
int64_t figure_number(const struct figure *f, const void *of);
/* What is live is 0: of a shard that is not ready, or a node that is silent. */
void figures_rest(const struct figure *figures, void *of);
/* Is a shard of that name one that holds no channels, and only speaks? */
bool figures_speaks(const char *shard);
/* Is a number that nodes tell another one than was told? One that is live is, where it differs by
 * more than a tenth, and times by more than FIGURE_MOVES_MS: they never stand quite still, and what
 * is told is written in Redis. */
#define FIGURE_MOVES_MS 20
bool figures_moved(const struct figure *figures, const void *told, const void *now);

#endif
