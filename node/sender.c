/* Sender: lanes of sends, one under way per channel. See sender.h for the path of a send.
 *
 * Every entry known is in one table (`sends`), so that one that is told twice is queued once. A
 * lane lives while its channel is served or something is queued. */
#include "node/sender_private.h"

#include "shared/loop.h"

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
    static void (*const jobs[SENDER_JOBS])(struct sender *s) = {
        [JOB_RESCAN] = sender_rescan,
        [JOB_TAKE] = outbox_take,
        [JOB_TOPICS] = topics_look,
        [JOB_HEARD] = heard_run,
    };
    struct sender *s = timer->data;
    uint64_t now = mono_ms();

    s->armed_ms = UINT64_MAX;
    for (size_t job = 0; job < SENDER_JOBS; job++) {
        if (now >= s->job_ms[job]) {
            jobs[job](s);
        }
    }
    lanes_run(s, now);
    turns_run(s);
    for (size_t job = 0; job < SENDER_JOBS; job++) {
        sender_at(s, s->job_ms[job]);
    }
}

void sender_at(struct sender *s, uint64_t at_ms)
{
    if (!s->stopped && at_ms < s->armed_ms) {
        s->armed_ms = at_ms;
        loop_timer_at(&s->timer, on_timer, at_ms);
    }
}

void sender_job_at(struct sender *s, enum sender_job job, uint64_t at_ms)
{
    s->job_ms[job] = at_ms;
    sender_at(s, at_ms);
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

/* The send that was written and has no result. */
static struct lane *written_lane(const struct sender *s, const char *entry)
{
    struct send *send;

    HASH_FIND(hh, s->sends, entry, strlen(entry), send);
    return send != NULL && send->lane->queue == send && send->lane->machine.state == LANE_WRITTEN
               ? send->lane
               : NULL;
}

void sender_on_unsaid(struct sender *s, const char *entry)
{
    struct lane *lane = written_lane(s, entry);

    if (lane != NULL) {
        lane_unclaim(s, lane);
    }
}

bool sender_may_leave(struct sender *s, const char *entry)
{
    struct lane *lane = written_lane(s, entry);

    return lane != NULL && lane_may_leave(s, lane);
}

void sender_on_result(struct sender *s, const char *entry, const struct send_outcome *outcome)
{
    struct lane *lane = written_lane(s, entry);

    if (lane != NULL) {
        lane_result(s, lane, outcome);
    }
}

/* What is served ------------------------------------------------------------------------------- */

static void lane_unserve(struct sender *s, struct lane *lane)
{
    topics_listen(s, lane, false);
    lane->served->lanes--;
    lane->served = NULL;
    lane_look(s, lane);
}

/* It keeps the lanes that were named under this mark, so many, and no others. */
static void keep_lanes(struct sender *s, struct served *served, uint64_t mark, size_t named)
{
    struct lane *lane;
    struct lane *tmp;

    HASH_ITER(hh, s->lanes, lane, tmp)
    {
        if (served->lanes == named) {
            break;
        }
        if (lane->served == served && lane->mark != mark) {
            lane_unserve(s, lane);
        }
    }
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

void sender_serve(struct sender *s, const struct registry_shard *shard)
{
    struct served *served;
    char channel[IRC_CHANNEL_CHARS];
    uint64_t mark = ++s->marks;
    size_t named = 0;

    HASH_FIND(hh, s->served, shard->id.ptr, shard->id.len, served);
    if (served == NULL) {
        served = xcalloc(1, sizeof(*served));
        served->id = xstrndup(shard->id.ptr, shard->id.len);
        HASH_ADD_KEYPTR(hh, s->served, served->id, shard->id.len, served);
    }
    free(served->sender);
    served->sender = xstrndup(shard->sender.ptr, shard->sender.len);
    for (size_t i = 0; i < shard->nchannels; i++) {
        if (irc_channel_normalise(shard->channels[i], channel, sizeof(channel))) {
            struct lane *lane = lane_get(s, channel);
            lane_serve(s, lane, served);
            named += lane->mark != mark;
            lane->mark = mark;
        }
    }
    keep_lanes(s, served, mark, named);
    sender_job_at(s, JOB_RESCAN, mono_ms() + RESCAN_SOON_MS);
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
            keep_lanes(s, served, ++s->marks, 0);
            HASH_DEL(s->served, served);
            free(served->id);
            free(served->sender);
            free(served);
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
        sender_job_at(s, JOB_RESCAN, mono_ms() + RESCAN_SOON_MS);
        sender_job_at(s, JOB_TAKE, 0);
    }
}

void sender_set_ttl(struct sender *s, uint64_t ms)
{
    s->ttl_ms = ms;
}

/* Life ----------------------------------------------------------------------------------------- */

struct sender *sender_create(uv_loop_t *loop, const struct sender_options *options)
{
    struct sender *s = xcalloc(1, sizeof(*s));

    s->options = *options;
    registry_topic(options->registry, TOPIC_SEND, "", s->topic_prefix);
    s->topic_prefix_len = strlen(s->topic_prefix);
    memset(s->job_ms, 0xff, sizeof(s->job_ms)); /* UINT64_MAX */
    s->armed_ms = UINT64_MAX;
    s->ttl_ms = 30000;
    random_hex(s->process, 16);
    machine_begin(&s->take, &sender_look, LOOK_IDLE);
    machine_begin(&s->list, &sender_look, LOOK_IDLE);
    uv_timer_init(loop, &s->timer);
    s->timer.data = s;
    sender_job_at(s, JOB_RESCAN, mono_ms() + SENDER_RESCAN_MS);
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

void sender_stop(struct sender *s)
{
    sender_reset(s);
    s->stopped = true;
    uv_timer_stop(&s->timer);
}

void sender_destroy(struct sender *s)
{
    sender_stop(s);
    heard_reset(s);
    due_finish(&s->due);
    uv_close((uv_handle_t *)&s->timer, on_timer_closed);
}

void sender_drain(struct sender *s)
{
    s->leaving = true;
    for (struct lane *lane = s->lanes; lane != NULL; lane = lane->hh.next) {
        topics_listen(s, lane, false);
    }
}

bool sender_is_drained(const struct sender *s)
{
    return s->nheard == 0 && s->under_way == 0 &&
           (!s->leaving || subscriber_is_settled(s->options.subscriber));
}
