/* Twitch's web services, inside: what a call expects, and how its answer is read. */
#ifndef SHOAL_TWITCH_PRIVATE_H
#define SHOAL_TWITCH_PRIVATE_H

#include "shared/twitch/twitch.h"

#include <cjson/cJSON.h>

/* What an answer of 200 must have. */
enum twitch_kind {
    TWITCH_NOTHING,
    TWITCH_VALIDATION,
    TWITCH_TOKENS,
    TWITCH_DEVICE,
    TWITCH_USERS,
    TWITCH_SAID,
};

/* An answer that was read; twitch_answer_finish it. */
struct twitch_answer {
    struct twitch_outcome outcome; /* borrows from `root` and `err` */
    cJSON *root;
    struct err err; /* holds the message */
};

/* Read what came of a call. `may_be_twice`: it was such a request (http.h). */
void twitch_answer_read(enum twitch_kind kind, bool may_be_twice, const struct http_answer *answer,
                        const struct err *err, struct twitch_answer *out);
/* Wipe and give back. */
void twitch_answer_finish(struct twitch_answer *a);

#endif
