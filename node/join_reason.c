/* Join reason: the one table of their names. */
#include "node/join_reason.h"

static const char *const names[JOIN_REASONS] = {
    [JOIN_SUSPENDED] = "msg_channel_suspended",
    [JOIN_BANNED] = "msg_banned",
    [JOIN_TOS_BAN] = "tos_ban",
    [JOIN_NO_SUCH_ROOM] = "msg_room_not_found",
    [JOIN_NO_ROOM] = "msg_concurrent_channel_limit_reached",
    [JOIN_NO_ANSWER] = "no_answer",
    [JOIN_OTHER] = "other",
};

const char *join_reason_name(size_t reason)
{
    BUG_ON(reason >= JOIN_REASONS);
    return names[reason];
}

enum join_reason join_reason_of(struct slice name)
{
    size_t reason = slice_index(name, names, JOIN_REASONS);

    return reason < JOIN_REASONS ? (enum join_reason)reason : JOIN_OTHER;
}
