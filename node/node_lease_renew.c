/* Lease of a node, renewing: what is asked, and what the answer says. See node_lease.h.
 *
 * Most of the time a node rests: it has nothing to tell, and is to be told nothing new. Then it
 * writes its lease by itself (registry_rest), and looks whether something is new: then, and with
 * whatever there is to tell, `renew` tells and asks for it. */
#include "node/meters.h"
#include "node/node_lease_private.h"

#include "shared/log.h"

#include <stdio.h>
#include <string.h>

#define REPORT_BYTES ((size_t)1024 * 1024)
#define MUCH_BYTES   ((size_t)48 * 1024) /* of a report: with more, no more is saved */
#define WHOLE_ROWS   250                 /* of whole pictures in compare_ms */

/* The answer was made between the question and now. What contradicts the former answers stands: a
 * clock was set. */
static void learn_clock(struct node_lease *l, struct wall redis)
{
    int64_t low = (int64_t)redis.ms - (int64_t)mono_ms();
    int64_t high = (int64_t)redis.ms - (int64_t)l->lease.sent_ms;

    if (low > l->redis_high || high < l->redis_low) {
        l->redis_low = low;
        l->redis_high = high;
    } else {
        l->redis_low = low > l->redis_low ? low : l->redis_low;
        l->redis_high = high < l->redis_high ? high : l->redis_high;
    }
}

struct wall node_lease_redis_now(const struct node_lease *l)
{
    return (struct wall){l->redis_high != 0 ? (uint64_t)((int64_t)mono_ms() + l->redis_low) : 0};
}

/* The lease is held. May the node act? */
static bool granted(struct node_lease *l, struct wall redis_now, uint64_t lease_ms)
{
    uint64_t now = mono_ms();

    l->took_ms = l->told_much ? 0 : now - l->lease.sent_ms;
    learn_clock(l, redis_now);
    if (lease_on_granted(&l->lease, now, lease_ms) == LEASE_OUT) {
        node_lease_fenced(l, "the renewal was answered too late");
    } else {
        lease_meet(&l->lease, l->redis_low);
    }
    return lease_may_act(&l->lease, now);
}

static size_t channels_of(const struct registry_shard *shards, size_t n)
{
    size_t channels = 0;

    for (size_t i = 0; i < n; i++) {
        channels += shards[i].nchannels;
    }
    return channels;
}

/* When to ask for all of it: the more that is, the rarer. A shard takes Redis as long as ten
 * channels. */
static void plan_whole(struct node_lease *l, const struct registry_picture *p)
{
    if (p->changed) {
        l->shards = p->nheld + p->nserved;
    }
    if (l->whole_at_ms == l->lease.sent_ms) {
        l->channels = channels_of(p->held_changed, p->nheld_changed) +
                      channels_of(p->served_changed, p->nserved_changed);
    }
    uint64_t rows = 10 * l->shards + l->channels;
    l->whole_ms = p->settings.compare_ms * (rows > WHOLE_ROWS ? rows : WHOLE_ROWS) / WHOLE_ROWS;
}

/* What holds until the next picture. */
static void keep(struct node_lease *l, const struct registry_picture *p)
{
    plan_whole(l, p);
    snprintf(l->default_sender, sizeof(l->default_sender), "%.*s", (int)p->default_sender.len,
             p->default_sender.ptr != NULL ? p->default_sender.ptr : "");
    l->known = (struct registry_picture){.settings = p->settings,
                                         .rev = p->rev,
                                         .now = p->now,
                                         .default_sender = slice_of(l->default_sender),
                                         .others_blind = p->others_blind};
}

void node_lease_current(struct node_lease *l, const struct registry_picture *picture)
{
    bool was_fenced = l->lease.right.state == LEASE_FENCED;
    bool new_link = !l->attached;

    l->taken_since_ms = 0;
    l->takeover = 0;
    l->former = l->greeting;
    snprintf(l->registry_id, sizeof(l->registry_id), "%.*s", (int)picture->registry.len,
             picture->registry.ptr != NULL ? picture->registry.ptr : "");
    if (!granted(l, picture->now, picture->settings.lease_ms)) {
        return; /* the next answer decides, and tells this picture again */
    }
    keep(l, picture);
    l->attached = true;
    l->seen_rev = (int64_t)picture->rev;
    if (was_fenced) {
        log_info("lease", "lease.current", NULL);
    }
    l->options.on_current(l->options.ctx, picture, new_link);
}

