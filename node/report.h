/* Report: what changed since the last renewal that arrived, as the JSON that `renew` takes.
 *
 *   a shard or a channel changes -> marked   -\
 *   lines may be missing         -> a gap     +-> report_write -> renewal -> report_arrived
 *   something befell the node    -> news     -/                          \-> report_again
 *
 * States are told as they are when a report is written, at most 500 channels in one: the rest waits
 * for the next. A channel that is queued or joining for the first time makes no report come sooner,
 * and is passed over for half a second: where joins go fast, "joined" is all that is told. Gaps and
 * news are kept until a report with them has arrived.
 *
 * What is measured (rates, lag, latency) is looked at with the first renewal after two seconds, of
 * all shards and of the node at once, and told where it moved (figures_moved). It makes no report
 * come sooner. Shards at rest tell nothing but that they have become silent, where they have
 * channels joined; from then on each renewal tells of all of them together up to when they were
 * read.
 *
 * Owns marks, gaps and news; borrows the cores of the shards, to read them. Loop thread only. */
#ifndef SHOAL_NODE_REPORT_H
#define SHOAL_NODE_REPORT_H

#include "node/fanout.h"
#include "node/shard.h"
#include "node/sight.h"
#include "shared/buf.h"
#include "shared/redis/registry.h"

struct report;

/* `on_change`: there is something to report. */
struct report *report_create(void (*on_change)(void *ctx), void *ctx);
/* After all of its shards. */
void report_destroy(struct report *r);

/* One shard, in the memory of whom it belongs to. */
struct report_shard {
    struct report *report; /* (borrowed) */
    struct report_shard *prev;
    struct report_shard *next;
    const struct shard_core *core; /* (borrowed) NULL: between two */
    const char *id;                /* (borrowed) */
    uint64_t epoch;
    bool login_refused; /* Twitch does not take the token, as far as is known: its owner sets it */
    bool dirty;         /* state, figures or error must be told */
    struct dirty_channel *channels; /* that changed */
    bool channels_due;              /* one of them is not just passing */
    struct {
        uint64_t at_ms;      /* nothing was read since, as told; 0: something was, lately */
        uint64_t room_lines; /* of the core then */
        bool due;
    } silent;
    struct {
        uint64_t at_ms; /* which channels had lines up to then was told */
        uint64_t lines; /* of the core then */
        bool due;       /* some had lines since, and it is time to tell which */
    } active;
    struct {
        uint64_t taken_ms;
        uint64_t lines; /* of the core then */
        uint64_t bytes;
        uint64_t lines_s;
        uint64_t bytes_s;
    } rates;
    struct figures_shard told; /* as they were told last */
};

/* `s` all zeros. */
void report_shard_begin(struct report_shard *s, struct report *r, const char *id, uint64_t epoch);
/* It has another core, or no core for now. */
void report_shard_set_core(struct report_shard *s, const struct shard_core *core);
/* Nothing more is told of it. */
void report_shard_end(struct report_shard *s);
void report_shard_changed(struct report_shard *s);
void report_channel_changed(struct report_shard *s, const struct shard_channel *channel);
/* Tell again what the registry holds otherwise than Twitch has confirmed it here. */
void report_compare(struct report_shard *s, const struct registry_shard *shard);

/* Lines of the channel from from_ms to to_ms (mono ms) may be missing, `lines` that were read among
 * them. `reason` is a literal (meters.h). More than 1,000 are counted, not kept. */
void report_gap(struct report *r, struct slice channel, uint64_t from_ms, uint64_t to_ms,
                uint64_t lines, const char *reason);

/* What befell the node. */
enum report_news {
    REPORT_USERS,   /* those it has tokens for are others */
    REPORT_FENCED,  /* it was, and why */
    REPORT_LOST,    /* its lease was, and why */
    REPORT_REWOUND, /* Redis has forgotten what it had answered: report_rewound */
    REPORT_SIGHT,   /* whether it sees Twitch is another matter */
    REPORT_NEWS
};
void report_news(struct report *r, enum report_news news, const char *why);
/* So much time and so many lines Redis has forgotten. */
void report_rewound(struct report *r, uint64_t ms, uint64_t lines);

/* How the node is, each time. */
struct report_node {
    bool draining;
    bool held;           /* what becomes events waits for its subscribers, as chat does */
    struct sight *sight; /* learns what was told of it */
    uint64_t heard_ms;   /* of Twitch (mono ms); 0: nothing yet */
    bool others_blind;   /* and holding shards */
    const char *users;
    uint64_t waits_ms; /* lines wait to be fanned out since so long */
    struct wall at;    /* what Redis's clock shows */
    struct fanout_load fanout;
};
/* Append the report, or nothing where there is nothing to tell. */
void report_write(struct report *r, const struct report_node *node, struct buf *out);
/* Since then something was read on each shard that was told to be silent, as of the last
 * report_write, which tells it along; 0: none is. */
uint64_t report_quiet_ms(const struct report *r);
/* Is there something of shards, channels or gaps? */
bool report_is_due(const struct report *r);
/* The last report arrived: its gaps and news need not be told again. */
void report_arrived(struct report *r, struct sight *sight);
/* It did not, or the registry is another: all is told again. */
void report_again(struct report *r);

#endif
