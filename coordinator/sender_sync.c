/* Sender sync: ids, then defaults and fields of all shards (pipelined, a chunk at a time), then the choice,
 * then the differences in portions. A failure anywhere ends the round; the next facts begin another. */
#include "coordinator/sender_sync.h"

#include "coordinator/senders.h"
#include "shared/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK       1000 /* shards read at a time */
#define PORTION     100  /* changes a step: it touches less than ten keys for each */
#define REST_FACTOR 4 /* after a round that took 100 ms, the next is 400 ms later at the soonest */
#define FIELDS      "node user state sender"
#define FIELD_COUNT 4

/* A shard's texts lie in one piece of memory each. */
struct reading {
    char *id;
    char *texts[FIELD_COUNT]; /* NULL: the shard is gone */
};

struct sender_sync {
    struct leader *leader;
    bool busy;
    bool failed;
    bool fresh;         /* nothing was read since leading began */
    uint64_t seen_rev;  /* shards_rev that was dealt with */
    uint64_t round_rev; /* of this round */
    uint64_t begun_ms;  /* this round */
    uint64_t not_before_ms;
    size_t n;
    size_t asked;    /* shards asked for */
    size_t answered; /* answers come in order */
    struct reading *readings;
    size_t ndefaults;
    char **defaults; /* user, shard, ... */
    size_t nchanges;
    size_t cap_changes;
    char **changes; /* shard, sender, ... */
    size_t next_change;
};

static void read_chunk(struct sender_sync *s);

struct sender_sync *sender_sync_create(struct leader *leader)
{
    struct sender_sync *s = xcalloc(1, sizeof(*s));
    s->leader = leader;
    s->fresh = true;
    return s;
}

static void free_texts(char **texts, size_t n)
{
    for (size_t i = 0; texts && i < n; i++) {
        free(texts[i]);
    }
    free(texts);
}

static void forget(struct sender_sync *s)
{
    for (size_t i = 0; i < s->n; i++) {
        free(s->readings[i].id);
        for (size_t f = 0; f < FIELD_COUNT; f++) {
            free(s->readings[i].texts[f]);
        }
    }
    free(s->readings);
    s->readings = NULL;
    free_texts(s->defaults, s->ndefaults);
    s->defaults = NULL;
    free_texts(s->changes, s->nchanges);
    s->changes = NULL;
    s->n = s->asked = s->answered = s->ndefaults = s->nchanges = s->cap_changes = 0;
    s->next_change = 0;
}

void sender_sync_destroy(struct sender_sync *s)
{
    forget(s);
    free(s);
}

static void end_round(struct sender_sync *s)
{
    uint64_t now = mono_ms();
    if (!s->failed) {
        s->seen_rev = s->round_rev;
        s->fresh = false;
    }
    s->not_before_ms = now + (now - s->begun_ms) * REST_FACTOR;
    s->busy = false;
    forget(s);
}

static void fail(struct sender_sync *s, const struct err *err)
{
    s->failed = true;
    if (err) {
        leader_step_failed(s->leader, "senders", err);
    }
}

/* Writing ------------------------------------------------------------------------------------------- */

static void write_portion(struct sender_sync *s);

static void on_written(void *ctx, struct slice word, struct slice rest, const struct err *err)
{
    (void)word;
    (void)rest;
    struct sender_sync *s = ctx;
    if (err) {
        fail(s, err);
        end_round(s);
        return;
    }
    write_portion(s);
}

static void write_portion(struct sender_sync *s)
{
    struct slice args[2 * PORTION];
    size_t n = 0;
    while (n < ARRAY_LEN(args) && s->next_change < s->nchanges) {
        args[n++] = slice_of(s->changes[s->next_change++]);
    }
    if (n == 0) {
        if (s->nchanges) {
            log_info("senders", "senders.changed", "count", log_u64(s->nchanges / 2), NULL);
        }
        end_round(s);
        return;
    }
    struct registry *registry = leader_registry(s->leader);
    if (!leader_may_act(s->leader) ||
        registry_configure(registry, leader_identity(s->leader), &(struct registry_request){0},
                           SLICE("senders"), args, n, on_written, s) != 0) {
        fail(s, NULL);
        end_round(s);
    }
}

static void on_change(void *ctx, const char *shard, const char *sender)
{
    struct sender_sync *s = ctx;
    if (s->nchanges + 2 > s->cap_changes) {
        s->cap_changes = s->cap_changes ? s->cap_changes * 2 : 64;
        s->changes = xrealloc(s->changes, s->cap_changes * sizeof(*s->changes));
    }
    s->changes[s->nchanges++] = xstrdup(shard);
    s->changes[s->nchanges++] = xstrdup(sender);
}

