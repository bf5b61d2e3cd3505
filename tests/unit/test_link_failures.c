/* Link, what goes wrong: unreachable, refused, stopped, killed and garbage. */
#include "shared/redis/link.h"

#include "tests/lib/link_probe.h"
#include "tests/lib/private_redis.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void a_refused_port_is_named(void **state)
{
    char expected[100];
    struct link_probe p;

    (void)state;
    link_probe_init(&p, free_port());
    link_probe_start(&p);

    wait_until(&p.t, p.downs == 3); /* it goes on trying */

    assert_int_equal(p.why.code, ERR_UNREACHABLE);
    snprintf(expected, sizeof(expected),
             "redis://127.0.0.1:%u cannot be reached: connection refused", (unsigned)p.url.port);
    assert_string_equal(p.why.text, expected);
    link_probe_finish(&p);
}

static void a_name_that_does_not_resolve_is_named(void **state)
{
    struct link_probe p;

    (void)state;
    link_probe_init(&p, 6379);
    snprintf(p.url.host, sizeof(p.url.host), "no-such-host.invalid");
    link_probe_start(&p);

    wait_until(&p.t, p.downs == 1);

    assert_int_equal(p.why.code, ERR_UNREACHABLE);
    assert_non_null(strstr(p.why.text, "redis://no-such-host.invalid:6379 cannot be reached"));
    assert_non_null(strstr(p.why.text, "does not resolve"));
    link_probe_finish(&p);
}

static void expect_auth_failure(uint16_t port, const char *user, const char *password,
                                const char *words)
{
    struct link_probe p;

    link_probe_init(&p, port);
    snprintf(p.url.user, sizeof(p.url.user), "%s", user);
    snprintf(p.url.password, sizeof(p.url.password), "%s", password);
    link_probe_start(&p);
    wait_until(&p.t, p.downs == 1);
    assert_int_equal(p.why.code, ERR_AUTH);
    assert_non_null(strstr(p.why.text, words));
    assert_true(password[0] == '\0' || strstr(p.why.text, password) == NULL);
    assert_int_equal(p.ups, 0);
    link_probe_finish(&p);
}

static void expect_welcome(uint16_t port, const char *user, const char *password)
{
    struct link_probe p;

    link_probe_init(&p, port);
    snprintf(p.url.user, sizeof(p.url.user), "%s", user);
    snprintf(p.url.password, sizeof(p.url.password), "%s", password);
    link_probe_start(&p);
    wait_until(&p.t, link_is_up(p.link));
    link_probe_ask(&p, "ACL WHOAMI");
    assert_string_equal(p.text, user[0] != '\0' ? user : "default");
    link_probe_finish(&p);
}

static void a_wrong_password_is_refused_with_the_mend(void **state)
{
    const char *args[] = {"--requirepass",
                          "correct horse",
                          "--user",
                          "bot",
                          "on",
                          ">bot-secret",
                          "~*",
                          "&*",
                          "+@all",
                          NULL};
    const struct private_redis_options options = {.args = args};
    struct private_redis *guarded = private_redis_start(&options);
    uint16_t port = private_redis_port(guarded);

    (void)state;
    expect_auth_failure(port, "", "wrong-secret", "refuses the password of user 'default'");
    expect_auth_failure(port, "bot", "wrong-secret", "refuses the password of user 'bot'");
    expect_auth_failure(port, "", "", "asks for a password and redis_url has none");
    expect_welcome(port, "", "correct horse");
    expect_welcome(port, "bot", "bot-secret");
    private_redis_stop(guarded);
    expect_auth_failure(private_redis_port(redis), "", "needless-secret", "no password set");
}

static void a_rotated_password_is_used_by_the_next_try(void **state)
{
    const char *args[] = {"--requirepass", "new", NULL};
    const struct private_redis_options options = {.args = args};
    struct private_redis *guarded = private_redis_start(&options);
    struct link_probe p;

    (void)state;
    link_probe_init(&p, private_redis_port(guarded));
    snprintf(p.url.password, sizeof(p.url.password), "old");
    link_probe_start(&p);
    wait_until(&p.t, p.downs == 2);
    assert_int_equal(p.why.code, ERR_AUTH);

    snprintf(p.url.password, sizeof(p.url.password), "new");

    wait_until(&p.t, link_is_up(p.link));
    link_probe_finish(&p);
    private_redis_stop(guarded);
}

