/* Bench: the least that reading and publishing chat can take: a limit for what a node can do.
 *
 * Connects to a chat server and joins as shards do, takes WebSocket frames off blocks of 64 KiB by their
 * lengths alone, and publishes each PRIVMSG to the topic of its channel: one PUBLISH a line, those of one turn
 * in one write, at most AHEAD lines unanswered before it reads on. Answers are counted and dropped. It checks
 * no UTF-8, holds no lease, and ends where anything goes wrong. --tls: OpenSSL, and nothing else of ours.
 * --keep: the lines go to the stream "bench:kept" as well, up to 64 an entry.
 *
 * What it has done is seen at a subscriber; the end of standard input ends it.
 *
 *   bench_limit [--tls] [--keep] PORT REDIS_PORT CHANNELS_PER_CONNECTION CHANNEL... */
#include "shared/base.h"
#include "shared/buf.h"
#include "tests/bench/tool.h"

#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BLOCK      65536 /* bytes a read */
#define RECORD     16384 /* bytes of TLS a read */
#define FRAME_MOST 65536 /* of the simulator's, at most */
#define AHEAD      2048  /* lines: about the 1 MiB that a node leaves unanswered */
#define EVENTS     64
#define TOPIC      "shoal:main:chat:"
#define KEEP       64  /* lines an entry */
#define COMMAND    128 /* bytes of a PUBLISH beside channel and line, at most */

struct chat {
    int sock;
    SSL *tls; /* NULL: none */
    size_t len;
    char bytes[FRAME_MOST + BLOCK];
};

static int redis;
static char out[4 << 20]; /* commands of this turn */
static size_t out_len;
static uint64_t asked; /* lines of answers */
static uint64_t answers;
static bool keep;
static struct slice kept[KEEP]; /* lines in `out` that the next entry has */
static size_t nkept;

/* Redis ---------------------------------------------------------------------------------------- */

static char *put(char *to, const char *bytes, size_t len)
{
    memcpy(to, bytes, len);
    return to + len;
}

/* "$LEN\r\n" */
static char *put_length(char *to, size_t len)
{
    char digits[20];
    size_t n = sizeof(digits);

    do {
        digits[--n] = (char)('0' + len % 10);
    } while ((len /= 10) > 0);
    *to++ = '$';
    to = put(to, digits + n, sizeof(digits) - n);
    return put(to, "\r\n", 2);
}

/* An entry of what was published since the last one. */
static void keep_lines(void)
{
    static const char head[] =
        "*5\r\n$4\r\nXADD\r\n$10\r\nbench:kept\r\n$1\r\n*\r\n$5\r\nlines\r\n";
    char *to = put(out + out_len, head, sizeof(head) - 1);
    size_t len = nkept - 1;

    for (size_t i = 0; i < nkept; i++) {
        len += kept[i].len;
    }
    to = put_length(to, len);
    for (size_t i = 0; i < nkept; i++) {
        to = put(to, kept[i].ptr, kept[i].len);
        *to++ = '\n';
    }
    to = put(to - 1, "\r\n", 2);
    out_len = (size_t)(to - out);
    nkept = 0;
    asked += 2; /* lines of an answer: the length of an id, and the id */
}

static void write_out(void)
{
    if (nkept > 0) {
        keep_lines();
    }
    tool_send(redis, out, out_len);
    out_len = 0;
}

static void publish(struct slice channel, struct slice line)
{
    static const char head[] = "*3\r\n$7\r\nPUBLISH\r\n";
    size_t most = COMMAND + channel.len + line.len;

    if (out_len + most > sizeof(out) / 2) { /* so that all of it has room once more */
        write_out();
    }
    char *to = out + out_len;
    to = put(to, head, sizeof(head) - 1);
    to = put_length(to, sizeof(TOPIC) - 1 + channel.len);
    to = put(to, TOPIC, sizeof(TOPIC) - 1);
    to = put(to, channel.ptr, channel.len);
    to = put(to, "\r\n", 2);
    to = put_length(to, line.len);
    kept[nkept] = (struct slice){to, line.len};
    to = put(to, line.ptr, line.len);
    to = put(to, "\r\n", 2);
    out_len = (size_t)(to - out);
    asked++;
    nkept += keep;
    if (nkept == KEEP) {
        keep_lines();
    }
}

