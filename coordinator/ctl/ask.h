/* Ask: a request to the coordinator that leads, through the stream `requests`, or `admin` where it
 * is administration.
 *
 * A request has a random id: when it is in doubt whether Redis took it, it is added again, and the
 * coordinator carries it out once. It stays in Redis until then, also while none leads. */
#ifndef SHOAL_CTL_ASK_H
#define SHOAL_CTL_ASK_H

#include "coordinator/ctl/ctl.h"

#define ASK_MAX_FIELDS 4 /* beside id, op and by */

/* Make a request and wait for its reply: CTL_DONE and *outcome (its `ok` may be false; its `json`
 * is none), or the exit code; registry_outcome_finish it in any case. With `outcome` NULL nothing
 * is waited for. */
MUST_USE int ask_coordinator(struct ctl *c, const char *op, const struct registry_pair *fields,
                             size_t nfields, struct registry_outcome *outcome);
/* The same for a request whose reply says no more than ok or error: prints the error, and the reply
 * with --json. */
MUST_USE int ask_plainly(struct ctl *c, const char *op, const struct registry_pair *fields,
                         size_t nfields);
/* Has a coordinator ever led this cluster? CTL_DONE, or the exit code after it was said. A request,
 * or a send, to a cluster that is none (a wrong --cluster) would wait where nobody looks. */
MUST_USE int ask_check_cluster(struct ctl *c);
/* "shoalctl:USER@HOST", for the field `by`; static. */
const char *ask_by(void);

#endif
