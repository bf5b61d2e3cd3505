/* Cluster view over a real registry: what a round reads, and what is known between two rounds. */
#include "coordinator/view/cluster_view.h"

#include "tests/lib/office.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct office o;

static int open_office(void **state)
{
    (void)state;
    memset(&o, 0, sizeof(o));
    office_open(&o, "channels_per_shard,7,lease_ms,20000,idle_shard_ms,0");
    world_add_shard(&o.world, &o.before, "one", "anonymous", "alice,bob");
    world_add_shard(&o.world, &o.before, "two", "anonymous", "");
    world_configure(&o.world, &o.before, "", "", "shard_start", "one");
    office_lead(&o);
    return 0;
}

static int close_office(void **state)
{
    (void)state;
    office_close(&o);
    return 0;
}

static const struct shard *shard(const char *id)
{
    return cluster_view_shard(o.view, id);
}

static const char *seen_on(const char *channel)
{
    const struct shard *s = cluster_view_shard_of(o.view, channel);
    return s != NULL ? s->id : "";
}

static void a_round_shows_shards_channels_nodes_settings_and_senders(void **state)
{
    (void)state;
    size_t n;
    const struct view_pair *nodes = cluster_view_nodes(o.view, &n);

    assert_int_equal(n, 1);
    assert_string_equal(nodes[0].name, "n1");
    assert_string_equal(nodes[0].value, "anonymous");
    assert_string_equal(cluster_view_setting(o.view, "channels_per_shard"), "7");
    assert_string_equal(cluster_view_setting(o.view, "max_shard_count"), "5"); /* the default */
    assert_null(cluster_view_setting(o.view, "colour"));
    assert_string_equal(cluster_view_default_sender(o.view, "anonymous"), "one");
    assert_string_equal(cluster_view_default_sender(o.view, "nobody"), "");
    assert_string_equal(shard("one")->node, "n1");
    assert_int_equal(shard("one")->run, SHARD_STARTED);
    assert_int_equal(shard("two")->run, SHARD_NEW);
    assert_int_equal(shard("one")->nchannels, 2);
    assert_string_equal(seen_on("bob"), "one");
    assert_null(shard("three"));
}

static void what_changes_in_redis_is_seen_in_the_next_round(void **state)
{
    (void)state;
    world_add_shard(&o.world, office_me(&o), "three", "anonymous", "carol");
    world_release(&o.world, office_me(&o), "", "", "part", "alice");
    assert_string_equal(seen_on("alice"), "one");

    office_read(&o);

    assert_string_equal(seen_on("carol"), "three");
    assert_string_equal(seen_on("alice"), "");
}

static void a_shard_that_closed_is_forgotten(void **state)
{
    (void)state;
    assert_string_equal(
        world_assign(&o.world, office_me(&o), "", "", "join", "a,b,c,d,e,f,g,h,i,j,k,l,m"), "done");
    office_read(&o);
    assert_non_null(shard("extended-shard-1"));
    world_release(&o.world, office_me(&o), "", "", "part", "a,b,c,d,e,f,g,h,i,j,k,l,m");
    world_release(&o.world, office_me(&o), "", "", "idle", "extended-shard-1");
    assert_string_equal(office_ask(&o, "EXISTS shoal:{t}:shard:extended-shard-1"), "0");

    office_read(&o);

    assert_null(shard("extended-shard-1"));
    assert_non_null(shard("one"));
}

static void steps_keep_it_right_between_two_rounds(void **state)
{
    (void)state;
    cluster_view_put(o.view, SLICE("carol"), SLICE("two"));
    cluster_view_put(o.view, SLICE("alice"), SLICE("two")); /* it moved */
    cluster_view_put(o.view, SLICE("dave"), SLICE("nowhere"));
    assert_string_equal(seen_on("carol"), "two");
    assert_string_equal(seen_on("alice"), "two");
    assert_int_equal(shard("one")->nchannels, 1);
    assert_string_equal(seen_on("dave"), "");

    cluster_view_add(o.view, "four", "anonymous");

    assert_int_equal(shard("four")->run, SHARD_NEW);
    assert_string_equal(shard("four")->node, "");
    office_read(&o); /* it may have been added while that was read */
    office_read(&o);
    assert_null(shard("four")); /* it never was */
}

static void after_a_doubt_the_channels_of_all_shards_are_read_again(void **state)
{
    (void)state;
    cluster_view_put(o.view, SLICE("carol"), SLICE("two"));
    office_read(&o);
    assert_string_equal(seen_on("carol"), "two"); /* its shard did not change */

    cluster_view_doubt(o.view);
    office_read(&o);

    assert_string_equal(seen_on("carol"), "");
    assert_string_equal(seen_on("alice"), "one");
}

