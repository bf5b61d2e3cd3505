/* Send payload: what applications publish on a send topic.
 *
 * Plain text, or a JSON object with `text` and, if wanted, `id`, `reply_to`, `user`, `ttl_ms`,
 * `by`, `priority`, `split` (true: in parts) and `command` (true: a leading '/' or '.' is a
 * command). What begins with '{' is JSON or refused: a slip in it must not be said in public. */
#ifndef SHOAL_NODE_SEND_PAYLOAD_H
#define SHOAL_NODE_SEND_PAYLOAD_H

#include "shared/redis/registry_sends.h"

/* More of a payload need not be looked at: it is refused, and says why. */
#define SEND_PAYLOAD_MOST ((size_t)16 * 1024 + 1)

struct cJSON;

struct send_payload {
    struct registry_send send; /* channel is left empty */
    struct cJSON *json;        /* what the slices point into; NULL for plain text */
    char ttl_ms[24];
    char problem[96]; /* what is wrong with it, naming the field; "": nothing is known to be */
};

/* Slices borrow from `payload` or from the parsed JSON: send_payload_finish when done. Never fails:
 * what is wrong with a send is told in its result. */
void send_payload_parse(struct slice payload, struct send_payload *out);
void send_payload_finish(struct send_payload *p);

#endif
