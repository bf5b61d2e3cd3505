/* Report, gaps: from when to when lines of a channel may be missing. */
#include "node/report_private.h"

#include "shared/log.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define MAX_GAPS 1000

struct gap {
    struct gap *next;
    char channel[IRC_CHANNEL_CHARS];
    uint64_t from_ms;
    uint64_t to_ms;
    uint64_t lines;
    const char *reason; /* a literal */
};

void report_gap(struct report *r, struct slice channel, uint64_t from_ms, uint64_t to_ms,
                uint64_t lines, const char *reason)
{
    struct gap *gap;

    if (r->ngaps == MAX_GAPS || channel.len >= IRC_CHANNEL_CHARS) {
        r->gaps_unreported++;
        return;
    }
    gap = xcalloc(1, sizeof(*gap));
    memcpy(gap->channel, channel.ptr, channel.len);
    gap->from_ms = from_ms;
    gap->to_ms = to_ms;
    gap->lines = lines;
    gap->reason = reason;
    LL_APPEND(r->gaps, gap);
    r->ngaps++;
    r->on_change(r->ctx);
}

void report_write_gaps(struct report *r, struct json *out)
{
    struct gap *gap;
    uint64_t now = mono_ms();

    json_array_begin(out, "gaps");
    r->gaps_sent = 0;
    LL_FOREACH(r->gaps, gap)
    {
        r->gaps_sent++;
        json_object_begin(out, NULL);
        json_string(out, "channel", gap->channel);
        json_number(out, "from_ms", (int64_t)(now - gap->from_ms));
        json_number(out, "to_ms", (int64_t)(now - gap->to_ms));
        json_number(out, "lines", (int64_t)gap->lines);
        json_string(out, "reason", gap->reason);
        json_object_end(out);
    }
    json_array_end(out);
    if (r->gaps_unreported > 0) {
        log_warn("report", "gaps.unreported", "count", log_u64(r->gaps_unreported), NULL);
        r->gaps_unreported = 0;
    }
}

void report_gaps_arrived(struct report *r)
{
    for (; r->gaps_sent > 0; r->gaps_sent--) {
        struct gap *gap = r->gaps;
        LL_DELETE(r->gaps, gap);
        free(gap);
        r->ngaps--;
    }
}
