/* Link, the happy path: commands and replies against a real Redis. */
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

struct in_order {
    unsigned next;
};

static void on_number(void *ctx, const struct redisReply *reply, const struct err *err)
{
    struct in_order *order = ctx;
    char expected[16];

    assert_null(err);
    snprintf(expected, sizeof(expected), "%u", order->next);
    assert_true(slice_is(reply_slice(reply), expected));
    order->next++;
}

static void send_numbers(struct link *link, struct in_order *order, unsigned n)
{
    char text[16];

    for (unsigned i = 0; i < n; i++) {
        snprintf(text, sizeof(text), "%u", i);
        assert_int_equal(link_command(link, on_number, order, "ECHO %s", text), 0);
    }
}

static void commands_are_answered_in_order(void **state)
{
    struct in_order order = {0};
    struct link_probe p;

    (void)state;
    link_probe_up(&p, private_redis_port(redis));

    send_numbers(p.link, &order, 100);

    wait_until(&p.t, order.next == 100);
    link_probe_finish(&p);
}

static void ten_thousand_pipelined_commands_are_all_answered(void **state)
{
    struct in_order order = {0};
    struct link_probe p;

    (void)state;
    link_probe_up(&p, private_redis_port(redis));

    send_numbers(p.link, &order, 10000);
    assert_true(conn_unsent(p.link->conn) > 200000);

    wait_until(&p.t, order.next == 10000);
    assert_int_equal(conn_unsent(p.link->conn), 0);
    link_probe_finish(&p);
}

static void a_command_before_the_link_is_up_is_refused(void **state)
{
    struct slice ping = SLICE("PING\r\n");
    struct link_probe p;

    (void)state;
    link_probe_init(&p, private_redis_port(redis));
    link_probe_start(&p);

    assert_int_equal(link_command(p.link, link_probe_on_answer, &p, "PING"), -ERR_DOWN);
    assert_int_equal(link_send_raw(p.link, &ping,
                                   &(struct link_raw){.nparts = 1, .replies = 1, .ctx = &p}, 1,
                                   link_probe_on_answer),
                     -ERR_DOWN);

    link_probe_finish(&p);
    assert_int_equal(p.answers, 0);
}

static void an_error_reply_is_a_reply(void **state)
{
    struct link_probe p;

    (void)state;
    link_probe_up(&p, private_redis_port(redis));

    link_probe_ask(&p, "NOSUCHCOMMAND");

    assert_int_equal(p.refusals, 1);
    assert_int_equal(p.errors, 0);
    assert_non_null(strstr(p.text, "unknown command"));
    assert_true(link_is_up(p.link));
    link_probe_finish(&p);
}

static void arguments_may_hold_any_byte(void **state)
{
    static const char bytes[] = "a\0b\r\nc\xff";
    const char *argv[] = {"ECHO", bytes};
    const size_t lens[] = {4, sizeof(bytes)};
    struct link_probe p;

    (void)state;
    link_probe_up(&p, private_redis_port(redis));

    assert_int_equal(link_command_argv(p.link, 2, argv, lens, link_probe_on_answer, &p), 0);
    assert_int_equal(
        link_command(p.link, link_probe_on_answer, &p, "ECHO %b", bytes, sizeof(bytes)), 0);

    wait_until(&p.t, p.answers == 2);
    assert_int_equal(p.reply_len, sizeof(bytes));
    link_probe_finish(&p);
}

static void the_greeting_sets_name_and_database(void **state)
{
    struct link_probe p;

    (void)state;
    link_probe_init(&p, private_redis_port(redis));
    p.url.db = 3;
    p.options.name = "shoal-node:n1:fan";
    link_probe_start(&p);
    wait_until(&p.t, link_is_up(p.link));

    link_probe_ask(&p, "CLIENT GETNAME");
    assert_string_equal(p.text, "shoal-node:n1:fan");
    link_probe_ask(&p, "CLIENT INFO");
    assert_non_null(strstr(p.text, "name=shoal-node:n1:fan"));
    link_probe_ask(&p, "SET only-in-three x");
    link_probe_ask(&p, "SELECT 0");
    link_probe_ask(&p, "EXISTS only-in-three");

    assert_int_equal(p.integer, 0);
    link_probe_finish(&p);
}