static void choose(struct sender_sync *s)
{
    struct sender_shard *shards = xcalloc(s->n + 1, sizeof(*shards));
    struct sender_default *defaults = xcalloc(s->ndefaults / 2 + 1, sizeof(*defaults));
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        char *const *texts = s->readings[i].texts;
        if (texts[0] && texts[1] && texts[2] && texts[3]) {
            shards[n++] =
                (struct sender_shard){.id = s->readings[i].id,
                                      .user = texts[1],
                                      .ready = texts[0][0] && strcmp(texts[2], "ready") == 0,
                                      .sender = texts[3]};
        }
    }
    for (size_t i = 0; i + 1 < s->ndefaults; i += 2) {
        defaults[i / 2] = (struct sender_default){s->defaults[i], s->defaults[i + 1]};
    }
    senders_compute(shards, n, defaults, s->ndefaults / 2, on_change, s);
    free(defaults);
    free(shards);
}

/* Reading ------------------------------------------------------------------------------------------- */

static char *copy_reply(const struct redisReply *reply)
{
    struct slice text = reply_slice(reply);
    return text.ptr ? xstrndup(text.ptr, text.len) : NULL;
}

static void on_shard(void *ctx, const struct redisReply *reply, const struct err *err)
{
    struct sender_sync *s = ctx;
    struct reading *r = &s->readings[s->answered++];
    if (err || reply->type != REDIS_REPLY_ARRAY || reply->elements != FIELD_COUNT) {
        fail(s, err);
    } else {
        for (size_t i = 0; i < FIELD_COUNT; i++) {
            r->texts[i] = copy_reply(reply->element[i]);
        }
    }
    if (s->answered < s->asked) {
        return;
    }
    if (s->failed || !leader_may_act(s->leader)) {
        s->failed = true;
        end_round(s);
    } else if (s->asked < s->n) {
        read_chunk(s);
    } else {
        choose(s);
        write_portion(s);
    }
}

static void read_chunk(struct sender_sync *s)
{
    struct registry *registry = leader_registry(s->leader);
    size_t until = s->asked + CHUNK < s->n ? s->asked + CHUNK : s->n;
    size_t before = s->asked;
    for (size_t i = s->asked; i < until && !s->failed; i++) {
        char rest[128];
        char key[256];
        snprintf(rest, sizeof(rest), "shard:%.100s", s->readings[i].id);
        registry_key(registry, key, sizeof(key), rest);
        if (link_command(registry_link(registry), on_shard, s, "HMGET %s " FIELDS, key) != 0) {
            fail(s, NULL);
        } else {
            s->asked++;
        }
    }
    if (s->asked == before) {
        end_round(s);
    }
}

static void on_ids(void *ctx, const struct redisReply *reply, const struct err *err)
{
    struct sender_sync *s = ctx;
    if (err || reply->type != REDIS_REPLY_ARRAY || s->failed) {
        fail(s, err);
        end_round(s);
        return;
    }
    s->n = reply->elements;
    s->readings = xcalloc(s->n + 1, sizeof(*s->readings));
    for (size_t i = 0; i < s->n; i++) {
        char *id = copy_reply(reply->element[i]);
        s->readings[i].id = id ? id : xstrdup("");
    }
    read_chunk(s);
}

static void on_defaults(void *ctx, const struct redisReply *reply, const struct err *err)
{
    struct sender_sync *s = ctx;
    if (err || reply->type != REDIS_REPLY_ARRAY) {
        fail(s, err);
        return;
    }
    free_texts(s->defaults, s->ndefaults);
    s->ndefaults = reply->elements;
    s->defaults = xcalloc(s->ndefaults + 1, sizeof(*s->defaults));
    for (size_t i = 0; i < s->ndefaults; i++) {
        char *text = copy_reply(reply->element[i]);
        s->defaults[i] = text ? text : xstrdup("");
    }
}

/* Defaults first: their answer is there when the ids come. */
static void begin_round(struct sender_sync *s, uint64_t rev)
{
    struct registry *registry = leader_registry(s->leader);
    struct link *link = registry_link(registry);
    char key[256];
    s->failed = false;
    s->round_rev = rev;
    s->begun_ms = mono_ms();
    registry_key(registry, key, sizeof(key), "senders");
    if (link_command(link, on_defaults, s, "HGETALL %s", key) != 0) {
        return;
    }
    registry_key(registry, key, sizeof(key), "load");
    s->busy = true;
    if (link_command(link, on_ids, s, "ZRANGE %s 0 -1", key) != 0) {
        /* The link went down between the two: on_defaults was called or will be, the round is over. */
        fail(s, NULL);
        s->busy = false;
    }
}

void sender_sync_begin(struct sender_sync *s)
{
    s->fresh = true;
}

void sender_sync_on_facts(struct sender_sync *s, const struct registry_lead *facts)
{
    /* While a cluster is set up its shards change all the time. */
    if (s->busy || !facts->setup_done || !leader_may_act(s->leader) ||
        mono_ms() < s->not_before_ms) {
        return;
    }
    if (s->fresh || facts->shards_rev != s->seen_rev) {
        begin_round(s, facts->shards_rev);
    }
}
