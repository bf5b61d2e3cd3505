/* Join reason: why a channel could not be joined: what Twitch says, or that it says nothing. */
#ifndef SHOAL_NODE_JOIN_REASON_H
#define SHOAL_NODE_JOIN_REASON_H

#include "shared/base.h"

enum join_reason {
    /* By what is about the channel. */
    JOIN_SUSPENDED,
    JOIN_BANNED,
    JOIN_TOS_BAN,
    JOIN_NO_SUCH_ROOM,
    /* By what is about the account: it is in as many rooms as it may be. Never the answer to a
     * message. */
    JOIN_NO_ROOM,
    JOIN_NO_ANSWER,
    JOIN_OTHER,
    JOIN_REASONS
};

/* Its msg-id, "no_answer" or "other". */
const char *join_reason_name(size_t reason);
/* Which one it is; JOIN_OTHER: none of them. */
enum join_reason join_reason_of(struct slice name);

#endif
