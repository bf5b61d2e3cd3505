/* Registry: nodes, their leases, the leader and the library, against a real Redis. */
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

/* Nodes ------------------------------------------------------------------------------------------- */

static void a_second_process_with_the_node_id_is_refused_naming_the_first(void **state)
{
    (void)state;
    struct world_node second;
    world_node(&second, "n1", 1002, 5, "anonymous");

    assert_string_equal(world_register(&w, &second, 0), "held");

    assert_true(w.held_by_other);
    assert_string_equal(w.holder, "host1 4711 1001");
    assert_string_equal(world_renew(&w, &n1, ""), "current");
    assert_string_equal(world_renew(&w, &second, ""), "LOST");
}

static void a_newcomer_takes_over_where_the_link_is_gone(void **state)
{
    (void)state;
    struct world_node second;
    world_node(&second, "n1", 1002, 5, "anonymous");
    world_add_shard(&w, &me, "main-shard", "anonymous", "");
    world_assign(&w, &me, "", "", "join", "foo");

    assert_string_equal(world_register(&w, &second, 1001), "current");

    assert_int_equal(w.picture.nheld, 1);
    assert_string_equal(world_renew(&w, &n1, ""), "LOST");
    assert_string_equal(world_ask(&w, "ZSCORE shoal:{t}:free n1"), "4");
}

static void an_expired_node_gives_its_shards_to_the_freest_live_node(void **state)
{
    (void)state;
    struct world_node n2;
    struct world_node n3;
    world_add_shard(&w, &me, "main-shard", "anonymous", "");
    world_assign(&w, &me, "", "", "join", "foo,bar");
    world_node(&n2, "n2", 1002, 3, "anonymous");
    world_node(&n3, "n3", 1003, 7, "anonymous");
    world_register(&w, &n2, 0);
    world_register(&w, &n3, 0);
    world_renew(&w, &n1,
                "{\"shards\":{\"main-shard\":{\"epoch\":1,\"lines_s\":7,\"bytes_s\":700}}}");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:shard:main-shard lines_s"), "7");
    world_end_lease(&w, &n1);

    assert_string_equal(world_expire(&w, &me, "n1", 1001), "expired");

    assert_string_equal(world_ask(&w, "HGET shoal:{t}:shard:main-shard node"), "n3");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:shard:main-shard lines_s"), "0");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:shard:main-shard bytes_s"), "0");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:shard:main-shard epoch"), "2");
    assert_string_equal(world_renew(&w, &n3, ""), "current");
    char view[4096];
    assert_string_equal(world_node_view(&n3, view, sizeof(view)),
                        "main-shard:2,bar,foo\nmain-shard>main-shard,bar,foo\n");
    assert_string_equal(world_renew(&w, &n1, ""), "LOST");
    assert_string_equal(world_ask(&w, "EXISTS shoal:{t}:node:n1"), "0");
}

static void a_shard_goes_only_to_a_node_that_can_log_in_as_its_user(void **state)
{
    (void)state;
    struct world_node n2;
    world_node(&n2, "n2", 1002, 3, "alice,bob");
    world_register(&w, &n2, 0);

    assert_string_equal(world_add_shard(&w, &me, "main-shard", "bob", ""), "added");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:shard:main-shard node"), "n2");
    assert_string_equal(world_add_shard(&w, &me, "initial-shard-1", "carol", ""), "later");
    assert_string_equal(w.rest, "No node has a token for user carol.");
    assert_string_equal(world_add_shard(&w, &me, "main-shard", "bob", ""), "exists");
}

static void a_node_with_a_new_token_gets_the_shards_that_wait_for_it(void **state)
{
    (void)state;
    struct world_node n2;
    world_node(&n2, "n2", 1002, 3, "bot");
    world_register(&w, &n2, 0);
    assert_string_equal(world_add_shard(&w, &me, "main-shard", "bot", ""), "added");
    world_leave(&w, &n2);
    assert_string_equal(world_ask(&w, "SCARD shoal:{t}:homeless"), "1");
    world_renew(&w, &n1, "{\"node\":{\"users\":\"bot\"}}");
    assert_string_equal(world_ask(&w, "SCARD shoal:{t}:homeless"), "0");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:shard:main-shard node"), "n1");
}

