/* Send payload: what applications publish on a send topic.
 *
 * Plain text, or a JSON object with `text` and, if wanted, `id`, `reply_to`, `user`, `ttl_ms`, `by` and
 * `command` (true: a leading '/' or '.' is a command). A payload is JSON only where it parses as an object
 * with a string `text`; everything else is said as it is. */
#ifndef SHOAL_NODE_SEND_PAYLOAD_H
#define SHOAL_NODE_SEND_PAYLOAD_H

#include "shared/redis/registry.h"

struct cJSON;

struct send_payload {
    struct registry_send send; /* channel is left empty */
    struct cJSON *json;        /* what the slices point into; NULL for plain text */
    char ttl_ms[24];
};

/* Slices borrow from `payload` or from the parsed JSON: send_payload_finish when done. Never fails: what is
 * wrong with a send is told in its result. */
void send_payload_parse(struct slice payload, struct send_payload *out);
void send_payload_finish(struct send_payload *p);

#endif
