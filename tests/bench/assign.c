/* Bench: channels assigned a second, beside a no-op function called the same way in the same run.
 *
 * A private Redis; pipelines of up to 100 calls; limits off. For 10 to 10,000 shards: calls of a function
 * that does nothing, assigns of one channel a call and of 200 a call, a second each; then the seconds that
 * 100,000 channels over 4,000 shards take from cold, with the shards there and opened on the way. Prints
 * one JSON object. All counts are divided by DIVISOR: large ones only look whether it works.
 *
 *   bench_assign [DIVISOR] */
#include "shared/base.h"
#include "tests/lib/private_redis.h"

#include <hiredis/hiredis.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PIPELINE 100

extern const unsigned char shoal_lua[];
extern const size_t shoal_lua_len;

static redisContext *connection;
static unsigned next_channel;

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void take_replies(unsigned n)
{
    while (n-- > 0) {
        redisReply *reply = NULL;
        if (redisGetReply(connection, (void **)&reply) != REDIS_OK ||
            reply->type == REDIS_REPLY_ERROR) {
            fprintf(stderr, "bench_assign: %s\n", reply != NULL ? reply->str : connection->errstr);
            exit(1);
        }
        freeReplyObject(reply);
    }
}

static void ask(int argc, const char **argv, const size_t *len)
{
    redisAppendCommandArgv(connection, argc, argv, len);
    take_replies(1);
}

static void fcall(const char *words)
{
    char text[512];
    const char *argv[32] = {"FCALL", "", "1", "shoal:{t}"};
    int argc = 4;
    char *save = NULL;
    snprintf(text, sizeof(text), "%s", words);
    argv[1] = strtok_r(text, " ", &save);
    for (char *at = strtok_r(NULL, " ", &save); at != NULL; at = strtok_r(NULL, " ", &save)) {
        argv[argc++] = strcmp(at, "-") == 0 ? "" : at;
    }
    ask(argc, argv, NULL);
}

static void load(const char *text, size_t text_len)
{
    const char *argv[] = {"FUNCTION", "LOAD", "REPLACE", text};
    const size_t len[] = {8, 4, 7, text_len};
    ask(4, argv, len);
}

/* Calls of a function with no work, and as many arguments as an assign of one channel has. */
static double noops(unsigned calls)
{
    double start = now_s();
    for (unsigned done = 0; done < calls; done += PIPELINE) {
        for (unsigned i = 0; i < PIPELINE; i++) {
            const char *argv[] = {"FCALL", "bench_noop", "1",    "shoal:{t}", "inc", "1",
                                  "",      "",           "join", "",          "1",   "channel1"};
            redisAppendCommandArgv(connection, ARRAY_LEN(argv), argv, NULL);
        }
        take_replies(PIPELINE);
    }
    return calls / (now_s() - start);
}

/* Assigns of `channels` new channels, `each` a call: channels a second. */
static double assigns(unsigned channels, unsigned each)
{
    static char names[1000][24];
    static const char *argv[1020];
    double start = now_s();
    unsigned done = 0;
    while (done < channels) {
        unsigned calls = 0;
        for (; calls < PIPELINE && done < channels; calls++) {
            char size[24];
            const char *head[] = {"FCALL", "shoal1_assign", "1", "shoal:{t}", "inc", "1", "",
                                  "",      "join",          "",  size};
            snprintf(size, sizeof(size), "%u", each);
            memcpy(argv, head, sizeof(head));
            for (unsigned i = 0; i < each; i++) {
                snprintf(names[i], sizeof(names[i]), "channel%u", next_channel++);
                argv[ARRAY_LEN(head) + i] = names[i];
            }
            redisAppendCommandArgv(connection, (int)(ARRAY_LEN(head) + each), argv, NULL);
            done += each;
        }
        take_replies(calls);
    }
    return channels / (now_s() - start);
}

/* An empty cluster with `shards` shards on ten nodes, and no limits. */
static void begin(unsigned shards)
{
    static const char *const off[] = {"room_limit off", "max_shard_count none",
                                      "channels_per_shard none", "user anonymous"};
    const char *flush[] = {"FLUSHALL"};
    char text[128];
    ask(1, flush, NULL);
    fcall("shoal1_lead c1 inc 1 run host 1");
    for (size_t i = 0; i < ARRAY_LEN(off); i++) {
        snprintf(text, sizeof(text), "shoal1_set inc 1 - - %s", off[i]);
        fcall(text);
    }
    /* A long bench is no reason for nodes to expire: one that is dead is given nothing. */
    fcall("shoal1_set inc 1 - - lease_ms 60000");
    for (int i = 0; i < 10; i++) {
        snprintf(text, sizeof(text),
                 "shoal1_register n%d inc%d %d run host 1 0 100000 anonymous - active", i, i,
                 100 + i);
        fcall(text);
    }
    for (unsigned i = 1; i <= shards; i++) {
        snprintf(text, sizeof(text), "shoal1_add_shard inc 1 initial-shard-%u anonymous", i);
        fcall(text);
    }
}

static unsigned scaled(unsigned n, unsigned divisor)
{
    n /= divisor;
    return n < 2 * PIPELINE ? 2 * PIPELINE : n;
}

static void measure(unsigned divisor)
{
    static const unsigned shards[] = {10, 100, 1000, 10000};
    unsigned cold = scaled(100000, divisor);

    printf("{");
    for (size_t i = 0; i < ARRAY_LEN(shards) && (divisor == 1 || shards[i] <= 1000); i++) {
        begin(shards[i]);
        noops(scaled(20000, divisor));
        double limit = noops(scaled(200000, divisor));
        double single = assigns(scaled(40000, divisor), 1);
        double batched = assigns(scaled(100000, divisor), 200);
        printf("\"noop_%u\": %.0f, \"single_%u\": %.0f, \"batched_%u\": %.0f, ", shards[i], limit,
               shards[i], single, shards[i], batched);
    }
    begin(scaled(4000, divisor));
    printf("\"cold_s\": %.3f, ", cold / assigns(cold, scaled(1000, divisor)));
    begin(1);
    fcall("shoal1_set inc 1 - - channels_per_shard 25");
    printf("\"opening_s\": %.3f}\n", cold / assigns(cold, scaled(1000, divisor)));
}

int main(int argc, char **argv)
{
    static const char noop[] = "#!lua name=bench\n"
                               "redis.register_function('bench_noop', function() return 1 end)";
    int divisor = argc > 1 ? atoi(argv[1]) : 1;
    struct private_redis *server = private_redis_start(NULL);

    connection = redisConnect("127.0.0.1", private_redis_port(server));
    load((const char *)shoal_lua, shoal_lua_len);
    load(noop, sizeof(noop) - 1);
    measure(divisor > 0 ? (unsigned)divisor : 1);
    redisFree(connection);
    private_redis_stop(server);
    return 0;
}
