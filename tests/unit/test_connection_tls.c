/* TLS of the WebSocket driver, and what else the way to a server may be, against servers of its own (wire.h). */
#include "node/connection_private.h"

#include "shared/net/tls_private.h"
#include "tests/lib/wire.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void tls_is_verified(void **state)
{
    static const struct {
        bool trusted;
        const char *host;
        const char *why; /* NULL: opens */
    } cases[] = {
        {true, "localhost", NULL},
        {true, "127.0.0.1", "TLS: the certificate is not made out to the host name '127.0.0.1'"},
        {false, "localhost",
         "TLS: the certificate chain does not verify (self-signed certificate); give the CA that "
         "signed it with twitch_tls_ca"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct wire *r = wire_create(cases[i].trusted ? wire_cert : wire_other, 3000);

        wire_start_tls_server(r);
        wire_open(r, "wss", cases[i].host, r->port);
        wire_run_until(r, cases[i].why == NULL ? wire_is_open : wire_is_closed);
        if (cases[i].why != NULL && strstr(r->log, cases[i].why) == NULL) {
            fail_msg("not '%s': %s", cases[i].why, r->log);
        }
        wire_destroy(r);
    }
}

static void trust_may_change_for_the_connections_to_come(void **state)
{
    struct wire *r = wire_create(wire_other, 3000);
    struct err err = {0};

    (void)state;
    wire_start_tls_server(r);
    assert_int_equal(connections_trust(r->pool, wire_cert, NULL), 0);
    assert_int_equal(connections_trust(r->pool, "/nonexistent/ca.pem", &err), -ERR_USAGE);
    assert_non_null(strstr(err.text, "/nonexistent/ca.pem"));
    wire_open(r, "wss", "localhost", r->port);
    wire_run_until(r, wire_is_open);

    /* An open connection stays; the next one is refused. */
    assert_int_equal(connections_trust(r->pool, wire_other, NULL), 0);
    wire_nap(r, 20);
    assert_false(wire_is_closed(r));
    connection_close(r->c);
    r->log[0] = '\0';
    wire_open(r, "wss", "localhost", r->port);
    wire_run_until(r, wire_is_closed);
    assert_non_null(strstr(r->log, "certificate"));
    wire_destroy(r);
}

static void a_name_in_the_cn_alone_is_not_the_servers_name(void **state)
{
    struct wire *r = wire_create(wire_cn_only, 3000);

    (void)state;
    r->tls_cert = wire_cn_only;
    wire_start_tls_server(r);
    wire_open(r, "wss", "localhost", r->port);
    wire_run_until(r, wire_is_closed);
    assert_non_null(
        strstr(r->log, "TLS: the certificate is not made out to the host name 'localhost'"));
    wire_destroy(r);
}

static void tls_before_1_2_is_refused_whatever_openssl_would_take(void **state)
{
    struct wire *r = wire_create(wire_cert, 3000);

    (void)state;
    assert_int_equal(SSL_CTX_set_cipher_list(r->pool->trust->context, "DEFAULT@SECLEVEL=0"), 1);
    r->tls_old = true;
    wire_start_tls_server(r);
    wire_open(r, "wss", "localhost", r->port);
    wire_run_until(r, wire_is_closed);
    assert_null(strstr(r->log, "open|"));
    wire_destroy(r);
}

static void proxies_of_the_environment_are_ignored(void **state)
{
    static const char *const names[] = {"http_proxy", "https_proxy", "all_proxy", "socks_proxy"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct wire *r;

        assert_int_equal(setenv(names[i], "127.0.0.1:1", 1), 0);
        r = wire_create(NULL, 3000);
        wire_start_server(r);
        wire_open(r, "ws", "127.0.0.1", r->port);
        wire_run_until(r, wire_is_open);
        wire_destroy(r);
        assert_int_equal(unsetenv(names[i]), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tls_is_verified),
        cmocka_unit_test(trust_may_change_for_the_connections_to_come),
        cmocka_unit_test(a_name_in_the_cn_alone_is_not_the_servers_name),
        cmocka_unit_test(tls_before_1_2_is_refused_whatever_openssl_would_take),
        cmocka_unit_test(proxies_of_the_environment_are_ignored),
    };

    return cmocka_run_group_tests_name("connection_tls", tests, wire_set_up, wire_tear_down);
}