/* Chat ----------------------------------------------------------------------------------------- */

/* Behind the next blank; the end where there is none. */
static const char *next_word(const char *p, const char *end)
{
    const char *blank = memchr(p, ' ', (size_t)(end - p));

    return blank != NULL ? blank + 1 : end;
}

static void take_line(const char *line, const char *end)
{
    static const char privmsg[] = "PRIVMSG #";
    const char *p = line < end && *line == '@' ? next_word(line, end) : line;

    p = p < end && *p == ':' ? next_word(p, end) : p;
    if ((size_t)(end - p) < sizeof(privmsg) || memcmp(p, privmsg, sizeof(privmsg) - 1) != 0) {
        return; /* none that a room sees */
    }
    p += sizeof(privmsg) - 1;
    const char *blank = memchr(p, ' ', (size_t)(end - p));
    if (blank != NULL) {
        publish((struct slice){p, (size_t)(blank - p)}, (struct slice){line, (size_t)(end - line)});
    }
}

static void take_lines(const char *p, const char *end)
{
    const char *newline;

    while (p < end && (newline = memchr(p, '\n', (size_t)(end - p))) != NULL) {
        take_line(p, newline > p && newline[-1] == '\r' ? newline - 1 : newline);
        p = newline + 1;
    }
}

/* How long a frame and its head are; false: its head is not all there. A server's frames are not masked. */
static bool look_at_head(const unsigned char *p, size_t left, size_t *head, size_t *payload)
{
    *head = left < 2 || p[1] < 126 ? 2 : p[1] == 126 ? 4 : 10;
    if (left < *head) {
        return false;
    }
    *payload = p[1] & 127;
    if (*head > 2) {
        *payload = 0;
        for (size_t i = 2; i < *head; i++) {
            *payload = *payload << 8 | p[i];
        }
    }
    return true;
}

static void take_frames(struct chat *c)
{
    const char *p = c->bytes;
    size_t left = c->len;
    size_t head;
    size_t payload;

    while (look_at_head((const unsigned char *)p, left, &head, &payload) &&
           payload <= left - head) {
        take_lines(p + head, p + head + payload);
        p += head + payload;
        left -= head + payload;
    }
    if (left > FRAME_MOST) {
        fprintf(stderr, "bench_limit: a frame of more than %d bytes\n", FRAME_MOST);
        exit(1);
    }
    memmove(c->bytes, p, left);
    c->len = left;
}

/* The same block as without TLS, through memory. */
static void take_tls(struct chat *c, const char *bytes, ssize_t len)
{
    int n;

    BIO_write(SSL_get_rbio(c->tls), bytes, (int)len);
    while ((n = SSL_read(c->tls, c->bytes + c->len, RECORD)) > 0) {
        c->len += (size_t)n;
        take_frames(c);
    }
    if (SSL_get_error(c->tls, n) != SSL_ERROR_WANT_READ) {
        tool_die("SSL_read");
    }
}

static void read_chat(struct chat *c)
{
    static char block[BLOCK];
    char *to = c->tls != NULL ? block : c->bytes + c->len;
    ssize_t n = recv(c->sock, to, BLOCK, 0);

    if (n <= 0) {
        tool_die("the connection to the chat server");
    }
    if (c->tls != NULL) {
        take_tls(c, block, n);
    } else {
        c->len += (size_t)n;
        take_frames(c);
    }
}

static void say(struct chat *c, const char *bytes, size_t len)
{
    ssize_t n = c->tls != NULL ? SSL_write(c->tls, bytes, (int)len)
                               : send(c->sock, bytes, len, MSG_NOSIGNAL);

    if (n != (ssize_t)len) {
        tool_die("the chat server does not take what is said");
    }
}

