/* Sender: lanes of sends, one under way per channel. See sender.h for the path of a send.
 *
 * Every entry known is in one table (`sends`), so that one that is read twice, or heard on the topic and
 * read in the stream, is queued once. A lane lives while its channel is served or something is queued. */
#include "node/sender_impl.h"

#include "node/send_payload.h"
#include "shared/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LANE_SENDS      200 /* known of a channel; the outbox keeps the others */
#define SCAN_PAGE       200
#define RESCAN_SOON_MS  100
#define RESCAN_EVERY_MS 10000 /* should a hint ever be lost */

/* The timer --------------------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer)
{
    struct sender *s = timer->data;
    uint64_t now = mono_ms();
    struct lane *lane;
    struct lane *tmp;

    if (now >= s->rescan_due_ms) {
        sender_rescan(s);
    }
    if (now >= s->topics_due_ms) {
        topics_look(s);
    }
    HASH_ITER(hh, s->lanes, lane, tmp)
    {
        if (lane->due_ms <= now) {
            lane->due_ms = UINT64_MAX;
            lane_run(s, lane);
        }
    }
    sender_arm(s);
}

void sender_arm(struct sender *s)
{
    uint64_t now = mono_ms();
    uint64_t due = s->rescan_due_ms < s->topics_due_ms ? s->rescan_due_ms : s->topics_due_ms;
    struct lane *lane;
    struct lane *tmp;

    if (s->closing) {
        return;
    }
    HASH_ITER(hh, s->lanes, lane, tmp)
    {
        due = lane->due_ms < due ? lane->due_ms : due;
    }
    uv_update_time(s->timer.loop);
    uv_timer_start(&s->timer, on_timer, due > now ? due - now : 1, 0);
}

/* Entries in --------------------------------------------------------------------------------------- */

static void send_queue(struct sender *s, const char *channel, struct slice entry)
{
    struct lane *lane;
    struct send *send;

    if (entry.len == 0 || entry.len >= ENTRY_CHARS) {
        return;
    }
    HASH_FIND(hh, s->sends, entry.ptr, entry.len, send);
    if (send != NULL) {
        return;
    }
    lane = lane_get(s, channel);
    if (lane->more || lane->nqueued == LANE_SENDS) {
        lane->more = true; /* none is taken out of its turn */
        return;
    }
    send = xcalloc(1, sizeof(*send));
    memcpy(send->entry, entry.ptr, entry.len);
    send->lane = lane;
    HASH_ADD_KEYPTR(hh, s->sends, send->entry, entry.len, send);
    DL_APPEND(lane->queue, send);
    lane->nqueued++;
    if (lane->queue == send) {
        lane->state = LANE_IDLE;
        lane_run(s, lane);
    }
}

void sender_on_entry(struct sender *s, const struct registry_entry *entry)
{
    char channel[IRC_CHANNEL_CHARS] = "";
    struct lane *lane = NULL;

    /* Without a valid channel it can only be refused, by whoever serves the unjoined ones. */
    if (!irc_channel_normalise(registry_field(entry, "channel"), channel, sizeof(channel))) {
        channel[0] = '\0';
    }
    HASH_FIND_STR(s->lanes, channel, lane);
    if (lane != NULL || s->unjoined != NULL) {
        send_queue(s, channel, entry->id);
    }
}

static void on_accepted(void *ctx, struct slice word, struct slice rest, const struct err *err)
{
    struct sender_call *call = ctx;
    struct sender *s = call->sender;

    if (err != NULL) {
        log_warn("sender", "send.not_accepted", "channel", call->channel, "error", err->text, NULL);
    } else if (slice_is(word, "accepted") && call->generation == s->generation && !s->closing) {
        send_queue(s, call->channel, rest);
    }
    free(call);
}

