/* Rights: does Redis let this program do all it has to? Asked by commands that are queued and never
 * carried out.
 *
 *   a link of its own: MULTI, then every command, key and topic the program uses
 *     -> QUEUED or refused; the link is closed
 *
 * Redis checks a user's rights when it queues a command, so whatever is missing shows at once,
 * before anything was done. The table (rights.c) says who needs what; a test holds it against the
 * steps. Closes and frees itself once it has answered. Where Redis goes away meanwhile it asks
 * again by itself. Loop thread only. */
#ifndef SHOAL_REDIS_RIGHTS_H
#define SHOAL_REDIS_RIGHTS_H

#include "shared/redis/link.h"

enum rights_of {
    RIGHTS_NODE = 1 << 0,
    RIGHTS_COORDINATOR = 1 << 1,
    RIGHTS_VIEW = 1 << 2,    /* shoalctl status, channels, shards, nodes */
    RIGHTS_CONFIG = 1 << 3,  /* the settings */
    RIGHTS_REQUEST = 1 << 4, /* join, part */
    RIGHTS_ADMIN = 1 << 5,   /* administration */
    RIGHTS_SEND = 1 << 6,    /* send */
    RIGHTS_TAIL = 1 << 7,    /* tail */
    RIGHTS_TAIL_PATTERN = 1 << 8,
    RIGHTS_EVENTS = 1 << 9,   /* events */
    RIGHTS_HISTORY = 1 << 10, /* history, tail --since */
};

struct rights;

/* `missing` NULL: all is there; else ERR_AUTH, and its text names every right that is missing, as
 * ACL SETUSER takes them (ERR_REFUSED: it has no functions). `transactions`: MULTI is allowed
 * (without it nothing else can be asked). Called once, from the loop. */
typedef void (*rights_cb)(void *ctx, const struct err *missing, bool transactions);

/* Of `link` url, tls_ca and name are used; they are borrowed until cb, and so is `cluster`. `who`:
 * of rights_of; `name`: the channel to send to or to read, or "*". */
struct rights *rights_ask(uv_loop_t *loop, const struct link_options *link, const char *cluster,
                          unsigned who, const char *name, rights_cb cb, void *ctx);
/* Give up: cb is not called any more. Not after it was. */
void rights_close(struct rights *r);
/* Does the table have the command ("HSET", "PUBSUB|NUMSUB") for users that run steps? */
bool rights_has_step_command(const char *command);

#endif
