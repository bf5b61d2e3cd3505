/* Web rig. */
#include "tests/lib/web_rig.h"

#include "shared/web/web_limits.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

static void on_hello(void *ctx, struct web_request *q)
{
    struct web_rig *r = ctx;

    r->handled++;
    if (r->takes_time) {
        uv_sleep(2);
        uv_update_time(&r->loop.uv);
    }
    web_answer(q, 200, "text/plain", SLICE("hello\n"));
}

static void on_names(void *ctx, struct web_request *q)
{
    char text[512];
    char param[8] = "-";
    struct slice rest = web_request_rest(q);

    ((struct web_rig *)ctx)->handled++;
    (void)web_request_param(q, "q", param, sizeof(param));
    snprintf(text, sizeof(text), "[%.*s] %s ", (int)rest.len, rest.ptr, param);
    web_answer(q, 200, "text/plain", slice_of(text));
}

static void on_gone(void *ctx)
{
    struct web_rig *r = ctx;

    r->slow = NULL;
    r->gone++;
}

static void on_slow(void *ctx, struct web_request *q)
{
    struct web_rig *r = ctx;

    r->handled++;
    r->slow = q;
    web_request_on_gone(q, on_gone, r);
}

static void on_static(void *ctx, struct web_request *q)
{
    (void)ctx;
    web_answer_static(q, "text/css", SLICE("p{}"), "abc");
}

static void on_large(void *ctx, struct web_request *q)
{
    char bytes[16] = "0";

    (void)ctx;
    (void)web_request_param(q, "bytes", bytes, sizeof(bytes));
    size_t len = strtoul(bytes, NULL, 10);
    char *body = xcalloc(1, len + 1);
    memset(body, 'x', len);
    web_answer(q, 200, "text/plain", (struct slice){body, len});
    free(body);
}

static void on_echo(void *ctx, struct web_request *q)
{
    ((struct web_rig *)ctx)->handled++;
    web_answer(q, 200, "text/plain", web_request_body(q));
}

static void on_secret(void *ctx, struct web_request *q)
{
    ((struct web_rig *)ctx)->handled++;
    web_answer_error(q, 409, "a \"%s\"", "reason");
}

static void *on_open(void *ctx, struct web_socket *s)
{
    struct web_rig *r = ctx;

    r->opened++;
    r->socket = s;
    assert_true(web_socket_send(s, SLICE("welcome")));
    return r;
}

static void on_message(void *of, struct slice text)
{
    struct web_rig *r = of;
    static char much[64 * 1024];

    if (r->floods) {
        memset(much, 'x', sizeof(much));
        while (web_socket_send(r->socket, (struct slice){much, sizeof(much)})) {
        }
    } else if (slice_is(text, "too much")) {
        char *all = xcalloc(1, WEB_ANSWER_MAX + 1);
        memset(all, 'x', WEB_ANSWER_MAX + 1);
        assert_false(web_socket_send(r->socket, (struct slice){all, WEB_ANSWER_MAX + 1}));
        free(all);
    } else if (slice_is(text, "close me")) {
        web_socket_close(r->socket, "as you like");
        assert_false(web_socket_send(r->socket, SLICE("too late")));
    } else {
        (void)web_socket_send(r->socket, text);
    }
}

static void on_close(void *of)
{
    struct web_rig *r = of;

    r->socket = NULL;
    r->closed++;
}

static const struct web_socket_ops live = {on_open, on_message, on_close};
static const struct web_route routes[] = {
    {.method = "GET", .path = "/hello", .handle = on_hello},
    {.method = "GET", .path = "/light", .light = true, .handle = on_hello},
    {.method = "GET", .path = "/names/*", .handle = on_names},
    {.method = "GET", .path = "/slow", .handle = on_slow},
    {.method = "GET", .path = "/static", .handle = on_static},
    {.method = "GET", .path = "/large", .handle = on_large},
    {.method = "POST", .path = "/echo", .handle = on_echo},
    {.method = "POST", .path = "/secret", .admin = true, .handle = on_secret},
    {.method = "GET", .path = "/live", .socket = &live},
    {0},
};