bool sender_on_message(struct sender *s, struct slice topic, struct slice payload)
{
    char channel[IRC_CHANNEL_CHARS];
    struct send_payload parsed;

    if (topic.len <= s->topic_prefix_len ||
        memcmp(topic.ptr, s->topic_prefix, s->topic_prefix_len) != 0) {
        return false;
    }
    struct slice name = {topic.ptr + s->topic_prefix_len, topic.len - s->topic_prefix_len};
    if (!irc_channel_normalise(name, channel, sizeof(channel))) {
        return true;
    }
    if (!s->options.may_act(s->options.ctx)) {
        log_warn("sender", "send.not_accepted", "channel", channel, "error",
                 "the node is past its lease", NULL);
        return true;
    }
    send_payload_parse(payload, &parsed);
    parsed.send.channel = slice_of(channel);
    struct sender_call *call = sender_call_create(s, channel, "");
    if (registry_send_accept(s->options.registry, s->options.node, s->options.incarnation,
                             &parsed.send, on_accepted, call) != 0) {
        log_warn("sender", "send.not_accepted", "channel", channel, "error",
                 "the link to Redis is down", NULL);
        free(call);
    }
    send_payload_finish(&parsed);
    return true;
}

void sender_on_result(struct sender *s, const char *entry, enum send_status status,
                      struct slice reason, struct slice text)
{
    static const char *const words[] = {"sent", "rejected", "unknown"};
    struct send *send;

    HASH_FIND(hh, s->sends, entry, strlen(entry), send);
    if (send != NULL && send->lane->queue == send && send->lane->state == LANE_WRITTEN) {
        lane_result(s, send->lane, words[status], reason, text);
    }
}

/* Rescan ---------------------------------------------------------------------------------------------- */

static void on_scanned(void *ctx, const struct registry_entry *entries, size_t n,
                       const struct err *err)
{
    struct sender_call *call = ctx;
    struct sender *s = call->sender;

    s->scanning = false;
    if (s->closing || err != NULL) {
        free(call);
        return; /* a link that comes back asks for a rescan */
    }
    for (size_t i = 0; i < n; i++) {
        sender_on_entry(s, &entries[i]);
    }
    if (n == SCAN_PAGE) {
        /* "(" makes the range begin behind the last one. */
        snprintf(call->entry, sizeof(call->entry), "(%.*s", (int)entries[n - 1].id.len,
                 entries[n - 1].id.ptr);
        if (registry_scan_stream(s->options.registry, "outbox", call->entry, SCAN_PAGE, on_scanned,
                                 call) == 0) {
            s->scanning = true;
            return;
        }
    }
    free(call);
    if (s->rescan_again) {
        sender_rescan(s);
    }
}

void sender_rescan(struct sender *s)
{
    struct lane *lane;
    struct lane *tmp;

    s->rescan_due_ms = mono_ms() + RESCAN_EVERY_MS;
    if (s->scanning) {
        s->rescan_again = true;
        return;
    }
    s->rescan_again = false;
    struct sender_call *call = sender_call_create(s, "", "");
    if (registry_scan_stream(s->options.registry, "outbox", "-", SCAN_PAGE, on_scanned, call) !=
        0) {
        free(call);
        return;
    }
    s->scanning = true;
    HASH_ITER(hh, s->lanes, lane, tmp)
    {
        lane->more = lane->more && lane->queue != NULL; /* this scan meets them in their order */
    }
}

/* What is served --------------------------------------------------------------------------------------- */

static void lane_unserve(struct sender *s, struct lane *lane)
{
    topics_forget(s, lane);
    lane->served->lanes--;
    lane->served = NULL;
    lane_free_if_idle(s, lane);
}

static void lane_serve(struct sender *s, struct lane *lane, struct served *served)
{
    if (lane->served == NULL) {
        topics_want(s, lane);
    } else {
        lane->served->lanes--;
    }
    lane->served = served;
    served->lanes++;
}

static struct served *served_get(struct sender *s, const struct registry_shard *shard)
{
    struct served *served;

    HASH_FIND(hh, s->served, shard->id.ptr, shard->id.len, served);
    if (served == NULL) {
        served = xcalloc(1, sizeof(*served));
        served->id = xstrndup(shard->id.ptr, shard->id.len);
        HASH_ADD_KEYPTR(hh, s->served, served->id, shard->id.len, served);
    }
    free(served->sender);
    served->sender = xstrndup(shard->sender.ptr, shard->sender.len);
    return served;
}

