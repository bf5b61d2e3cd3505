/* Send status: how a send ends. The steps of the registry know the same words. */
#ifndef SHOAL_SEND_STATUS_H
#define SHOAL_SEND_STATUS_H

enum send_status {
    SEND_SENT,     /* Twitch took it */
    SEND_REJECTED, /* it will never be said; the reason says why */
    SEND_EXPIRED,  /* its time was over before it could be said */
    SEND_UNKNOWN,  /* it may have been said: nobody has heard what became of it */
    SEND_STATUSES
};

/* "sent", "rejected", ...: as results and the steps say it. */
const char *send_status_name(enum send_status status);

#endif
