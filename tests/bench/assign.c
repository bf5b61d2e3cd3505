/* Bench: channels assigned a second, beside a no-op function called the same way in the same run.
 *
 * A private Redis; pipelines; limits off. For 10 to 10,000 shards: calls of a function that does
 * nothing, assigns of one channel a call and of 1,000 a call, the commands of Redis that a channel
 * of these takes, and as many channels by a function of nothing but these commands; then what 100,000 channels take from cold (assign_cold.c). Prints one JSON
 * object. All counts are divided by DIVISOR: large ones only look whether it works.
 *
 *   bench_assign [DIVISOR] */
#include "shared/base.h"
#include "tests/bench/assign_redis.h"
#include "tests/lib/private_redis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIPELINE 100
#define EACH     1000

extern const unsigned char shoal_lua[];
extern const size_t shoal_lua_len;

static unsigned next_channel;

/* Calls of a function with no work, and as many arguments as an assign of one channel has. */
static double noops(unsigned calls)
{
    double start = bench_now_s();
    for (unsigned done = 0; done < calls; done += PIPELINE) {
        for (unsigned i = 0; i < PIPELINE; i++) {
            const char *argv[] = {"FCALL", "bench_noop", "1",    "shoal:{t}", "inc", "1",
                                  "",      "",           "join", "",          "1",   "channel1"};
            bench_send(ARRAY_LEN(argv), argv, NULL);
        }
        bench_drop(PIPELINE);
    }
    return calls / (bench_now_s() - start);
}

/* Calls that begin with `head`, with `each` new channels behind it: channels a second. */
static double calls_of(const char **head, size_t nhead, unsigned channels, unsigned each)
{
    static char names[EACH][24];
    static const char *argv[EACH + 20];
    const unsigned pipeline = each > 1 ? 4 : PIPELINE; /* as many channels as the leader sends */
    double start = bench_now_s();
    unsigned done = 0;

    memcpy(argv, head, nhead * sizeof(*head));
    while (done < channels) {
        unsigned calls = 0;
        for (; calls < pipeline && done < channels; calls++) {
            for (unsigned i = 0; i < each; i++) {
                snprintf(names[i], sizeof(names[i]), "channel%u", next_channel++);
                argv[nhead + i] = names[i];
            }
            bench_send((int)(nhead + each), argv, NULL);
            done += each;
        }
        bench_drop(calls);
    }
    return done / (bench_now_s() - start);
}

static double assigns(unsigned channels, unsigned each)
{
    char size[24];
    const char *head[] = {"FCALL", "shoal1_assign", "1", "shoal:{t}", "inc", "1", "",
                          "",      "join",          "",  size};

    snprintf(size, sizeof(size), "%u", each);
    return calls_of(head, ARRAY_LEN(head), channels, each);
}

/* Nothing but the commands that change what these assigns change. */
static double bares(unsigned channels, unsigned each, unsigned shards)
{
    char text[24];
    const char *head[] = {"FCALL", "bench_bare", "1", "shoal:{t}", text};

    snprintf(text, sizeof(text), "%u", shards);
    return calls_of(head, ARRAY_LEN(head), channels, each);
}

/* Of all commands that Redis has carried out, those within functions, too. */
static double commands(void)
{
    const char *argv[] = {"INFO", "commandstats"};
    double n = 0;

    bench_send(ARRAY_LEN(argv), argv, NULL);
    redisReply *reply = bench_take();
    for (const char *at = strstr(reply->str, "calls="); at != NULL; at = strstr(at + 1, "calls=")) {
        n += strtod(at + strlen("calls="), NULL);
    }
    freeReplyObject(reply);
    return n;
}

static unsigned scaled(unsigned n, unsigned divisor)
{
    n /= divisor;
    return n < 2 * PIPELINE ? 2 * PIPELINE : n;
}

static void measure(unsigned divisor)
{
    static const unsigned shards[] = {10, 100, 1000, 10000};
    const unsigned batch = scaled(EACH, divisor);
    const unsigned batches = scaled(100000, divisor);

    printf("{");
    for (size_t i = 0; i < ARRAY_LEN(shards) && (divisor == 1 || shards[i] <= 1000); i++) {
        bench_begin(shards[i], "none");
        noops(scaled(20000, divisor));
        double limit = noops(scaled(200000, divisor));
        double single = assigns(scaled(40000, divisor), 1);
        double before = commands();
        double batched = assigns(batches, batch);
        double calls = (commands() - before) / batches;
        double bare = bares(batches, batch, shards[i]);
        printf("\"noop_%u\": %.0f, \"single_%u\": %.0f, \"batched_%u\": %.0f, \"calls_%u\": %.2f, "
               "\"bare_%u\": %.0f, ",
               shards[i], limit, shards[i], single, shards[i], batched, shards[i], calls, shards[i],
               bare);
    }
    bench_cold(scaled(100000, divisor));
    printf("}\n");
}

static const char functions[] =
    "#!lua name=bench\n"
    "redis.register_function('bench_noop', function() return 1 end)\n"
    "redis.register_function('bench_bare', function(keys, a)\n"
    "    local call, tag, n, of, on, scored = redis.call, keys[1], tonumber(a[1]), {}, {}, {}\n"
    "    local first = tonumber(string.match(a[2], '%d+'))\n"
    "    for i = 2, #a do\n"
    "        local shard = 'initial-shard-' .. (first + i) % n + 1\n"
    "        call('HSET', tag .. ':channel:' .. a[i], 'state', 'assigned', 'since', "
    "'1700000000000')\n"
    "        on[#on + 1], on[#on + 2] = a[i], shard\n"
    "        of[shard] = of[shard] or {}\n"
    "        table.insert(of[shard], a[i])\n"
    "    end\n"
    "    for shard, names in pairs(of) do\n"
    "        call('SADD', tag .. ':shard:' .. shard .. ':channels', unpack(names))\n"
    "        call('HSET', tag .. ':shard:' .. shard, 'channels', '7', 'rev', '1700000000000000',\n"
    "            'moved', '1700000000000')\n"
    "        scored[#scored + 1], scored[#scored + 2] = math.floor(first / n), shard\n"
    "    end\n"
    "    call('HSET', tag .. ':channels', unpack(on))\n"
    "    call('SADD', tag .. ':rooms:anonymous', unpack(a, 2))\n"
    "    for _, index in ipairs({':load', ':open:anonymous', ':node:n1:shards', ':changed'}) do\n"
    "        call('ZADD', tag .. index, unpack(scored))\n"
    "    end\n"
    "    return 1\n"
    "end)";

int main(int argc, char **argv)
{
    int divisor = argc > 1 ? atoi(argv[1]) : 1;
    struct private_redis *server = private_redis_start(NULL);

    bench_connect(private_redis_port(server));
    bench_load((const char *)shoal_lua, shoal_lua_len);
    bench_load(functions, sizeof(functions) - 1);
    measure(divisor > 0 ? (unsigned)divisor : 1);
    bench_close();
    private_redis_stop(server);
    return 0;
}
