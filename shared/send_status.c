/* Send status: the one table of its names. */
#include "shared/send_status.h"

#include "shared/base.h"

static const char *const names[SEND_STATUSES] = {
    [SEND_SENT] = "sent",
    [SEND_REJECTED] = "rejected",
    [SEND_EXPIRED] = "expired",
    [SEND_UNKNOWN] = "unknown",
};

const char *send_status_name(enum send_status status)
{
    BUG_ON((unsigned)status >= SEND_STATUSES);
    return names[status];
}

enum send_status send_status_of(struct slice name)
{
    return (enum send_status)slice_index(name, names, SEND_STATUSES);
}
