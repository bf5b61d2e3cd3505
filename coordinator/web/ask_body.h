/* Ask body: what a POST asks of the coordinator that leads: JSON in, the fields of an entry out.
 *
 *   {"op":"join","channels":["forsen"],"user":"bot"}    requests: join, part, retry
 *   {"op":"set","name":"send_ttl_ms","value":"20000"}   admin: set, unset, start, stop
 *
 * What else stands there is refused, and named. Pure. */
#ifndef SHOAL_COORDINATOR_ASK_BODY_H
#define SHOAL_COORDINATOR_ASK_BODY_H

#include "shared/buf.h"
#include "shared/err.h"
#include "shared/redis/registry_client.h"

enum ask_kind { ASK_REQUEST, ASK_ADMIN };
#define ASK_FIELDS 6 /* the most there are, with the id */

struct ask_body {
    const char *op;
    struct registry_pair fields[ASK_FIELDS]; /* without an id */
    size_t n;
    struct cJSON *tree; /* owns the texts */
    struct buf list;    /* the channels, and so does this */
};

/* 0, or -ERR_USAGE and what is wrong and the mend. ask_body_finish it in any case. */
MUST_USE int ask_body_parse(enum ask_kind kind, struct slice text, struct ask_body *out,
                            struct err *err);
void ask_body_finish(struct ask_body *b);

#endif
