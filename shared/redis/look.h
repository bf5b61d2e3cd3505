/* Look: is this Redis one that Shoal can rely on? Asked by the coordinator that begins to lead, and
 * by shoalctl.
 *
 * Everything is asked at once, by commands that change nothing. What may not be asked (CONFIG is
 * often forbidden) is told as not known, once, and does not count as wrong. Each finding says what
 * was looked at, what there is, and the mend.
 *
 * Databases do not part topics: where a live cluster of the same name is in another database of the
 * server, both hear each other's sends and chat. That is found too. */
#ifndef SHOAL_REDIS_LOOK_H
#define SHOAL_REDIS_LOOK_H

#include "shared/redis/registry.h"

enum look_verdict { LOOK_RIGHT, LOOK_WRONG, LOOK_UNKNOWN };

struct look_finding {
    enum look_verdict verdict;
    const char *what; /* "persistence" */
    const char *mend; /* "" where there is nothing to mend */
    char text[240];   /* what there is */
};

enum { LOOK_MOST = 12 };

struct look {
    struct look_finding finding[LOOK_MOST];
    size_t n;
    bool failed; /* the link went down meanwhile: what was found is not all */
    /* Inside: */
    bool appends;       /* to a file: nothing is lost */
    uint64_t maxmemory; /* bytes; 0: as many as there are */
    size_t next;        /* of the questions, to be answered */
    size_t unanswered;
    struct wall asked;
    void (*on_done)(void *ctx, const struct look *l);
    void *ctx;
};

/* Ask for the cluster of that registry, in database `db`. 0: on_done follows, in any case, and *l
 * must live until then; else the link is down, and nothing does. */
MUST_USE int look_begin(struct look *l, const struct registry *registry, unsigned db,
                        void (*on_done)(void *ctx, const struct look *l), void *ctx);
/* Is it under way? */
bool look_is_under_way(const struct look *l);

#endif