static void what_is_none_of_shoals_is_passed_over_and_told(void **state)
{
    (void)state;
    office_ask(&o, "DEL shoal:{t}:shard:one:channels");
    office_ask(&o, "SET shoal:{t}:shard:one:channels rubbish");
    cluster_view_doubt(o.view);
    unsigned before = o.damages;

    office_read(&o);

    assert_true(o.damages > before);
    assert_int_equal(shard("one")->nchannels, 0);
    assert_non_null(shard("two"));
}

static void a_round_is_made_when_the_shards_changed_and_not_before(void **state)
{
    (void)state;
    office_facts(&o);
    office_after(&o, 1000);
    uint64_t before = cluster_view_round(o.view);
    office_facts(&o);
    assert_int_equal(cluster_view_round(o.view), before);

    world_add_shard(&o.world, office_me(&o), "three", "anonymous", "");
    office_after(&o, 1000);

    office_until(&o, cluster_view_round(o.view) > before);
    assert_non_null(shard("three"));
}

static void a_new_term_reads_everything_anew(void **state)
{
    (void)state;
    cluster_view_begin(o.view);
    assert_false(cluster_view_is_whole(o.view));
    assert_null(shard("one"));

    office_facts(&o);

    office_until(&o, cluster_view_is_whole(o.view));
    assert_string_equal(seen_on("alice"), "one");
}

static void a_user_is_known_who_has_a_token_on_some_node(void **state)
{
    (void)state;
    struct world_node bots;
    char first[64];
    world_node(&bots, "n0", 1002, 10, "zed,bot");
    world_register(&o.world, &bots, 0);

    office_read(&o);

    cluster_view_first_user(o.view, first, sizeof(first));
    assert_string_equal(first, "zed");
    assert_true(cluster_view_knows_user(o.view, "bot"));
    assert_true(cluster_view_knows_user(o.view, "anonymous"));
    assert_false(cluster_view_knows_user(o.view, "bo"));
    assert_false(users_have("zed,bot", "ot"));
}

/* What changed --------------------------------------------------------------------------------- */

static int by_text(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* All that the view knows of shards, in one order. */
static void describe(char *out, size_t size)
{
    static char text[64][400];
    const char *line[64];
    size_t n = 0, at = 0;

    for (const struct shard *s = cluster_view_shards(o.view); s != NULL; s = s->hh.next) {
        snprintf(text[n], sizeof(text[n]),
                 "%s %s on %s by %s run %d ready %d connected %d refused %d %zu: %s\n", s->id,
                 s->user, s->node, s->sender, s->run, s->ready, s->connected, s->login_refused,
                 s->nchannels, s->channels != NULL ? s->channels->name : "");
        line[n] = text[n];
        n++;
    }
    qsort(line, n, sizeof(*line), by_text);
    for (size_t i = 0; i < n; i++) {
        at += (size_t)snprintf(out + at, size - at, "%s", line[i]);
    }
}

/* What is read of it at once is what is read of all; and something is other than before. */
static void is_seen(const char *what)
{
    static char before[20000], changed[20000], all[20000];

    describe(before, sizeof(before));
    office_read(&o);
    describe(changed, sizeof(changed));
    cluster_view_doubt(o.view);
    office_read(&o);
    describe(all, sizeof(all));
    if (strcmp(changed, all) != 0 || strcmp(before, all) == 0) {
        fail_msg("%s: before\n%ssaw\n%sis\n%s", what, before, changed, all);
    }
}

static void configured(const char *step, const char *args)
{
    world_configure(&o.world, office_me(&o), "", "", step, args);
    is_seen(step);
}

static void renewed(struct world_node *n, const char *report)
{
    assert_string_equal(world_renew(&o.world, n, report), "current");
    is_seen(report);
}

static void a_round_that_reads_what_changed_sees_what_one_that_reads_all_does(void **state)
{
    (void)state;
    struct world_node n2, again;
    world_node(&n2, "n2", 1002, 10, "anonymous");
    world_register(&o.world, &n2, 0);
    office_read(&o);
    world_add_shard(&o.world, office_me(&o), "three", "anonymous", "carol,dave");
    is_seen("add_shard");
    configured("shard_start", "two");
    configured("shard_stop", "two");
    configured("senders", "one,two");
    renewed(&o.node, "{\"shards\":{\"one\":{\"epoch\":1,\"state\":\"ready\"}}}");
    renewed(&o.node, "{\"shards\":{\"one\":{\"epoch\":1,\"login_refused\":1}}}");
    renewed(&o.node, "{\"shards\":{\"one\":{\"epoch\":1,\"state\":\"closed\"}}}");
    world_assign(&o.world, office_me(&o), "", "", "join",
                 "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t");
    is_seen("assign, which opens a shard");
    world_release(&o.world, office_me(&o), "", "", "part",
                  "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t");
    is_seen("release");
    world_release(&o.world, office_me(&o), "", "", "idle", "extended-shard-1");
    is_seen("close_idle");
    assert_null(shard("extended-shard-1"));
    office_ask(&o, "HSET shoal:{t}:shard:two run rubbish");
    world_compare(&o.world, office_me(&o));
    is_seen("compare");
    world_node(&again, "n1", 1003, 10, "anonymous");
    renewed(&o.node, "{\"shards\":{\"one\":{\"epoch\":1,\"state\":\"ready\"}}}");
    world_register(&o.world, &again, 1001);
    is_seen("register, which takes over");
    world_end_lease(&o.world, &again);
    assert_string_equal(world_expire(&o.world, office_me(&o), "n1", 1003), "expired");
    is_seen("expire");
    world_leave(&o.world, &n2);
    is_seen("leave, after which no node is there");
}

/* Questions about shards while `what` is done and read. */
static unsigned hashes_read(const char *channels)
{
    world_assign(&o.world, office_me(&o), "", "", "join", channels);
    office_ask(&o, "CONFIG RESETSTAT");
    office_read(&o);
    return world_calls(&o.world, "hgetall");
}

static void add_fifty_shards(void)
{
    char name[32];

    world_configure(&o.world, office_me(&o), "", "", "set", "max_shard_count,none");
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof(name), "more-%d", i);
        world_add_shard(&o.world, office_me(&o), name, "anonymous", "");
    }
    office_read(&o);
}

