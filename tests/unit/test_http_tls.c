/* HTTPS: who is believed to be the server. */
#include "shared/http/http.h"

#include "node/connection.h" /* of wire.h */

#include "shared/base.h"
#include "tests/lib/http_rig.h"
#include "tests/lib/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

/* Ask a TLS server at `host`, trusting `ca` (NULL: the system's). The rig holds what came of it. */
static struct http_rig *ask(const char *host, const char *ca, bool tls_old)
{
    static const struct http_move none[] = {{NULL, true}};
    struct wire *w = wire_create(NULL, 1000);
    struct http_rig *r = http_rig_create(none, 1, NULL);
    char url[128];

    w->tls_old = tls_old;
    wire_start_tls_server(w);
    (void)snprintf(url, sizeof(url), "https://%s:%d/", host, w->port);
    http_close(r->http, NULL, NULL);
    r->http = http_create(&(struct http_options){.loop = &r->loop.uv, .tls_ca = ca});
    http_rig_ask(r, &(struct http_ask){.method = "GET", .url = url, .authorization = "Bearer abc"});
    wire_destroy(w);
    return r;
}

static void a_server_that_is_known_by_name_and_chain_is_asked(void **state)
{
    struct http_rig *r = ask("localhost", wire_cert, false);

    (void)state;
    assert_true(r->sent); /* the server speaks WebSocket alone, and hangs up */
    http_rig_destroy(r);
}

static void nobody_else_is_told_a_token(void **state)
{
    const struct {
        const char *host;
        const char *ca;
        bool tls_old;
        enum err_code code;
    } cases[] = {
        {"localhost", wire_other, false, ERR_AUTH},
        {"localhost", NULL, false, ERR_AUTH},
        {"127.0.0.1", wire_cert, false, ERR_AUTH},
        {"localhost", "/no/such/file", false, ERR_AUTH},
        {"localhost", wire_cert, true, ERR_UNREACHABLE},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http_rig *r = ask(cases[i].host, cases[i].ca, cases[i].tls_old);
        assert_int_equal(r->err.code, cases[i].code);
        assert_int_equal(r->status, 0);
        assert_false(r->sent);
        http_rig_destroy(r);
    }
}

/* Ask the server anew; how that ended. */
static enum err_code ask_again(struct http_rig *r, const struct wire *w)
{
    char url[128];

    (void)snprintf(url, sizeof(url), "https://localhost:%d/", w->port);
    http_rig_ask(r, &(struct http_ask){.method = "POST", .url = url});
    return r->err.code;
}

static void authorities_are_read_once_and_others_count_from_then_on(void **state)
{
    static const struct http_move none[] = {{NULL, true}};
    struct wire *w = wire_create(NULL, 1000);
    struct http_rig *r = http_rig_create(none, 1, NULL);
    const char *file = "ca-of-a-test.pem";

    (void)state;
    wire_start_tls_server(w);
    http_close(r->http, NULL, NULL);
    (void)unlink(file);
    assert_int_equal(symlink(wire_other, file), 0);
    r->http = http_create(&(struct http_options){.loop = &r->loop.uv, .tls_ca = file});
    assert_int_equal(unlink(file), 0);
    assert_int_equal(ask_again(r, w), ERR_AUTH);
    assert_int_equal(symlink(wire_cert, file), 0);
    assert_int_equal(ask_again(r, w), ERR_AUTH);
    http_trust(r->http, file);
    assert_int_equal(unlink(file), 0);
    assert_int_not_equal(ask_again(r, w), ERR_AUTH);
    assert_true(r->sent);
    http_trust(r->http, file); /* is not there */
    assert_int_not_equal(ask_again(r, w), ERR_AUTH);
    wire_destroy(w);
    http_rig_destroy(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_that_is_known_by_name_and_chain_is_asked),
        cmocka_unit_test(nobody_else_is_told_a_token),
        cmocka_unit_test(authorities_are_read_once_and_others_count_from_then_on),
    };
    return cmocka_run_group_tests(tests, wire_set_up, wire_tear_down);
}
