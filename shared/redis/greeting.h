/* Greeting: the commands a new connection begins with, and what a refusal of one means.
 * Pure. The PING at the end makes Redis say what would stand in the way of later commands
 * (NOAUTH, LOADING, MASTERDOWN). */
#ifndef SHOAL_REDIS_GREETING_H
#define SHOAL_REDIS_GREETING_H

#include "shared/buf.h"
#include "shared/err.h"
#include "shared/url.h"

#include <hiredis/hiredis.h>

/* Append the RESP of the greeting to `out`; `name` may be NULL. Returns the number of replies to
 * expect. `out` holds the password then: wipe it after use. */
unsigned greeting_write(struct buf *out, const struct url *url, const char *name);
/* Look at one reply: 0 if it is fine; else err names the trouble and the mend, never the password:
 * -ERR_AUTH for credentials and permissions, -ERR_LOADING or -ERR_DOWN for a server that is not
 * ready yet, -ERR_REPLY for anything else. `where` is the server, for people. */
MUST_USE int greeting_check(const struct redisReply *reply, const struct url *url,
                            const char *where, struct err *err);

#endif
