/* Redis for bench_assign: one connection, pipelined by its callers. */
#include "tests/bench/assign_redis.h"

#include "shared/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static redisContext *connection;

static _Noreturn void give_up(const char *why)
{
    fprintf(stderr, "bench_assign: %s\n", why);
    exit(1);
}

void bench_connect(uint16_t port)
{
    connection = redisConnect("127.0.0.1", port);
    if (connection == NULL || connection->err != 0) {
        give_up("no connection to Redis");
    }
}

void bench_close(void)
{
    redisFree(connection);
}

double bench_now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void bench_send(int argc, const char **argv, const size_t *len)
{
    redisAppendCommandArgv(connection, argc, argv, len);
}

redisReply *bench_take(void)
{
    redisReply *reply = NULL;

    if (redisGetReply(connection, (void **)&reply) != REDIS_OK) {
        give_up(connection->errstr);
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        give_up(reply->str);
    }
    return reply;
}

void bench_drop(unsigned replies)
{
    while (replies-- > 0) {
        freeReplyObject(bench_take());
    }
}

void bench_step(const char *words)
{
    char text[512];
    char name[64];
    const char *argv[32] = {"FCALL", name, "1", "shoal:{t}"};
    int argc = 4;
    char *save = NULL;

    snprintf(text, sizeof(text), "%s", words);
    snprintf(name, sizeof(name), "shoal1_%s", strtok_r(text, " ", &save));
    for (char *at = strtok_r(NULL, " ", &save); at != NULL; at = strtok_r(NULL, " ", &save)) {
        argv[argc++] = strcmp(at, "-") == 0 ? "" : at;
    }
    bench_send(argc, argv, NULL);
    bench_drop(1);
}

void bench_load(const char *text, size_t len)
{
    const char *argv[] = {"FUNCTION", "LOAD", "REPLACE", text};
    const size_t lens[] = {8, 4, 7, len};

    bench_send(ARRAY_LEN(argv), argv, lens);
    bench_drop(1);
}

void bench_begin(unsigned shards, const char *channels_per_shard)
{
    /* A long bench is no reason for nodes to expire: one that is dead is given nothing. */
    static const char *const settings[] = {"room_limit off", "max_shard_count none",
                                           "user anonymous", "lease_ms 60000"};
    const char *flush[] = {"FLUSHALL"};
    char text[128];

    bench_send(1, flush, NULL);
    bench_drop(1);
    bench_step("lead c1 inc 1 run host 1");
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        snprintf(text, sizeof(text), "set inc 1 - - %s", settings[i]);
        bench_step(text);
    }
    snprintf(text, sizeof(text), "set inc 1 - - channels_per_shard %s", channels_per_shard);
    bench_step(text);
    for (int i = 0; i < BENCH_NODES; i++) {
        snprintf(text, sizeof(text), "register n%d inc%d %d run host 1 0 100000 anonymous - active",
                 i, i, 100 + i);
        bench_step(text);
    }
    for (unsigned i = 1; i <= shards; i++) {
        snprintf(text, sizeof(text), "add_shard inc 1 initial-shard-%u anonymous", i);
        bench_step(text);
    }
}