struct web_rig *web_rig_create(const struct web_options *given)
{
    struct web_rig *r = xcalloc(1, sizeof(*r));
    struct web_options o =
        given != NULL ? *given : (struct web_options){.admin_token = WEB_RIG_TOKEN};
    struct err err = {0};

    test_loop_init(&r->loop);
    o.loop = &r->loop.uv;
    o.listen = "127.0.0.1:0";
    o.routes = routes;
    o.ctx = r;
    r->web = web_create(&o, &err);
    if (r->web == NULL) {
        fail_msg("%s", err.text);
    }
    return r;
}

static void on_web_closed(void *ctx)
{
    ((struct web_rig *)ctx)->web_is_closed = true;
}

void web_rig_destroy(struct web_rig *r)
{
    web_close(r->web, on_web_closed, r);
    assert_false(r->web_is_closed);
    wait_until(&r->loop, r->web_is_closed);
    assert_int_equal(r->opened, r->closed);
    assert_null(r->slow);
    test_loop_finish(&r->loop);
    free(r);
}

int web_rig_set_up(void **state)
{
    *state = web_rig_create(NULL);
    return 0;
}

int web_rig_tear_down(void **state)
{
    web_rig_destroy(*state);
    return 0;
}

int web_rig_connect(struct web_rig *r)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)web_port(r->web)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

void web_rig_say_bytes(struct web_rig *r, int fd, const void *bytes, size_t len)
{
    const char *at = bytes;
    const char *end = at + len;

    while (at < end) {
        ssize_t n = send(fd, at, (size_t)(end - at), MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) {
            return; /* it has closed: what it answered tells */
        }
        at += n > 0 ? n : 0;
        test_loop_turn(&r->loop);
    }
}

void web_rig_say(struct web_rig *r, int fd, const char *text)
{
    web_rig_say_bytes(r, fd, text, strlen(text));
}

/* Bytes of the answer at the start of `heard`, as far as that is known: 1 more than there are in its head. */
static size_t answer_length(const struct web_rig *r)
{
    const char *end = memmem(r->heard, r->heard_len, "\r\n\r\n", 4);

    if (end == NULL) {
        return r->heard_len + 1;
    }
    const char *length = memmem(r->heard, (size_t)(end - r->heard), "Content-Length: ", 16);
    bool body = length != NULL && !r->head_asked;
    return (size_t)(end - r->heard) + 4 + (body ? strtoul(length + 16, NULL, 10) : 0);
}

/* Read one portion, of `most` bytes; false: the end. */
static bool hear_some(struct web_rig *r, int fd, size_t most)
{
    ssize_t n = -1;

    wait_until(&r->loop, (n = recv(fd, r->heard + r->heard_len, most, 0)) >= 0 || errno != EAGAIN);
    r->heard_len += n > 0 ? (size_t)n : 0;
    return n > 0;
}

const char *web_rig_hear(struct web_rig *r, int fd)
{
    bool open = true;

    r->heard_len = 0;
    while (open && r->heard_len < answer_length(r)) {
        size_t missing = answer_length(r) - r->heard_len;
        size_t room = sizeof(r->heard) - 1 - r->heard_len;
        open = hear_some(r, fd, missing < room ? missing : room);
    }
    r->heard[r->heard_len] = '\0';
    return r->heard;
}

bool web_rig_hear_bytes(struct web_rig *r, int fd, size_t len)
{
    for (r->heard_len = 0; r->heard_len < len;) {
        if (!hear_some(r, fd, len - r->heard_len)) {
            return false;
        }
    }
    return true;
}

const char *web_rig_ask(struct web_rig *r, const char *request)
{
    int fd = web_rig_connect(r);

    web_rig_say(r, fd, request);
    const char *answer = web_rig_hear(r, fd);
    close(fd);
    return answer;
}

int web_rig_status(const char *answer)
{
    return strncmp(answer, "HTTP/1.1 ", 9) == 0 ? atoi(answer + 9) : 0;
}

void web_rig_answer(struct web_rig *r)
{
    struct web_request *slow = r->slow;

    assert_non_null(slow);
    r->slow = NULL;
    web_answer(slow, 200, "text/plain", SLICE("at last\n"));
}
