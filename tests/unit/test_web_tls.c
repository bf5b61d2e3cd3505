/* TLS, as HTTPS has it: what a connection keeps in memory. */
#include "node/connection.h" /* of wire.h */
#include "shared/base.h"
#include "shared/net/tls.h"
#include "tests/lib/web_rig.h"
#include "tests/lib/wire.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <openssl/crypto.h>
#include <cmocka.h>

#define LARGE "4000000"

/* What OpenSSL holds: it asks these for all of its memory. */
static size_t held;

static void *take(size_t size, const char *file, int line)
{
    size_t *p = malloc(size + 16);

    (void)file;
    (void)line;
    BUG_ON(p == NULL);
    p[0] = size;
    held += size;
    return p + 2;
}

static void give_back(void *at, const char *file, int line)
{
    size_t *p = at;

    (void)file;
    (void)line;
    if (p != NULL) {
        held -= p[-2];
        free(p - 2);
    }
}

static void *take_other(void *at, size_t size, const char *file, int line)
{
    void *fresh = take(size, file, line);

    if (at != NULL) {
        size_t before = ((size_t *)at)[-2];
        memcpy(fresh, at, before < size ? before : size);
    }
    give_back(at, file, line);
    return fresh;
}

/* What clients have to send. */
static struct buf wire;

/* A client: bytes go between its TLS and its socket. What came is to be read before the next call. */
static void pump(struct web_rig *r, int fd, struct tls *tls)
{
    static char bytes[65536];

    web_rig_say_bytes(r, fd, wire.data, wire.len);
    buf_finish(&wire);
    test_loop_turn(&r->loop);
    ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (n > 0) {
        tls_receive(tls, bytes, (size_t)n);
    }
}

/* The whole answer, whose bytes are counted. */
static size_t ask(struct web_rig *r, int fd, struct tls *tls, const char *request, size_t most)
{
    char bytes[16384];
    size_t heard = 0;
    int n = 0;

    assert_int_equal(tls_write(tls, request, strlen(request), NULL), 0);
    while (heard < most) {
        pump(r, fd, tls);
        while ((n = tls_read(tls, bytes, sizeof(bytes), NULL)) > 0) {
            heard += (size_t)n;
        }
        assert_int_equal(n, 0);
    }
    return heard;
}

static struct web_rig *create(void)
{
    return web_rig_create(&(struct web_options){.tls_cert = wire_cert, .tls_key = wire_key});
}

static struct tls *shake_hands(struct web_rig *r, int fd)
{
    struct err err;
    struct tls_trust *trust = tls_trust_create(wire_cert, &err);

    assert_non_null(trust);
    buf_init(&wire, 65536);
    struct tls *tls = tls_create(trust, "localhost", "ca", &wire, &err);
    tls_trust_destroy(trust);
    assert_non_null(tls);
    while (tls_handshake(tls, &err) == 0) {
        pump(r, fd, tls);
    }
    return tls;
}

static void what_was_sent_is_not_kept(void **state)
{
    struct web_rig *r = create();
    int fd = web_rig_connect(r);
    struct tls *tls = shake_hands(r, fd);

    (void)state;
    (void)ask(r, fd, tls, "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n", 100);
    size_t before = held;
    (void)ask(r, fd, tls, "GET /large?bytes=" LARGE " HTTP/1.1\r\nHost: localhost\r\n\r\n",
              strtoul(LARGE, NULL, 10));
    assert_in_range(held, 1, before + 200000); /* of the client, too */
    tls_destroy(tls);
    close(fd);
    web_rig_destroy(r);
}

/* What is said now; less than 0: the server says no more. */
static int hear(struct web_rig *r, int fd, struct tls *tls)
{
    int n = 0;

    pump(r, fd, tls);
    while ((n = tls_read(tls, r->heard + r->heard_len, sizeof(r->heard) - 1 - r->heard_len, NULL)) >
           0) {
        r->heard_len += (size_t)n;
    }
    return n;
}

static void who_ends_its_side_behind_its_requests_is_answered(void **state)
{
    static const char requests[] = "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"
                                   "GET /large?bytes=" LARGE " HTTP/1.1\r\nHost: localhost\r\n\r\n"
                                   "GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n";
    struct web_rig *r = create();
    int fd = web_rig_connect(r);
    struct tls *tls = shake_hands(r, fd);
    int turns = 0;

    (void)state;
    assert_int_equal(tls_write(tls, requests, sizeof(requests) - 1, NULL), 0);
    tls_end(tls);
    r->heard_len = 0;
    while (r->slow == NULL && turns++ < 2000) {
        assert_int_equal(hear(r, fd, tls), 0);
    }
    shutdown(fd, SHUT_WR); /* as most do then */
    test_loop_run_for(&r->loop, 20);
    web_rig_answer(r);
    while (hear(r, fd, tls) == 0 && turns++ < 4000) {
    }
    assert_in_range(turns, 0, 4000);
    r->heard[r->heard_len] = '\0';
    assert_int_equal(strncmp(r->heard, "HTTP/1.1 200 OK\r\n", 17), 0);
    assert_in_range(r->heard_len, strtoul(LARGE, NULL, 10) + 1000, sizeof(r->heard));
    assert_string_equal(r->heard + r->heard_len - 8, "at last\n");
    tls_destroy(tls);
    close(fd);
    web_rig_destroy(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_sent_is_not_kept),
        cmocka_unit_test(who_ends_its_side_behind_its_requests_is_answered),
    };

    assert_int_equal(CRYPTO_set_mem_functions(take, take_other, give_back), 1);
    return cmocka_run_group_tests(tests, wire_set_up, wire_tear_down);
}
