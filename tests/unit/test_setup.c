/* Setup over the real steps: part after part, each again where it failed. */
#include "coordinator/chores/setup.h"

#include "tests/lib/office.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct office o;
static struct setup *setup;
static struct slice pairs[4];
static struct cluster_settings settings;
static struct initial_channels channels;
static unsigned done;
static unsigned refused;
static struct err why;
static struct slice alice_and_bob[2];

static void on_facts(void *room, const struct registry_lead *facts)
{
    setup_on_facts(room, facts);
}

static void on_fresh(void *room)
{
    setup_on_view(room);
}

static void close_setup(void *room)
{
    setup_destroy(room);
}

static void on_refused(void *ctx, const struct err *err)
{
    (void)ctx;
    refused++;
    why = *err;
}

static void on_done(void *ctx)
{
    (void)ctx;
    done++;
}

static void open_office(const char *cluster)
{
    memset(&o, 0, sizeof(o));
    done = refused = 0;
    settings = (struct cluster_settings){.pairs = pairs};
    alice_and_bob[0] = SLICE("alice");
    alice_and_bob[1] = SLICE("bob");
    office_open(&o, cluster);
    world_configure(&o.world, &o.before, "", "", "set", "lease_ms,20000");
}

static void given(const char *name, const char *value)
{
    pairs[settings.n++] = slice_of(name);
    pairs[settings.n++] = slice_of(value);
}

static void begin(size_t nchannels)
{
    channels = (struct initial_channels){.n = nchannels, .names = alice_and_bob};
    office_lead(&o);
    setup = setup_create(&(struct setup_options){.leader = o.leader,
                                                 .manager = o.manager,
                                                 .channels = &channels,
                                                 .settings = &settings,
                                                 .on_refused = on_refused,
                                                 .on_done = on_done});
    setup_begin(setup);
    office_room(&o, setup, on_facts, close_setup);
    o.on_fresh = on_fresh;
    office_facts(&o);
}

/* The nodes were still for long enough. */
static void begin_and_wait(size_t nchannels)
{
    begin(nchannels);
    office_read(&o);
    office_after(&o, 600);
}

static const char *config(const char *name)
{
    return office_ask(&o, "HGET shoal:{t}:config %s", name);
}

static void a_new_cluster_gets_settings_shards_and_channels_and_is_marked(void **state)
{
    (void)state;
    open_office(NULL);
    given("channels_per_shard", "7");
    begin_and_wait(2);

    office_until(&o, (office_facts(&o), done == 1));

    assert_string_equal(config("channels_per_shard"), "7");
    assert_string_equal(config("manager"), "office");
    assert_string_equal(config("setup"), "done");
    assert_string_not_equal(office_ask(&o, "HGET shoal:{t}:channels alice"), "");
    office_expect_asked(&o, "setup\nassign alice\nassign bob\n");
    assert_int_equal(refused, 0);
    office_close(&o);
}

static void it_waits_until_the_number_of_nodes_is_still(void **state)
{
    (void)state;
    struct world_node late;
    open_office(NULL);
    begin(0);
    office_read(&o);
    office_after(&o, 250);
    office_expect_asked(&o, ""); /* others may come back that were there before the cluster */
    world_node(&late, "n2", 1002, 10, "anonymous");
    world_register(&o.world, &late, 0);
    office_facts(&o);
    office_after(&o, 60);
    office_expect_asked(&o, "");

    office_after(&o, 40);

    office_until(&o, (office_facts(&o), done == 1));
    office_close(&o);
}

static void it_goes_on_as_soon_as_the_view_shows_what_it_wrote(void **state)
{
    (void)state;
    open_office(NULL);
    begin(0);
    office_until(&o, strcmp(config("manager"), "office") == 0);
    test_loop_run_for(&o.world.probe.t, 200); /* that was read */
    unsigned before = o.facts;

    test_clock_forward(400);
    test_loop_run_for(&o.world.probe.t, 200);

    assert_true(o.facts > before); /* by itself: the leader's next look is seconds away */
    office_close(&o);
}

static void a_setting_that_is_refused_ends_a_cluster_that_is_not_there_yet(void **state)
{
    (void)state;
    open_office(NULL);
    given("channels_per_shard", "0");

    begin(0);

    office_until(&o, (office_facts(&o), refused > 0));
    assert_int_equal(why.code, ERR_USAGE);
    assert_non_null(strstr(why.text, "--set: "));
    assert_string_equal(config("channels_per_shard"), "");
    office_close(&o);
}

static void a_manager_that_cannot_set_it_up_leaves_nothing_of_the_attempt(void **state)
{
    (void)state;
    open_office(NULL);
    given("channels_per_shard", "7");
    o.answers[MANAGER_SETUP] = "fail:too many channels";

    begin_and_wait(0);

    office_until(&o, (office_facts(&o), refused > 0));
    assert_int_equal(why.code, ERR_REFUSED);
    assert_non_null(strstr(why.text, "too many channels"));
    assert_string_equal(config("channels_per_shard"), "");
    assert_string_equal(config("manager"), "");
    office_close(&o);
}

