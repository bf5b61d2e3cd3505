/* Sender: lanes of sends, one under way per channel. See sender.h for the path of a send.
 *
 * Every entry known is in one table (`sends`), so that one that is told twice is queued once. A
 * lane lives while its channel is served or something is queued. */
#include "node/sender_private.h"

#include "shared/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RESCAN_SOON_MS 100

/* The timer ------------------------------------------------------------------------------------ */

static void lanes_run(struct sender *s, uint64_t now)
{
    struct due_item *first = due_first(&s->due);

    while (first != NULL && first->at_ms <= now) {
        due_clear(&s->due, first);
        lane_run(s, CONTAINER_OF(first, struct lane, due));
        first = due_first(&s->due);
    }
    if (first != NULL) {
        sender_at(s, first->at_ms);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct sender *s = timer->data;
    uint64_t now = mono_ms();

    s->armed_ms = UINT64_MAX;
    if (now >= s->rescan_due_ms) {
        sender_rescan(s);
    }
    if (now >= s->take_due_ms) {
        outbox_take(s);
    }
    if (now >= s->topics_due_ms) {
        topics_look(s);
    }
    if (now >= s->heard_due_ms) {
        heard_run(s);
    }
    lanes_run(s, now);
    turns_run(s);
    sender_at(s, s->rescan_due_ms);
    sender_at(s, s->take_due_ms);
    sender_at(s, s->topics_due_ms);
    sender_at(s, s->heard_due_ms);
}

void sender_at(struct sender *s, uint64_t at_ms)
{
    uint64_t now = mono_ms();

    if (s->closing || at_ms >= s->armed_ms) {
        return;
    }
    s->armed_ms = at_ms;
    uv_update_time(s->timer.loop);
    uv_timer_start(&s->timer, on_timer, at_ms > now ? at_ms - now : 0, 0);
}

/* What comes in -------------------------------------------------------------------------------- */

bool sender_on_message(struct sender *s, struct slice topic, struct slice payload)
{
    char channel[IRC_CHANNEL_CHARS];

    if (topic.len <= s->topic_prefix_len ||
        memcmp(topic.ptr, s->topic_prefix, s->topic_prefix_len) != 0) {
        return false;
    }
    struct slice name = {topic.ptr + s->topic_prefix_len, topic.len - s->topic_prefix_len};
    if (irc_channel_normalise(name, channel, sizeof(channel))) {
        heard_add(s, channel, payload);
    }
    return true;
}

void sender_on_result(struct sender *s, const char *entry, enum send_status status,
                      struct slice reason, struct slice text)
{
    struct send *send;

    HASH_FIND(hh, s->sends, entry, strlen(entry), send);
    if (send != NULL && send->lane->queue == send && send->lane->machine.state == LANE_WRITTEN) {
        lane_result(s, send->lane, status, reason, text);
    }
}

/* What is served ------------------------------------------------------------------------------- */

static void lane_unserve(struct sender *s, struct lane *lane)
{
    topics_forget(s, lane);
    lane->served->lanes--;
    lane->served = NULL;
    lane_look(s, lane);
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
    lane_look(s, lane);
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
    sender_at(s, s->rescan_due_ms);
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
    struct lane *lane;
    struct lane *tmp;

    if (s->unjoined != NULL ? slice_is(shard, s->unjoined) : shard.len == 0) {
        return;
    }
    free(s->unjoined);
    s->unjoined = shard.len > 0 ? xstrndup(shard.ptr, shard.len) : NULL;
    HASH_ITER(hh, s->lanes, lane, tmp)
    {
        if (lane->served == NULL) {
            lane_look(s, lane);
        }
    }
    if (s->unjoined != NULL) {
        s->rescan_due_ms = mono_ms() + RESCAN_SOON_MS;
        s->take_due_ms = 0;
        sender_at(s, 0);
    }
}

/* Life ----------------------------------------------------------------------------------------- */

struct sender *sender_create(uv_loop_t *loop, const struct sender_options *options)
{
    struct sender *s = xcalloc(1, sizeof(*s));

    s->options = *options;
    registry_topic(options->registry, TOPIC_SEND, "", s->topic_prefix);
    s->topic_prefix_len = strlen(s->topic_prefix);
    s->rescan_due_ms = mono_ms() + SENDER_RESCAN_MS;
    s->take_due_ms = UINT64_MAX;
    s->topics_due_ms = UINT64_MAX;
    s->heard_due_ms = UINT64_MAX;
    s->armed_ms = UINT64_MAX;
    s->ttl_ms = 30000;
    random_hex(s->process, 16);
    outbox_init(s);
    uv_timer_init(loop, &s->timer);
    s->timer.data = s;
    sender_at(s, s->rescan_due_ms);
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
        lane_forget(s, lane);
    }
    sender_keep(s, NULL, 0);
    turns_reset(s);
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
    heard_reset(s);
    due_finish(&s->due);
    s->closing = true;
    uv_close((uv_handle_t *)&s->timer, on_timer_closed);
}

void sender_drain(struct sender *s)
{
    struct lane *lane;
    struct lane *tmp;

    s->leaving = true;
    HASH_ITER(hh, s->lanes, lane, tmp)
    {
        topics_forget(s, lane);
    }
}

void sender_tell_drained(struct sender *s)
{
    if (s->options.on_drained != NULL) {
        s->options.on_drained(s->options.ctx);
    }
}

bool sender_is_drained(const struct sender *s)
{
    return s->nheard == 0 && s->under_way == 0 &&
           (!s->leaving || subscriber_is_settled(s->options.subscriber));
}
