/* Holder, reporting: what changed since the last renewal, as the JSON that `renew` takes. */
#include "node/held_private.h"

#include "shared/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define MAX_CHANNELS 500 /* in one report */
#define MAX_SHARDS   500
#define MAX_GAPS     1000
#define MAX_ACTIVE   1000
#define RATE_MS      5000
#define ACTIVE_MS    10000 /* so often it is told which channels had lines */
#define SILENT_MS    1000  /* the steps know it, too: 04_placement.lua */

void holder_mark_shard(struct held *held)
{
    held->dirty = true;
    held->holder->options.on_change(held->holder->options.ctx);
}

void holder_mark_channel(struct held *held, const char *channel)
{
    struct dirty_channel *d;

    HASH_FIND_STR(held->dirty_channels, channel, d);
    if (d == NULL) {
        d = xcalloc(1, sizeof(*d));
        snprintf(d->name, sizeof(d->name), "%s", channel);
        HASH_ADD_STR(held->dirty_channels, name, d);
    }
    holder_mark_shard(held); /* its count of joined channels changes with it */
}

void holder_compare(struct held *held, const struct registry_shard *shard)
{
    size_t differ = 0;

    for (size_t i = 0; i < shard->nchannels; i++) {
        const struct shard_channel *channel = shard_channel(held->core, shard->channels[i]);
        bool joined = channel != NULL && channel->machine.state == SHARD_CHANNEL_JOINED;

        if (channel != NULL && joined != (shard->unread_ms[i] == 0)) {
            holder_mark_channel(held, channel->name);
            differ++;
        }
    }
    if (differ > 0) {
        log_info("holder", "channels.told_again", "shard", held->id, "count", log_u64(differ),
                 NULL);
    }
}

void holder_unmark(struct held *held)
{
    struct dirty_channel *d;
    struct dirty_channel *tmp;

    held->dirty = false;
    HASH_ITER(hh, held->dirty_channels, d, tmp)
    {
        HASH_DEL(held->dirty_channels, d);
        free(d);
    }
}

void holder_gap(struct holder *h, struct slice channel, uint64_t from_ms, uint64_t to_ms,
                uint64_t lines, const char *reason)
{
    struct gap *gap;

    if (h->ngaps == MAX_GAPS || channel.len >= IRC_CHANNEL_CHARS) {
        h->gaps_unreported++;
        return;
    }
    gap = xcalloc(1, sizeof(*gap));
    memcpy(gap->channel, channel.ptr, channel.len);
    gap->from_ms = from_ms;
    gap->to_ms = to_ms;
    gap->lines = lines;
    gap->reason = reason;
    LL_APPEND(h->gaps, gap);
    h->ngaps++;
    h->options.on_change(h->options.ctx);
}

void holder_free_gaps(struct holder *h)
{
    struct gap *gap;
    struct gap *tmp;

    LL_FOREACH_SAFE(h->gaps, gap, tmp)
    {
        LL_DELETE(h->gaps, gap);
        free(gap);
    }
    h->ngaps = 0;
}

/* Lines and bytes a second, over the last few seconds. */
static void rate(struct held *held)
{
    const struct shard_stats *stats = shard_stats(held->core);
    uint64_t now = mono_ms();
    uint64_t span = now - held->rated_ms;

    if (span < RATE_MS) {
        return;
    }
    uint64_t lines = held->rated_ms == 0 ? 0 : (stats->lines - held->rated_lines) * 1000 / span;
    uint64_t bytes = held->rated_ms == 0 ? 0 : (stats->bytes - held->rated_bytes) * 1000 / span;
    if (lines != held->lines_s || bytes != held->bytes_s) {
        held->dirty = true;
    }
    held->lines_s = lines;
    held->bytes_s = bytes;
    held->rated_ms = now;
    held->rated_lines = stats->lines;
    held->rated_bytes = stats->bytes;
}

/* A connection on which nothing comes may be dead: should this node die before it has found out, what was
 * missed is told from the last line on. */