static void shards_that_are_there_go_on_whatever_the_manager_says(void **state)
{
    (void)state;
    open_office(NULL);
    assert_string_equal(world_add_shard(&o.world, &o.before, "old", "anonymous", "alice"), "added");
    o.answers[MANAGER_SETUP] = "fail:too many channels";

    begin_and_wait(0);

    office_until(&o, (office_facts(&o), done == 1));
    assert_int_equal(refused, 0);
    assert_string_equal(office_ask(&o, "HGET shoal:{t}:channels alice"), "old");
    office_close(&o);
}

static void a_manager_that_takes_too_long_is_asked_again_after_a_while(void **state)
{
    (void)state;
    open_office(NULL);
    o.answers[MANAGER_SETUP] = "later";
    begin_and_wait(0);
    office_expect_asked(&o, "setup\n");
    o.answers[MANAGER_SETUP] = "done";
    office_after(&o, 1000); /* it is given up */
    office_facts(&o);
    office_expect_asked(&o, "");

    office_after(&o, 2000);

    office_until(&o, (office_facts(&o), done == 1));
    office_expect_asked(&o, "setup\n");
    office_close(&o);
}

static void a_user_whom_no_node_knows_is_waited_for(void **state)
{
    (void)state;
    struct world_node late;
    open_office(NULL);
    given("user", "bot");
    world_configure(&o.world, &o.before, "", "", "unset", "user");
    begin_and_wait(0);
    office_after(&o, 1000);
    office_expect_asked(&o, "");

    world_node(&late, "n2", 1002, 10, "anonymous,bot");
    world_register(&o.world, &late, 0);

    for (int i = 0; i < 10 && done == 0; i++) {
        office_read(&o);
        office_after(&o, 200);
    }
    assert_int_equal(done, 1);
    assert_string_equal(config("user"), "bot");
    office_close(&o);
}

static void who_is_not_named_is_chosen_among_those_the_nodes_know(void **state)
{
    (void)state;
    open_office(NULL);
    world_configure(&o.world, &o.before, "", "", "unset", "user");
    begin_and_wait(0);

    office_until(&o, (office_facts(&o), done == 1));

    assert_string_equal(config("user"), "anonymous");
    office_close(&o);
}

static void a_cluster_that_is_set_up_joins_only_channels_never_seen_before(void **state)
{
    (void)state;
    open_office("channels_per_shard,3");
    given("channels_per_shard", "7"); /* a difference is a warning */
    begin(1);
    office_facts(&o);
    office_until(&o, strcmp(office_ask(&o, "HEXISTS shoal:{t}:channels alice"), "1") == 0);
    world_release(&o.world, office_me(&o), "", "", "part", "alice");
    setup_destroy(setup);
    o.room = NULL;

    channels.n = 2;
    setup = setup_create(&(struct setup_options){.leader = o.leader,
                                                 .manager = o.manager,
                                                 .channels = &channels,
                                                 .settings = &settings,
                                                 .on_refused = on_refused,
                                                 .on_done = on_done});
    setup_begin(setup);
    office_room(&o, setup, on_facts, close_setup);
    office_facts(&o);

    office_until(&o, strcmp(office_ask(&o, "HEXISTS shoal:{t}:channels bob"), "1") == 0);
    assert_string_equal(office_ask(&o, "HEXISTS shoal:{t}:channels alice"), "0");
    assert_string_equal(config("channels_per_shard"), "3");
    assert_null(strstr(o.asked, "setup"));
    assert_int_equal(done + refused, 0);
    office_close(&o);
}

static void a_user_that_somebody_unset_is_chosen_again(void **state)
{
    (void)state;
    open_office("");
    begin(0);
    office_facts(&o);
    world_configure(&o.world, office_me(&o), "", "", "unset", "user");
    assert_string_equal(config("user"), "");

    office_until(&o, (office_read(&o), strcmp(config("user"), "anonymous") == 0));
    office_close(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_cluster_gets_settings_shards_and_channels_and_is_marked),
        cmocka_unit_test(it_waits_until_the_number_of_nodes_is_still),
        cmocka_unit_test(it_goes_on_as_soon_as_the_view_shows_what_it_wrote),
        cmocka_unit_test(a_setting_that_is_refused_ends_a_cluster_that_is_not_there_yet),
        cmocka_unit_test(a_manager_that_cannot_set_it_up_leaves_nothing_of_the_attempt),
        cmocka_unit_test(shards_that_are_there_go_on_whatever_the_manager_says),
        cmocka_unit_test(a_manager_that_takes_too_long_is_asked_again_after_a_while),
        cmocka_unit_test(a_user_whom_no_node_knows_is_waited_for),
        cmocka_unit_test(who_is_not_named_is_chosen_among_those_the_nodes_know),
        cmocka_unit_test(a_cluster_that_is_set_up_joins_only_channels_never_seen_before),
        cmocka_unit_test(a_user_that_somebody_unset_is_chosen_again),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
