#include "shared/redis/registry_reply.h"

#include "shared/redis/refusal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reply_block {
    struct reply_block *next;
    max_align_t data[];
};

void *reply_memory_take(struct reply_memory *memory, size_t count, size_t size)
{
    if (count == 0) {
        return NULL;
    }
    struct reply_block *block = xcalloc(1, sizeof(*block) + count * size);
    block->next = memory->blocks;
    memory->blocks = block;
    return block->data;
}

void *reply_memory_grow(struct reply_memory *memory, const void *array, size_t n, size_t size)
{
    if ((n & (n - 1)) != 0) {
        return (void *)array; /* its room is the next power of two */
    }
    void *longer = reply_memory_take(memory, n > 0 ? 2 * n : 1, size);
    if (n > 0) {
        memcpy(longer, array, n * size);
    }
    return longer;
}

void reply_memory_finish(struct reply_memory *memory)
{
    while (memory->blocks != NULL) {
        struct reply_block *next = memory->blocks->next;
        free(memory->blocks);
        memory->blocks = next;
    }
}

struct slice reply_memory_keep(struct reply_memory *memory, struct slice text)
{
    char *copy = reply_memory_take(memory, text.len + 1, 1);
    memcpy(copy, text.len > 0 ? text.ptr : "", text.len);
    return (struct slice){copy, text.len};
}

const struct slice *reply_rest(struct reader *r, struct reply_memory *memory, size_t *n)
{
    *n = reader_left(r);
    struct slice *out = reply_memory_take(memory, *n, sizeof(*out));
    for (size_t i = 0; i < *n; i++) {
        out[i] = reader_slice(r);
    }
    return out;
}

static const struct slice *reader_slices(struct reader *r, struct reply_memory *memory, size_t *n)
{
    struct reader inner = reader_of(reader_next(r));
    const struct slice *out = reply_rest(&inner, memory, n);
    r->bad = r->bad || inner.bad;
    return out;
}

int reply_broken(struct err *err, const char *what)
{
    return err_set(err, ERR_STRANGE, "Redis's answer to %s is not what Shoal expects", what);
}

int reply_check(const struct redisReply *reply, struct err *err)
{
    if (reply == NULL) {
        return err_set(err, ERR_REPLY, "Redis gave no answer");
    }
    return refusal_err(reply, err);
}

int reply_end(const struct reader *r, struct err *err, const char *what)
{
    int rc = reply_check(r->array, err);
    return rc == 0 && r->bad ? reply_broken(err, what) : rc;
}

/* Fill in what the table knows, and `bad`. */
static void fill(const struct figure *figures, void *of, struct registry_hash *hash)
{
    for (size_t i = 0; i < hash->n; i += 2) {
        const struct figure *f = figure_find(figures, hash->word[i]);
        struct slice value = hash->word[i + 1];
        uint64_t number = 0;

        if (f == NULL || f->by == FIGURE_BY_READER) {
            continue;
        }
        void *at = (char *)of + f->offset;
        if (f->type == FIGURE_TEXT) {
            *(struct slice *)at = value;
        } else if (slice_to_u64(value, &number) && number <= READER_MOST) {
            *(uint64_t *)at = number;
        } else if (hash->bad == NULL && value.len > 0) {
            hash->bad = f->name;
        }
    }
}

int reply_hash(const struct redisReply *reply, const struct figure *figures, void *of,
               struct registry_hash *hash, struct reply_memory *memory, struct err *err)
{
    struct reader words = reader_of(reply);
    hash->word = reply_rest(&words, memory, &hash->n);
    words.bad = words.bad || hash->n % 2 != 0;
    int rc = reply_end(&words, err, "HGETALL");
    if (rc == 0) {
        fill(figures, of, hash);
    }
    return rc;
}

int reply_version(const struct redisReply *reply, uint64_t *revision, struct err *err)
{
    struct reader r = reader_of(reply);
    (void)reader_slice(&r); /* of the contract, which the name of the function has too */
    *revision = reader_u64(&r);
    return reply_end(&r, err, "version");
}

bool reply_info_field(const char *text, const char *name, char *out, size_t size)
{
    size_t len = strlen(name);
    while (strncmp(text, name, len) != 0 || text[len] != ':') {
        text += strcspn(text, "\n");
        if (*text == '\0') {
            return false;
        }
        text++;
    }
    text += len + 1;
    len = strcspn(text, "\r\n");
    snprintf(out, size, "%.*s", (int)len, text);
    return len > 0 && len < size;
}

