/* Report, shards: what changed of them and of their channels. See report.h. */
#include "node/report_private.h"

#include "shared/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#define MAX_CHANNELS 500 /* in one report */
#define MAX_SHARDS   500
#define ACTIVE_MS    10000 /* so often it is told which channels had lines */
#define PASSING_MS   500

/* A channel whose state is to be told. */
struct dirty_channel {
    UT_hash_handle hh;
    char name[IRC_CHANNEL_CHARS];
};

/* Marks ---------------------------------------------------------------------------------------- */

void report_shard_begin(struct report_shard *s, struct report *r, const char *id, uint64_t epoch)
{
    s->report = r;
    s->id = id;
    s->epoch = epoch;
    DL_APPEND(r->shards, s);
}

void report_shard_set_core(struct report_shard *s, const struct shard_core *core)
{
    s->core = core;
    memset(&s->rates, 0, sizeof(s->rates)); /* it has read nothing yet */
    s->rates.taken_ms = mono_ms();
    s->silent.room_lines = 0;
    s->active.lines = 0;
}

static void forget_channel(struct report_shard *s, struct dirty_channel *d)
{
    HASH_DEL(s->channels, d);
    free(d);
}

void report_shard_end(struct report_shard *s)
{
    while (s->channels != NULL) {
        forget_channel(s, s->channels);
    }
    DL_DELETE(s->report->shards, s);
}

void report_shard_changed(struct report_shard *s)
{
    s->dirty = true;
    s->report->on_change(s->report->ctx);
}

/* A channel is on its way for the first time, and not for long: most are joined before long, and
 * what they were until then is not told. */
static bool is_passing(const struct shard_channel *channel)
{
    unsigned state = channel->machine.state;

    return !channel->settled && (state == SHARD_CHANNEL_QUEUED || state == SHARD_CHANNEL_JOINING) &&
           mono_ms() - channel->since_ms < PASSING_MS;
}

/* Of the channels that are marked, is one to be told now? */
static bool channels_due(const struct report_shard *s)
{
    const struct dirty_channel *d;

    for (d = s->channels; d != NULL; d = d->hh.next) {
        const struct shard_channel *channel = shard_channel(s->core, slice_of(d->name));
        if (channel == NULL || !is_passing(channel)) {
            return true;
        }
    }
    return false;
}

void report_channel_changed(struct report_shard *s, const struct shard_channel *channel)
{
    struct dirty_channel *d;

    HASH_FIND_STR(s->channels, channel->name, d);
    if (d == NULL) {
        d = xcalloc(1, sizeof(*d));
        snprintf(d->name, sizeof(d->name), "%s", channel->name);
        HASH_ADD_STR(s->channels, name, d);
    }
    if (!is_passing(channel)) {
        s->channels_due = true;
        s->report->on_change(s->report->ctx); /* the shard is told where its counts change, too */
    }
}

void report_compare(struct report_shard *s, const struct registry_shard *shard)
{
    size_t differ = 0;

    for (size_t i = 0; i < shard->nchannels; i++) {
        const struct shard_channel *channel = shard_channel(s->core, shard->channels[i]);
        bool joined = channel != NULL && channel->machine.state == SHARD_CHANNEL_JOINED;

        if (channel != NULL && joined != (shard->unread_ms[i] == 0)) {
            report_channel_changed(s, channel);
            differ++;
        }
    }
    if (differ > 0) {
        log_info("report", "channels.told_again", "shard", s->id, "count", log_u64(differ), NULL);
    }
}

static void mark_channel(void *ctx, const struct shard_channel *channel)
{
    report_channel_changed(ctx, channel);
}

void report_again(struct report *r)
{
    r->gaps_sent = 0;
    r->figures_due = r->looked_ms != 0;
    for (size_t i = 0; i < REPORT_NEWS; i++) {
        r->news[i].told = false;
    }
    for (struct report_shard *s = r->shards; s != NULL; s = s->next) {
        report_shard_changed(s);
        shard_each_channel(s->core, mark_channel, s);
    }
}

/* What nobody says ----------------------------------------------------------------------------- */

static struct figures_shard figures_of(const struct report_shard *s)
{
    struct figures_shard f = shard_stats(s->core)->figures;

