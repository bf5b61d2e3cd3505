/* Registry: the library, links, listeners and the leader, against a real Redis. */
#include "shared/redis/registry.h"

#include "tests/lib/registry_case.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

/* The library ------------------------------------------------------------------------------------- */

static void an_older_library_is_replaced(void **state)
{
    (void)state;
    world_ask(&w, "FUNCTION FLUSH");
    const char *argv[] = {
        "FUNCTION", "LOAD",
        "#!lua name=shoal1\n"
        "redis.register_function('shoal1_version', function() return {'1', 0} end)"};
    assert_int_equal(link_command_argv(w.probe.link, 3, argv, NULL, NULL, NULL), 0);
    assert_string_equal(world_lead(&w, &me), "ERROR");

    assert_string_equal(world_load(&w), "done");

    assert_string_equal(world_lead(&w, &me), "leading");
}

static void a_newer_library_is_left(void **state)
{
    (void)state;
    const char *argv[] = {
        "FUNCTION", "LOAD", "REPLACE",
        "#!lua name=shoal1\n"
        "redis.register_function('shoal1_version', function() return {'1', 99999} end)"};
    assert_int_equal(link_command_argv(w.probe.link, 4, argv, NULL, NULL, NULL), 0);

    assert_string_equal(world_load(&w), "done");

    assert_string_equal(world_lead(&w, &me), "ERROR");
    assert_non_null(strstr(w.rest, "functions are not loaded"));
    world_ask(&w, "FUNCTION FLUSH");
}

static void without_a_library_the_check_asks_for_a_coordinator(void **state)
{
    (void)state;
    assert_string_equal(world_check(&w), "done");
    world_ask(&w, "FUNCTION FLUSH");

    assert_string_equal(world_check(&w), "ERROR");

    assert_int_equal(w.err.code, ERR_ABSENT);
    assert_non_null(strstr(w.err.text, "start shoal-coordinator"));
}

static void a_refusal_of_redis_is_told_in_its_words(void **state)
{
    (void)state;
    world_ask(&w, "CONFIG SET min-replicas-to-write 1");
    const char *word = world_lead(&w, &me);
    assert_string_equal(word, "ERROR");
    assert_int_equal(w.err.code, ERR_UNABLE);
    assert_non_null(strstr(w.err.text, "NOREPLICAS"));
    world_ask(&w, "CONFIG SET min-replicas-to-write 0");
}

static void leases_go_on_when_redis_is_full_and_what_would_grow_is_refused(void **state)
{
    (void)state;
    world_add_shard(&w, &me, "main-shard", "anonymous", "foo,bar");
    world_ask(&w, "CONFIG SET maxmemory 1");
    assert_string_equal(world_lead(&w, &me), "leading");
    assert_string_equal(world_renew(&w, &n1, ""), "current");
    assert_string_equal(world_draw(&w, &n1, "bot", "join", 2), "drawn");
    assert_string_equal(world_release(&w, &me, "", "", "part", "foo"), "done");
    assert_int_equal(world_compare(&w, &me), 0);
    assert_string_equal(world_assign(&w, &me, "", "", "join", "baz"), "ERROR");
    assert_non_null(strstr(w.err.text, "OOM"));
    assert_string_equal(world_accept(&w, &n1, "bar", "", "hello"), "ERROR");
    world_ask(&w, "CONFIG SET maxmemory 0");
    struct world_node other;
    world_node(&other, "n2", 1002, 10, "anonymous");
    world_register(&w, &other, 0);
    world_end_lease(&w, &n1);
    world_ask(&w, "CONFIG SET maxmemory 1");
    assert_string_equal(world_expire(&w, &me, "n1", n1.link_id), "expired");
    assert_string_equal(world_register(&w, &n1, 0), "current");
    assert_string_equal(world_leave(&w, &n1), "done");
    world_ask(&w, "CONFIG SET maxmemory 0");
}

