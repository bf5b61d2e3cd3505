/* Link over TLS: the right certificate passes; a wrong CA, a wrong name and a plain port are told
 * apart. The certificates are made by the openssl program in a temporary directory. */
#include "shared/redis/link.h"
#include "shared/redis/link_private.h"

#include "tests/lib/link_probe.h"
#include "tests/lib/private_redis.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct private_redis_options options;
static char *dir;
static char *paths[4]; /* ca, key, cert, other CA */

static void run(const char *command)
{
    char *line = xasprintf("cd '%s' && { %s; } >/dev/null 2>&1", dir, command);

    if (system(line) != 0) {
        fail_msg("failed: %s", line);
    }
    free(line);
}

static int start_tls_redis(void **state)
{
    static const char *const names[] = {"ca.pem", "server.key", "server.pem", "other.pem"};

    (void)state;
    dir = temp_dir_make();
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        paths[i] = xasprintf("%s/%s", dir, names[i]);
    }
#define NEW_KEY "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
    run(NEW_KEY "-x509 -days 2 -subj /CN=test-ca -keyout ca.key -out ca.pem");
    run(NEW_KEY "-x509 -days 2 -subj /CN=other-ca -keyout other.key -out other.pem");
    run(NEW_KEY "-subj /CN=redis -keyout server.key -out server.csr");
    run("printf 'subjectAltName=DNS:localhost\\n' > ext");
    run("openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 "
        "-extfile ext -out server.pem");
#undef NEW_KEY
    options = (struct private_redis_options){
        .tls_ca = paths[0], .tls_key = paths[1], .tls_cert = paths[2]};
    redis = private_redis_start(&options);
    return 0;
}

static int stop_tls_redis(void **state)
{
    (void)state;
    private_redis_stop(redis);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        free(paths[i]);
    }
    temp_dir_remove(dir);
    return 0;
}

static void tls_probe_init(struct link_probe *p, const char *host, const char *ca)
{
    link_probe_init(p, private_redis_port(redis));
    snprintf(p->url.scheme, sizeof(p->url.scheme), "rediss");
    snprintf(p->url.host, sizeof(p->url.host), "%s", host);
    p->url.tls = true;
    p->options.tls_ca = ca;
}

static void the_right_name_and_ca_are_accepted(void **state)
{
    struct link_probe p;

    (void)state;
    tls_probe_init(&p, "localhost", paths[0]);
    link_probe_start(&p);
    wait_until(&p.t, link_is_up(p.link));

    for (int i = 0; i < 1000; i++) {
        assert_int_equal(link_command(p.link, link_probe_on_answer, &p, "PING"), 0);
    }

    wait_until(&p.t, p.answers == 1000);
    assert_int_equal(p.errors, 0);
    assert_int_equal(p.downs, 0);
    link_probe_finish(&p);
}

#define BIG (4 * 1024 * 1024)

static void big_values_pass_through_tls(void **state)
{
    char *value = calloc(1, BIG);
    struct link_probe p;

    (void)state;
    memset(value, 'v', BIG);
    tls_probe_init(&p, "localhost", paths[0]);
    link_probe_start(&p);
    wait_until(&p.t, link_is_up(p.link));

    assert_int_equal(
        link_command(p.link, link_probe_on_answer, &p, "SET big %b", value, (size_t)BIG), 0);
    free(value);
    link_probe_ask(&p, "GET big");
    wait_until(&p.t, p.answers == 2);

    assert_int_equal(p.reply_len, BIG);
    assert_int_equal(conn_unsent(p.link->conn), 0);
    link_probe_finish(&p);
}

static void expect_refusal(const char *host, const char *ca, enum err_code code, const char *words)
{
    struct link_probe p;

    tls_probe_init(&p, host, ca);
    link_probe_start(&p);
    wait_until(&p.t, p.downs == 1);
    if (p.why.code != code || strstr(p.why.text, words) == NULL) {
        fail_msg("%s (%d)", p.why.text, (int)p.why.code);
    }
    assert_int_equal(p.ups, 0);
    link_probe_finish(&p);
}

static void another_ca_is_refused_as_a_chain_problem(void **state)
{
    (void)state;
    expect_refusal("localhost", paths[3], ERR_UNREACHABLE, "certificate chain does not verify");
    expect_refusal("localhost", NULL, ERR_UNREACHABLE, "certificate chain does not verify");
}

static void another_name_is_refused_as_a_name_problem(void **state)
{
    (void)state;
    expect_refusal("127.0.0.1", paths[0], ERR_UNREACHABLE, "not made out to the host name '127.");
}

static void a_ca_file_that_cannot_be_read_is_named(void **state)
{
    (void)state;
    expect_refusal("localhost", "/nonexistent/ca.pem", ERR_USAGE,
                   "'/nonexistent/ca.pem': No such file");
    expect_refusal("localhost", paths[1], ERR_USAGE, "cannot read CA certificates");
}

static void tls_and_plain_ports_are_not_mistaken(void **state)
{
    struct private_redis *plain = private_redis_start(NULL);
    struct link_probe p;

    (void)state;
    link_probe_init(&p, private_redis_port(redis)); /* plain to a TLS port */
    link_probe_start(&p);
    wait_until(&p.t, p.downs == 1);
    assert_int_equal(p.why.code, ERR_UNREACHABLE);
    assert_non_null(strstr(p.why.text, "is it a TLS port (rediss://)?"));
    link_probe_finish(&p);

    tls_probe_init(&p, "localhost", paths[0]); /* TLS to a plain port */
    p.url.port = private_redis_port(plain);
    p.options.connect_ms = 500;
    link_probe_start(&p);
    wait_until(&p.t, p.downs == 1);
    assert_non_null(strstr(p.why.text, "TLS"));
    link_probe_finish(&p);
    private_redis_stop(plain);
}

static void a_tls_server_killed_and_restarted_is_found_again(void **state)
{
    struct link_probe p;

    (void)state;
    tls_probe_init(&p, "localhost", paths[0]);
    link_probe_start(&p);
    wait_until(&p.t, link_is_up(p.link));
    private_redis_pause(redis);
    assert_int_equal(link_command(p.link, link_probe_on_answer, &p, "PING"), 0);
    test_loop_turn(&p.t);

    private_redis_kill(redis);
    wait_until(&p.t, p.downs >= 1);
    assert_int_equal(p.errors, 1);
    private_redis_restart(redis);
    wait_until(&p.t, p.ups == 2);

    link_probe_ask(&p, "PING");
    assert_string_equal(p.text, "PONG");
    link_probe_finish(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_right_name_and_ca_are_accepted),
        cmocka_unit_test(big_values_pass_through_tls),
        cmocka_unit_test(another_ca_is_refused_as_a_chain_problem),
        cmocka_unit_test(another_name_is_refused_as_a_name_problem),
        cmocka_unit_test(a_ca_file_that_cannot_be_read_is_named),
        cmocka_unit_test(tls_and_plain_ports_are_not_mistaken),
        cmocka_unit_test(a_tls_server_killed_and_restarted_is_found_again),
    };

    return cmocka_run_group_tests(tests, start_tls_redis, stop_tls_redis);
}