int reply_info(const struct redisReply *reply, struct registry_greeting *out, struct err *err)
{
    int rc = reply_check(reply, err);
    if (rc != 0) {
        return rc;
    }
    const char *text = reply_slice(reply).ptr;
    bool known =
        reply_info_field(text, "run_id", out->run_id, sizeof(out->run_id)) &&
        reply_info_field(text, "redis_version", out->redis_version, sizeof(out->redis_version));
    return known ? 0 : reply_broken(err, "INFO server");
}

int reply_time(const struct redisReply *reply, struct wall *now, struct err *err)
{
    struct reader r = reader_of(reply);
    now->ms = reader_u64(&r) * 1000;
    now->ms += reader_u64(&r) / 1000;
    return reply_end(&r, err, "TIME");
}

int reply_word(const struct redisReply *reply, struct slice *word, struct slice *rest,
               struct err *err)
{
    struct reader r = reader_of(reply);
    *word = reader_slice(&r);
    *rest = reader_left(&r) > 0 ? reader_slice(&r) : (struct slice){0};
    r.bad = r.bad || word->len == 0;
    return reply_end(&r, err, "a step");
}

int reply_outcome(const struct redisReply *reply, struct registry_outcome *out, struct err *err)
{
    struct slice word;
    struct slice json;
    int rc = reply_word(reply, &word, &json, err);
    if (rc == 0) {
        registry_outcome_read(json, out);
        out->word = word;
    }
    return rc;
}

int reply_compared(const struct redisReply *reply, struct registry_compared *out, struct err *err)
{
    struct slice word;
    struct slice rest;
    int rc = reply_word(reply, &word, &rest, err);
    if (rc != 0) {
        return rc;
    }
    const char *blank = rest.len > 0 ? memchr(rest.ptr, ' ', rest.len) : NULL;
    struct slice repairs = {rest.ptr, blank != NULL ? (size_t)(blank - rest.ptr) : rest.len};
    out->more = slice_is(word, "more");
    if (out->more && blank != NULL) {
        out->cursor = (struct slice){blank + 1, rest.len - repairs.len - 1};
    }
    bool sane = slice_to_u64(repairs, &out->repairs) && out->more == (out->cursor.len > 0);
    return sane ? 0 : reply_broken(err, "compare");
}

/* Adds to an array of texts, which are kept. */
static void add_text(struct reply_memory *memory, const struct slice **texts, size_t *n,
                     struct slice text)
{
    struct slice *all = reply_memory_grow(memory, *texts, *n, sizeof(*all));
    all[(*n)++] = reply_memory_keep(memory, text);
    *texts = all;
}

static void reader_ids(struct reader *r, struct reply_memory *memory, const struct slice **ids,
                       size_t *n)
{
    struct reader list = reader_of(reader_next(r));
    while (reader_left(&list) > 0) {
        add_text(memory, ids, n, reader_slice(&list));
    }
    r->bad = r->bad || list.bad;
}

/* All that is left: channels, each with a number behind it where it is not read, or two. */
static void reader_channels(struct reader *r, struct reply_memory *memory,
                            struct registry_shard *out)
{
    int64_t *numbers[2] = {NULL, NULL};
    size_t nnumbers = ARRAY_LEN(numbers); /* of the last channel */

    while (reader_left(r) > 0) {
        size_t n = out->nchannels;
        if (r->array->element[r->at]->type != REDIS_REPLY_INTEGER) {
            out->unread_ms = numbers[0] =
                reply_memory_grow(memory, out->unread_ms, n, sizeof(int64_t));
            out->retry_ms = numbers[1] =
                reply_memory_grow(memory, out->retry_ms, n, sizeof(int64_t));
            numbers[0][n] = numbers[1][n] = 0;
            add_text(memory, &out->channels, &out->nchannels, reader_slice(r));
            nnumbers = 0;
        } else if (nnumbers < ARRAY_LEN(numbers)) {
            numbers[nnumbers++][n - 1] = reader_i64(r);
        } else {
            r->bad = true;
        }
    }
}

/* The shard as it was told before, or a new one without channels. */
static struct registry_shard *shard_begun(struct reply_memory *memory,
                                          const struct registry_shard **shards, size_t *n,
                                          struct slice id)
{
    struct registry_shard *all = (struct registry_shard *)*shards;
    for (size_t i = *n; i > 0; i--) {
        if (slice_eq(all[i - 1].id, id)) {
            return &all[i - 1];
        }
    }
    *shards = all = reply_memory_grow(memory, all, *n, sizeof(*all));
    all[*n] = (struct registry_shard){.id = reply_memory_keep(memory, id)};
    return &all[(*n)++];
}

