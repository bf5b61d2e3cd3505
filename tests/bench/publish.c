/* Bench: a bare pipelined PUBLISH loop: what publishing costs Redis, whoever does it.
 *
 * Publishes LINES payloads of BYTES to CHANNELS topics in turn, 64 a write, at most AHEAD unanswered, and does
 * nothing else. RATE: lines a second at most; as many as another publishes has Redis as busy, and as many lines in
 * flight. Prints {"lines": N} when all are answered.
 *
 *   bench_publish PORT LINES BYTES CHANNELS RATE */
#include "shared/base.h"
#include "shared/buf.h"
#include "tests/bench/tool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define AHEAD 2048 /* as bench_limit */
#define BATCH 64
#define TOPIC "shoal:main:chat:room"

struct order {
    uint64_t lines;
    size_t bytes;
    unsigned channels;
    double rate;
};

static void make_batch(struct buf *batch, const struct order *o, unsigned first)
{
    char *payload = xmalloc(o->bytes);
    char topic[64];

    memset(payload, 'x', o->bytes);
    buf_init(batch, SIZE_MAX / 2);
    for (unsigned i = 0; i < BATCH; i++) {
        int len = snprintf(topic, sizeof(topic), TOPIC "%u", (first + i) % o->channels);
        buf_printf(batch, "*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%s\r\n$%zu\r\n", len, topic, o->bytes);
        buf_append(batch, payload, o->bytes);
        buf_append(batch, "\r\n", 2);
    }
    free(payload);
}

static void wait_until_us(long long at)
{
    struct timespec then = {.tv_sec = at / 1000000, .tv_nsec = at % 1000000 * 1000};

    clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &then, NULL);
}

static uint64_t flood(int redis, const struct order *o, const struct buf *batches, size_t n)
{
    long long began = tool_now_us();
    uint64_t sent = 0;
    uint64_t answers = 0;

    for (size_t i = 0; sent < o->lines; i = (i + 1) % n) {
        wait_until_us(began + (long long)((double)sent / o->rate * 1e6));
        answers += tool_take_answers(redis, MSG_DONTWAIT);
        while (sent - answers > AHEAD) {
            answers += tool_take_answers(redis, 0);
        }
        tool_send(redis, batches[i].data, batches[i].len);
        sent += BATCH;
    }
    while (answers < sent) {
        answers += tool_take_answers(redis, 0);
    }
    return answers;
}

int main(int argc, char **argv)
{
    struct buf batches[100]; /* made once, before the clock runs */

    if (argc != 6) {
        fprintf(stderr, "Usage: bench_publish PORT LINES BYTES CHANNELS RATE\n");
        return 2;
    }
    struct order order = {strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10),
                          (unsigned)atoi(argv[4]), strtod(argv[5], NULL)};
    for (unsigned i = 0; i < ARRAY_LEN(batches); i++) {
        make_batch(&batches[i], &order, i * BATCH);
    }
    int redis = tool_connect(atoi(argv[1]));
    printf("{\"lines\": %llu}\n",
           (unsigned long long)flood(redis, &order, batches, ARRAY_LEN(batches)));
    close(redis);
    for (size_t i = 0; i < ARRAY_LEN(batches); i++) {
        buf_finish(&batches[i]);
    }
    return 0;
}
