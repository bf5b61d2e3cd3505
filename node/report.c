/* Report: the whole, gaps, what the node says of itself, and what became of that. See report.h. */
#include "node/report_private.h"

#include "node/meters.h"
#include "shared/log.h"

#include <stdio.h>
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

/* Gaps ----------------------------------------------------------------------------------------- */

void report_gap(struct report *r, struct slice channel, uint64_t from_ms, uint64_t to_ms,
                uint64_t lines, const char *reason)
{
    meters_gap(reason, lines);
    if (r->ngaps == MAX_GAPS || channel.len >= IRC_CHANNEL_CHARS) {
        r->gaps_unreported++;
        return;
    }
    struct gap *gap = xcalloc(1, sizeof(*gap));
    memcpy(gap->channel, channel.ptr, channel.len);
    gap->from_ms = from_ms;
    gap->to_ms = to_ms;
    gap->lines = lines;
    gap->reason = reason;
    LL_APPEND(r->gaps, gap);
    r->ngaps++;
    r->on_change(r->ctx);
}

static void write_gaps(struct report *r, struct json *out)
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

static void gaps_arrived(struct report *r)
{
    for (; r->gaps_sent > 0; r->gaps_sent--) {
        struct gap *gap = r->gaps;
        LL_DELETE(r->gaps, gap);
        free(gap);
        r->ngaps--;
    }
}

/* Life and news -------------------------------------------------------------------------------- */

struct report *report_create(void (*on_change)(void *ctx), void *ctx)
{
    struct report *r = xcalloc(1, sizeof(*r));

    r->on_change = on_change;
    r->ctx = ctx;
    return r;
}

void report_destroy(struct report *r)
{
    BUG_ON(r->shards != NULL);
    r->gaps_sent = r->ngaps;
    gaps_arrived(r);
    free(r);
}

void report_news(struct report *r, enum report_news news, const char *why)
{
    struct news *n = &r->news[news];

    n->due = true;
    n->told = false;
    snprintf(n->why, sizeof(n->why), "%s", why);
}

void report_rewound(struct report *r, uint64_t ms, uint64_t lines)
{
    r->rewound_ms = ms;
    r->rewound_lines = lines;
    report_news(r, REPORT_REWOUND, "");
}

static void write_sight(struct report *r, const struct report_node *node, struct json *j)
{
    struct sight *sight = node->sight;
    uint64_t now = mono_ms();
    uint64_t heard_ms = node->heard_ms > sight->seen_ms ? node->heard_ms : sight->seen_ms;

    /* Again and again while it does not see: what the registry has of that must not be lost. */
    if (r->news[REPORT_SIGHT].due || sight->machine.state != SIGHT_SEES) {
        r->news[REPORT_SIGHT].told = true;
        json_string(j, "state", sight_tell(sight));
        json_string(j, "why", sight->why);
        json_number(j, "failing_ms",
                    sight->failing_ms != 0 ? (int64_t)(now - sight->failing_ms) : 0);
    }
    if (node->others_blind && sight->machine.state == SIGHT_SEES && heard_ms != 0) {
        json_number(j, "seen_ms", (int64_t)(now - heard_ms));
    }
}

/* What is measured, of shards and node. */
static void look_at_figures(struct report *r, const struct fanout_load *fanout)
{
    uint64_t now = mono_ms();
    uint64_t span = now - r->looked_ms;

    if (span < REPORT_FIGURES_MS) {
        return;
    }
    r->figures = (struct figures_node){
        .published_s = (meters.fanout_lines_total - r->published) * 1000 / span,
        .latency_ms = histogram_take_worst(&meters.fanout_seconds) / 1000,
        .age_ms = histogram_take_last(&meters.chat_age_seconds) / 1000,
        .buffer_bytes = fanout->bytes,
        .buffer_limit = fanout->limit,
    };
    report_look_at_figures(r, &r->figures);
    r->published = meters.fanout_lines_total;
    r->looked_ms = now;
    r->figures_due = r->figures_due || figures_moved(figures_of_node, &r->told, &r->figures);
}

/* What became of the node itself. */
static bool write_node(struct report *r, const struct report_node *node, struct json *j)
{
    bool any = r->figures_due || node->draining || node->others_blind ||
               node->sight->machine.state != SIGHT_SEES;

    for (size_t i = 0; i < REPORT_NEWS; i++) {
        r->news[i].told = r->news[i].due;
        any = any || r->news[i].due;
    }
    if (!any) {
        return false;
    }
    json_object_begin(j, "node");
    if (node->draining) {
        json_string(j, "state", "draining");
    } else {
        write_sight(r, node, j);
    }
    if (r->news[REPORT_USERS].due) {
        json_string(j, "users", node->users);
    }
    if (r->news[REPORT_FENCED].due) {
        json_string(j, "fenced", r->news[REPORT_FENCED].why);
    }
    if (r->news[REPORT_LOST].due) {
        json_string(j, "lost", r->news[REPORT_LOST].why);
    }
    if (r->news[REPORT_REWOUND].due) {
        json_number(j, "rewound_ms", (int64_t)r->rewound_ms);
        json_number(j, "rewound_lines", (int64_t)r->rewound_lines);
    }
    if (r->figures_due) {
        report_write_figures(figures_of_node, &r->figures, false, j);
        r->told = r->figures;
        r->figures_due = false;
    }
    json_object_end(j);
    return true;
}

bool report_is_due(const struct report *r)
{
    bool due = r->ngaps > r->gaps_sent;

    for (const struct report_shard *s = r->shards; s != NULL && !due; s = s->next) {
        due = s->dirty || s->silent.due || s->channels_due || s->active.due;
    }
    return due;
}

void report_write(struct report *r, const struct report_node *node, struct buf *out)
{
    struct json j;
    bool any = node->waits_ms > 0;

    json_init(&j, out);
    json_object_begin(&j, NULL);
    if (!node->held) {
        report_look_at_shards(r);
        look_at_figures(r, &node->fanout);
        if (report_is_due(r)) {
            report_write_shards(r, &j);
            write_gaps(r, &j);
            any = true;
        }
    }
    if (node->waits_ms > 0) {
        json_number(&j, "waits_ms", (int64_t)node->waits_ms);
    }
    any = (!node->held && write_node(r, node, &j)) || any;
    if (r->quiet_ms != 0) {
        json_number(&j, "quiet_ms", (int64_t)(mono_ms() - r->quiet_ms));
    }
    if (node->at.ms > 0) {
        json_number(&j, "at_ms", (int64_t)node->at.ms);
    }
    json_object_end(&j);
    if (!any) {
        buf_clear(out);
    }
}

uint64_t report_quiet_ms(const struct report *r)
{
    return r->quiet_ms;
}

void report_arrived(struct report *r, struct sight *sight)
{
    gaps_arrived(r);
    if (r->news[REPORT_SIGHT].told) {
        sight_told(sight);
    }
    for (size_t i = 0; i < REPORT_NEWS; i++) {
        r->news[i].due = r->news[i].due && !r->news[i].told;
        r->news[i].told = false;
    }
}