/* A text frame, masked with a key of zeroes. */
static void say_frame(struct chat *c, struct slice text)
{
    unsigned char head[8] = {0x81, 0x80 | 126, (unsigned char)(text.len >> 8),
                             (unsigned char)text.len};

    BUG_ON(text.len < 126 || text.len > UINT16_MAX);
    say(c, (const char *)head, sizeof(head));
    say(c, text.ptr, text.len);
}

static void upgrade(struct chat *c)
{
    static const char request[] =
        "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: irc\r\n\r\n";
    char answer[4096] = "";
    size_t len = 0;

    say(c, request, sizeof(request) - 1);
    while (strstr(answer, "\r\n\r\n") == NULL && len < sizeof(answer) - 1) {
        ssize_t n =
            c->tls != NULL ? SSL_read(c->tls, answer + len, 1) : recv(c->sock, answer + len, 1, 0);
        if (n <= 0) {
            tool_die("no answer to the upgrade");
        }
        len += (size_t)n;
    }
    if (strncmp(answer, "HTTP/1.1 101", 12) != 0) {
        fprintf(stderr, "bench_limit: the upgrade was answered with %.30s\n", answer);
        exit(1);
    }
}

static struct chat *connect_chat(SSL_CTX *tls, int port, char **channels, int n)
{
    struct chat *c = xcalloc(1, sizeof(*c));
    struct buf hello;

    c->sock = tool_connect(port);
    if (tls != NULL) {
        c->tls = SSL_new(tls);
        SSL_set_fd(c->tls, c->sock);
        if (SSL_connect(c->tls) != 1) {
            tool_die("SSL_connect");
        }
    }
    upgrade(c);
    buf_init(&hello, UINT16_MAX);
    buf_append_str(&hello, "CAP REQ :twitch.tv/tags twitch.tv/commands\r\n"
                           "PASS oauth:simtoken\r\nNICK shoalbot\r\n");
    for (int i = 0; i < n; i++) {
        buf_printf(&hello, "JOIN #%s\r\n", channels[i]);
    }
    say_frame(c, buf_slice(&hello));
    buf_finish(&hello);
    if (tls != NULL) {
        SSL_set0_rbio(c->tls, BIO_new(BIO_s_mem())); /* from now on reads are ours */
    }
    return c;
}

/* The loop ------------------------------------------------------------------------------------- */

static void watch(int epoll, int fd, void *what)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = what};

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
        tool_die("epoll_ctl");
    }
}

static void turn(int epoll)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(epoll, events, EVENTS, -1);

    for (int i = 0; i < n; i++) {
        if (events[i].data.ptr == &redis) {
            answers += tool_take_answers(redis, MSG_DONTWAIT);
        } else if (events[i].data.ptr == NULL) {
            _exit(0); /* standard input has ended */
        } else {
            read_chat(events[i].data.ptr);
        }
    }
    write_out();
    while (asked - answers > AHEAD) {
        answers += tool_take_answers(redis, 0);
    }
}

int main(int argc, char **argv)
{
    bool tls = argc > 1 && strcmp(argv[1], "--tls") == 0;
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    argc -= tls;
    argv += tls;
    keep = argc > 1 && strcmp(argv[1], "--keep") == 0;
    argc -= keep;
    argv += keep;
    int each = argc > 4 ? atoi(argv[3]) : 0;
    if (each <= 0) {
        fprintf(stderr,
                "Usage: bench_limit [--tls] [--keep] PORT REDIS_PORT CHANNELS_PER_CONNECTION "
                "CHANNEL...\n");
        return 2;
    }
    SSL_CTX *context = tls ? SSL_CTX_new(TLS_client_method()) : NULL;
    redis = tool_connect(atoi(argv[2]));
    watch(epoll, redis, &redis);
    watch(epoll, 0, NULL);
    for (int i = 4; i < argc; i += each) {
        struct chat *c =
            connect_chat(context, atoi(argv[1]), argv + i, argc - i < each ? argc - i : each);
        watch(epoll, c->sock, c);
    }
    for (;;) {
        turn(epoll);
    }
}
