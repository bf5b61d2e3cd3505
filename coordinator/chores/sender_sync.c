/* Sender sync: all questions, then the differences in portions. A failure ends the round; the next
 * view begins another. */
#include "coordinator/chores/sender_sync.h"

#include "shared/buf.h"
#include "shared/log.h"

#include <stdlib.h>
#include <string.h>

/* Who sends for `shard`? */
struct question {
    struct sender_sync *sync;
    char shard[]; /* "": to channels nobody joined */
};

struct sender_sync {
    struct leader *leader;
    struct shard_manager *manager;
    bool busy;
    bool again;         /* the view was read meanwhile */
    bool told;          /* an error of this round */
    size_t unanswered;  /* and one more while they are asked */
    struct buf changes; /* shard, sender, ...: each with its NUL */
    size_t written;     /* bytes of it */
    uint64_t nchanges;
};

struct sender_sync *sender_sync_create(struct leader *leader, struct shard_manager *manager)
{
    struct sender_sync *s = xcalloc(1, sizeof(*s));
    s->leader = leader;
    s->manager = manager;
    buf_init(&s->changes, SIZE_MAX / 2);
    return s;
}

void sender_sync_destroy(struct sender_sync *s)
{
    buf_finish(&s->changes);
    free(s);
}

static void end_round(struct sender_sync *s)
{
    s->busy = false;
    buf_finish(&s->changes);
    s->written = s->nchanges = 0;
    if (s->again) {
        s->again = false;
        sender_sync_on_view(s);
    }
}

/* Writing -------------------------------------------------------------------------------------- */

static void write_portion(struct sender_sync *s);

static void fail(struct sender_sync *s)
{
    cluster_view_doubt(manager_view(s->manager));
    end_round(s);
}

static void on_written(void *ctx, const struct registry_outcome *outcome, const struct err *err)
{
    (void)outcome;
    struct sender_sync *s = ctx;
    if (leader_stepped(s->leader, "senders", err)) {
        write_portion(s);
    } else {
        fail(s);
    }
}

static void write_portion(struct sender_sync *s)
{
    struct slice args[2 * REGISTRY_SENDERS_AT_ONCE];
    size_t n = 0;
    while (n < ARRAY_LEN(args) && s->written < s->changes.len) {
        args[n] = slice_of(s->changes.data + s->written);
        s->written += args[n++].len + 1;
    }
    if (n == 0) {
        if (s->nchanges > 0) {
            log_info("senders", "senders.changed", "count", log_u64(s->nchanges), NULL);
        }
        end_round(s);
    } else if (leader_do(s->leader, "senders", args, n, on_written, s) != 0) {
        fail(s);
    }
}

/* Asking --------------------------------------------------------------------------------------- */

/* `prefix`: "@" where it is about all channels of a user, or "". */
static void change(struct sender_sync *s, const char *prefix, const char *shard, const char *sender)
{
    buf_append_str(&s->changes, prefix);
    buf_append(&s->changes, shard, strlen(shard) + 1);
    buf_append(&s->changes, sender, strlen(sender) + 1);
    s->nchanges++;
}

static void tell(struct sender_sync *s, const char *channel, const char *error)
{
    if (!s->told) {
        s->told = true;
        cluster_error(shard_manager_client(s->manager), "get_sender_shard", channel, error);
    }
}

/* May `to` send for `from`: is it of its user, or of the speaker? */
static bool may_send_for(const struct cluster_view *view, const struct shard *from,
                         const struct shard *to)
{
    const char *speaker = cluster_view_setting(view, "speaker");

    return strcmp(from->user, to->user) == 0 || (speaker != NULL && strcmp(speaker, to->user) == 0);
}

/* The manager named a shard for this one. */
static void compare(struct sender_sync *s, const char *shard, const char *sender)
{
    struct cluster_view *view = manager_view(s->manager);
    struct shard *to = cluster_view_shard(view, sender);
    struct shard *from = cluster_view_shard(view, shard);

    if (to == NULL || (shard[0] && from == NULL)) {
        return; /* gone meanwhile */
    }
    if (from == NULL) {
        if (strcmp(cluster_view_default_sender(view, to->user), sender) != 0) {
            change(s, "@", to->user, sender);
        }
    } else if (!may_send_for(view, from, to)) {
        char *text = xasprintf("Shard %s of user %s cannot send for shard %s of user %s.", sender,
                               to->user, shard, from->user);
        tell(s, from->channels != NULL ? from->channels->name : NULL, text);
        free(text);
    } else if (strcmp(from->sender, sender) != 0) {
        free(from->sender);
        from->sender = xstrdup(sender);
        change(s, "", shard, sender);
    }
}

static void answered(struct sender_sync *s)
{
    if (--s->unanswered == 0) {
        write_portion(s);
    }
}

static void on_answer(void *ctx, enum manager_answer answer, const char *text)
{
    struct question *q = ctx;
    struct sender_sync *s = q->sync;

    if (answer == MANAGER_SHARD) {
        compare(s, q->shard, text);
    } else if (answer == MANAGER_FAILED && q->shard[0]) {
        /* To a channel that nobody joined there need not be anybody who sends. */
        tell(s, NULL, text);
    }
    free(q);
    answered(s);
}

static void ask(struct sender_sync *s, const char *shard, const char *channel)
{
    size_t len = strlen(shard) + 1;
    struct question *q = xmalloc(sizeof(*q) + len);

    q->sync = s;
    memcpy(q->shard, shard, len);
    s->unanswered++;
    manager_ask(s->manager, MANAGER_SENDER, channel, false, on_answer, q);
}

void sender_sync_on_view(struct sender_sync *s)
{
    const struct shard *shards = cluster_view_shards(manager_view(s->manager));

    if (s->busy) {
        s->again = true;
        return;
    }
    if (!leader_may_act(s->leader) || shards == NULL) {
        return;
    }
    s->busy = true;
    s->told = false;
    s->unanswered = 1;
    for (const struct shard *each = shards; each != NULL; each = each->hh.next) {
        if (each->channels != NULL) {
            ask(s, each->id, each->channels->name);
        }
    }
    ask(s, "", "");
    answered(s);
}