static void a_node_that_drains_gets_no_more_shards(void **state)
{
    (void)state;
    world_renew(&w, &n1, "{\"node\":{\"state\":\"draining\"}}");
    assert_string_equal(world_add_shard(&w, &me, "main-shard", "anonymous", ""), "added");
    assert_string_equal(world_ask(&w, "SCARD shoal:{t}:homeless"), "1");
    assert_string_equal(world_register(&w, &n1, 0), "current");
    assert_string_equal(world_ask(&w, "SCARD shoal:{t}:homeless"), "0");
}

static void shards_without_a_node_are_placed_when_one_registers(void **state)
{
    (void)state;
    struct world_node n2;
    world_add_shard(&w, &me, "main-shard", "anonymous", "");
    assert_string_equal(world_leave(&w, &n1), "done");
    world_lead(&w, &me);
    assert_int_equal(w.lead.homeless, 1);

    world_node(&n2, "n2", 1002, 3, "anonymous");
    assert_string_equal(world_register(&w, &n2, 0), "current");

    assert_int_equal(w.picture.nheld, 1);
    world_lead(&w, &me);
    assert_int_equal(w.lead.homeless, 0);
}

static void a_renewed_lease_is_not_expired(void **state)
{
    (void)state;
    world_end_lease(&w, &n1);
    assert_string_equal(world_renew(&w, &n1, ""), "current");
    assert_string_equal(world_expire(&w, &me, "n1", 1001), "renewed");
}

static void a_link_that_was_given_up_is_not_the_registered_one_again(void **state)
{
    (void)state;
    struct world_node late = n1;
    n1.link_id = 1002; /* it has connected anew */
    assert_string_equal(world_renew(&w, &n1, ""), "current");
    assert_string_equal(world_renew(&w, &late, ""), "ERROR");
    assert_non_null(strstr(w.err.text, "OVERTAKEN"));
    assert_string_equal(world_register(&w, &late, 0), "ERROR");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:node:n1 link"), "1002");
    /* Another server counts anew. */
    world_ask(&w, "HSET shoal:{t}:node:n1 run_id another");
    assert_string_equal(world_renew(&w, &late, ""), "current");
}

static void a_node_with_another_link_by_now_is_not_expired(void **state)
{
    (void)state;
    world_end_lease(&w, &n1);
    assert_string_equal(world_expire(&w, &me, "n1", 999), "link");
    assert_string_equal(world_renew(&w, &n1, ""), "current");
}

static void after_a_pause_nothing_expires_for_two_leases(void **state)
{
    (void)state;
    set("lease_ms,300");
    assert_string_equal(world_renew(&w, &n1, ""), "current");
    private_redis_pause(redis);
    test_loop_run_for(&w.probe.t, 500);
    private_redis_resume(redis);

    /* The lease is over by Redis's clock, and the expire comes before the node's renewal does. */
    assert_string_equal(world_expire(&w, &me, "n1", 1001), "grace");
    world_lead(&w, &me);
    assert_int_equal(w.lead.nexpired, 0);
    assert_string_equal(world_renew(&w, &n1, ""), "current");
}

static void after_the_clock_went_back_nothing_expires(void **state)
{
    (void)state;
    world_end_lease(&w, &n1);
    world_ask(&w, "HSET shoal:{t}:clock seen 99999999999999");
    assert_string_equal(world_expire(&w, &me, "n1", 1001), "grace");
}

/* As if the clock had been `ms` ahead until now. */
static void clock_was_ahead(long ms)
{
    char script[1024];

    snprintf(script, sizeof(script),
             "local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000) + %ld "
             "local k = KEYS[1] "
             "redis.call('HSET', k .. ':clock', 'seen', now, 'grace', 0) "
             "redis.call('HSET', k .. ':leader', 'deadline', now + 3000) "
             "for _, n in ipairs(redis.call('ZRANGE', k .. ':nodes', 0, -1)) do "
             "redis.call('ZADD', k .. ':nodes', now + 3000, n) end "
             "for _, s in ipairs(redis.call('ZRANGE', k .. ':idle', 0, -1)) do "
             "redis.call('ZADD', k .. ':idle', now, s) end return ''",
             ms);
    world_eval(&w, script, "");
}

