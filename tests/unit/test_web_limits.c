/* The HTTP server and those who ask too much, too fast or too slowly. */
#include "shared/web/web.h"

#include "shared/base.h"
#include "shared/web/web_limits.h"
#include "tests/lib/test_clock.h"
#include "tests/lib/web_rig.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#define HOST  "Host: localhost\r\n"
#define HELLO "GET /hello HTTP/1.1\r\n" HOST "\r\n"

/* It goes on as if nothing had been. */
static void assert_serves(struct web_rig *r)
{
    assert_non_null(strstr(web_rig_ask(r, HELLO), "\r\n\r\nhello\n"));
}

static void who_sends_too_slowly_is_dropped(void **state)
{
    struct web_rig *r = *state;
    static const char *const beginnings[] = {
        "",
        "G",
        "GET /hello HTTP/1.1\r\nHost: local",
        "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 100\r\n\r\nabc",
    };

    for (size_t i = 0; i < ARRAY_LEN(beginnings); i++) {
        int fd = web_rig_connect(r);
        web_rig_say(r, fd, beginnings[i]);
        for (uint64_t ms = 0; ms < WEB_BODY_READ_MS + 1000; ms += 1000) {
            web_rig_say(r, fd, beginnings[i][0] != '\0' ? "x" : ""); /* it is not silence */
            test_clock_forward(1000);
            test_loop_turn(&r->loop);
        }
        assert_false(web_rig_hear_bytes(r, fd, 1));
        close(fd);
    }
    assert_int_equal(r->handled, 0);
}

static void a_connection_without_requests_is_closed(void **state)
{
    struct web_rig *r = *state;
    int fd = web_rig_connect(r);

    web_rig_say(r, fd, HELLO);
    assert_int_equal(web_rig_status(web_rig_hear(r, fd)), 200);
    test_clock_forward(WEB_IDLE_MS - 1000);
    test_loop_turn(&r->loop);
    web_rig_say(r, fd, HELLO);
    assert_int_equal(web_rig_status(web_rig_hear(r, fd)), 200);
    test_clock_forward(WEB_IDLE_MS + 1000);
    assert_false(web_rig_hear_bytes(r, fd, 1));
    close(fd);
}

/* File descriptors of this process. */
static size_t count_fds(void)
{
    size_t n = 0;

    for (int fd = 0; fd < 1024; fd++) {
        n += fcntl(fd, F_GETFD) >= 0;
    }
    return n;
}

static void who_does_not_read_its_answer_is_dropped(void **state)
{
    struct web_rig *r = *state;
    int fd = web_rig_connect(r);
    size_t fds = count_fds();
    int small = 4096;

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
    web_rig_say(r, fd, "GET /large?bytes=8000000 HTTP/1.1\r\n" HOST "\r\n");
    wait_until(&r->loop, count_fds() > fds);
    test_loop_run_for(&r->loop, 50);
    assert_true(count_fds() > fds);
    test_clock_forward(WEB_WRITE_MS + 1000);
    wait_until(&r->loop, count_fds() == fds);
    close(fd);
}

static void a_handler_that_does_not_answer_in_time_is_told(void **state)
{
    struct web_rig *r = *state;
    int fd = web_rig_connect(r);

    web_rig_say(r, fd, "GET /slow HTTP/1.1\r\n" HOST "\r\n");
    wait_until(&r->loop, r->slow != NULL);
    test_clock_forward(WEB_HANDLE_MS + 1000);
    assert_int_equal(web_rig_status(web_rig_hear(r, fd)), 504);
    assert_int_equal(r->gone, 1);
    close(fd);
}

/* One connection has asked for more than there are in a second. */
static int flood(struct web_rig *r)
{
    int fd = web_rig_connect(r);
    int status = 200;

    for (int i = 0; i < 5 * WEB_REQUESTS && status == 200; i++) {
        web_rig_say(r, fd, HELLO);
        status = web_rig_status(web_rig_hear(r, fd));
    }
    assert_int_equal(status, 429);
    return fd;
}