static void a_database_out_of_range_is_refused(void **state)
{
    struct link_probe p;

    (void)state;
    link_probe_init(&p, private_redis_port(redis));
    p.url.db = 99;
    link_probe_start(&p);

    wait_until(&p.t, p.downs == 1);

    assert_int_equal(p.why.code, ERR_REPLY);
    assert_non_null(strstr(p.why.text, "DB index is out of range"));
    link_probe_finish(&p);
}

static void a_stopped_server_runs_into_the_deadline(void **state)
{
    struct link_probe p;

    (void)state;
    link_probe_init(&p, private_redis_port(redis));
    p.options.reply_ms = 300;
    link_probe_start(&p);
    wait_until(&p.t, link_is_up(p.link));

    private_redis_pause(redis);
    link_probe_ping(&p, 1000);
    wait_until(&p.t, p.downs == 1);

    assert_int_equal(p.answers, 1000);
    assert_int_equal(p.errors, 1000);
    assert_int_equal(p.last_error, ERR_TIMEOUT);
    assert_int_equal(p.why.code, ERR_TIMEOUT);
    private_redis_resume(redis);
    wait_until(&p.t, p.ups == 2);
    link_probe_ask(&p, "PING");
    assert_int_equal(p.answers, 1001);
    link_probe_finish(&p);
}

static void a_server_that_accepts_and_never_greets_is_a_timeout(void **state)
{
    struct link_probe p;

    (void)state;
    private_redis_pause(redis);
    link_probe_init(&p, private_redis_port(redis));
    p.options.connect_ms = 200;
    link_probe_start(&p);

    wait_until(&p.t, p.downs == 2);

    private_redis_resume(redis);
    assert_int_equal(p.why.code, ERR_TIMEOUT);
    assert_non_null(strstr(p.why.text, "no answer within 200 ms while greeting"));
    link_probe_finish(&p);
}

static void a_server_killed_and_restarted_is_found_again(void **state)
{
    struct link_probe p;

    (void)state;
    link_probe_up(&p, private_redis_port(redis));
    private_redis_pause(redis);
    link_probe_ping(&p, 1000);
    test_loop_turn(&p.t);

    private_redis_kill(redis);
    wait_until(&p.t, p.downs >= 1);
    assert_int_equal(p.answers, 1000); /* each once */
    assert_int_equal(p.errors, 1000);
    assert_int_equal(p.last_error, ERR_DOWN);
    wait_until(&p.t, p.downs >= 3);
    private_redis_restart(redis);
    wait_until(&p.t, p.ups == 2);

    link_probe_ask(&p, "PING");
    assert_string_equal(p.text, "PONG");
    assert_int_equal(p.answers, 1001);
    link_probe_finish(&p);
}

/* A server that answers the first bytes of each connection with fixed bytes. */
struct fake {
    struct test_loop *t;
    uv_tcp_t server;
    uv_tcp_t peer[64];
    size_t npeers;
    const char *answer;
    size_t len;
    bool hang_up;
};

static void on_fake_space(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    static char bytes[65536];

    (void)handle;
    (void)suggested;
    *out = uv_buf_init(bytes, sizeof(bytes));
}

static void on_fake_bytes(uv_stream_t *peer, ssize_t n, const uv_buf_t *bytes)
{
    struct fake *f = peer->data;
    uv_buf_t answer = uv_buf_init((char *)(uintptr_t)f->answer, (unsigned)f->len);

    (void)bytes;
    if (n > 0 && f->len > 0) {
        (void)uv_try_write(peer, &answer, 1);
    }
    if ((n < 0 || f->hang_up) && !uv_is_closing((uv_handle_t *)peer)) {
        uv_close((uv_handle_t *)peer, NULL);
    }
}

static void on_fake_peer(uv_stream_t *server, int status)
{
    struct fake *f = server->data;
    uv_tcp_t *peer = &f->peer[f->npeers++];

    assert_int_equal(status, 0);
    assert_true(f->npeers < ARRAY_LEN(f->peer));
    uv_tcp_init(server->loop, peer);
    peer->data = f;
    assert_int_equal(uv_accept(server, (uv_stream_t *)peer), 0);
    uv_read_start((uv_stream_t *)peer, on_fake_space, on_fake_bytes);
}

static uint16_t fake_listen(struct fake *f, struct test_loop *t, struct slice answer)
{
    struct sockaddr_in address;
    int len = sizeof(address);

    memset(f, 0, sizeof(*f));
    f->t = t;
    f->answer = answer.ptr;
    f->len = answer.len;
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_tcp_init(&t->uv, &f->server);
    f->server.data = f;
    assert_int_equal(uv_tcp_bind(&f->server, (struct sockaddr *)&address, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&f->server, 16, on_fake_peer), 0);
    uv_tcp_getsockname(&f->server, (struct sockaddr *)&address, &len);
    return ntohs(address.sin_port);
}

