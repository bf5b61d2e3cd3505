/* Request: one entry of the `requests` stream as this process keeps it, and the step that belongs to it.
 *
 * An entry holds `op`, what the op needs (`channels`; `name`, `value`), and optionally `id`, `user`, `by`.
 * Anything goes into a stream, so texts are cut before they go into a step, just beyond what the step
 * accepts: it still refuses them, with its words. */
#ifndef SHOAL_COORDINATOR_REQUEST_H
#define SHOAL_COORDINATOR_REQUEST_H

#include "shared/redis/registry.h"

enum request_step { REQUEST_ASSIGN, REQUEST_RELEASE, REQUEST_CONFIGURE };

struct request {
    struct request *next; /* for the owner's list */
    char *text;           /* what the slices below point into */
    struct slice entry;
    struct slice id; /* the entry's, where it gives none */
    struct slice op;
    enum request_step step;
    size_t nargs;
    struct slice *args; /* channels, or the op's arguments */
};

/* A copy of what matters in the entry. */
struct request *request_create(const struct registry_entry *entry);
void request_destroy(struct request *r);
/* Send its step, which is not REQUEST_ASSIGN: that is assignment.h's. As registry_assign. */
MUST_USE int request_send(const struct request *r, struct registry *registry,
                          const struct registry_leader *me, registry_word_cb cb, void *ctx);

#endif