/* {{shard, epoch, rev, user, run, how, channel, [unread, [retry,]]...}...} or, for `served`,
 * {{shard, sender, how, channel...}...} */
static void reader_shards(struct reader *r, bool served, struct reply_memory *memory,
                          const struct registry_shard **shards, size_t *n)
{
    struct reader list = reader_of(reader_next(r));
    while (reader_left(&list) > 0) {
        struct reader entry = reader_of(reader_next(&list));
        struct slice id = reader_slice(&entry);
        struct registry_shard *s = shard_begun(memory, shards, n, id);
        if (served) {
            s->sender = reply_memory_keep(memory, reader_slice(&entry));
        } else {
            s->epoch = reader_u64(&entry);
            s->rev = reader_u64(&entry);
            s->user = reply_memory_keep(memory, reader_slice(&entry));
            uint64_t run = reader_u64(&entry);
            s->run = run == 1 ? SHARD_STARTED : run == 2 ? SHARD_STOPPED : SHARD_NEW;
        }
        uint64_t how = reader_u64(&entry);
        bool adds = (how & 1) != 0; /* to the channels told before */
        s->nchannels = adds ? s->nchannels : 0;
        s->more = (how & 2) != 0;
        reader_channels(&entry, memory, s);
        list.bad = list.bad || entry.bad || id.len == 0;
    }
    r->bad = r->bad || list.bad;
}

static void reader_lists(struct reader *r, struct registry_picture *out,
                         struct reply_memory *memory)
{
    reader_ids(r, memory, &out->held, &out->nheld);
    reader_shards(r, false, memory, &out->held_changed, &out->nheld_changed);
    reader_ids(r, memory, &out->served, &out->nserved);
    reader_shards(r, true, memory, &out->served_changed, &out->nserved_changed);
}

int reply_portion(const struct redisReply *reply, struct registry_picture *out, struct slice *place,
                  struct reply_memory *memory, struct err *err)
{
    struct reader r = reader_of(reply);
    reader_lists(&r, out, memory);
    *place = reader_slice(&r);
    return reply_end(&r, err, "picture");
}

