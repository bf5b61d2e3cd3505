/* Sender: lanes of sends, one under way per channel. See sender.h for the path of a send.
 *
 * Every entry known is in one table (`sends`), so that one that is read twice, or heard on the topic and
 * read in the stream, is queued once. A lane lives while its channel is served or something is queued. */
#include "node/sender.h"

#include "node/send_payload.h"
#include "shared/irc/parse.h"
#include "shared/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#define ENTRY_CHARS     48
#define SLOT_LATE_MS    500 /* a slot is used within this time or lost */
#define RETRY_MS        250
#define LANE_SENDS      200 /* known of a channel; the outbox keeps the others */
#define MAX_LATER_MS    1000
#define SCAN_PAGE       200
#define RESCAN_SOON_MS  100
#define RESCAN_EVERY_MS 10000 /* should a hint ever be lost */

enum lane_state {
    LANE_IDLE,     /* nothing under way; the head, if any, is claimed at due_ms */
    LANE_CLAIMING, /* the registry was asked */
    LANE_CLAIMED,  /* is written at due_ms */
    LANE_WRITTEN,  /* waits for Twitch's answer */
    LANE_STORING,  /* the registry was told the result, or is told again at due_ms */
};

struct send {
    UT_hash_handle hh;
    struct send *prev;
    struct send *next;
    struct lane *lane;
    char entry[ENTRY_CHARS];
    /* from the claim on: */
    char *shard;
    char *id;
    char *text;
    char *reply_to;
    bool as_command;
    const char *status; /* the result to store */
    char *reason;
    char *notice;
};

/* A shard whose sends are said here. */
struct served {
    UT_hash_handle hh;
    char *id;
    char *sender;  /* the shard of this node that sends for it */
    size_t lanes;  /* its channels */
    uint64_t mark; /* of the last sender_keep that named it */
};

struct lane {
    UT_hash_handle hh;
    char channel[IRC_CHANNEL_CHARS];
    struct served *served; /* the shard whose channel it is; NULL: it is not served here */
    uint64_t mark;         /* of the last sender_serve that named it */
    enum lane_state state;
    uint64_t due_ms;  /* mono; UINT64_MAX: waits for an answer */
    uint64_t slot_ms; /* of the claimed head */
    struct send *queue;
    unsigned nqueued;
    bool more;  /* there were more than fit: the outbox is read again when these are dealt with */
    bool asked; /* a registry call for the head is under way */
    bool doubt; /* a claim of the head was not answered: it may be claimed */
};

struct sender {
    struct sender_options options;
    char topic_prefix[64];
    size_t topic_prefix_len;
    uv_timer_t timer;
    struct lane *lanes;
    struct served *served;
    struct send *sends;
    char *unjoined; /* the shard that sends to channels nobody joined, if it is here */
    uint64_t marks;
    uint64_t generation; /* grows with each reset: answers to older calls are none */
    bool scanning;
    bool rescan_again;
    uint64_t rescan_due_ms;
    bool closing;
};

/* What a registry call in flight remembers; never a pointer into the tables. */
struct call {
    struct sender *sender;
    uint64_t generation;
    char channel[IRC_CHANNEL_CHARS];
    char entry[ENTRY_CHARS];
};

static void lane_run(struct sender *s, struct lane *lane);
static void timer_arm(struct sender *s);

static struct call *call_create(struct sender *s, const char *channel, const char *entry)
{
    struct call *call = xcalloc(1, sizeof(*call));

    call->sender = s;
    call->generation = s->generation;
    snprintf(call->channel, sizeof(call->channel), "%s", channel);
    snprintf(call->entry, sizeof(call->entry), "%s", entry);
    return call;
}

/* The lane whose head the call was about, or NULL if that is history. Frees the call. */
static struct lane *call_finish(struct call *call, struct sender **s)
{
    struct lane *lane = NULL;

    *s = call->sender;
    if (call->generation == (*s)->generation && !(*s)->closing) {
        HASH_FIND_STR((*s)->lanes, call->channel, lane);
        if (lane != NULL && (lane->queue == NULL || strcmp(lane->queue->entry, call->entry) != 0)) {
            lane = NULL;
        }
        if (lane != NULL) {
            lane->asked = false;
        }
    }
    free(call);
    return lane;
}

/* Lanes and sends -------------------------------------------------------------------------------- */

static struct lane *lane_get(struct sender *s, const char *channel)
{
    struct lane *lane;

    HASH_FIND_STR(s->lanes, channel, lane);
    if (lane == NULL) {
        lane = xcalloc(1, sizeof(*lane));
        snprintf(lane->channel, sizeof(lane->channel), "%s", channel);
        lane->due_ms = UINT64_MAX;
        HASH_ADD_STR(s->lanes, channel, lane);
    }
    return lane;
}

static void send_free(struct send *send)
{
    free(send->shard);
    free(send->id);
    free(send->text);
    free(send->reply_to);
    free(send->reason);
    free(send->notice);
    free(send);
}

