/* Request: something asked of the coordinator that leads, through the stream `requests`, or `admin` where it is
 * administration.
 *
 * A request has a random id: when it is in doubt whether Redis took it, it is added again, and the
 * coordinator carries it out once. It stays in Redis until then, also while none leads. */
#ifndef SHOAL_CTL_REQUEST_H
#define SHOAL_CTL_REQUEST_H

#include "coordinator/ctl/ctl.h"

#include <cjson/cJSON.h>

#define REQUEST_MAX_FIELDS 4 /* beside id, op and by */

/* Make a request and wait for its reply: CTL_DONE and *reply (owned; its "ok" may be false), or the
 * exit code. With `reply` NULL nothing is waited for. */
MUST_USE int request_make(struct ctl *c, const char *op, const struct registry_pair *fields,
                          size_t nfields, cJSON **reply);
/* The same for a request whose reply says no more than ok or error: prints the error, and the reply
 * with --json. */
MUST_USE int request_simple(struct ctl *c, const char *op, const struct registry_pair *fields,
                            size_t nfields);
/* Is it a reply as a coordinator makes them: "ok", texts in the maps and lists of channels, a text as "error"? What
 * request_make gives is. */
bool request_reply_is_valid(const cJSON *reply);
/* Has a coordinator ever led this cluster? CTL_DONE, or the exit code after it was said. A request, or a send, to a
 * cluster that is none (a wrong --cluster) would wait where nobody looks. */
MUST_USE int request_check_cluster(struct ctl *c);
/* "shoalctl:USER@HOST", for the field `by`; static. */
const char *request_by(void);

#endif