static void the_greeting_names_link_and_server(void **state)
{
    (void)state;
    char id[32];
    snprintf(id, sizeof(id), "%s", world_ask(&w, "CLIENT ID"));
    assert_int_equal(w.greeting.link_id, strtoull(id, NULL, 10));
    assert_int_equal(strlen(w.greeting.run_id), 40);
    assert_true(strchr(w.greeting.redis_version, '.') != NULL);
}

static void on_bool(void *ctx, bool yes, const struct err *err)
{
    assert_null(err);
    *(int *)ctx = yes ? 1 : 0;
}

static void on_killed(void *ctx, const struct err *err)
{
    assert_null(err);
    *(int *)ctx = 1;
}

static void a_killed_link_is_not_alive(void **state)
{
    (void)state;
    struct world other;
    int alive = -1;
    int killed = -1;
    memset(&other, 0, sizeof(other));
    link_probe_up(&other.probe, private_redis_port(redis));
    uint64_t id = strtoull(world_ask(&other, "CLIENT ID"), NULL, 10);

    assert_int_equal(registry_link_alive(w.r, id, on_bool, &alive), 0);
    wait_until(&w.probe.t, alive >= 0);
    assert_int_equal(alive, 1);
    assert_int_equal(registry_kill_link(w.r, id, on_killed, &killed), 0);
    wait_until(&w.probe.t, killed == 1);
    assert_int_equal(registry_link_alive(w.r, id, on_bool, &alive), 0);
    alive = -1;
    wait_until(&w.probe.t, alive >= 0);
    assert_int_equal(alive, 0);

    killed = -1;
    assert_int_equal(registry_kill_link(w.r, id, on_killed, &killed), 0);
    wait_until(&w.probe.t, killed == 1);
    killed = -1;
    assert_int_equal(registry_kill_link(w.r, id, NULL, NULL), 0); /* nobody asks how it went */
    assert_int_equal(registry_kill_link(w.r, 0, on_killed, &killed), 0);
    wait_until(&w.probe.t, killed == 1);
    alive = -1;
    assert_int_equal(registry_link_alive(w.r, 0, on_bool, &alive), 0);
    wait_until(&w.probe.t, alive >= 0);
    assert_int_equal(alive, 0);
    link_probe_finish(&other.probe);
}

/* A plain connection; `line` is sent on it. */
static int say(const char *line)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(private_redis_port(redis))};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    assert_int_equal(write(fd, line, strlen(line)), (ssize_t)strlen(line));
    return fd;
}

/* What is read from it until `end` was, or it is closed. */
static const char *read_until(int fd, const char *end)
{
    static char text[1000];
    size_t len = 0;
    ssize_t n;

    text[0] = '\0';
    while (strstr(text, end) == NULL && (n = read(fd, text + len, sizeof(text) - 1 - len)) > 0) {
        len += (size_t)n;
        text[len] = '\0';
    }
    return text;
}

static void what_was_counted_for_a_listener_is_read_though_it_is_killed(void **state)
{
    (void)state;
    int listener = say("CLIENT ID\r\n");
    uint64_t id = strtoull(read_until(listener, "\r\n") + 1, NULL, 10);
    assert_int_equal(write(listener, "SUBSCRIBE topic\r\n", 17), 17);
    assert_non_null(strstr(read_until(listener, ":1\r\n"), "subscribe"));
    int publisher = say("PING\r\n");
    assert_string_equal(read_until(publisher, "\r\n"), "+PONG\r\n");

    private_redis_pause(redis); /* it reads both in one turn of its loop */
    assert_int_equal(write(publisher, "PUBLISH topic x\r\n", 17), 17);
    assert_int_equal(registry_kill_listener(w.r, id), 0);
    uv_run(&w.probe.t.uv, UV_RUN_NOWAIT);
    private_redis_resume(redis);
    assert_string_equal(read_until(publisher, "\r\n"), ":1\r\n");
    world_ask(&w, "PING"); /* the pause is answered before it, and the kill before the next */
    world_ask(&w, "PING");
    assert_non_null(strstr(read_until(listener, "nothing"), "message\r\n$5\r\ntopic\r\n$1\r\nx"));

    close(publisher);
    publisher = say("PUBLISH topic x\r\n");
    assert_string_equal(read_until(publisher, "\r\n"), ":0\r\n");
    close(publisher);
    close(listener);
}

