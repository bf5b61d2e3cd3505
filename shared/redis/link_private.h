/* What the files of the link share: link.c (its life, deadlines), link_reply.c, link_command.c and
 * link_group.c. */
#ifndef SHOAL_REDIS_LINK_PRIVATE_H
#define SHOAL_REDIS_LINK_PRIVATE_H

#include "shared/redis/link.h"

#include "shared/backoff.h"
#include "shared/machine.h"
#include "shared/net/conn.h"
#include "shared/redis/link_group.h"
#include "shared/redis/pending.h"
#include "shared/redis/reply_reader.h"
#include "shared/teardown.h"

#define LINK_UNSENT_MAX ((size_t)256 * 1024 * 1024)

/* See link.h for the picture; `down` there is waiting, for the backoff to pass, and clearing. */
enum link_state {
    LINK_WAITING,
    LINK_CLEARING, /* the backoff has passed, the old conn has not closed yet */
    LINK_CONNECTING,
    LINK_GREETING,
    LINK_UP,
    LINK_CLOSED,
};

struct link {
    struct link *prev; /* in its group */
    struct link *next;
    struct link_options o;
    char *tls_ca;
    char *name;
    uv_loop_t *loop;
    struct machine machine; /* its state is an enum link_state */
    uv_timer_t timer;
    uv_idle_t settle;  /* carries out a link_reset made outside callbacks */
    struct conn *conn; /* also while it closes */
    struct addresses_memory addresses;
    struct pending_ring pending;
    struct reply_reader *reader;
    unsigned greetings; /* replies still to come */
    struct backoff backoff;
    uint64_t due;      /* when the timer fires, while up and armed */
    bool second_look;  /* a deadline has passed, one more look at the socket is under way */
    unsigned depth;    /* callbacks on the stack */
    bool reset_wanted; /* link_reset or link_refuse was called */
    struct err reset_why;
    uint64_t up_ms;           /* mono: when it went up */
    uint64_t down_ms;         /* and down, the last time */
    struct teardown teardown; /* begun: link_close was called */
};

/* In link.c: a command was sent that `replies` replies answer; the last is cb's. */
void link_expect(struct link *link, const struct pending *command, uint64_t block_ms);
/* The last greeting is answered. */
void link_greeted(struct link *link);

/* In link_reply.c: feed bytes and hand on what they complete; stops early when a callback closes or
 * resets. 0, or an error: the connection is of no use any more. */
MUST_USE int link_take_bytes(struct link *link, const char *data, size_t len, struct err *err);

#endif
