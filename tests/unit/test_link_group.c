/* Link group: what one link finds out of its Redis counts for all of the process, and is told once. */
#include "shared/redis/link_group.h"

#include "tests/lib/link_probe.h"
#include "tests/lib/private_redis.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

/* A probe, and two links beside it that only listen. */
struct fixture {
    struct link_probe p;
    struct link_group group;
    struct link *other[2];
    unsigned ups;
    unsigned downs;
    unsigned closes;
    struct err why;
};

static void on_other_up(void *ctx)
{
    ((struct fixture *)ctx)->ups++;
}

static void on_other_down(void *ctx, const struct err *why)
{
    struct fixture *f = ctx;

    f->downs++;
    f->why = *why;
}

static void on_other_push(void *ctx, const struct redisReply *reply)
{
    (void)ctx;
    (void)reply;
}

static void on_other_closed(void *ctx)
{
    ((struct fixture *)ctx)->closes++;
}

static void begin(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    link_probe_init(&f->p, private_redis_port(redis));
    f->p.options.group = &f->group;
    link_probe_start(&f->p);
    struct link_options other = {.url = &f->p.url,
                                 .name = "other",
                                 .group = &f->group,
                                 .raw_pushes = true,
                                 .on_up = on_other_up,
                                 .on_down = on_other_down,
                                 .on_push = on_other_push,
                                 .ctx = f};
    for (size_t i = 0; i < ARRAY_LEN(f->other); i++) {
        f->other[i] = link_create(&f->p.t.uv, &other);
    }
    wait_until(&f->p.t, link_is_up(f->p.link) && f->ups == 2);
}

static void end(struct fixture *f)
{
    for (size_t i = 0; i < ARRAY_LEN(f->other); i++) {
        link_close(f->other[i], on_other_closed, f);
    }
    link_probe_finish(&f->p);
    assert_int_equal(f->closes, 2);
    assert_null(f->group.links);
}

static void a_replica_is_left_by_all_links_of_the_process(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    link_probe_ask(&f.p, "REPLICAOF 127.0.0.1 1");
    link_probe_ask(&f.p, "SET a b");
    wait_until(&f.p.t, f.p.downs == 1 && f.downs == 2);

    assert_int_equal(f.p.why.code, ERR_DOWN);
    assert_non_null(strstr(f.p.why.text, "redis_url should name the primary"));
    assert_non_null(strstr(f.why.text, "READONLY"));
    wait_until(&f.p.t, f.p.ups == 2 && f.ups == 4);
    link_probe_ask(&f.p, "REPLICAOF NO ONE");
    link_probe_ask(&f.p, "SET a b");
    assert_string_equal(f.p.text, "OK");
    end(&f);
}

static void what_is_refused_is_told_once(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    link_probe_ask(&f.p, "CONFIG SET maxmemory 1");
    link_probe_ask(&f.p, "SET a b");
    uint64_t told = f.group.told[REFUSAL_OOM].logged_ms;
    assert_int_equal(f.group.told[REFUSAL_OOM].last.code, ERR_UNABLE);
    test_loop_run_for(&f.p.t, 20);
    link_probe_ask(&f.p, "SET a b");
    assert_int_equal(f.group.told[REFUSAL_OOM].logged_ms, told);
    link_probe_ask(&f.p, "CONFIG SET maxmemory 0");
    assert_int_equal(f.p.downs + f.downs, 0);
    end(&f);
}

static void who_tries_is_answered_and_nothing_is_told(void **state)
{
    const char *argv[] = {"SET", "a", "b"};
    struct fixture f;

    (void)state;
    begin(&f);
    link_probe_ask(&f.p, "REPLICAOF 127.0.0.1 1");
    unsigned before = f.p.answers;
    assert_int_equal(link_try_argv(f.p.link, 3, argv, NULL, link_probe_on_answer, &f.p), 0);
    wait_until(&f.p.t, f.p.answers > before);
    assert_int_equal(f.p.refusals, 1);
    link_probe_ask(&f.p, "REPLICAOF NO ONE");
    assert_int_equal(f.p.downs + f.downs, 0);
    end(&f);
}

