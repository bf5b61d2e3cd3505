/* Bench: a subscriber that keeps up.
 *
 * PSUBSCRIBEs to all chat, counts the lines, and notes how old each is that has a sim-us tag in front. A line
 * on standard input is answered with {"lines": N, "first_us": T, "last_us": T, "stamped": N, "p50_us",
 * "p99_us", "p999_us", "max_us"}: how many, when the first and the last were read, and of the ages the quantiles;
 * "reset" forgets the ages and the count. The end of standard input ends it.
 *
 *   bench_subscribe PORT */
#include "shared/base.h"
#include "tests/bench/tool.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATTERN  "shoal:main:chat:*"
#define READ_MAX ((size_t)1024 * 1024)

static uint64_t lines;
static long long first_us; /* when the first of `lines` was read */
static long long last_us;
static uint32_t *ages;
static size_t nages;
static size_t ages_cap;

/* A number and its CR LF; NULL when they are not all there. */
static const char *take_number(const char *p, const char *end, char kind, size_t *out)
{
    const char *newline = p < end ? memchr(p, '\n', (size_t)(end - p)) : NULL;

    if (newline == NULL) {
        return NULL;
    }
    if (*p != kind) {
        fprintf(stderr, "bench_subscribe: '%c' where '%c' was expected\n", *p, kind);
        exit(1);
    }
    *out = strtoul(p + 1, NULL, 10);
    return newline + 1;
}

static const char *take_string(const char *p, const char *end, struct slice *out)
{
    p = take_number(p, end, '$', &out->len);
    if (p == NULL || (size_t)(end - p) < out->len + 2) {
        return NULL;
    }
    out->ptr = p;
    return p + out->len + 2;
}

static void take_line(struct slice line, long long now)
{
    static const char stamp[] = "@sim-us=";

    if (lines++ == 0) {
        first_us = now;
    }
    if (line.len < sizeof(stamp) || memcmp(line.ptr, stamp, sizeof(stamp) - 1) != 0) {
        return;
    }
    if (nages == ages_cap) {
        ages_cap = ages_cap > 0 ? 2 * ages_cap : 65536;
        ages = xrealloc(ages, ages_cap * sizeof(*ages));
    }
    long long age = now - strtoll(line.ptr + sizeof(stamp) - 1, NULL, 10);
    ages[nages++] = age > 0 ? (uint32_t)age : 0;
}

/* One message: "pmessage", pattern, topic, payload. */
static const char *take_message(const char *p, const char *end, long long now)
{
    struct slice part[4];
    size_t n;

    p = take_number(p, end, '*', &n);
    for (size_t i = 0; p != NULL && i < 4 && i < n; i++) {
        if (i == 2 && slice_is(part[0], "psubscribe")) {
            return take_number(p, end, ':', &n);
        }
        p = take_string(p, end, &part[i]);
    }
    if (p != NULL && n == 4) {
        take_line(part[3], now);
    }
    return p;
}

static void read_some(int sock)
{
    static char bytes[2 * READ_MAX];
    static size_t len;
    ssize_t n = recv(sock, bytes + len, READ_MAX, 0);
    const char *p = bytes;
    const char *next;

    if (n <= 0) {
        tool_die("recv");
    }
    len += (size_t)n;
    last_us = tool_now_us();
    while (p < bytes + len && (next = take_message(p, bytes + len, last_us)) != NULL) {
        p = next;
    }
    len -= (size_t)(p - bytes);
    memmove(bytes, p, len);
    if (len > READ_MAX) {
        fprintf(stderr, "bench_subscribe: a message of more than %zu bytes\n", READ_MAX);
        exit(1);
    }
}

static int by_age(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* Of the ages, which are sorted. */
static uint32_t quantile(size_t per_mille)
{
    size_t i = nages * per_mille / 1000;

    return nages > 0 ? ages[i < nages ? i : nages - 1] : 0;
}

static void answer(const char *question)
{
    if (strncmp(question, "reset", 5) == 0) {
        lines = 0;
        nages = 0;
    }
    if (nages > 0) {
        qsort(ages, nages, sizeof(*ages), by_age);
    }
    printf("{\"lines\": %llu, \"first_us\": %lld, \"last_us\": %lld, \"stamped\": %zu, "
           "\"p50_us\": %u, \"p99_us\": %u, \"p999_us\": %u, \"max_us\": %u}\n",
           (unsigned long long)lines, first_us, last_us, nages, quantile(500), quantile(990),
           quantile(999), quantile(1000));
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static const char subscribe[] = "PSUBSCRIBE " PATTERN "\r\n";
    char question[256] = "";

    if (argc != 2) {
        fprintf(stderr, "Usage: bench_subscribe PORT\n");
        return 2;
    }
    int redis = tool_connect(atoi(argv[1]));
    struct pollfd fds[] = {{.fd = redis, .events = POLLIN}, {.fd = 0, .events = POLLIN}};

    tool_send(redis, subscribe, sizeof(subscribe) - 1);
    for (;;) {
        if (poll(fds, ARRAY_LEN(fds), -1) < 0) {
            tool_die("poll");
        }
        if (fds[0].revents != 0) {
            read_some(fds[0].fd);
        }
        if (fds[1].revents != 0) {
            ssize_t n = read(0, question, sizeof(question) - 1);
            if (n <= 0) {
                free(ages);
                return 0;
            }
            question[n] = '\0';
            answer(question);
        }
    }
}