void sender_serve(struct sender *s, const struct registry_shard *shard)
{
    struct served *served = served_get(s, shard);
    struct lane *lane;
    struct lane *tmp;
    char channel[IRC_CHANNEL_CHARS];
    uint64_t mark = ++s->marks;
    size_t named = 0;

    for (size_t i = 0; i < shard->nchannels; i++) {
        if (irc_channel_normalise(shard->channels[i], channel, sizeof(channel))) {
            lane = lane_get(s, channel);
            lane_serve(s, lane, served);
            named += lane->mark != mark;
            lane->mark = mark;
        }
    }
    if (served->lanes > named) {
        HASH_ITER(hh, s->lanes, lane, tmp)
        {
            if (lane->served == served && lane->mark != mark) {
                lane_unserve(s, lane);
            }
        }
    }
    s->rescan_due_ms = mono_ms() + RESCAN_SOON_MS;
    sender_arm(s);
}

static void unserve(struct sender *s, struct served *served)
{
    struct lane *lane;
    struct lane *tmp;

    HASH_ITER(hh, s->lanes, lane, tmp)
    {
        if (served->lanes == 0) {
            break;
        }
        if (lane->served == served) {
            lane_unserve(s, lane);
        }
    }
    HASH_DEL(s->served, served);
    free(served->id);
    free(served->sender);
    free(served);
}

void sender_keep(struct sender *s, const struct slice *shards, size_t n)
{
    struct served *served;
    struct served *tmp;
    uint64_t mark = ++s->marks;

    for (size_t i = 0; i < n; i++) {
        HASH_FIND(hh, s->served, shards[i].ptr, shards[i].len, served);
        if (served != NULL) {
            served->mark = mark;
        }
    }
    HASH_ITER(hh, s->served, served, tmp)
    {
        if (served->mark != mark) {
            unserve(s, served);
        }
    }
}

void sender_serve_unjoined(struct sender *s, struct slice shard)
{
    bool had = s->unjoined != NULL;

    if (had ? slice_is(shard, s->unjoined) : shard.len == 0) {
        return;
    }
    free(s->unjoined);
    s->unjoined = shard.len > 0 ? xstrndup(shard.ptr, shard.len) : NULL;
    if (s->unjoined != NULL && !had) {
        s->rescan_due_ms = mono_ms() + RESCAN_SOON_MS;
        sender_arm(s);
    }
}

/* Life ---------------------------------------------------------------------------------------------------- */

struct sender *sender_create(uv_loop_t *loop, const struct sender_options *options)
{
    struct sender *s = xcalloc(1, sizeof(*s));

    s->options = *options;
    s->topic_prefix_len = (size_t)snprintf(s->topic_prefix, sizeof(s->topic_prefix),
                                           "shoal:%s:send:", options->cluster);
    s->rescan_due_ms = mono_ms() + RESCAN_EVERY_MS;
    s->topics_due_ms = UINT64_MAX;
    uv_timer_init(loop, &s->timer);
    s->timer.data = s;
    sender_arm(s);
    return s;
}

void sender_reset(struct sender *s)
{
    struct lane *lane;
    struct lane *tmp;

    s->generation++;
    free(s->unjoined);
    s->unjoined = NULL;
    HASH_ITER(hh, s->lanes, lane, tmp)
    {
        lane->state = LANE_IDLE;
        lane->asked = false;
        lane->doubt = false;
        lane_forget(s, lane);
    }
    sender_keep(s, NULL, 0);
}

static void on_timer_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void sender_destroy(struct sender *s)
{
    if (s == NULL) {
        return;
    }
    sender_reset(s);
    s->closing = true;
    uv_close((uv_handle_t *)&s->timer, on_timer_closed);
}

bool sender_is_drained(const struct sender *s)
{
    struct lane *lane;
    struct lane *tmp;

    HASH_ITER(hh, s->lanes, lane, tmp)
    {
        if (lane->state != LANE_IDLE || lane->doubt) {
            return false;
        }
    }
    return true;
}