static void the_cause_of_a_refused_transaction_is_its_first_error(void **state)
{
    static const char *const transactions[] = {
        "*1\r\n$5\r\nMULTI\r\n*3\r\n$7\r\nPUBLISH\r\n$1\r\na\r\n$1\r\nb\r\n*1\r\n$4\r\nEXEC\r\n",
        "*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n*1\r\n$4\r\nEXEC\r\n",
    };
    static const struct {
        const char *rights;
        size_t transaction;
        const char *cause;
    } cases[] = {{"-multi", 0, "'multi'"}, {"-publish", 0, "'publish'"}, {"-set", 1, "'set'"}};
    struct fixture f;
    char command[100];

    (void)state;
    begin(&f);
    link_probe_ask(&f.p, "CONFIG SET maxmemory 0");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice bytes = slice_of(transactions[cases[i].transaction]);

        link_probe_ask(&f.p, "ACL SETUSER default +@all");
        snprintf(command, sizeof(command), "ACL SETUSER default %s", cases[i].rights);
        link_probe_ask(&f.p, command);
        f.group.look_at_rights = false;
        unsigned before = f.p.answers;
        assert_int_equal(link_send_raw(f.p.link, &bytes,
                                       &(struct link_raw){.nparts = 1, .replies = 3, .ctx = &f.p},
                                       1, link_probe_on_answer),
                         0);
        wait_until(&f.p.t, f.p.answers > before);
        assert_non_null(strstr(f.p.text, "NOPERM"));
        assert_non_null(strstr(f.p.text, cases[i].cause));
        assert_true(f.group.look_at_rights);
        link_probe_ask(&f.p, "PING"); /* and it is forgotten by then */
        assert_string_equal(f.p.text, "PONG");
    }
    link_probe_ask(&f.p, "ACL SETUSER default +@all");
    end(&f);
}

static void what_is_refused_is_not_tried_again_at_once(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    uint64_t began = mono_ms();
    link_refuse(f.p.link, "Redis refuses what this is for");
    wait_until(&f.p.t, f.p.downs == 1);
    assert_int_equal(f.p.why.code, ERR_UNABLE);
    wait_until(&f.p.t, f.p.ups == 2);
    assert_true(mono_ms() - began >= 1000);
    assert_int_equal(f.downs, 0);
    end(&f);
}

static void links_to_a_server_that_was_left_are_dropped(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    link_group_server(&f.group, f.p.link, "aaaa");
    test_loop_run_for(&f.p.t, 20);
    link_reset(f.p.link, "its server is gone");
    wait_until(&f.p.t, f.p.ups == 2);
    link_group_server(&f.group, f.p.link, "aaaa");
    test_loop_run_for(&f.p.t, 20);
    assert_int_equal(f.downs, 0); /* the same one */

    link_reset(f.p.link, "its server is gone");
    wait_until(&f.p.t, f.p.ups == 3);
    link_group_server(&f.group, f.p.link, "bbbb");
    wait_until(&f.p.t, f.downs == 2 && f.ups == 4);
    assert_non_null(strstr(f.why.text, "another server"));

    /* Those that are newer than the loss of the former one came to the new one by themselves. */
    link_reset(f.p.link, "its server is gone");
    wait_until(&f.p.t, f.p.downs == 3);
    link_reset(f.other[0], "so is its");
    link_reset(f.other[1], "so is its");
    wait_until(&f.p.t, f.p.ups == 4 && f.ups == 6);
    link_group_server(&f.group, f.p.link, "cccc");
    test_loop_run_for(&f.p.t, 20);
    assert_int_equal(f.downs, 4);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_replica_is_left_by_all_links_of_the_process),
        cmocka_unit_test(what_is_refused_is_told_once),
        cmocka_unit_test(who_tries_is_answered_and_nothing_is_told),
        cmocka_unit_test(the_cause_of_a_refused_transaction_is_its_first_error),
        cmocka_unit_test(what_is_refused_is_not_tried_again_at_once),
        cmocka_unit_test(links_to_a_server_that_was_left_are_dropped),
    };

    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