static void a_round_reads_what_changed_alone(void **state)
{
    (void)state;
    add_fifty_shards();

    assert_in_range(hashes_read("carol"), 1, 10);

    office_ask(&o, "HSET shoal:{t}:clock changes_from 1000000"); /* nobody knows what changed */
    assert_in_range(hashes_read("dave"), 50, 70);
    office_ask(&o, "HSET shoal:{t}:clock changes_from 0");
    assert_in_range(hashes_read("eve"), 1, 10);
    office_ask(&o, "HSET shoal:{t}:clock changes 3"); /* it has forgotten */
    assert_in_range(hashes_read("frank"), 50, 70);
}

static void where_somebody_removed_what_changed_all_are_read(void **state)
{
    (void)state;
    add_fifty_shards();
    world_assign(&o.world, office_me(&o), "", "", "join", "carol");
    office_ask(&o, "DEL shoal:{t}:changed");
    office_ask(&o, "CONFIG RESETSTAT");
    office_read(&o);
    assert_in_range(world_calls(&o.world, "hgetall"), 50, 70);
}

static void changes_of_long_ago_are_forgotten(void **state)
{
    (void)state;
    office_ask(&o, "HSET shoal:{t}:clock changes 199999");
    office_ask(&o, "ZADD shoal:{t}:changed 99000 gone-long-ago");
    world_assign(&o.world, office_me(&o), "", "", "join", "carol");
    assert_string_equal(office_ask(&o, "HGET shoal:{t}:clock changes_from"), "100000");
    assert_string_equal(office_ask(&o, "ZSCORE shoal:{t}:changed gone-long-ago"), "");
    assert_string_not_equal(office_ask(&o, "ZSCORE shoal:{t}:changed two"), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define OFFICE_TEST(f) cmocka_unit_test_setup_teardown(f, open_office, close_office)
        OFFICE_TEST(a_round_shows_shards_channels_nodes_settings_and_senders),
        OFFICE_TEST(what_changes_in_redis_is_seen_in_the_next_round),
        OFFICE_TEST(a_shard_that_closed_is_forgotten),
        OFFICE_TEST(steps_keep_it_right_between_two_rounds),
        OFFICE_TEST(after_a_doubt_the_channels_of_all_shards_are_read_again),
        OFFICE_TEST(what_is_none_of_shoals_is_passed_over_and_told),
        OFFICE_TEST(a_round_is_made_when_the_shards_changed_and_not_before),
        OFFICE_TEST(a_new_term_reads_everything_anew),
        OFFICE_TEST(a_user_is_known_who_has_a_token_on_some_node),
        OFFICE_TEST(a_round_that_reads_what_changed_sees_what_one_that_reads_all_does),
        OFFICE_TEST(a_round_reads_what_changed_alone),
        OFFICE_TEST(where_somebody_removed_what_changed_all_are_read),
        OFFICE_TEST(changes_of_long_ago_are_forgotten),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