    f.state = slice_of(shard_state_name(shard_state(s->core)));
    f.queued = shard_channel_count(s->core, SHARD_CHANNEL_QUEUED);
    f.joining = shard_channel_count(s->core, SHARD_CHANNEL_JOINING);
    f.joined = shard_channel_count(s->core, SHARD_CHANNEL_JOINED);
    f.failed = shard_channel_count(s->core, SHARD_CHANNEL_FAILED);
    f.login_refused = s->login_refused ? 1 : 0;
    f.error = slice_of(shard_last_error(s->core));
    f.lines_s = s->rates.lines_s;
    f.bytes_s = s->rates.bytes_s;
    if (shard_state(s->core) != SHARD_READY) {
        figures_rest(figures_of_shard, &f);
    }
    return f;
}

/* Lines and bytes a second. One line alone is none a second, and neither are its bytes: what
 * answers a PING is no rate. */
static void measure(struct report_shard *s, uint64_t now)
{
    const struct shard_stats *stats = shard_stats(s->core);
    uint64_t span = now - s->rates.taken_ms;
    uint64_t lines = stats->lines - s->rates.lines;
    uint64_t bytes = lines > 1 ? stats->bytes - s->rates.bytes : 0;

    span = span > REPORT_FIGURES_MS ? span : REPORT_FIGURES_MS; /* of a core that has just begun */
    s->rates.lines_s = lines * 1000 / span;
    s->rates.bytes_s = bytes * 1000 / span;
    s->rates.taken_ms = now;
    s->rates.lines = stats->lines;
    s->rates.bytes = stats->bytes;
}

/* What is known of it now, which must be told where it moved. */
static struct figures_shard look_moved(struct report_shard *s)
{
    struct figures_shard f = figures_of(s);

    s->dirty = s->dirty || figures_moved(figures_of_shard, &s->told, &f);
    return f;
}

/* A connection on which nothing comes may be dead: should this node die before it has found out,
 * what was missed is told from the last line on. That answers to PINGs come is told of all such
 * connections at once (report.c), from the least recent one on. */
static void look_silent(struct report_shard *s)
{
    uint64_t read_ms = shard_last_line_ms(s->core);
    uint64_t room_lines = shard_stats(s->core)->room_lines;
    bool joined = shard_channel_count(s->core, SHARD_CHANNEL_JOINED) > 0;
    uint64_t at_ms = 0;

    if (joined && mono_ms() - read_ms >= REGISTRY_SILENT_MS) {
        at_ms = read_ms;
    } else if (joined && room_lines == s->silent.room_lines) {
        at_ms = s->silent.at_ms;
    }
    s->silent.due = s->silent.due || (at_ms != 0) != (s->silent.at_ms != 0);
    s->silent.at_ms = at_ms;
    s->silent.room_lines = room_lines;
    if (at_ms != 0 && (s->report->quiet_ms == 0 || at_ms < s->report->quiet_ms)) {
        s->report->quiet_ms = at_ms;
    }
}

/* If this node dies, the next joins first the channels where something goes on. */
static void look_active(struct report_shard *s)
{
    if (mono_ms() - s->active.at_ms >= ACTIVE_MS) {
        s->active.due = shard_stats(s->core)->room_lines != s->active.lines;
    }
}

/* Writing -------------------------------------------------------------------------------------- */

struct active_names {
    struct json *out;
    uint64_t after_ms;
    size_t left;
};

static void name_active(void *ctx, const struct shard_channel *channel)
{
    struct active_names *names = ctx;

    if (channel->last_active_ms > names->after_ms && names->left > 0) {
        json_string(names->out, NULL, channel->name);
        names->left--;
    }
}

static void write_active(struct report *r, struct json *out)
{
    struct active_names names = {.out = out, .left = REGISTRY_ACTIVE_PER_REPORT};

    json_array_begin(out, "active");
    for (struct report_shard *s = r->shards; s != NULL; s = s->next) {
        /* Of a shard for whose channels there is not enough room, some go untold: they only say
         * which channels are joined first. */
        if (s->active.due && names.left > 0) {
            names.after_ms = s->active.at_ms;
            shard_each_channel(s->core, name_active, &names);
            s->active.due = false;
            s->active.at_ms = mono_ms();
            s->active.lines = shard_stats(s->core)->room_lines;
        }
    }
    json_array_end(out);
}

