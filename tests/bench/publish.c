/* Bench: a bare pipelined PUBLISH loop.
 *
 * Publishes the lines of a record (twitch-sim --record: channel, TAB, line) over and over, up to LINES, and
 * does nothing else: a limit for what a node can do. With RATE 0 as fast as Redis answers, 64 a write, at most
 * 1 MiB unanswered, as a node does; else paced, each line with the time as its first tag (sim-us), as the
 * simulator's stamp=1 makes them. Prints {"lines": N, "first_us": T, "last_us": T}, the latter when the last
 * answer was there.
 *
 *   bench_publish PORT RECORD LINES RATE */
#include "shared/base.h"
#include "shared/buf.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH      64
#define UNANSWERED ((size_t)1024 * 1024)
#define TOPIC      "shoal:main:chat:"

struct message {
    struct slice channel;
    struct slice line;
};

static struct message *messages;
static size_t nmessages;
static int sock;
static uint64_t answers;

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(1);
}

static long long now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void read_record(const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = NULL;
    size_t size = 0;
    size_t cap = 0;
    ssize_t len;

    if (file == NULL) {
        die(path);
    }
    while ((len = getline(&text, &size, file)) > 0) {
        char *tab = memchr(text, '\t', (size_t)len);
        while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r')) {
            len--;
        }
        if (tab == NULL) {
            continue;
        }
        if (nmessages == cap) {
            cap = cap > 0 ? 2 * cap : 1024;
            messages = xrealloc(messages, cap * sizeof(*messages));
        }
        const char *copy = xstrndup(text, (size_t)len);
        size_t at = (size_t)(tab - text);
        messages[nmessages++] = (struct message){{copy, at}, {copy + at + 1, (size_t)len - at - 1}};
    }
    free(text);
    fclose(file);
    if (nmessages == 0) {
        fprintf(stderr, "bench_publish: %s holds no lines\n", path);
        exit(1);
    }
}

static void connect_redis(int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int one = 1;

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (sock < 0 || connect(sock, (struct sockaddr *)&to, sizeof(to)) != 0) {
        die("bench_publish: connect");
    }
    setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static void send_all(struct slice bytes)
{
    while (bytes.len > 0) {
        ssize_t n = send(sock, bytes.ptr, bytes.len, MSG_NOSIGNAL);
        if (n < 0) {
            die("bench_publish: send");
        }
        bytes.ptr += n;
        bytes.len -= (size_t)n;
    }
}

/* Read answers (":N" each); waits for one, or takes what is there. */
static void take_answers(bool wait)
{
    static char bytes[65536];
    ssize_t n = recv(sock, bytes, sizeof(bytes), wait ? 0 : MSG_DONTWAIT);

    if (n == 0 || (n < 0 && wait)) {
        die("bench_publish: recv");
    }
    for (ssize_t i = 0; i < n; i++) {
        answers += bytes[i] == '\n';
        if (bytes[i] == '-') {
            fprintf(stderr, "bench_publish: Redis says %.60s\n", bytes + i);
            exit(1);
        }
    }
}

static void append_publish(struct buf *out, const struct message *m, bool stamp)
{
    char head[128];
    char first[64];
    int first_len = 0;
    struct slice line = m->line;

    if (stamp && line.len > 0 && line.ptr[0] == '@') {
        first_len = snprintf(first, sizeof(first), "@sim-us=%lld;", now_us());
        line = (struct slice){line.ptr + 1, line.len - 1};
    }
    int n = snprintf(head, sizeof(head), "*3\r\n$7\r\nPUBLISH\r\n$%zu\r\n" TOPIC "%.*s\r\n$%zu\r\n",
                     strlen(TOPIC) + m->channel.len, (int)m->channel.len, m->channel.ptr,
                     line.len + (size_t)first_len);
    buf_append(out, head, (size_t)n);
    buf_append(out, first, (size_t)first_len);
    buf_append_slice(out, line);
    buf_append(out, "\r\n", 2);
}

/* The commands are made once, before the clock runs: a bare loop only writes and reads. */
static long long flood(uint64_t lines)
{
    size_t nbatches = (nmessages + BATCH - 1) / BATCH;
    struct buf *batches = xcalloc(nbatches, sizeof(*batches));
    size_t bytes = 0;

    for (size_t i = 0; i < nbatches; i++) {
        buf_init(&batches[i], (size_t)64 * 1024 * 1024);
        for (size_t j = 0; j < BATCH; j++) {
            append_publish(&batches[i], &messages[(i * BATCH + j) % nmessages], false);
        }
        bytes += batches[i].len;
    }
    uint64_t ahead = UNANSWERED / (bytes / nbatches) * BATCH; /* lines that may be unanswered */
    uint64_t sent = 0;
    long long first_us = now_us();

    lines = (lines + BATCH - 1) / BATCH * BATCH;
    for (size_t i = 0; sent < lines; i = (i + 1) % nbatches) {
        take_answers(false);
        while (sent - answers > ahead) {
            take_answers(true);
        }
        send_all(buf_slice(&batches[i]));
        sent += BATCH;
    }
    while (answers < sent) {
        take_answers(true);
    }
    for (size_t i = 0; i < nbatches; i++) {
        buf_finish(&batches[i]);
    }
    free(batches);
    return first_us;
}

static long long paced(uint64_t lines, double rate)
{
    struct buf out;
    long long first_us = now_us();
    uint64_t sent = 0;

    buf_init(&out, (size_t)64 * 1024 * 1024);
    while (sent < lines) {
        uint64_t due = (uint64_t)((double)(now_us() - first_us) * rate / 1e6);
        buf_clear(&out);
        for (; sent < due && sent < lines; sent++) {
            append_publish(&out, &messages[sent % nmessages], true);
        }
        send_all(buf_slice(&out));
        take_answers(false);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    while (answers < sent) {
        take_answers(true);
    }
    buf_finish(&out);
    return first_us;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "Usage: bench_publish PORT RECORD LINES RATE\n");
        return 2;
    }
    uint64_t lines = strtoull(argv[3], NULL, 10);
    double rate = strtod(argv[4], NULL);
    long long first_us;

    read_record(argv[2]);
    connect_redis(atoi(argv[1]));
    first_us = rate > 0 ? paced(lines, rate) : flood(lines);
    printf("{\"lines\": %llu, \"first_us\": %lld, \"last_us\": %lld}\n",
           (unsigned long long)answers, first_us, now_us());
    close(sock);
    return 0;
}