static void a_name_is_resolved_and_each_address_tried(void **state)
{
    struct link_probe p;

    (void)state;
    link_probe_init(&p, private_redis_port(redis)); /* it listens on 127.0.0.1 only */
    snprintf(p.url.host, sizeof(p.url.host), "localhost");
    link_probe_start(&p);

    wait_until(&p.t, link_is_up(p.link));

    assert_int_equal(p.downs, 0);
    link_probe_finish(&p);
}

static void a_transaction_answers_with_its_last_reply(void **state)
{
    struct slice parts[] = {
        SLICE("*1\r\n$5\r\nMULTI\r\n"),
        SLICE("*3\r\n$7\r\nPUBLISH\r\n$1\r\nt\r\n$5\r\n"),
        SLICE("hello"),
        SLICE("\r\n"),
        SLICE("*4\r\n$4\r\nHSET\r\n$3\r\nfan\r\n$3\r\nseq\r\n$1\r\n7\r\n"),
        SLICE("*1\r\n$4\r\nEXEC\r\n"),
    };
    struct in_order order = {0};
    struct link_probe p;

    (void)state;
    link_probe_up(&p, private_redis_port(redis));

    assert_int_equal(
        link_send_raw(p.link, parts,
                      &(struct link_raw){.nparts = ARRAY_LEN(parts), .replies = 4, .ctx = &p}, 1,
                      link_probe_on_answer),
        0);
    assert_int_equal(conn_unsent(p.link->conn), 0); /* nothing waited, so it went at once */
    send_numbers(p.link, &order, 1);
    assert_int_equal(
        link_send_raw(p.link, parts,
                      &(struct link_raw){.nparts = ARRAY_LEN(parts), .replies = 4, .ctx = &p}, 1,
                      link_probe_on_answer),
        0);
    assert_true(conn_unsent(p.link->conn) > 0); /* behind the ECHO: order is kept */

    wait_until(&p.t, p.answers == 2 && order.next == 1);
    assert_int_equal(p.elements, 2);
    link_probe_ask(&p, "HGET fan seq");
    assert_string_equal(p.text, "7");
    link_probe_finish(&p);
}

#define BIG (32 * 1024 * 1024)

static void big_commands_and_replies_pass(void **state)
{
    char head[64];
    char *value = calloc(1, BIG);
    struct slice parts[700];
    struct link_probe p;

    (void)state;
    link_probe_up(&p, private_redis_port(redis));
    memset(value, 'v', BIG);
    snprintf(head, sizeof(head), "*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$%d\r\n", BIG);
    parts[0] = slice_of(head);
    for (size_t i = 1; i < 699; i++) {
        parts[i] = (struct slice){value + (i - 1) * 1000, 1000};
    }
    parts[698] = (struct slice){value + 697000, BIG - 697000};
    parts[699] = SLICE("\r\n");

    assert_int_equal(
        link_send_raw(p.link, parts,
                      &(struct link_raw){.nparts = ARRAY_LEN(parts), .replies = 1, .ctx = &p}, 1,
                      link_probe_on_answer),
        0);
    assert_true(conn_unsent(p.link->conn) > BIG / 2);
    memset(value, 'x', BIG); /* not used after the call */
    wait_until(&p.t, p.answers == 1);
    assert_string_equal(p.text, "OK");
    link_probe_ask(&p, "GET big");

    assert_int_equal(p.reply_len, BIG);
    assert_int_equal(strspn(p.text, "v"), 200);
    link_probe_ask(&p, "DEL big");
    free(value);
    link_probe_finish(&p);
}

