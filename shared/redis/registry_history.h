/* Registry, for who reads chat that is kept (shared/contract.md). See registry.h for calls. */
#ifndef SHOAL_REDIS_REGISTRY_HISTORY_H
#define SHOAL_REDIS_REGISTRY_HISTORY_H

#include "shared/redis/registry_look.h"

#define REGISTRY_HISTORY_STREAMS 16u /* at most */

/* In which of so many streams (at least one) a channel's lines are. */
unsigned registry_history_stream(struct slice channel, unsigned streams);

struct registry_history {
    unsigned streams;   /* 0: nothing is kept */
    struct slice epoch; /* another where they were begun anew */
    /* Of each stream: what has a higher id is there. Empty: so has all. */
    struct slice gone[REGISTRY_HISTORY_STREAMS];
};
typedef void (*registry_history_cb)(void *ctx, const struct registry_history *history,
                                    const struct err *err);
MUST_USE int registry_find_history(struct registry *r, registry_history_cb cb, void *ctx);

/* Say in the streams that Redis had answered the node's lines `from` to `to`, and has forgotten
 * them; that those from `kept_from` on follow; and what time the Redis that is gone had (0: nobody
 * knows). Sent on `link`, whose answer nobody waits for. As link_command_argv. */
MUST_USE int registry_rewound(const struct registry *r, struct link *link, const char *node,
                              uint64_t from, uint64_t to, uint64_t kept_from, struct wall clock);

/* What is gone with all that Redis had: times by its clock. */
struct registry_emptied {
    struct wall from;  /* since when the streams may have had something */
    struct wall lacks; /* of what this node has published it adds again what came later */
    struct wall to;    /* Redis was emptied before */
};
/* The same of all that was there: the streams are begun anew, and the first node that says it says
 * it for all. */
MUST_USE int registry_emptied(const struct registry *r, struct link *link,
                              const struct registry_emptied *emptied);

/* Where somebody is in a stream: behind that entry (REGISTRY_FROM_BEGINNING, or "MS-0" for a
 * time). */
struct registry_history_place {
    unsigned stream;
    char after[REGISTRY_EVENT_ID_CHARS];
};
/* What a place has: called for each stream that has something behind its place, at most `most`
 * entries, oldest first; and once more, with `place` NULL, when that is all, or on an error. */
typedef void (*registry_history_entries_cb)(void *ctx, const unsigned *stream,
                                            const struct registry_entry *entries, size_t n,
                                            const struct err *err);
/* Of `n` places (at least one). Where none has anything it is waited for, as registry_events_after
 * does. */
MUST_USE int registry_history_after(struct registry *r, const struct registry_history_place *places,
                                    size_t n, size_t most, uint64_t block_ms,
                                    registry_history_entries_cb cb, void *ctx);

#endif
