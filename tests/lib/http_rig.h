/* HTTP rig: a client under test and a server that does what each test says, on one loop. */
#ifndef SHOAL_TESTS_HTTP_RIG_H
#define SHOAL_TESTS_HTTP_RIG_H

#include "shared/http/http.h"
#include "tests/lib/test_loop.h"

/* What the server does with one request: write the text, then hang up (or not). */
struct http_move {
    const char *says; /* NULL: nothing */
    bool hangs_up;
};

struct http_rig {
    struct test_loop loop;
    struct http *http;
    uv_tcp_t server;
    int port;
    const struct http_move *moves; /* for each request the next; then the last again */
    size_t nmoves;
    size_t requests;       /* heard */
    int accepted;          /* connections */
    char heard[64 * 1024]; /* all of them, one behind the other */
    size_t heard_len;
    struct peer *peers;
    /* Of the callbacks. */
    int answers;
    unsigned status;
    char body[1024];
    uint64_t wait_ms;
    bool sent;
    struct err err; /* code 0: none */
};

/* A server on a free port and a client; `proxy` as http_options. */
struct http_rig *http_rig_create(const struct http_move *moves, size_t n, const char *proxy);
/* The client and all of its connections are gone; a handle left open would be seen. */
void http_rig_destroy(struct http_rig *r);
/* No server any more: connections are refused. */
void http_rig_stop_server(struct http_rig *r);
/* "http://127.0.0.1:PORT/path"; valid until the next call. */
const char *http_rig_url(const struct http_rig *r, const char *path);
/* Counts, and keeps what it is told: an http_cb, whose ctx is the rig. */
void http_rig_answered(void *ctx, const struct http_answer *answer, const struct err *err);
/* Ask, and wait for the answer. */
void http_rig_ask(struct http_rig *r, const struct http_ask *ask);

#endif