static void look_silent(struct held *held)
{
    uint64_t read_ms = shard_last_line_ms(held->core);
    bool silent = shard_channel_count(held->core, SHARD_CHANNEL_JOINED) > 0 &&
                  mono_ms() - read_ms >= SILENT_MS;
    uint64_t silent_at_ms = silent ? read_ms : 0;

    held->dirty = held->dirty || silent_at_ms != held->silent_at_ms;
    held->silent_at_ms = silent_at_ms;
}

struct active_names {
    struct held *held;
    struct json *out; /* NULL: only look whether there are any */
    size_t left;
    bool any;
};

static void name_active(void *ctx, const struct shard_channel *channel)
{
    struct active_names *names = ctx;

    if (channel->last_active_ms > names->held->active_at_ms && names->left > 0) {
        names->any = true;
        if (names->out != NULL) {
            json_string(names->out, NULL, channel->name);
            names->left--;
        }
    }
}

/* Whoever reads the channels should this node die joins first those where something goes on. */
static void look_active(struct held *held)
{
    struct active_names names = {.held = held, .left = 1};

    if (!held->active && mono_ms() - held->active_at_ms >= ACTIVE_MS) {
        shard_each_channel(held->core, name_active, &names);
        held->active = names.any;
    }
}

static void report_active(struct holder *h, struct json *out)
{
    struct active_names names = {.out = out, .left = MAX_ACTIVE};

    json_array_begin(out, "active");
    for (struct held *held = h->shards; held != NULL; held = held->hh.next) {
        /* Of a shard for whose channels there is not enough room, some go untold: it is a matter of order alone. */
        if (held->active && names.left > 0) {
            names.held = held;
            shard_each_channel(held->core, name_active, &names);
            held->active = false;
            held->active_at_ms = mono_ms();
        }
    }
    json_array_end(out);
}

static void report_shard(struct held *held, struct json *out)
{
    int64_t silent_ms = held->silent_at_ms == 0 ? 0 : (int64_t)(mono_ms() - held->silent_at_ms);
    bool ready = shard_state(held->core) == SHARD_READY;

    json_object_begin(out, held->id);
    json_number(out, "epoch", (int64_t)held->epoch);
    json_string(out, "state", shard_state_name(shard_state(held->core)));
    json_number(out, "joined", (int64_t)shard_channel_count(held->core, SHARD_CHANNEL_JOINED));
    /* Where nothing is read there is no rate, whatever it was a moment ago. */
    json_number(out, "lines_s", ready ? (int64_t)held->lines_s : 0);
    json_number(out, "bytes_s", ready ? (int64_t)held->bytes_s : 0);
    json_number(out, "lag_ms", ready ? (int64_t)shard_stats(held->core)->lag_ms : 0);
    json_number(out, "silent_ms", silent_ms);
    json_number(out, "bad_lines", (int64_t)shard_stats(held->core)->bad_lines);
    json_number(out, "login_refused", held->login_refused ? 1 : 0);
    json_string(out, "error", shard_last_error(held->core));
    json_object_end(out);
}

/* A room's modes as one word list: "slow=30 emote-only"; "-" where all is off. */
static void room_text(const struct shard_room *room, struct buf *out)
{
    if (room->slow_s > 0) {
        buf_printf(out, "slow=%d ", (int)room->slow_s);
    }
    if (room->followers_only >= 0) {
        buf_printf(out, "followers-only=%d ", (int)room->followers_only);
    }
    buf_append_str(out, room->emote_only ? "emote-only " : "");
    buf_append_str(out, room->subs_only ? "subs-only " : "");
    buf_append_str(out, room->r9k ? "r9k " : "");
    if (out->len > 0) {
        out->data[--out->len] = '\0';
    } else {
        buf_append_str(out, "-");
    }
}

