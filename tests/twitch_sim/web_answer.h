/* Web answer: what a request is answered with, and how that is written as HTTP. */
#ifndef SIM_WEB_ANSWER_H
#define SIM_WEB_ANSWER_H

#include "shared/json.h"

struct web_answer {
    unsigned status;
    struct buf body;  /* JSON, or nothing */
    struct json json; /* writes it */
    uint64_t retry_s; /* of Retry-After; 0: none */
    bool metered;     /* it has the headers Ratelimit-* */
    uint64_t limit;
    uint64_t remaining;
    uint64_t reset_s; /* since 1970 */
};

/* 200, with nothing in it. */
void web_answer_init(struct web_answer *a);
void web_answer_finish(struct web_answer *a);
/* {"status":400,"message":"..."}, as id.twitch.tv refuses. What was written before is forgotten. */
void web_answer_refuse(struct web_answer *a, unsigned status, const char *message);
/* {"error":"Bad Request","status":400,"message":"..."}, as Helix refuses. */
void web_answer_refuse_named(struct web_answer *a, unsigned status, const char *message);
/* Head and body. `close`: it is the last one on its connection. */
void web_answer_write(const struct web_answer *a, bool close, struct buf *out);

#endif