/* What is not told keeps its default, and what is not known is passed over. */
static struct registry_settings reader_settings(struct reader *r, struct reply_memory *memory)
{
#define ROW(setting, otherwise)                                                                    \
    {.name = #setting, .type = FIGURE_GAUGE, .offset = offsetof(struct registry_settings, setting)},
#define DEFAULT(name, otherwise) .name = (otherwise),
    static const struct figure rows[] = {REGISTRY_SETTINGS(ROW){0}};
    struct registry_settings settings = {REGISTRY_SETTINGS(DEFAULT)};
    struct registry_hash hash = {0};

    r->bad = reply_hash(reader_next(r), rows, &settings, &hash, memory, NULL) != 0 || r->bad ||
             hash.bad != NULL || settings.lease_ms == 0;
    for (const struct figure *f = rows; f->name != NULL; f++) {
        r->bad = r->bad || figure_number(f, &settings) > READER_MOST_MS;
    }
    return settings;
}

int reply_picture(const struct redisReply *reply, int64_t seen, struct registry_picture *out,
                  struct slice *place, struct reply_memory *memory, struct err *err)
{
    struct reader r = reader_of(reply);
    bool current = slice_is(reader_slice(&r), "current");
    out->settings = reader_settings(&r, memory);
    out->rev = reader_u64(&r);
    out->seq = reader_u64(&r);
    out->default_sender = reply_memory_keep(memory, reader_slice(&r));
    reader_lists(&r, out, memory);
    out->registry = reply_memory_keep(memory, reader_slice(&r));
    out->others_blind = reader_u64(&r) != 0;
    struct reader restate = reader_of(reader_next(&r));
    out->now.ms = reader_u64(&restate);
    out->must_restate = reader_u64(&restate) == 1;
    out->kept.ms = reader_u64(&restate);
    *place = reader_slice(&r);
    out->changed = seen < 0 || (uint64_t)seen != out->rev;
    r.bad = r.bad || restate.bad || !current || out->registry.len >= REGISTRY_ID_CHARS;
    return reply_end(&r, err, "register or renew");
}

int reply_holder(const struct redisReply *reply, struct registry_holder *out, struct err *err)
{
    struct reader r = reader_of(reply);
    bool held = slice_is(reader_slice(&r), "held");
    out->host = reader_slice(&r);
    out->pid = reader_slice(&r);
    out->link_id = reader_u64(&r);
    out->remaining_ms = reader_i64(&r);
    out->lease_ms = reader_duration(&r);
    out->run_id = reader_slice(&r);
    bool sane = out->remaining_ms > -READER_MOST && out->remaining_ms < READER_MOST;
    r.bad = r.bad || !held || !sane || out->lease_ms == 0;
    return reply_end(&r, err, "register");
}

/* {node, link, run_id, node, link, run_id, ...} */
static void reader_expired(struct reader *r, struct registry_lead *out, struct reply_memory *memory)
{
    struct reader list = reader_of(reader_next(r));
    size_t left = reader_left(&list);
    out->nexpired = left / 3;
    struct registry_expired *expired = reply_memory_take(memory, out->nexpired, sizeof(*expired));
    for (size_t i = 0; i < out->nexpired; i++) {
        expired[i].node = reader_slice(&list);
        struct slice link = reader_slice(&list);
        if (link.len > 0 && !slice_to_u64(link, &expired[i].link_id)) {
            list.bad = true;
        }
        expired[i].run_id = reader_slice(&list);
    }
    out->expired = expired;
    r->bad = r->bad || list.bad || left % 3 != 0;
}

int reply_lead(const struct redisReply *reply, struct registry_lead *out,
               struct reply_memory *memory, struct err *err)
{
    struct reader r = reader_of(reply);
    struct slice word = reader_slice(&r);
    if (slice_is(word, "standby")) {
        out->leader_id = reader_slice(&r);
        out->remaining_ms = reader_duration(&r);
        out->registry = reader_slice(&r);
        r.bad = r.bad || out->registry.len >= REGISTRY_ID_CHARS;
        return reply_end(&r, err, "lead");
    }
    out->leading = slice_is(word, "leading");
    out->token = reader_slice(&r);
    out->lease_ms = reader_duration(&r);
    out->shards_rev = reader_u64(&r);
    out->next_deadline_ms = reader_i64(&r);
    out->nodes = reader_u64(&r);
    out->waiting = reader_u64(&r);
    out->homeless = reader_u64(&r);
    out->setup_done = reader_i64(&r) != 0;
    out->stopped = reader_i64(&r) != 0;
    out->user = reader_slice(&r);
    reader_expired(&r, out, memory);
    out->idle = reader_slices(&r, memory, &out->nidle);
    out->registry = reader_slice(&r);
    out->damaged = reader_i64(&r) != 0;
    out->accounts_due = reader_i64(&r) != 0;
    out->sends = reader_i64(&r) != 0;
    out->now = (struct wall){reader_u64(&r)};
    r.bad = r.bad || !out->leading || out->token.len == 0 || out->token.len >= 24 ||
            out->lease_ms == 0 || out->next_deadline_ms > READER_MOST_MS ||
            out->registry.len >= REGISTRY_ID_CHARS;
    return reply_end(&r, err, "lead");
}

int reply_names(const struct redisReply *reply, const struct slice **names, size_t *n,
                struct reply_memory *memory, struct err *err)
{
    struct reader r = reader_of(reply);
    *names = reply_rest(&r, memory, n);
    return reply_end(&r, err, "SRANDMEMBER");
}

int reply_entries(const struct redisReply *reply, const struct registry_entry **entries, size_t *n,
                  struct reply_memory *memory, struct err *err)
{
    *entries = NULL;
    *n = 0;
    struct reader r = reader_of(reply);
    size_t count = reader_left(&r);
    struct registry_entry *out = reply_memory_take(memory, count, sizeof(*out));
    for (size_t i = 0; i < count; i++) {
        struct reader entry = reader_of(reader_next(&r));
        out[i].id = reader_slice(&entry);
        const struct redisReply *fields = reader_next(&entry);
        if (entry.bad) {
            return reply_broken(err, "XRANGE");
        }
        if (fields->type == REDIS_REPLY_NIL) {
            continue; /* deleted while it was read */
        }
        struct reader pairs = reader_of(fields);
        size_t nslices = 0;
        out[i].fields = reply_rest(&pairs, memory, &nslices);
        out[i].nfields = nslices / 2;
        r.bad = r.bad || pairs.bad;
    }
    int rc = reply_end(&r, err, "XRANGE");
    if (rc == 0) {
        *entries = out;
        *n = count;
    }
    return rc;
}