static void report_channel(struct held *held, const struct shard_channel *channel, struct json *out)
{
    uint64_t now = mono_ms();

    json_object_begin(out, channel->name);
    json_string(out, "shard", held->id);
    json_string(out, "state", shard_channel_state_name(channel->machine.state));
    json_string(out, "reason", channel->reason);
    json_number(out, "since_ms", (int64_t)(now - channel->since_ms));
    json_number(out, "next_try_ms",
                channel->next_try_ms > now ? (int64_t)(channel->next_try_ms - now) : 0);
    if (channel->lost_at_ms != 0) {
        json_number(out, "unread_ms", (int64_t)(now - channel->lost_at_ms));
    }
    /* Whether we are moderator is known once Twitch has said so: with the join. */
    if (channel->machine.state == SHARD_CHANNEL_JOINED) {
        json_number(out, "moderator", channel->moderator ? 1 : 0);
    }
    if (channel->known) {
        struct buf text;
        buf_init(&text, 256);
        room_text(&channel->room, &text);
        json_slice(out, "room", buf_slice(&text));
        buf_finish(&text);
    }
    json_object_end(out);
}

static void report_channels(struct holder *h, struct json *out)
{
    size_t left = MAX_CHANNELS;
    struct held *held;
    struct held *tmp;

    HASH_ITER(hh, h->shards, held, tmp)
    {
        struct dirty_channel *d;
        struct dirty_channel *dtmp;
        HASH_ITER(hh, held->dirty_channels, d, dtmp)
        {
            const struct shard_channel *channel = shard_channel(held->core, slice_of(d->name));
            if (left == 0) {
                return;
            }
            if (channel != NULL) {
                report_channel(held, channel, out);
                left--;
            }
            HASH_DEL(held->dirty_channels, d);
            free(d);
        }
    }
}

static void report_gaps(struct holder *h, struct json *out)
{
    struct gap *gap;
    uint64_t now = mono_ms();

    json_array_begin(out, "gaps");
    h->gaps_sent = 0;
    LL_FOREACH(h->gaps, gap)
    {
        h->gaps_sent++;
        json_object_begin(out, NULL);
        json_string(out, "channel", gap->channel);
        json_number(out, "from_ms", (int64_t)(now - gap->from_ms));
        json_number(out, "to_ms", (int64_t)(now - gap->to_ms));
        json_number(out, "lines", (int64_t)gap->lines);
        json_string(out, "reason", gap->reason);
        json_object_end(out);
    }
    json_array_end(out);
    if (h->gaps_unreported > 0) {
        log_warn("holder", "gaps.unreported", "count", log_u64(h->gaps_unreported), NULL);
        h->gaps_unreported = 0;
    }
}

void holder_report_arrived(struct holder *h)
{
    for (; h->gaps_sent > 0; h->gaps_sent--) {
        struct gap *gap = h->gaps;
        LL_DELETE(h->gaps, gap);
        free(gap);
        h->ngaps--;
    }
}

bool holder_has_report(const struct holder *h)
{
    struct held *held;
    struct held *tmp;

    if (h->ngaps > h->gaps_sent) {
        return true;
    }
    HASH_ITER(hh, h->shards, held, tmp)
    {
        if (held->dirty || held->dirty_channels != NULL || held->active) {
            return true;
        }
    }
    return false;
}

bool holder_report(struct holder *h, struct json *out)
{
    size_t left = MAX_SHARDS;
    struct held *held;
    struct held *tmp;

    HASH_ITER(hh, h->shards, held, tmp)
    {
        rate(held);
        look_silent(held);
        look_active(held);
    }
    if (!holder_has_report(h)) {
        return false;
    }
    json_object_begin(out, "shards");
    HASH_ITER(hh, h->shards, held, tmp)
    {
        if (held->dirty && left > 0) {
            report_shard(held, out);
            held->dirty = false;
            left--;
        }
    }
    json_object_end(out);
    json_object_begin(out, "channels");
    report_channels(h, out);
    json_object_end(out);
    report_active(h, out);
    report_gaps(h, out);
    return true;
}

static void mark_each(void *ctx, const struct shard_channel *channel)
{
    holder_mark_channel(ctx, channel->name);
}

void holder_report_all(struct holder *h)
{
    struct held *held;
    struct held *tmp;

    h->gaps_sent = 0;
    HASH_ITER(hh, h->shards, held, tmp)
    {
        holder_mark_shard(held);
        shard_each_channel(held->core, mark_each, held);
    }
}