static void lost(struct node_lease *l, const char *why, bool emptied)
{
    meters.lease_lost_total++;
    log_error("lease", "lease.lost", "node", l->options.node, "why", why, NULL);
    lease_on_lost(&l->lease);
    l->attached = false;
    l->options.on_lost(l->options.ctx, why, emptied);
    random_hex(l->incarnation, (INCARNATION_CHARS - 1) / 2);
    lease_begin_anew(&l->lease, mono_ms());
}

static void renewed(struct node_lease *l)
{
    uint64_t now = mono_ms();

    meters.lease_renewals_total++;
    histogram_add(&meters.redis_round_trip_seconds, mono_us() - l->asked_us);
    l->margin_ms = l->lease.deadline_ms > now ? l->lease.deadline_ms - now : 0;
    trouble_over(&l->trouble);
}

static void not_renewed(struct node_lease *l, const struct err *err)
{
    if (err->code == ERR_LOST || err->code == ERR_EMPTIED) {
        lost(l, err->text, err->code == ERR_EMPTIED);
    } else {
        meters.lease_failures_total++;
        node_lease_refused(l);
        if ((err->code == ERR_REPLY || err->code == ERR_STRANGE || err->code == ERR_ABSENT) &&
            trouble_is_news(&l->trouble, err, mono_ms())) {
            log_warn("lease", "lease.renew", "error", err->text, NULL);
        }
    }
}

static void on_renewed(void *ctx, const struct registry_picture *picture, const struct err *err)
{
    struct node_lease *l = ctx;

    l->options.on_reported(l->options.ctx, picture != NULL);
    if (picture != NULL) {
        renewed(l);
        node_lease_current(l, picture);
    } else {
        not_renewed(l, err);
    }
    node_lease_answered(l);
}

static void on_rested(void *ctx, const struct registry_rested *answer, const struct err *err)
{
    struct node_lease *l = ctx;

    l->options.on_reported(l->options.ctx, err == NULL);
    if (answer->kept) {
        renewed(l);
        l->known.now = l->rested; /* this much Redis has: should it be lost, the node knows */
        (void)lease_ask_at(&l->lease, mono_ms() + answer->again_ms);
        if (granted(l, answer->now, l->known.settings.lease_ms)) {
            l->options.on_current(l->options.ctx, &l->known, false);
        }
    } else if (err != NULL) {
        not_renewed(l, err);
    } else {
        l->look = true;
        (void)lease_ask_at(&l->lease, mono_ms());
    }
    node_lease_answered(l);
}

/* Questions ------------------------------------------------------------------------------------ */

static int rest(struct node_lease *l, const struct registry_node *node, uint64_t quiet_ms)
{
    struct wall now = node_lease_redis_now(l);

    l->rested = now;
    const struct registry_rest rest = {
        .seen_rev = l->seen_rev,
        .told = l->known.settings.told,
        .lease_ms = l->known.settings.lease_ms,
        .now = now,
        .renewed = l->known.now,
        .quiet = {quiet_ms != 0 ? now.ms - (mono_ms() - quiet_ms) : 0},
    };

    return registry_rest(l->registry, node, &rest, on_rested, l);
}

int node_lease_renew(struct node_lease *l)
{
    struct registry_node node = node_lease_self(l);
    struct buf report;

    buf_init(&report, REPORT_BYTES);
    uint64_t quiet_ms = l->options.report(l->options.ctx, &report);
    if (report.overflow) {
        log_error("lease", "report.too_large", NULL);
        buf_clear(&report);
    }
    l->told_much = report.len > MUCH_BYTES;
    bool whole = !l->attached || l->lease.sent_ms - l->whole_at_ms >= l->whole_ms;
    bool rests = l->lease.right.state == LEASE_CURRENT && !whole && !l->look && report.len == 0;
    int rc;
    l->asked_us = mono_us();
    if (rests) {
        rc = rest(l, &node, quiet_ms);
    } else {
        l->whole_at_ms = whole ? l->lease.sent_ms : l->whole_at_ms;
        l->look = false;
        rc = registry_renew(l->registry, &node, whole ? -1 : l->seen_rev, buf_slice(&report),
                            on_renewed, l);
    }
    if (rc != 0) {
        l->options.on_reported(l->options.ctx, false);
    }
    buf_finish(&report);
    return rc;
}
