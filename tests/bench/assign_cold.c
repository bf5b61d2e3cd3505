/* Bench: channels from nothing to joined, all that Redis does for it. Applications ask for them in
 * requests of 1,000, the leader reads the requests and assigns, which opens the shards, 25 channels
 * each; each node looks at what it holds, a portion an answer, and tells, as nodes do it, that its
 * shards are ready and its channels joined. One connection, and nothing but the requests pipelined. */
#include "shared/base.h"
#include "shared/buf.h"
#include "shared/json.h"
#include "tests/bench/assign_redis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EACH       1000 /* channels of a request */
#define TOLD       500  /* channels and shards that a node tells at once */
#define NAME_CHARS 24

/* A shard as its node was told it. */
struct told_shard {
    char id[80];
    long long epoch;
    unsigned nchannels;
};

struct told_channel {
    char name[NAME_CHARS];
    size_t shard;
};

/* What one node was told. */
struct look {
    long long rev;
    struct told_shard *shards;
    size_t nshards;
    struct told_channel *channels;
    size_t nchannels;
};

/* Requests ------------------------------------------------------------------------------------- */

static void ask_for(unsigned channels)
{
    for (unsigned at = 0; at < channels; at += EACH) {
        struct buf names;
        buf_init(&names, (size_t)EACH * NAME_CHARS);
        for (unsigned i = at; i < at + EACH && i < channels; i++) {
            buf_printf(&names, "%scold%u", i > at ? "," : "", i);
        }
        const char *argv[] = {"XADD",  "shoal:{t}:requests", "*",       "op", "join", "by",
                              "bench", "channels",           names.data};
        bench_send(ARRAY_LEN(argv), argv, NULL);
        buf_finish(&names);
    }
    bench_drop((channels + EACH - 1) / EACH);
}

static const char *field(const redisReply *fields, const char *name)
{
    for (size_t i = 0; i + 1 < fields->elements; i += 2) {
        if (strcmp(fields->element[i]->str, name) == 0) {
            return fields->element[i + 1]->str;
        }
    }
    return "";
}

static void assign_entry(const redisReply *entry)
{
    static const char *argv[12 + EACH];
    char size[24];
    char *names = xstrdup(field(entry->element[1], "channels"));
    char *save = NULL;
    int n = 0;
    const char *head[] = {"FCALL", "shoal1_assign", "1", "shoal:{t}", "inc", "1", NULL,
                          "",      "join",          "",  size};

    memcpy(argv, head, sizeof(head));
    argv[6] = entry->element[0]->str;
    for (char *at = strtok_r(names, ",", &save); at != NULL; at = strtok_r(NULL, ",", &save)) {
        argv[(int)ARRAY_LEN(head) + n++] = at;
    }
    snprintf(size, sizeof(size), "%d", n);
    bench_send((int)ARRAY_LEN(head) + n, argv, NULL);
    free(names);
}

/* The leader: it reads a portion, and sends a step for each of it. */
static void carry_out(void)
{
    char last[2][64] = {"0", "0"};
    size_t n = 0;

    do {
        const char *argv[] = {"FCALL", "shoal1_requests", "1",    "shoal:{t}", "inc",
                              "1",     last[0],           last[1]};
        bench_send(ARRAY_LEN(argv), argv, NULL);
        redisReply *got = bench_take();
        n = got->element[2]->elements;
        for (int i = 0; i < 2; i++) {
            snprintf(last[i], sizeof(last[i]), "%s", got->element[i]->str);
        }
        for (size_t i = 0; i < n; i++) {
            assign_entry(got->element[2]->element[i]);
        }
        bench_drop((unsigned)n);
        freeReplyObject(got);
    } while (n > 0);
}

/* A node's look -------------------------------------------------------------------------------- */

/* {{shard, epoch, rev, user, run, how, channel, unread...}...} */
static void take_held(struct look *l, const redisReply *held)
{
    for (size_t i = 0; i < held->elements; i++) {
        const redisReply *entry = held->element[i];
        struct told_shard *s = &l->shards[l->nshards];
        snprintf(s->id, sizeof(s->id), "%s", entry->element[0]->str);
        s->epoch = entry->element[1]->integer;
        s->nchannels = 0;
        for (size_t at = 6; at < entry->elements; at++) {
            if (entry->element[at]->type == REDIS_REPLY_STRING) {
                struct told_channel *c = &l->channels[l->nchannels++];
                snprintf(c->name, sizeof(c->name), "%s", entry->element[at]->str);
                c->shard = l->nshards;
                s->nchannels++;
            }
        }
        l->nshards++;
    }
}

