/* Setup's choice of the user to read as: the first user of the first node that has tokens, else anonymous. */
#ifndef SHOAL_COORDINATOR_SETUP_USER_H
#define SHOAL_COORDINATOR_SETUP_USER_H

#include "shared/redis/registry.h"

/* The user, or err (the link, or Redis). */
typedef void (*setup_user_cb)(void *ctx, const char *user, const struct err *err);
/* Look at the registered nodes. As the calls of registry.h: 0 and one callback, or -ERR_DOWN and none. */
MUST_USE int setup_user_find(struct registry *r, setup_user_cb cb, void *ctx);
/* The first of "a,b" in `out`; false if there is none. */
bool setup_user_first(struct slice users, char *out, size_t size);

#endif
