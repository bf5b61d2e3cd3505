/* Link, going down: what callbacks may do then, and closing at any moment. */
#include "shared/redis/link.h"

#include "tests/lib/link_probe.h"
#include "tests/lib/private_redis.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static void commands_in_a_failing_callback_are_refused(struct link_probe *p)
{
    assert_false(link_is_up(p->link));
    assert_int_equal(link_command(p->link, link_probe_on_answer, p, "PING"), -ERR_DOWN);
    link_reset(p->link, "while down"); /* without effect */
}

static void while_it_goes_down_the_link_takes_no_commands(void **state)
{
    struct link_probe p;

    (void)state;
    link_probe_up(&p, private_redis_port(redis));
    p.at_down = commands_in_a_failing_callback_are_refused;
    p.at_answer = commands_in_a_failing_callback_are_refused;
    private_redis_pause(redis);
    link_probe_ping(&p, 10);
    test_loop_turn(&p.t);

    private_redis_kill(redis);
    wait_until(&p.t, p.downs == 1);
    private_redis_restart(redis);
    wait_until(&p.t, p.ups == 2);

    assert_int_equal(p.answers, 10);
    link_probe_finish(&p);
}

static void a_reset_link_comes_back(void **state)
{
    struct link_probe p;

    (void)state;
    link_probe_up(&p, private_redis_port(redis));
    link_probe_ping(&p, 5);

    link_reset(p.link, "the role changed");
    assert_false(link_is_up(p.link));
    assert_int_equal(link_command(p.link, link_probe_on_answer, &p, "PING"), -ERR_DOWN);
    assert_int_equal(p.answers, 0); /* nothing calls back from inside */
    link_reset(p.link, "twice is once");
    wait_until(&p.t, p.ups == 2);

    assert_int_equal(p.downs, 1);
    assert_int_equal(p.errors, 5);
    assert_int_equal(p.why.code, ERR_DOWN);
    assert_string_equal(p.why.text, "the role changed");
    link_probe_finish(&p);
}

static void reset_once(struct link_probe *p)
{
    p->at_answer = NULL;
    link_reset(p->link, "useless answer");
    assert_false(link_is_up(p->link));
    assert_int_equal(p->answers, 1);
}

static void a_callback_may_reset_the_link(void **state)
{
    struct link_probe p;

    (void)state;
    link_probe_up(&p, private_redis_port(redis));
    p.at_answer = reset_once;
    link_probe_ping(&p, 10);

    wait_until(&p.t, p.ups == 2);

    assert_int_equal(p.answers, 10);
    assert_int_equal(p.errors, 9);
    assert_int_equal(p.downs, 1);
    link_probe_finish(&p);
}

static void close_once(struct link_probe *p)
{
    if (p->link != NULL) {
        link_probe_close(p);
    }
}

static void a_reply_callback_may_close_the_link(void **state)
{
    struct link_probe p;

    (void)state;
    link_probe_up(&p, private_redis_port(redis));
    p.at_answer = close_once;
    link_probe_ping(&p, 10);

    wait_until(&p.t, p.closes == 1);

    assert_int_equal(p.answers, 10);
    assert_int_equal(p.errors, 9);
    assert_int_equal(p.last_error, ERR_CANCELED);
    assert_int_equal(p.downs, 0);
    link_probe_finish(&p);
}

static void on_up_may_close_the_link(void **state)
{
    struct link_probe p;

    (void)state;
    link_probe_init(&p, private_redis_port(redis));
    p.at_up = close_once;
    link_probe_start(&p);

    wait_until(&p.t, p.closes == 1);

    assert_int_equal(p.ups, 1);
    assert_int_equal(p.downs, 0);
    link_probe_finish(&p);
}

static void on_down_may_close_the_link(void **state)
{
    struct link_probe p;

    (void)state;
    link_probe_init(&p, free_port());
    p.at_down = close_once;
    link_probe_start(&p);

    wait_until(&p.t, p.closes == 1);

    assert_int_equal(p.downs, 1);
    link_probe_finish(&p);
}

static void the_callback_of_a_lost_command_may_close_the_link(void **state)
{
    struct link_probe p;

    (void)state;
    link_probe_up(&p, private_redis_port(redis));
    p.at_answer = close_once;
    link_probe_ping(&p, 10);

    link_reset(p.link, "lost");
    wait_until(&p.t, p.closes == 1);

    assert_int_equal(p.answers, 10); /* each once, though closed at the first */
    assert_int_equal(p.downs, 0);    /* closed before on_down had its turn */
    link_probe_finish(&p);
}

static void a_closed_link_cancels_what_waits(void **state)
{
    struct link_probe p;

    (void)state;
    link_probe_up(&p, private_redis_port(redis));
    link_probe_ping(&p, 10);

    link_probe_close(&p);

    assert_int_equal(p.answers, 10); /* nothing calls back after link_close */
    assert_int_equal(p.last_error, ERR_CANCELED);
    assert_int_equal(p.closes, 0);
    link_probe_finish(&p);
    assert_int_equal(p.answers, 10);
    assert_int_equal(p.downs, 0);
}

static void a_link_may_be_closed_in_each_turn_of_its_start(void **state)
{
    (void)state;
    for (int turns = 0; turns < 12; turns++) {
        struct link_probe p;

        link_probe_init(&p, private_redis_port(redis));
        if (turns % 2 == 1) {
            snprintf(p.url.host, sizeof(p.url.host), "localhost");
        }
        link_probe_start(&p);
        for (int i = 0; i < turns / 2; i++) {
            uv_run(&p.t.uv, UV_RUN_NOWAIT);
        }
        link_probe_finish(&p);
        assert_int_equal(p.downs, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(while_it_goes_down_the_link_takes_no_commands),
        cmocka_unit_test(a_reset_link_comes_back),
        cmocka_unit_test(a_callback_may_reset_the_link),
        cmocka_unit_test(a_reply_callback_may_close_the_link),
        cmocka_unit_test(on_up_may_close_the_link),
        cmocka_unit_test(on_down_may_close_the_link),
        cmocka_unit_test(the_callback_of_a_lost_command_may_close_the_link),
        cmocka_unit_test(a_closed_link_cancels_what_waits),
        cmocka_unit_test(a_link_may_be_closed_in_each_turn_of_its_start),
    };

    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