static void lane_free_if_idle(struct sender *s, struct lane *lane)
{
    if (lane->queue == NULL && lane->served == NULL) {
        HASH_DEL(s->lanes, lane);
        free(lane);
    }
}

static void lane_drop_head(struct sender *s, struct lane *lane)
{
    struct send *send = lane->queue;

    DL_DELETE(lane->queue, send);
    lane->nqueued--;
    HASH_DEL(s->sends, send);
    send_free(send);
}

/* The head is dealt with: on with the next. */
static void lane_pop(struct sender *s, struct lane *lane)
{
    lane_drop_head(s, lane);
    lane->state = LANE_IDLE;
    lane->doubt = false;
    lane->due_ms = lane->queue != NULL ? 0 : UINT64_MAX;
    if (lane->queue == NULL) {
        if (lane->more) {
            s->rescan_due_ms = mono_ms();
            timer_arm(s);
        }
        lane_free_if_idle(s, lane);
    } else {
        lane_run(s, lane);
    }
}

static void lane_retry(struct sender *s, struct lane *lane, enum lane_state state, uint64_t wait_ms)
{
    lane->state = state;
    lane->due_ms = mono_ms() + wait_ms;
    timer_arm(s);
}

/* Steps of a send --------------------------------------------------------------------------------- */

static void on_stored(void *ctx, const struct err *err)
{
    struct sender *s;
    struct lane *lane = call_finish(ctx, &s);

    if (lane == NULL) {
        return;
    }
    if (err != NULL && err->code != ERR_LOST) {
        lane_retry(s, lane, LANE_STORING, RETRY_MS);
        return;
    }
    lane_pop(s, lane);
}

static void lane_store(struct sender *s, struct lane *lane)
{
    struct send *send = lane->queue;
    struct call *call = call_create(s, lane->channel, send->entry);

    lane->state = LANE_STORING;
    lane->due_ms = UINT64_MAX;
    lane->asked = true;
    if (registry_send_done(s->options.registry, s->options.node, s->options.incarnation,
                           slice_of(send->entry), send->status, slice_of(send->reason),
                           slice_of(send->notice), on_stored, call) != 0) {
        free(call);
        lane->asked = false;
        lane_retry(s, lane, LANE_STORING, RETRY_MS);
    }
}

static void lane_result(struct sender *s, struct lane *lane, const char *status,
                        struct slice reason, struct slice text)
{
    struct send *send = lane->queue;

    send->status = status;
    free(send->reason);
    free(send->notice);
    send->reason = xstrndup(reason.ptr != NULL ? reason.ptr : "", reason.len);
    send->notice = xstrndup(text.ptr != NULL ? text.ptr : "", text.len);
    lane_store(s, lane);
}

static void on_unclaimed(void *ctx, const struct err *err)
{
    struct sender *s;
    struct lane *lane = call_finish(ctx, &s);

    if (lane != NULL) {
        lane->doubt = err != NULL;
        lane_retry(s, lane, LANE_IDLE, RETRY_MS);
    }
}

/* Surely not written: somebody, perhaps this node, claims it again. */
static void lane_unclaim(struct sender *s, struct lane *lane)
{
    struct call *call = call_create(s, lane->channel, lane->queue->entry);

    lane->state = LANE_CLAIMING;
    lane->due_ms = UINT64_MAX;
    lane->asked = true;
    if (registry_send_unclaim(s->options.registry, s->options.node, s->options.incarnation,
                              slice_of(lane->queue->entry), on_unclaimed, call) != 0) {
        free(call);
        lane->asked = false;
        lane->doubt = true;
        lane_retry(s, lane, LANE_IDLE, RETRY_MS);
    }
}

static void lane_write(struct sender *s, struct lane *lane)
{
    struct send *send = lane->queue;
    struct registry_send line = {.channel = slice_of(lane->channel),
                                 .id = slice_of(send->id),
                                 .text = slice_of(send->text),
                                 .reply_to = slice_of(send->reply_to),
                                 .as_command = send->as_command};
    struct err err = {0};

    if (!s->options.may_act(s->options.ctx) || mono_ms() > lane->slot_ms + SLOT_LATE_MS) {
        lane_unclaim(s, lane);
        return;
    }
    /* Written before the call: the answer may come from within it. */
    lane->state = LANE_WRITTEN;
    lane->due_ms = UINT64_MAX;
    int rc = s->options.write(s->options.ctx, slice_of(send->shard), &line, send->entry, &err);
    if (rc == -ERR_PROTOCOL) {
        lane_result(s, lane, "rejected", SLICE("bad_request"), slice_of(err.text));
    } else if (rc != 0) {
        lane_unclaim(s, lane);
    }
}

static void claimed(struct sender *s, struct lane *lane, const struct registry_claim *claim)
{
    struct send *send = lane->queue;

    free(send->shard);
    free(send->id);
    free(send->text);
    free(send->reply_to);
    send->shard = xstrndup(claim->shard.ptr, claim->shard.len);
    send->id = xstrndup(claim->send.id.ptr, claim->send.id.len);
    send->text = xstrndup(claim->send.text.ptr, claim->send.text.len);
    send->reply_to = xstrndup(claim->send.reply_to.ptr, claim->send.reply_to.len);
    send->as_command = claim->send.as_command;
    lane->slot_ms = mono_ms() + claim->wait_ms;
    if (claim->wait_ms == 0) {
        lane->state = LANE_CLAIMED;
        lane_write(s, lane);
    } else {
        lane_retry(s, lane, LANE_CLAIMED, claim->wait_ms);
    }
}

