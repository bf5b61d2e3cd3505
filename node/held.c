/* Held: the life of one shard that is held, and its timer. See held.h.
 *
 * A core is never destroyed from within its own port functions: what wants to be closed there is
 * closed by the caller of the input, or by the timer. */
#include "node/held_private.h"

#include "shared/log.h"
#include "shared/loop.h"

#include <stdlib.h>
#include <string.h>

struct held *held_find(const struct holder *h, struct slice id)
{
    struct held *held;

    HASH_FIND(hh, h->shards, id.ptr, id.len, held);
    return held;
}

/* The timer ------------------------------------------------------------------------------------ */

static void on_timer(uv_timer_t *timer);

/* A timer that fires too early costs a tick; arming it for each line would cost more. */
void held_arm(struct held *held)
{
    bool at_once =
        held->due.connect_failed || held->due.token_is_new || held->due.draws_failed != 0;
    uint64_t due = at_once ? 0 : shard_deadline(held->core);

    if (due < held->due.armed_ms) {
        held->due.armed_ms = due;
        loop_timer_at(&held->due.timer, on_timer, due);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct held *held = timer->data;

    held->due.armed_ms = UINT64_MAX;
    if (held->due.connect_failed) {
        held->due.connect_failed = false;
        uint64_t now = mono_ms();
        shard_on_disconnected(held->core, "no connection could be begun", now, now);
    }
    if (held->due.token_is_new) {
        held->due.token_is_new = false;
        shard_on_token(held->core, mono_ms());
    }
    for (unsigned kind = 0; kind < SHARD_DRAW_KINDS; kind++) {
        if ((held->due.draws_failed & 1u << kind) != 0) {
            held->due.draws_failed &= ~(1u << kind);
            shard_on_grant(held->core, kind, NULL, 0, mono_ms());
        }
    }
    shard_tick(held->core, mono_ms());
    held_arm(held);
}

/* Its life ------------------------------------------------------------------------------------- */

static void core_begin(struct held *held)
{
    const struct holder *h = held->holder;
    uint64_t now = mono_ms();

    held->core = shard_create(held->id, held->user, &held_port, held);
    report_shard_set_core(&held->report, held->core);
    shard_set_failed_retry(held->core, h->failed_retry_ms, now);
    shard_set_fenced(held->core, h->fenced || h->blind, now);
    shard_set_channels(held->core, held->wants.all, held->wants.n, now);
    if (held->run == SHARD_STARTED) {
        shard_start(held->core, now);
    } else if (held->run == SHARD_STOPPED) {
        shard_close(held->core, "stopped", now);
    }
    held_arm(held);
}

static void core_end(struct held *held, const char *reason)
{
    /* Each send that waits for its answer hears that no answer will come. */
    shard_close(held->core, reason, mono_ms());
    held->past.lines += shard_stats(held->core)->lines;
    held->past.bytes += shard_stats(held->core)->bytes;
    shard_destroy(held->core);
    held->core = NULL;
    report_shard_set_core(&held->report, NULL);
    transport_end(held);
    held->due.draws_failed = 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct held *held = handle->data;

    free(held->id);
    free(held->user);
    free(held->wants.all);
    free(held->wants.names);
    free(held);
}

void held_close(struct held *held, const char *reason)
{
    HASH_DEL(held->holder->shards, held);
    core_end(held, reason);
    held_forget_sends(held);
    report_shard_end(&held->report);
    uv_close((uv_handle_t *)&held->due.timer, on_timer_closed);
}

/* A closed core does not open again: a new one takes its place, and knows what the old one had
 * joined. */
static void renew_core(struct held *held)
{
    shard_close(held->core, "started again", mono_ms());
    for (size_t i = 0; i < held->wants.n; i++) {
        struct shard_want *want = &held->wants.all[i];
        const struct shard_channel *channel = shard_channel(held->core, want->name);
        if (channel != NULL) {
            want->rejoin = channel->rejoin;
            want->lost_at_ms = channel->lost_at_ms;
        }
    }
    core_end(held, "started again");
    held->serial = ++held->holder->serials;
    core_begin(held);
}

/* What the picture has of its channels. */
static void set_wants(struct held *held, const struct registry_shard *shard)
{
    uint64_t now = mono_ms();

    free(held->wants.all);
    free(held->wants.names);
    held->wants.n = shard->nchannels;
    held->wants.all = xcalloc(held->wants.n + 1, sizeof(*held->wants.all));
    held->wants.names = xcalloc(held->wants.n + 1, sizeof(*held->wants.names));
    for (size_t i = 0; i < held->wants.n; i++) {
        struct shard_want *want = &held->wants.all[i];
        struct slice name = shard->channels[i];
        name.len = name.len < sizeof(held->wants.names[i]) ? name.len : 0;
        if (name.len > 0) {
            memcpy(held->wants.names[i], name.ptr, name.len);
        }
        want->name = (struct slice){held->wants.names[i], name.len};
        /* Somebody read it before this node did. (This host may be up for a shorter time than that:
         * differences of these times are right all the same.) */
        want->lost_at_ms = shard->unread_ms[i] > 0
                               ? now - (uint64_t)shard->unread_ms[i]
                               : held_recall(held->holder, held->wants.names[i]);
        want->rejoin = want->lost_at_ms != 0;
        want->retry = shard->retry_ms[i] > 0 ? (uint64_t)shard->retry_ms[i] : 0;
    }
}

void held_create(struct holder *h, const struct registry_shard *shard)
{
    struct held *held = xcalloc(1, sizeof(*held));

    held->holder = h;
    held->id = xstrndup(shard->id.ptr, shard->id.len);
    held->user = xstrndup(shard->user.ptr, shard->user.len);
    held->epoch = shard->epoch;
    held->run = shard->run;
    held->serial = ++h->serials;
    held->due.armed_ms = UINT64_MAX;
    uv_timer_init(h->o.loop, &held->due.timer);
    held->due.timer.data = held;
    set_wants(held, shard);
    HASH_ADD_KEYPTR(hh, h->shards, held->id, strlen(held->id), held);
    report_shard_begin(&held->report, h->o.report, held->id, held->epoch);
    log_info("holder", "shard.held", "shard", held->id, "epoch", log_u64(held->epoch), "channels",
             log_u64(held->wants.n), NULL);
    core_begin(held);
    report_shard_changed(&held->report);
}

void held_follow(struct held *held, const struct registry_shard *shard)
{
    /* Told to look: the registry may not have what it was told; and who stopped it waits for the
     * word that it is closed. */
    report_shard_changed(&held->report);
    set_wants(held, shard);
    shard_set_channels(held->core, held->wants.all, held->wants.n, mono_ms());
    report_compare(&held->report, shard);
    enum shard_run before = held->run;
    held->run = shard->run;
    if (held->run == SHARD_STARTED && before != SHARD_STARTED) {
        renew_core(held);
    } else if (held->run == SHARD_STOPPED && before != SHARD_STOPPED) {
        shard_stop(held->core, mono_ms());
    }
    held_arm(held);
}

/* What befalls all ----------------------------------------------------------------------------- */

void held_set_fenced(struct held *held)
{
    const struct holder *h = held->holder;

    if (h->fenced) {
        transport_discard(held);
    }
    shard_set_fenced(held->core, h->fenced || h->blind, mono_ms());
    held_arm(held);
}

void held_try_anew(struct held *held)
{
    if (held->run == SHARD_STARTED && shard_state(held->core) != SHARD_READY) {
        renew_core(held);
    } else {
        held_set_fenced(held);
    }
}

static void mark_failed(void *ctx, const struct shard_channel *channel)
{
    if (channel->machine.state == SHARD_CHANNEL_FAILED) {
        report_channel_changed(ctx, channel); /* its next_try */
    }
}

void held_set_failed_retry(struct held *held)
{
    shard_set_failed_retry(held->core, held->holder->failed_retry_ms, mono_ms());
    shard_each_channel(held->core, mark_failed, &held->report);
    held_arm(held);
}

void held_stop(struct held *held)
{
    shard_stop(held->core, mono_ms());
    held_arm(held);
}

void held_on_token(struct held *held)
{
    held->report.login_refused = false;
    shard_on_token(held->core, mono_ms());
    held_arm(held);
}