static void
after_the_clock_went_back_leases_and_idle_times_are_no_longer_than_they_are(void **state)
{
    (void)state;
    set("lease_ms,300");
    set("idle_shard_ms,100");
    world_assign(&w, &me, "", "", "join", "foo");
    world_release(&w, &me, "", "", "part", "foo");
    struct world_node other;
    world_node(&other, "n2", 1002, 10, "anonymous");
    world_register(&w, &other, 0);
    clock_was_ahead(120000);

    struct registry_leader next;
    world_leader(&next, "c2");
    assert_string_equal(world_lead(&w, &next), "standby");
    assert_in_range(w.lead.remaining_ms, 1, 300);
    test_loop_run_for(&w.probe.t, 320);
    assert_string_equal(world_renew(&w, &other, ""), "current");
    assert_string_equal(world_lead(&w, &next), "leading");
    assert_string_equal(w.idle, "extended-shard-1");
    for (int i = 0; i < 20 && w.expired[0] == '\0'; i++) { /* two leases of grace */
        test_loop_run_for(&w.probe.t, 50);
        assert_string_equal(world_renew(&w, &other, ""), "current");
        assert_string_equal(world_lead(&w, &next), "leading");
    }
    assert_string_equal(w.expired, "n1");
    assert_string_equal(world_expire(&w, &next, "n1", n1.link_id), "expired");
}

static void new_connections_wait_for_their_interval_alone_after_the_clock_went_back(void **state)
{
    (void)state;
    set("login_limit,off");
    set("login_window_ms,1000");
    set("connect_interval_ms,100");
    world_ask(&w, "SET shoal:{t}:budget:bot:connect 99999999999999");
    for (int i = 0; i < 3; i++) {
        assert_string_equal(world_draw(&w, &n1, "bot", "login", 1), "drawn");
        assert_int_equal(w.nwaits, 1);
        assert_true(w.waits[0] <= 400);
    }
}

static void a_renewal_tells_an_emptied_registry_from_a_lost_lease(void **state)
{
    (void)state;
    world_renew(&w, &n1, "");
    snprintf(n1.registry, sizeof(n1.registry), "%s", w.registry);
    assert_true(n1.registry[0] != '\0');
    world_ask(&w, "HDEL shoal:{t}:node:n1 incarnation");
    assert_string_equal(world_renew(&w, &n1, ""), "LOST");
    world_ask(&w, "FLUSHALL");
    assert_string_equal(world_renew(&w, &n1, ""), "ERROR");
    assert_int_equal(w.err.code, ERR_EMPTIED);
    assert_string_equal(world_register(&w, &n1, 0), "current");
    assert_string_not_equal(w.registry, n1.registry);
}

static void a_node_that_leaves_gives_its_shards_away(void **state)
{
    (void)state;
    struct world_node n2;
    set("max_shard_count,none");
    world_node(&n2, "n2", 1002, 200, "anonymous");
    world_register(&w, &n2, 0);
    for (int i = 1; i <= 120; i++) { /* more than one portion */
        char shard[32];
        snprintf(shard, sizeof(shard), "initial-shard-%d", i);
        assert_string_equal(world_add_shard(&w, &me, shard, "anonymous", ""), "added");
    }
    struct world_node n3;
    world_node(&n3, "n3", 1003, 200, "anonymous");
    world_register(&w, &n3, 0);

    assert_string_equal(world_leave(&w, &n2), "done");

    assert_string_equal(world_ask(&w, "EXISTS shoal:{t}:node:n2"), "0");
    assert_string_equal(world_ask(&w, "ZSCORE shoal:{t}:nodes n2"), "");
    assert_string_equal(world_ask(&w, "SCARD shoal:{t}:homeless"), "0");
    assert_string_equal(world_renew(&w, &n2, ""), "LOST");
}