struct named {
    size_t n;
    uint64_t ids[4];
    bool answered;
};

static void on_listeners(void *ctx, const struct registry_listeners *listeners,
                         const struct err *err)
{
    struct named *named = ctx;

    assert_null(err);
    assert_int_equal(listeners->n, 1);
    assert_in_range(listeners->ngone, 0, ARRAY_LEN(named->ids));
    named->n = listeners->ngone;
    for (size_t i = 0; i < named->n; i++) {
        named->ids[i] = listeners->gone[i];
    }
    named->answered = true;
}

/* Who is to be killed, now that `n` would listen on its connection `link_id`? */
static struct named listen_as(const struct world_node *n, uint64_t link_id)
{
    char run_id[41];
    struct slice topic = slice_of("topic");
    struct named named = {0};

    snprintf(run_id, sizeof(run_id), "%040d", 1);
    assert_int_equal(registry_send_listen(w.r, n->name, n->incarnation, link_id, run_id, &topic, 1,
                                          on_listeners, &named),
                     0);
    wait_until(&w.probe.t, named.answered);
    return named;
}

static void a_listener_that_was_to_be_killed_is_named_once_more_after_a_lease(void **state)
{
    (void)state;
    struct world_node n2;
    struct named named;
    int listener = say("SUBSCRIBE topic\r\n");

    assert_non_null(strstr(read_until(listener, ":1\r\n"), "subscribe"));
    world_node(&n1, "n1", 1002, 10, "bot");
    world_register(&w, &n1, 1001);
    world_node(&n2, "n2", 1012, 10, "bot");
    world_register(&w, &n2, 1011);
    assert_int_equal(listen_as(&n1, 77).n, 0);
    assert_int_equal(listen_as(&n2, 88).n, 0); /* n1 lives */

    world_end_lease(&w, &n1);
    named = listen_as(&n2, 88);
    assert_int_equal(named.n, 1);
    assert_int_equal(named.ids[0], 77);
    assert_int_equal(listen_as(&n2, 88).n, 0); /* it is being killed */
    world_eval(&w, "redis.call('HSET', KEYS[1] .. ':listeners', 'n1', '77 1') return ''", "");
    named = listen_as(&n2, 88);
    assert_int_equal(named.n, 1);
    assert_int_equal(named.ids[0], 77);
    assert_string_equal(world_ask(&w, "HEXISTS shoal:{t}:listeners n1"), "0");
    close(listener);
}

/* The leader -------------------------------------------------------------------------------------- */

static void the_second_coordinator_stands_by(void **state)
{
    (void)state;
    struct registry_leader other;
    world_leader(&other, "c2");
    assert_string_equal(world_lead(&w, &other), "standby");
    assert_string_equal(w.leader_id, "c1");
    assert_in_range(w.lead.remaining_ms, 1, 3000);
}

static void after_a_resignation_the_other_leads(void **state)
{
    (void)state;
    struct registry_leader other;
    world_leader(&other, "c2");
    assert_string_equal(world_resign(&w, &other), "done"); /* not the leader: nothing happens */
    assert_string_equal(world_lead(&w, &me), "leading");

    assert_string_equal(world_resign(&w, &me), "done");

    assert_string_equal(world_lead(&w, &other), "leading");
    assert_string_not_equal(other.token, me.token);
}

