/* HTTP: a server whose name is not found out in time holds up nothing. */
#include "shared/http/http.h"

#include "shared/base.h"
#include "tests/lib/http_rig.h"
#include "tests/lib/names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define SLOW_MS 2000

static const struct http_move ok[] = {{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false}};

static const char *url(const struct http_rig *r)
{
    static char text[128];

    (void)snprintf(text, sizeof(text), "http://%s:%d/", NAMES_NAME, r->port);
    return text;
}

static struct http_rig *rig(void)
{
    struct http_rig *r = http_rig_create(ok, 1, NULL);

    names_set("127.0.0.1");
    names_take(SLOW_MS);
    return r;
}

/* Threads of look-ups end by themselves; a leak would be seen. */
static void end(struct http_rig *r, unsigned answered)
{
    uint64_t began = mono_ms();

    http_rig_destroy(r);
    assert_in_range(mono_ms() - began, 0, SLOW_MS / 2);
    while (names_answered() < answered && mono_ms() - began < 10000) {
        uv_sleep(20);
    }
    uv_sleep(50);
    names_take(0);
}

static void a_name_that_is_looked_up_for_too_long_ends_the_request_and_not_the_loop(void **state)
{
    struct http_rig *r = rig();
    unsigned answered = names_answered() + 1;
    uint64_t began = mono_ms();

    (void)state;
    http_rig_ask(r, &(struct http_ask){.method = "GET", .url = url(r), .timeout_ms = 300});
    assert_in_range(mono_ms() - began, 250, 1000);
    assert_int_equal(r->err.code, ERR_TIMEOUT);
    assert_false(r->sent);
    end(r, answered);
}

static void a_request_is_given_up_while_its_name_is_looked_up(void **state)
{
    struct http_rig *r = rig();
    unsigned answered = names_answered() + 2;
    const struct http_ask ask = {.method = "GET", .url = url(r)};

    (void)state;
    struct http_request *request = http_begin(r->http, &ask, http_rig_answered, r);
    (void)http_begin(r->http, &ask, http_rig_answered, r);
    test_loop_run_for(&r->loop, 100);
    uint64_t began = mono_ms();
    http_cancel(request);
    assert_in_range(mono_ms() - began, 0, SLOW_MS / 4);
    end(r, answered); /* and so is the client */
}

static void a_name_that_is_found_in_time_is_used(void **state)
{
    struct http_rig *r = rig();
    unsigned answered = names_answered() + 1;

    (void)state;
    names_take(200);
    http_rig_ask(r, &(struct http_ask){.method = "GET", .url = url(r)});
    assert_int_equal(r->status, 200);
    end(r, answered);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_that_is_looked_up_for_too_long_ends_the_request_and_not_the_loop),
        cmocka_unit_test(a_request_is_given_up_while_its_name_is_looked_up),
        cmocka_unit_test(a_name_that_is_found_in_time_is_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
