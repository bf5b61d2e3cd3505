/* Rights watch: looks at the rights of a program when it starts, and again when a link of it was
 * refused something.
 *
 * The first answer decides whether the program may begin: its owner is told. Later ones are logged,
 * once, with what is missing. Embedded in its owner. Loop thread only. */
#ifndef SHOAL_REDIS_RIGHTS_WATCH_H
#define SHOAL_REDIS_RIGHTS_WATCH_H

#include "shared/redis/link_group.h"
#include "shared/redis/rights.h"

struct rights_watch {
    uv_loop_t *loop;
    struct link_options link; /* url, tls_ca, name, group (may be NULL) are used; borrowed */
    const char *cluster;      /* borrowed */
    unsigned who;             /* of rights_of */
    /* `missing`: not to begin with, and why; NULL: go on. `transactions`: MULTI is allowed now. */
    void (*on_answer)(void *ctx, const struct err *missing, bool transactions);
    void *ctx;
    /* Its own. */
    struct rights *asking;
    bool begun; /* all was there once */
    struct trouble trouble;
};

/* Ask if there is reason to; true while an answer is awaited: on_answer comes. */
bool rights_watch_look(struct rights_watch *w);
/* Ask no more, and do not answer. */
void rights_watch_stop(struct rights_watch *w);

#endif
