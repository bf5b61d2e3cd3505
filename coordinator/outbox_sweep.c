/* Outbox sweep: TIME and one page of the stream, claims for what may be too old, the next page. */
#include "coordinator/outbox_sweep.h"

#include "shared/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVERY_MS      1000
#define PAGE          200
#define MAX_PER_SWEEP 1000
#define MIN_AGE_MS    1000 /* without an own ttl: what is younger is not looked at */

struct outbox_sweep {
    struct leader *leader;
    uint64_t begun_ms; /* the last sweep */
    uint64_t redis_ms; /* Redis's clock, as of this sweep */
    bool reading;      /* TIME or a page */
    size_t claims;     /* under way */
    size_t looked_at;  /* in this sweep */
    size_t expired;    /* in this sweep */
    bool at_end;       /* the page was the last */
    char from[64];     /* where to read on */
};

static void read_page(struct outbox_sweep *o);

struct outbox_sweep *outbox_sweep_create(struct leader *leader)
{
    struct outbox_sweep *o = xcalloc(1, sizeof(*o));
    o->leader = leader;
    snprintf(o->from, sizeof(o->from), "-");
    return o;
}

void outbox_sweep_destroy(struct outbox_sweep *o)
{
    free(o);
}

static bool split_id(struct slice id, uint64_t *ms, uint64_t *seq)
{
    const char *dash = id.len ? memchr(id.ptr, '-', id.len) : NULL;
    if (!dash) {
        return false;
    }
    struct slice first = {id.ptr, (size_t)(dash - id.ptr)};
    struct slice second = {dash + 1, id.len - first.len - 1};
    return slice_to_u64(first, ms) && slice_to_u64(second, seq);
}

bool outbox_may_be_over(struct slice entry_id, struct slice ttl, uint64_t now_ms)
{
    uint64_t ms;
    uint64_t seq;
    uint64_t limit;
    if (!split_id(entry_id, &ms, &seq)) {
        return true;
    }
    if (!slice_to_u64(ttl, &limit)) {
        limit = MIN_AGE_MS;
    }
    return now_ms > ms && now_ms - ms > limit;
}

bool outbox_next_id(struct slice entry_id, char *out, size_t size)
{
    uint64_t ms;
    uint64_t seq;
    if (!split_id(entry_id, &ms, &seq)) {
        return false;
    }
    if (seq == UINT64_MAX) {
        ms++;
        seq = 0;
    } else {
        seq++;
    }
    snprintf(out, size, "%" PRIu64 "-%" PRIu64, ms, seq);
    return true;
}

/* A page and its claims are done. */
static void page_done(struct outbox_sweep *o)
{
    if (o->reading || o->claims > 0) {
        return;
    }
    if (o->at_end || o->looked_at >= MAX_PER_SWEEP || !leader_may_act(o->leader)) {
        if (o->expired > 0) {
            log_info("sweep", "sends.swept", "count", log_u64(o->expired), NULL);
        }
        return;
    }
    read_page(o);
}

static void on_claim(void *ctx, const struct registry_claim *claim, const struct err *err)
{
    struct outbox_sweep *o = ctx;
    o->claims--;
    if (err) {
        leader_step_failed(o->leader, "send_claim", err);
    } else if (claim->word == CLAIM_DONE) {
        o->expired++;
    }
    page_done(o);
}

static void on_page(void *ctx, const struct registry_entry *entries, size_t n,
                    const struct err *err)
{
    struct outbox_sweep *o = ctx;
    if (err) {
        o->reading = false;
        o->at_end = true;
        leader_step_failed(o->leader, "scan_stream", err);
        return;
    }
    o->looked_at += n;
    o->at_end = n < PAGE;
    if (o->at_end || !outbox_next_id(entries[n - 1].id, o->from, sizeof(o->from))) {
        snprintf(o->from, sizeof(o->from), "-");
    }
    bool may_act = leader_may_act(o->leader);
    struct registry *registry = leader_registry(o->leader);
    for (size_t i = 0; i < n && may_act; i++) {
        if (outbox_may_be_over(entries[i].id, registry_field(&entries[i], "ttl_ms"), o->redis_ms) &&
            registry_send_claim(registry, "", "", entries[i].id, on_claim, o) == 0) {
            o->claims++;
        }
    }
    o->reading = false;
    page_done(o);
}

static void read_page(struct outbox_sweep *o)
{
    o->reading =
        registry_scan_stream(leader_registry(o->leader), "outbox", o->from, PAGE, on_page, o) == 0;
}

static void on_time(void *ctx, const struct redisReply *reply, const struct err *err)
{
    struct outbox_sweep *o = ctx;
    uint64_t seconds;
    uint64_t micros;
    o->reading = false;
    if (err || reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        !slice_to_u64(reply_slice(reply->element[0]), &seconds) ||
        !slice_to_u64(reply_slice(reply->element[1]), &micros)) {
        return; /* the next sweep tries again */
    }
    o->redis_ms = seconds * 1000 + micros / 1000;
    read_page(o);
}

void outbox_sweep_go(struct outbox_sweep *o)
{
    uint64_t now = mono_ms();
    if (o->reading || o->claims > 0 || now - o->begun_ms < EVERY_MS) {
        return;
    }
    o->begun_ms = now;
    o->looked_at = 0;
    o->expired = 0;
    o->at_end = false;
    struct link *link = registry_link(leader_registry(o->leader));
    o->reading = link_command(link, on_time, o, "TIME") == 0;
}