static void a_report_is_kept_and_a_stale_one_is_not(void **state)
{
    (void)state;
    world_add_shard(&w, &me, "main-shard", "anonymous", "");
    world_assign(&w, &me, "", "", "join", "foo");
    assert_string_equal(
        world_renew(&w, &n1,
                    "{\"shards\":{\"main-shard\":{\"epoch\":1,\"state\":\"ready\",\"joined\":1,"
                    "\"rate\":6,\"user\":\"x\",\"stop\":\"x\"}},"
                    "\"channels\":{\"foo\":{\"shard\":\"main-shard\",\"state\":\"joined\","
                    "\"rate\":7,\"moderator\":true}},\"node\":{\"rate\":5,\"incarnation\":\"x\"},"
                    "\"gaps\":[{\"channel\":\"foo\",\"lines\":3}]}"),
        "current");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:shard:main-shard state"), "ready");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:channel:foo state"), "joined");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:channel:foo moderator"), "1");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:node:n1 rate"), "5");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:shard:main-shard rate"), "6");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:shard:main-shard user"), "anonymous");
    assert_string_equal(world_ask(&w, "HEXISTS shoal:{t}:shard:main-shard stop"), "0");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:channel:foo rate"), "7");
    assert_string_equal(world_ask(&w, "HEXISTS shoal:{t}:channel:foo shard"), "0");
    world_renew(&w, &n1, "{\"channels\":{\"foo\":{\"shard\":\"main-shard\",\"moderator\":0}}}");

    assert_string_equal(
        world_renew(&w, &n1,
                    "{\"shards\":{\"main-shard\":{\"epoch\":7,\"state\":\"backoff\"}},"
                    "\"channels\":{\"foo\":{\"shard\":\"other\",\"state\":\"failed\"}}}"),
        "current");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:shard:main-shard state"), "ready");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:channel:foo state"), "joined");
}

static void a_broken_report_is_refused_and_odd_members_are_passed_over(void **state)
{
    (void)state;
    assert_string_equal(world_renew(&w, &n1, "{"), "ERROR");
    assert_non_null(strstr(w.rest, "BADARG"));
    assert_string_equal(world_renew(&w, &n1,
                                    "{\"shards\":3,\"channels\":{\"a\":null},\"gaps\":7,"
                                    "\"node\":{\"x\":null,\"y\":{}}}"),
                        "current");
}

struct many {
    bool answered;
    size_t held;
    size_t told;
};

static void on_many(void *ctx, const struct registry_picture *picture, const struct err *err)
{
    struct many *many = ctx;
    assert_null(err);
    many->answered = true;
    many->held = picture->nheld;
    many->told = picture->nheld_changed;
}

static void a_node_with_many_shards_is_told_of_them_in_portions(void **state)
{
    (void)state;
    struct world_node big;
    set("max_shard_count,none");
    world_node(&big, "big", 1002, 1000, "anonymous");
    world_register(&w, &big, 0);
    for (int i = 1; i <= 300; i++) {
        char shard[32];
        snprintf(shard, sizeof(shard), "initial-shard-%d", i);
        world_add_shard(&w, &me, shard, "anonymous", "");
    }
    /* As a node that knows nothing asks: what it gets is whole. */
    struct many many = {0};
    struct registry_node node = {.node = "big",
                                 .incarnation = big.incarnation,
                                 .run_id = "r",
                                 .host = "host1",
                                 .pid = "1",
                                 .version = "0",
                                 .capacity = 1000,
                                 .users = "anonymous"};
    world_ask(&w, "CONFIG RESETSTAT");
    assert_int_equal(registry_renew(w.r, &node, -1, SLICE(""), on_many, &many), 0);
    wait_until(&w.probe.t, many.answered);
    assert_int_equal(many.held, 300);
    assert_int_equal(many.told, 300);
    const char *stats = world_ask(&w, "INFO commandstats");
    assert_true(atoi(strstr(stats, "cmdstat_fcall:calls=") + 20) > 3);
}