static void on_claim(void *ctx, const struct registry_claim *claim, const struct err *err)
{
    struct sender *s;
    struct lane *lane = call_finish(ctx, &s);

    if (lane == NULL) {
        return;
    }
    if (err != NULL) {
        lane->doubt = true;
        lane_retry(s, lane, LANE_IDLE, RETRY_MS);
        return;
    }
    switch (claim->word) {
    case CLAIM_GONE:
    case CLAIM_DONE:
    case CLAIM_ELSEWHERE:
        lane_pop(s, lane);
        break;
    case CLAIM_BUSY:
        /* A claim of this node's that nobody here knows of: one that was carried out late. */
        lane->doubt = true;
        lane_retry(s, lane, LANE_IDLE, RETRY_MS);
        break;
    case CLAIM_LATER:
        lane_retry(s, lane, LANE_IDLE,
                   claim->wait_ms < MAX_LATER_MS ? claim->wait_ms : MAX_LATER_MS);
        break;
    case CLAIMED:
        claimed(s, lane, claim);
        break;
    }
}

static bool lane_can_send(struct sender *s, const struct lane *lane)
{
    const char *shard = lane->served != NULL ? lane->served->sender : s->unjoined;

    /* An entry without a valid channel is claimed only to be refused. */
    return s->options.may_act(s->options.ctx) &&
           (lane->channel[0] == '\0' ||
            (shard != NULL && s->options.can_send(s->options.ctx, slice_of(shard))));
}

static void lane_claim(struct sender *s, struct lane *lane)
{
    if (!lane_can_send(s, lane)) {
        lane_retry(s, lane, LANE_IDLE, RETRY_MS);
        return;
    }
    struct call *call = call_create(s, lane->channel, lane->queue->entry);

    lane->state = LANE_CLAIMING;
    lane->due_ms = UINT64_MAX;
    lane->asked = true;
    if (registry_send_claim(s->options.registry, s->options.node, s->options.incarnation,
                            slice_of(lane->queue->entry), on_claim, call) != 0) {
        free(call);
        lane->asked = false;
        lane_retry(s, lane, LANE_IDLE, RETRY_MS);
    }
}

/* Nobody here may say it: found again by a rescan if that changes. */
static void lane_forget(struct sender *s, struct lane *lane)
{
    while (lane->queue != NULL) {
        lane_drop_head(s, lane);
    }
    lane->more = false;
    lane->due_ms = UINT64_MAX;
    lane_free_if_idle(s, lane);
}

/* What is due in a lane. The lane may be gone afterwards. */
static void lane_run(struct sender *s, struct lane *lane)
{
    if (lane->queue == NULL || lane->asked) {
        return;
    }
    switch (lane->state) {
    case LANE_IDLE:
        if (lane->doubt) {
            lane_unclaim(s, lane);
        } else if (lane->served == NULL && s->unjoined == NULL) {
            lane_forget(s, lane);
        } else {
            lane_claim(s, lane);
        }
        break;
    case LANE_CLAIMED:
        lane_write(s, lane);
        break;
    case LANE_STORING:
        lane_store(s, lane);
        break;
    case LANE_CLAIMING:
    case LANE_WRITTEN:
        break;
    }
}

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
    HASH_ITER(hh, s->lanes, lane, tmp)
    {
        if (lane->due_ms <= now) {
            lane->due_ms = UINT64_MAX;
            lane_run(s, lane);
        }
    }
    timer_arm(s);
}

static void timer_arm(struct sender *s)
{
    uint64_t now = mono_ms();
    uint64_t due = s->rescan_due_ms;
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
    struct call *call = ctx;
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
    struct call *call = call_create(s, channel, "");
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
    struct call *call = ctx;
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
    struct call *call = call_create(s, "", "");
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

static void topic_of(struct sender *s, const char *channel, char *out, size_t size)
{
    snprintf(out, size, "%s%s", s->topic_prefix, channel);
}

static void lane_unserve(struct sender *s, struct lane *lane)
{
    char topic[128];

    topic_of(s, lane->channel, topic, sizeof(topic));
    subscriber_remove(s->options.subscriber, slice_of(topic));
    lane->served->lanes--;
    lane->served = NULL;
    lane_free_if_idle(s, lane);
}

static void lane_serve(struct sender *s, struct lane *lane, struct served *served)
{
    char topic[128];

    if (lane->served == NULL) {
        topic_of(s, lane->channel, topic, sizeof(topic));
        subscriber_add(s->options.subscriber, slice_of(topic));
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
    timer_arm(s);
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
        timer_arm(s);
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
    uv_timer_init(loop, &s->timer);
    s->timer.data = s;
    timer_arm(s);
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