static void more_than_may_be_unsent_is_refused(void **state)
{
    size_t len = (size_t)100 * 1024 * 1024;
    char *value = calloc(1, len);
    struct slice part = {value, len};
    struct link_probe p;
    int rc = 0;
    int taken = 0;

    (void)state;
    link_probe_up(&p, private_redis_port(redis));
    private_redis_pause(redis);
    for (int i = 0; i < 4; i++) {
        rc = link_send_raw(p.link, &part, &(struct link_raw){.nparts = 1, .replies = 1, .ctx = &p},
                           1, link_probe_on_answer);
        taken += rc == 0;
    }

    assert_int_equal(rc, -ERR_FULL);
    assert_int_equal(taken, 2);

    link_probe_finish(&p);
    private_redis_resume(redis);
    assert_int_equal(p.errors, 2);
    free(value);
}

static void a_blocking_command_has_a_deadline_of_its_own(void **state)
{
    const char *argv[] = {"BLPOP", "nothing-here", "0.9"};
    struct in_order order = {0};
    struct link_probe p;

    (void)state;
    link_probe_init(&p, private_redis_port(redis));
    p.options.reply_ms = 600;
    link_probe_start(&p);
    wait_until(&p.t, link_is_up(p.link));

    assert_int_equal(link_command_blocking(p.link, 900, 3, argv, NULL, link_probe_on_answer, &p),
                     0);
    send_numbers(p.link, &order, 1); /* waits behind it */

    wait_until(&p.t, p.answers == 1 && order.next == 1);
    assert_int_equal(p.errors, 0);
    assert_int_equal(p.downs, 0);
    link_probe_finish(&p);
}

static void answers_that_lie_in_the_socket_after_a_pause_count(void **state)
{
    struct link_probe p;

    (void)state;
    link_probe_init(&p, private_redis_port(redis));
    p.options.reply_ms = 200;
    link_probe_start(&p);
    wait_until(&p.t, link_is_up(p.link));

    assert_int_equal(link_command(p.link, link_probe_on_answer, &p, "PING"), 0);
    uv_run(&p.t.uv, UV_RUN_NOWAIT); /* the command leaves */
    uv_sleep(400);                  /* this process was stopped */

    wait_until(&p.t, p.answers == 1);
    assert_int_equal(p.errors, 0);
    assert_int_equal(p.downs, 0);
    link_probe_finish(&p);
}

static void send_another(struct link_probe *p)
{
    if (p->answers < 50) {
        assert_int_equal(link_command(p->link, link_probe_on_answer, p, "PING"), 0);
    }
}

static void a_callback_may_send_commands(void **state)
{
    struct link_probe p;

    (void)state;
    link_probe_init(&p, private_redis_port(redis));
    p.at_up = send_another;
    p.at_answer = send_another;
    link_probe_start(&p);

    wait_until(&p.t, p.answers == 50);
    assert_string_equal(p.text, "PONG");
    link_probe_finish(&p);
}

static void a_command_without_callback_is_sent_and_its_reply_dropped(void **state)
{
    struct link_probe p;

    (void)state;
    link_probe_up(&p, private_redis_port(redis));

    assert_int_equal(link_command(p.link, NULL, NULL, "SET quiet yes"), 0);
    link_probe_ask(&p, "GET quiet");

    assert_string_equal(p.text, "yes");
    link_probe_finish(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_are_answered_in_order),
        cmocka_unit_test(ten_thousand_pipelined_commands_are_all_answered),
        cmocka_unit_test(a_command_before_the_link_is_up_is_refused),
        cmocka_unit_test(an_error_reply_is_a_reply),
        cmocka_unit_test(arguments_may_hold_any_byte),
        cmocka_unit_test(the_greeting_sets_name_and_database),
        cmocka_unit_test(a_name_is_resolved_and_each_address_tried),
        cmocka_unit_test(a_transaction_answers_with_its_last_reply),
        cmocka_unit_test(big_commands_and_replies_pass),
        cmocka_unit_test(more_than_may_be_unsent_is_refused),
        cmocka_unit_test(a_blocking_command_has_a_deadline_of_its_own),
        cmocka_unit_test(answers_that_lie_in_the_socket_after_a_pause_count),
        cmocka_unit_test(a_callback_may_send_commands),
        cmocka_unit_test(a_command_without_callback_is_sent_and_its_reply_dropped),
    };

    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