static void requests_beyond_so_many_a_second_are_refused_cheaply(void **state)
{
    struct web_rig *r = *state;
    int fd = flood(r);

    assert_non_null(strstr(r->heard, "\r\nRetry-After: 1\r\n"));
    assert_true(r->handled >= WEB_REQUESTS);
    /* What costs nothing is answered, and this connection later. */
    assert_int_equal(web_rig_status(web_rig_ask(r, "GET /light HTTP/1.1\r\n" HOST "\r\n")), 200);
    web_rig_say(r, fd, HELLO);
    test_loop_run_for(&r->loop, 20);
    assert_int_equal(recv(fd, r->heard, 1, MSG_DONTWAIT), -1);
    test_clock_forward(1000);
    assert_int_equal(web_rig_status(web_rig_hear(r, fd)), 200);
    close(fd);
}

/* Connections that have asked `times` times each; nothing of that is looked at yet. */
static void ask_all(struct web_rig *r, int *fds, size_t n, int times)
{
    for (size_t i = 0; i < n; i++) {
        fds[i] = web_rig_connect(r);
        web_rig_say(r, fds[i], HELLO);
        assert_int_equal(web_rig_status(web_rig_hear(r, fds[i])), 200);
    }
    for (size_t i = 0; i < n; i++) {
        for (int k = 0; k < times; k++) {
            assert_true(send(fds[i], HELLO, strlen(HELLO), MSG_NOSIGNAL) > 0);
        }
    }
}

static void so_many_are_handled_in_a_turn_of_the_loop_whatever_time_they_take(void **state)
{
    struct web_rig *r = *state;
    int fds[40];

    ask_all(r, fds, ARRAY_LEN(fds), 2);
    r->takes_time = true;
    int all = r->handled + 2 * (int)ARRAY_LEN(fds);
    for (int turns = 0; r->handled < all && turns < 100; turns++) {
        int before = r->handled;
        test_loop_turn(&r->loop);
        assert_in_range(r->handled - before, 0, WEB_REQUESTS_A_TURN);
    }
    assert_int_equal(r->handled, all);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        close(fds[i]);
    }
}

static void nobody_waits_while_the_others_are_answered_again_and_again(void **state)
{
    struct web_rig *r = *state;
    int fds[2 * WEB_REQUESTS_A_TURN];

    ask_all(r, fds, ARRAY_LEN(fds), 8);
    for (int turns = 0; turns < 4; turns++) {
        test_loop_turn(&r->loop);
    }
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        assert_int_equal(recv(fds[i], r->heard, 1, MSG_DONTWAIT), 1);
        close(fds[i]);
    }
}

static void who_has_the_token_is_answered_while_somebody_floods(void **state)
{
    struct web_rig *r = *state;
    int fd = flood(r);

    for (int i = 0; i < 60; i++) {
        assert_int_equal(
            web_rig_status(web_rig_ask(r, "POST /secret HTTP/1.1\r\n" HOST
                                          "Authorization: Bearer " WEB_RIG_TOKEN "\r\n\r\n")),
            409);
    }
    close(fd);
}

static void a_flood_of_what_costs_nothing_is_answered_and_takes_nobody_the_place(void **state)
{
    struct web_rig *r = *state;
    int fd = web_rig_connect(r);
    int other = web_rig_connect(r);

    for (int i = 0; i < WEB_REQUESTS; i++) {
        web_rig_say(r, fd, "GET /light HTTP/1.1\r\n" HOST "\r\n");
        assert_int_equal(web_rig_status(web_rig_hear(r, fd)), 200);
    }
    for (int i = 0; i < WEB_REQUESTS / 2; i++) {
        web_rig_say(r, other, HELLO);
        assert_int_equal(web_rig_status(web_rig_hear(r, other)), 200);
    }
    close(fd);
    close(other);
}