static void fake_close(struct fake *f)
{
    uv_close((uv_handle_t *)&f->server, NULL);
    for (size_t i = 0; i < f->npeers; i++) {
        if (!uv_is_closing((uv_handle_t *)&f->peer[i])) {
            uv_close((uv_handle_t *)&f->peer[i], NULL);
        }
    }
}

/* SLICE for static initializers, where a compound literal is not constant. */
#define BYTES(literal) {(literal), sizeof(literal) - 1}

static void odd_servers_bring_the_link_down_with_a_reason(void **state)
{
    static const struct {
        struct slice answer;
        bool hang_up;
        enum err_code code;
        const char *words;
    } cases[] = {
        {BYTES("HTTP/1.1 400 Bad Request\r\n\r\n"), false, ERR_PROTOCOL, "does not speak Redis's"},
        {BYTES("\x15\x03\x03\0\x02\x02\x46"), false, ERR_PROTOCOL, "rediss://"},
        {BYTES("*2147483647\r\n$1\r\n"), false, ERR_PROTOCOL, "more than 1048576 elements"},
        {BYTES("*8000000\r\n*8000000\r\n*8000000\r\n"), false, ERR_PROTOCOL, "elements"},
        {BYTES("$-7\r\n"), false, ERR_PROTOCOL, "does not speak Redis's"},
        {BYTES("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n"), false, ERR_PROTOCOL,
         "arrays more than 7 deep"},
        {BYTES("+OK\r\n+PONG\r\n+MORE\r\n"), false, ERR_PROTOCOL, "nobody asked for"},
        {BYTES("-LOADING Redis is loading the dataset in memory\r\n"), false, ERR_LOADING,
         "not ready yet: LOADING"},
        {BYTES("+OK\r\n-MASTERDOWN Link with MASTER is down\r\n"), false, ERR_DOWN,
         "not ready yet: MASTERDOWN"},
        {BYTES("-ERR max number of clients reached\r\n"), true, ERR_DOWN, "max number of clients"},
        {BYTES("-DENIED Redis is running in protected mode\r\n"), true, ERR_AUTH, "protected mode"},
        {BYTES(""), true, ERR_UNREACHABLE, "closed the connection in the greeting"},
        {BYTES("$600000000\r\n"), false, ERR_TIMEOUT, "while greeting"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct link_probe p;
        struct fake f;

        link_probe_init(&p, 0);
        p.url.port = fake_listen(&f, &p.t, cases[i].answer);
        f.hang_up = cases[i].hang_up;
        p.options.connect_ms = cases[i].code == ERR_TIMEOUT ? 200 : 15000;
        link_probe_start(&p);
        wait_until(&p.t, p.downs == 1);
        if (p.why.code != cases[i].code || strstr(p.why.text, cases[i].words) == NULL) {
            fail_msg("case %zu: %s (%d)", i, p.why.text, (int)p.why.code);
        }
        fake_close(&f);
        link_probe_finish(&p);
    }
}

static void a_broken_reply_loses_every_command_once(void **state)
{
    struct link_probe p;
    struct fake f;

    (void)state;
    link_probe_init(&p, 0);
    p.url.port = fake_listen(&f, &p.t, SLICE("+OK\r\n+PONG\r\n"));
    link_probe_start(&p);
    wait_until(&p.t, link_is_up(p.link));

    f.answer = "+ONE\r\n?what\r\n";
    f.len = strlen(f.answer);
    link_probe_ping(&p, 10);
    wait_until(&p.t, p.downs == 1);

    assert_int_equal(p.answers, 10);
    assert_int_equal(p.errors, 9);
    assert_string_equal(p.text, "ONE");
    assert_int_equal(p.why.code, ERR_PROTOCOL);
    fake_close(&f);
    link_probe_finish(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refused_port_is_named),
        cmocka_unit_test(a_name_that_does_not_resolve_is_named),
        cmocka_unit_test(a_wrong_password_is_refused_with_the_mend),
        cmocka_unit_test(a_rotated_password_is_used_by_the_next_try),
        cmocka_unit_test(a_database_out_of_range_is_refused),
        cmocka_unit_test(a_stopped_server_runs_into_the_deadline),
        cmocka_unit_test(a_server_that_accepts_and_never_greets_is_a_timeout),
        cmocka_unit_test(a_server_killed_and_restarted_is_found_again),
        cmocka_unit_test(odd_servers_bring_the_link_down_with_a_reason),
        cmocka_unit_test(a_broken_reply_loses_every_command_once),
    };

    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