static void a_deposed_leader_is_refused(void **state)
{
    (void)state;
    struct registry_leader other;
    world_leader(&other, "c2");
    world_ask(&w, "HSET shoal:{t}:leader deadline 1");
    assert_string_equal(world_lead(&w, &other), "leading");

    assert_string_equal(world_assign(&w, &me, "", "", "join", "foo"), "LOST");
    assert_string_equal(world_release(&w, &me, "", "", "part", "foo"), "LOST");
    assert_string_equal(world_configure(&w, &me, "", "", "stop", ""), "LOST");
    assert_string_equal(world_expire(&w, &me, "n1", 1001), "LOST");
    assert_string_equal(world_add_shard(&w, &me, "main-shard", "anonymous", ""), "LOST");
    assert_string_equal(world_lead(&w, &me), "standby");
    assert_string_equal(world_ask(&w, "HLEN shoal:{t}:channels"), "0");
}

static void the_leader_is_told_what_there_is_to_do(void **state)
{
    (void)state;
    struct world_node n2;
    world_add_shard(&w, &me, "main-shard", "anonymous", "");
    set("max_shard_count,1");
    set("channels_per_shard,1");
    world_assign(&w, &me, "", "", "initial", "foo,bar");
    world_configure(&w, &me, "", "", "setup_done", "");

    assert_string_equal(world_lead(&w, &me), "leading");

    assert_int_equal(w.lead.nodes, 1);
    assert_int_equal(w.lead.waiting, 1);
    assert_int_equal(w.lead.homeless, 0);
    assert_true(w.lead.setup_done);
    assert_in_range(w.lead.next_deadline_ms, 1, 3000);
    world_node(&n2, "n2", 1002, 3, "anonymous");
    world_register(&w, &n2, 0);
    world_end_lease(&w, &n1);
    world_lead(&w, &me);
    assert_string_equal(w.expired, "n1");
    assert_int_equal(w.lead.nodes, 1);
    world_end_lease(&w, &n2);
    world_lead(&w, &me);
    assert_int_equal(w.lead.next_deadline_ms, -1);
}

static void the_leader_is_told_whether_the_outbox_holds_something(void **state)
{
    (void)state;
    world_lead(&w, &me);
    assert_false(w.lead.sends);
    world_ask(&w, "XADD shoal:{t}:outbox * channel foo text hello id s1");
    world_lead(&w, &me);
    assert_true(w.lead.sends);
    world_ask(&w, "DEL shoal:{t}:outbox");
    world_lead(&w, &me);
    assert_false(w.lead.sends);
    world_ask(&w, "ZADD shoal:{t}:sends 1 taken"); /* and its stream was deleted */
    world_lead(&w, &me);
    assert_true(w.lead.sends);
}

static void the_leader_is_told_the_time_of_redis(void **state)
{
    (void)state;
    uint64_t before = strtoull(world_ask(&w, "HGET shoal:{t}:clock seen"), NULL, 10);
    world_lead(&w, &me);
    assert_in_range(w.lead.now.ms, before, before + 60000);
    assert_int_equal(w.lead.now.ms, strtoull(world_ask(&w, "HGET shoal:{t}:clock seen"), NULL, 10));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_older_library_is_replaced),
        TEST(a_newer_library_is_left),
        TEST(without_a_library_the_check_asks_for_a_coordinator),
        TEST(a_refusal_of_redis_is_told_in_its_words),
        TEST(leases_go_on_when_redis_is_full_and_what_would_grow_is_refused),
        TEST(the_greeting_names_link_and_server),
        TEST(a_killed_link_is_not_alive),
        TEST(what_was_counted_for_a_listener_is_read_though_it_is_killed),
        TEST(a_listener_that_was_to_be_killed_is_named_once_more_after_a_lease),
        TEST(the_second_coordinator_stands_by),
        TEST(after_a_resignation_the_other_leads),
        TEST(a_deposed_leader_is_refused),
        TEST(the_leader_is_told_what_there_is_to_do),
        TEST(the_leader_is_told_whether_the_outbox_holds_something),
        TEST(the_leader_is_told_the_time_of_redis),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