static void tokens_are_not_guessed_fast_and_who_has_it_is_not_locked_out(void **state)
{
    struct web_rig *r = *state;
    const char *wrong = "POST /secret HTTP/1.1\r\n" HOST "Authorization: Bearer guess\r\n\r\n";
    const char *right =
        "POST /secret HTTP/1.1\r\n" HOST "Authorization: Bearer " WEB_RIG_TOKEN "\r\n\r\n";

    for (int i = 0; i < WEB_BAD_TOKENS_S; i++) {
        assert_int_equal(web_rig_status(web_rig_ask(r, wrong)), 401);
    }
    assert_int_equal(web_rig_status(web_rig_ask(r, wrong)), 429);
    assert_int_equal(web_rig_status(web_rig_ask(r, right)), 409);
    test_clock_forward(1000);
    assert_int_equal(web_rig_status(web_rig_ask(r, wrong)), 401);
}

static void who_waits_longest_makes_room_for_others(void **state)
{
    struct web_rig *r = *state;
    int fds[WEB_CONNECTIONS_MAX];

    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = web_rig_connect(r);
        test_loop_turn(&r->loop);
        test_clock_forward(i % 16 == 0 ? 10 : 0);
    }
    assert_serves(r);
    assert_false(web_rig_hear_bytes(r, fds[0], 1));
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        close(fds[i]);
    }
}

static void where_all_are_busy_others_are_closed_at_once(void **state)
{
    struct web_rig *r = *state;
    int fds[WEB_CONNECTIONS_MAX];

    for (size_t i = 0; i < ARRAY_LEN(fds); i++) { /* a body is to come */
        fds[i] = web_rig_connect(r);
        web_rig_say(r, fds[i], "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\nabc");
        test_loop_turn(&r->loop);
        test_clock_forward(10);
    }
    assert_int_equal(web_rig_status(web_rig_ask(r, HELLO)), 0);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        close(fds[i]);
    }
    test_loop_run_for(&r->loop, 20);
    assert_serves(r);
}

/* CPU time of this process, in ms. */
static uint64_t cpu_ms(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000 +
           (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000;
}

static void without_file_descriptors_it_does_not_spin(void **state)
{
    struct web_rig *r = *state;
    struct rlimit before;
    struct rlimit none;
    int fds[8];

    for (size_t i = 0; i < ARRAY_LEN(fds); i++) { /* made before there are none */
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        close(fds[i]);
    }
    assert_serves(r);
    getrlimit(RLIMIT_NOFILE, &before);
    none = before;
    none.rlim_cur = (rlim_t)fds[0] + 1; /* for the client alone */
    int fd = web_rig_connect(r);
    setrlimit(RLIMIT_NOFILE, &none);
    uint64_t cpu = cpu_ms();
    test_loop_run_for(&r->loop, 400);
    cpu = cpu_ms() - cpu;
    setrlimit(RLIMIT_NOFILE, &before);
    close(fd);
    assert_true(cpu < 200);
    assert_serves(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        web_rig_test(who_sends_too_slowly_is_dropped),
        web_rig_test(a_connection_without_requests_is_closed),
        web_rig_test(who_does_not_read_its_answer_is_dropped),
        web_rig_test(a_handler_that_does_not_answer_in_time_is_told),
        web_rig_test(requests_beyond_so_many_a_second_are_refused_cheaply),
        web_rig_test(so_many_are_handled_in_a_turn_of_the_loop_whatever_time_they_take),
        web_rig_test(nobody_waits_while_the_others_are_answered_again_and_again),
        web_rig_test(who_has_the_token_is_answered_while_somebody_floods),
        web_rig_test(a_flood_of_what_costs_nothing_is_answered_and_takes_nobody_the_place),
        web_rig_test(tokens_are_not_guessed_fast_and_who_has_it_is_not_locked_out),
        web_rig_test(who_waits_longest_makes_room_for_others),
        web_rig_test(where_all_are_busy_others_are_closed_at_once),
        web_rig_test(without_file_descriptors_it_does_not_spin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
