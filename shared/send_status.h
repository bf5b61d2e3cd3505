/* Send status: how a send ends. The steps of the registry know the same words. */
#ifndef SHOAL_SEND_STATUS_H
#define SHOAL_SEND_STATUS_H

#include "shared/base.h"

enum send_status {
    SEND_SENT,     /* Twitch took it */
    SEND_REJECTED, /* it will never be said; the reason says why */
    SEND_EXPIRED,  /* its time was over before it could be said */
    SEND_UNKNOWN,  /* it may have been said: nobody has heard what became of it */
    SEND_STATUSES
};

/* What became of a send. The texts may be empty; who hands it on owns them. */
struct send_outcome {
    enum send_status status;
    struct slice reason;     /* Twitch's msg-id, or a word of Shoal's */
    struct slice text;       /* the same for people */
    struct slice message_id; /* of what was said, where Twitch told it */
    const char *standing;    /* "moderator", "vip" or "none": of the account in the channel, a
                              * literal; NULL where Twitch did not tell it */
    struct slice parts;      /* of a text that is split: how many were said, "2/3" */
    /* Rejected: surely not said, and refused for now alone: it may be said in so long (0: when the
     * pace of its channel allows it). */
    bool passes;
    uint64_t passes_in_ms;
};

/* "sent", "rejected", ...: as results and the steps say it. */
const char *send_status_name(enum send_status status);
/* Which one it is; SEND_STATUSES: none of them. */
enum send_status send_status_of(struct slice name);

#endif