void report_write_figures(const struct figure *figures, const void *of, bool texts,
                          struct json *out)
{
    for (const struct figure *f = figures; f->name != NULL; f++) {
        if (f->by == FIGURE_BY_NODE && f->type != FIGURE_TEXT) {
            json_number(out, f->name, figure_number(f, of));
        } else if (f->by == FIGURE_BY_NODE && texts) {
            json_slice(out, f->name, figure_text(f, of));
        }
    }
}

static void write_shard(struct report_shard *s, struct json *out)
{
    json_object_begin(out, s->id);
    json_number(out, "epoch", (int64_t)s->epoch);
    if (s->dirty) {
        s->told = figures_of(s);
        report_write_figures(figures_of_shard, &s->told, true, out);
    }
    json_number(out, "silent_ms",
                s->silent.at_ms == 0 ? 0 : (int64_t)(mono_ms() - s->silent.at_ms));
    json_object_end(out);
    s->dirty = false;
    s->silent.due = false;
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

static void write_channel(const struct report_shard *s, const struct shard_channel *channel,
                          struct json *out)
{
    uint64_t now = mono_ms();

    json_object_begin(out, channel->name);
    json_string(out, "shard", s->id);
    json_string(out, "state", shard_channel_state_name(channel->machine.state));
    json_string(out, "reason", channel->reason);
    json_number(out, "since_ms", (int64_t)(now - channel->since_ms));
    json_number(out, "next_try_ms",
                channel->next_try_ms > now ? (int64_t)(channel->next_try_ms - now) : 0);
    if (channel->lost_at_ms != 0) {
        json_number(out, "unread_ms", (int64_t)(now - channel->lost_at_ms));
    }
    /* As what we stand there is known once Twitch has said so: with the join. */
    if (channel->machine.state == SHARD_CHANNEL_JOINED) {
        json_number(out, "moderator", channel->standing == IRC_STANDING_MODERATOR);
        json_number(out, "vip", channel->standing == IRC_STANDING_VIP);
    }
    if (channel->known) {
        struct buf text;
        buf_init(&text, 256);
        json_string(out, "room_id", channel->room.id);
        room_text(&channel->room, &text);
        json_slice(out, "room", buf_slice(&text));
        buf_finish(&text);
    }
    json_object_end(out);
}

static void write_channels(struct report *r, struct json *out)
{
    size_t left = MAX_CHANNELS;

    for (struct report_shard *s = r->shards; s != NULL; s = s->next) {
        struct dirty_channel *d;
        struct dirty_channel *tmp;
        HASH_ITER(hh, s->channels, d, tmp)
        {
            const struct shard_channel *channel = shard_channel(s->core, slice_of(d->name));
            if (left == 0) {
                return;
            }
            if (channel != NULL && is_passing(channel)) {
                continue;
            }
            if (channel != NULL) {
                write_channel(s, channel, out);
                left--;
            }
            forget_channel(s, d);
        }
        s->channels_due = false;
    }
}

void report_look_at_shards(struct report *r)
{
    r->quiet_ms = 0;
    for (struct report_shard *s = r->shards; s != NULL; s = s->next) {
        s->channels_due = s->channels_due || channels_due(s);
        if (s->channels_due) {
            look_moved(s);
        }
        look_silent(s);
        look_active(s);
    }
}

void report_look_at_figures(struct report *r, struct figures_node *node)
{
    uint64_t now = mono_ms();

    for (struct report_shard *s = r->shards; s != NULL; s = s->next) {
        measure(s, now);
        struct figures_shard f = look_moved(s);
        node->lines_s += f.lines_s;
        node->bytes_s += f.bytes_s;
        node->lag_ms = f.lag_ms > node->lag_ms ? f.lag_ms : node->lag_ms;
    }
}

void report_write_shards(struct report *r, struct json *out)
{
    size_t left = MAX_SHARDS;

    json_object_begin(out, "shards");
    for (struct report_shard *s = r->shards; s != NULL; s = s->next) {
        if ((s->dirty || s->silent.due) && left > 0) {
            write_shard(s, out);
            left--;
        }
    }
    json_object_end(out);
    json_object_begin(out, "channels");
    write_channels(r, out);
    json_object_end(out);
    write_active(r, out);
}