/* Renews with that report, and takes what is told since `l->rev`. */
static void renew(int node, const char *report, struct look *l)
{
    char id[16];
    char incarnation[16];
    char link[16];
    char seen[24];
    char place[256] = "";

    snprintf(id, sizeof(id), "n%d", node);
    snprintf(incarnation, sizeof(incarnation), "inc%d", node);
    snprintf(link, sizeof(link), "%d", 100 + node);
    snprintf(seen, sizeof(seen), "%lld", l->rev);
    const char *argv[] = {"FCALL",  "shoal1_renew", "1",    "shoal:{t}", id,     incarnation, link,
                          "run",    seen,           report, "",          "host", "1",         "0",
                          "100000", "anonymous"};
    bench_send(ARRAY_LEN(argv), argv, NULL);
    redisReply *got = bench_take();
    const redisReply *held = got->element[6];
    l->rev = got->element[2]->integer;
    snprintf(place, sizeof(place), "%s", got->element[12]->str);
    for (;;) {
        take_held(l, held);
        freeReplyObject(got);
        if (place[0] == '\0') {
            return;
        }
        const char *more[] = {"FCALL", "shoal1_picture", "1", "shoal:{t}", id, incarnation, place};
        bench_send(ARRAY_LEN(more), more, NULL);
        got = bench_take();
        held = got->element[1];
        snprintf(place, sizeof(place), "%s", got->element[4]->str);
    }
}

/* What it tells -------------------------------------------------------------------------------- */

static void write_shards(const struct look *l, size_t from, struct json *j)
{
    json_object_begin(j, "shards");
    for (size_t i = from; i < from + TOLD && i < l->nshards; i++) {
        const struct told_shard *s = &l->shards[i];
        json_object_begin(j, s->id);
        json_number(j, "epoch", s->epoch);
        json_string(j, "state", "ready");
        json_string(j, "error", "");
        json_number(j, "queued", 0);
        json_number(j, "joining", 0);
        json_number(j, "joined", s->nchannels);
        json_number(j, "failed", 0);
        json_number(j, "silent_ms", 0);
        json_object_end(j);
    }
    json_object_end(j);
}

static void write_channels(const struct look *l, size_t from, struct json *j)
{
    json_object_begin(j, "channels");
    for (size_t i = from; i < from + TOLD && i < l->nchannels; i++) {
        json_object_begin(j, l->channels[i].name);
        json_string(j, "shard", l->shards[l->channels[i].shard].id);
        json_string(j, "state", "joined");
        json_string(j, "reason", "");
        json_number(j, "since_ms", 5);
        json_number(j, "next_try_ms", 0);
        json_number(j, "moderator", 0);
        json_number(j, "vip", 0);
        json_string(j, "room_id", "12345678");
        json_string(j, "room", "-");
        json_object_end(j);
    }
    json_object_end(j);
}

static void tell_joined(int node, struct look *l)
{
    for (size_t from = 0; from < l->nchannels || from < l->nshards; from += TOLD) {
        struct buf report;
        struct json j;
        buf_init(&report, (size_t)1024 * 1024);
        json_init(&j, &report);
        json_object_begin(&j, NULL);
        write_shards(l, from, &j);
        write_channels(l, from, &j);
        json_object_end(&j);
        renew(node, report.data, l);
        buf_finish(&report);
    }
}

static void look_and_settle(unsigned channels, double *looked_s, double *settled_s)
{
    for (int node = 0; node < BENCH_NODES; node++) {
        struct look l = {.shards = xcalloc(channels, sizeof(*l.shards)),
                         .channels = xcalloc(channels, sizeof(*l.channels))};
        double start = bench_now_s();
        renew(node, "", &l);
        double looked = bench_now_s();
        tell_joined(node, &l);
        *looked_s += looked - start;
        *settled_s += bench_now_s() - looked;
        free(l.shards);
        free(l.channels);
    }
}

static unsigned channels_joined(void)
{
    const char *argv[] = {"SCARD", "shoal:{t}:rooms:anonymous"};

    bench_send(ARRAY_LEN(argv), argv, NULL);
    redisReply *reply = bench_take();
    unsigned n = (unsigned)reply->integer;
    freeReplyObject(reply);
    return n;
}

void bench_cold(unsigned channels)
{
    double looked_s = 0;
    double settled_s = 0;

    bench_begin(0, "25");
    double start = bench_now_s();
    ask_for(channels);
    carry_out();
    double assigned_s = bench_now_s() - start;
    look_and_settle(channels, &looked_s, &settled_s);
    if (channels_joined() != channels) {
        fprintf(stderr, "bench_assign: not all channels are assigned\n");
        exit(1);
    }
    printf("\"cold_assigned_s\": %.3f, \"cold_looked_s\": %.3f, \"cold_settled_s\": %.3f, "
           "\"cold_s\": %.3f",
           assigned_s, looked_s, settled_s, bench_now_s() - start);
}
