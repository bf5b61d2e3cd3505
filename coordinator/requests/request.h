/* Request: one entry of the streams `requests` and `admin` as this process keeps it, and the step
 * that belongs to it.
 *
 * An entry holds `op`, what the op needs (`channels`; `name`, `value`), and optionally `id`,
 * `user`, `by`. Anything goes into a stream, so texts are cut before they go into a step, just
 * beyond what the step accepts: it still refuses them, with its words. Redis hands on no entry of
 * more than 64 KiB. */
#ifndef SHOAL_COORDINATOR_REQUEST_H
#define SHOAL_COORDINATOR_REQUEST_H

#include "shared/redis/registry.h"

#define REQUEST_MAX_BY 64 /* bytes that tell one asker from another */

/* CONFIGURE is administration, and what has an unknown op or stands in the wrong stream: the step
 * refuses that. */
enum request_step { REQUEST_ASSIGN, REQUEST_PART, REQUEST_RETRY, REQUEST_CONFIGURE };

struct request {
    struct request *prev; /* for the owner's list */
    struct request *next;
    void *owner; /* of the step under way; the owner's */
    char *text;  /* what the slices below point into */
    size_t bytes;
    bool is_admin; /* it stood in `admin` */
    struct slice entry;
    struct slice id; /* the entry's, where it gives none */
    struct slice op;
    struct slice by; /* who asks, as far as that is told */
    enum request_step step;
    const char *step_name; /* NULL: there is no such op */
    struct slice channels; /* as they were asked for */
    struct slice user;     /* whom a join wants them read as; empty: it does not say */
    size_t nargs;          /* after request_split */
    struct slice *args;    /* channels, or the op's arguments */
};

/* A copy of what matters in the entry. */
struct request *request_create(const struct registry_entry *entry);
void request_destroy(struct request *r);
/* Make args of the text, if that was not done: not before they are needed, since many requests may
 * wait. */
void request_split(struct request *r);
/* Send its step, which is not REQUEST_ASSIGN: that is assignment.h's. As registry_assign. */
MUST_USE int request_send(const struct request *r, struct registry *registry,
                          const struct registry_leader *me, registry_outcome_cb cb, void *ctx);

#endif