static void a_start_and_a_stop_reach_the_node(void **state)
{
    (void)state;
    world_add_shard(&w, &me, "main-shard", "anonymous", "");
    world_renew(&w, &n1, "");
    assert_int_equal(w.run, SHARD_NEW);
    world_configure(&w, &me, "", "", "shard_start", "main-shard");
    world_renew(&w, &n1, "");
    assert_int_equal(w.run, SHARD_STARTED);
    world_configure(&w, &me, "", "", "shard_start", "main-shard");
    assert_non_null(strstr(w.rest, "Perhaps it has already been started?"));
    world_configure(&w, &me, "", "", "shard_stop", "main-shard");
    world_renew(&w, &n1, "");
    assert_int_equal(w.run, SHARD_STOPPED);
    world_configure(&w, &me, "", "", "shard_stop", "main-shard");
    assert_non_null(strstr(w.rest, "has not been started."));
    world_configure(&w, &me, "", "", "shard_start", "nosuch");
    assert_non_null(strstr(w.rest, "Shard nosuch does not exist."));
    world_configure(&w, &me, "", "", "stop", "");
    assert_true(world_lead(&w, &me) && w.lead.stopped);
    world_configure(&w, &me, "", "", "shard_start", "main-shard");
    assert_non_null(strstr(w.rest, "the cluster is stopped"));
    world_configure(&w, &me, "", "", "start", "");
    assert_true(world_lead(&w, &me) && !w.lead.stopped);
}

static void senders_are_served_where_the_sending_shard_is(void **state)
{
    (void)state;
    struct world_node n2;
    char view[4096];
    world_add_shard(&w, &me, "main-shard", "anonymous", "");
    world_node(&n2, "n2", 1002, 20, "anonymous,bob");
    world_register(&w, &n2, 0);
    world_add_shard(&w, &me, "initial-shard-1", "anonymous", "");
    world_add_shard(&w, &me, "initial-shard-2", "bob", "");
    world_assign(&w, &me, "", "", "join", "foo,bar");

    world_configure(&w, &me, "", "", "senders",
                    "main-shard,initial-shard-1,initial-shard-1,main-shard,"
                    "initial-shard-2,main-shard,@anonymous,initial-shard-1,nosuch,main-shard");

    world_renew(&w, &n1, "");
    assert_string_equal(world_node_view(&n1, view, sizeof(view)),
                        "initial-shard-1>main-shard,foo\nmain-shard:1,bar\n");
    world_renew(&w, &n2, "");
    assert_string_equal(world_node_view(&n2, view, sizeof(view)), world_raw_view(&w, &n2));
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:senders anonymous"), "initial-shard-1");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:shard:initial-shard-2 sender"),
                        "initial-shard-2"); /* nobody speaks as another user */
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
        TEST(a_second_process_with_the_node_id_is_refused_naming_the_first),
        TEST(a_newcomer_takes_over_where_the_link_is_gone),
        TEST(an_expired_node_gives_its_shards_to_the_freest_live_node),
        TEST(a_shard_goes_only_to_a_node_that_can_log_in_as_its_user),
        TEST(a_node_with_a_new_token_gets_the_shards_that_wait_for_it),
        TEST(a_node_that_drains_gets_no_more_shards),
        TEST(shards_without_a_node_are_placed_when_one_registers),
        TEST(a_renewed_lease_is_not_expired),
        TEST(a_link_that_was_given_up_is_not_the_registered_one_again),
        TEST(a_node_with_another_link_by_now_is_not_expired),
        TEST(after_a_pause_nothing_expires_for_two_leases),
        TEST(after_the_clock_went_back_nothing_expires),
        TEST(after_the_clock_went_back_leases_and_idle_times_are_no_longer_than_they_are),
        TEST(new_connections_wait_for_their_interval_alone_after_the_clock_went_back),
        TEST(a_renewal_tells_an_emptied_registry_from_a_lost_lease),
        TEST(a_node_that_leaves_gives_its_shards_away),
        TEST(a_report_is_kept_and_a_stale_one_is_not),
        TEST(a_broken_report_is_refused_and_odd_members_are_passed_over),
        TEST(a_node_with_many_shards_is_told_of_them_in_portions),
        TEST(a_start_and_a_stop_reach_the_node),
        TEST(senders_are_served_where_the_sending_shard_is),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
