/* Registry, for who uses a cluster (shoalctl): requests, sends, and what became of them. See
 * registry.h for calls. */
#ifndef SHOAL_REDIS_REGISTRY_CLIENT_H
#define SHOAL_REDIS_REGISTRY_CLIENT_H

#include "shared/figures.h"
#include "shared/redis/registry.h"

/* Has a coordinator ever led this cluster? */
MUST_USE int registry_is_there(struct registry *r, registry_bool_cb cb, void *ctx);
/* Does one lead now? */
MUST_USE int registry_is_led(struct registry *r, registry_bool_cb cb, void *ctx);
/* Did somebody ask for the channel to be joined, and not to be parted since? */
MUST_USE int registry_is_wanted(struct registry *r, const char *channel, registry_bool_cb cb,
                                void *ctx);

/* A field of an entry. */
struct registry_pair {
    const char *name;
    const char *value;
};
/* Add a request to the stream that is for its op: the fields `id`, `op`, `by`, and the others. In
 * doubt whether it was added (ERR_DOWN, ERR_TIMEOUT) it may be added again: it is carried out
 * once. */
MUST_USE int registry_add_request(struct registry *r, const char *op,
                                  const struct registry_pair *fields, size_t n, registry_done_cb cb,
                                  void *ctx);
/* Add a send to the outbox, as the README tells its fields; the same in doubt. */
MUST_USE int registry_add_send(struct registry *r, const struct registry_pair *fields, size_t n,
                               registry_done_cb cb, void *ctx);

/* `text` is empty where there is none. */
typedef void (*registry_text_cb)(void *ctx, struct slice text, const struct err *err);
/* The reply to the request of that id, JSON (registry_outcome_parse). */
MUST_USE int registry_find_reply(struct registry *r, const char *id, registry_text_cb cb,
                                 void *ctx);

/* The one result of a send; `status` is empty where there is none yet. */
struct registry_result {
    struct registry_hash hash;
    struct slice status;
    struct slice reason;
    struct slice text;
    struct wall at;
};
extern const struct figure registry_result_figures[];
typedef void (*registry_result_cb)(void *ctx, const struct registry_result *result,
                                   const struct err *err);
MUST_USE int registry_find_result(struct registry *r, const char *channel, const char *id,
                                  registry_result_cb cb, void *ctx);

#endif
