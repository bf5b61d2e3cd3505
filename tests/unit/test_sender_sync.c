/* Sender sync over the real steps: the shard manager says who sends for each shard, what differs is
 * written. */
#include "coordinator/chores/sender_sync.h"

#include "tests/lib/office.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct office o;
static struct sender_sync *senders;

static void on_fresh(void *room)
{
    sender_sync_on_view(room);
}

static void close_sync(void *room)
{
    sender_sync_destroy(room);
}

static void open_office(void)
{
    memset(&o, 0, sizeof(o));
    office_open(&o, "lease_ms,20000,max_shard_count,none");
}

static void begin(void)
{
    office_lead(&o);
    senders = sender_sync_create(o.leader, o.manager);
    office_room(&o, senders, NULL, close_sync);
    o.on_fresh = on_fresh;
}

static const char *sender_of(const char *shard)
{
    return office_ask(&o, "HGET shoal:{t}:shard:%s sender", shard);
}

static void it_asks_about_one_channel_of_each_shard_and_about_all_others(void **state)
{
    (void)state;
    open_office();
    world_add_shard(&o.world, &o.before, "one", "anonymous", "alice,bob");
    world_add_shard(&o.world, &o.before, "two", "anonymous", "");
    begin();

    office_read(&o);

    assert_true(strcmp(o.asked, "sender alice\nsender\n") == 0 ||
                strcmp(o.asked, "sender bob\nsender\n") == 0);
    office_close(&o);
}

static void what_differs_is_written_and_what_does_not_is_left_alone(void **state)
{
    (void)state;
    open_office();
    world_add_shard(&o.world, &o.before, "one", "anonymous", "alice");
    world_add_shard(&o.world, &o.before, "two", "anonymous", "bob");
    o.answers[MANAGER_SENDER] = "shard:two";
    begin();
    assert_string_equal(sender_of("one"), "one");

    office_read(&o);

    office_until(&o, strcmp(sender_of("one"), "two") == 0);
    assert_string_equal(sender_of("two"), "two");
    assert_string_equal(office_ask(&o, "HGET shoal:{t}:senders anonymous"), "two");
    assert_string_equal(cluster_view_shard(o.view, "one")->sender, "two");
    office_close(&o);
}

static void what_the_manager_does_not_say_stays_as_it_is(void **state)
{
    (void)state;
    open_office();
    world_add_shard(&o.world, &o.before, "one", "anonymous", "alice");
    world_configure(&o.world, &o.before, "", "", "senders", "one,one");
    begin();

    office_read(&o);
    office_facts(&o);

    assert_string_equal(sender_of("one"), "one");
    office_close(&o);
}

static void a_sender_of_another_user_is_not_written(void **state)
{
    (void)state;
    struct world_node bots;
    open_office();
    world_node(&bots, "n2", 1002, 10, "anonymous,bot");
    world_register(&o.world, &bots, 0);
    world_add_shard(&o.world, &o.before, "one", "anonymous", "alice");
    world_add_shard(&o.world, &o.before, "theirs", "bot", "");
    o.answers[MANAGER_SENDER] = "shard:theirs";
    begin();

    office_read(&o);
    office_facts(&o);

    assert_string_equal(sender_of("one"), "one");
    office_close(&o);
}

static void the_speaker_may_send_for_shards_of_another_user(void **state)
{
    (void)state;
    struct world_node bots;
    open_office();
    world_node(&bots, "n2", 1002, 10, "anonymous,bot");
    world_register(&o.world, &bots, 0);
    world_configure(&o.world, &o.before, "", "", "set", "speaker,bot");
    world_add_shard(&o.world, &o.before, "one", "anonymous", "alice");
    world_configure(&o.world, &o.before, "", "", "setup_done", "");
    world_configure(&o.world, &o.before, "", "", "speakers", "");
    o.answers[MANAGER_SENDER] = "shard:speaker-shard-1";
    begin();

    office_read(&o);

    office_until(&o, strcmp(sender_of("one"), "speaker-shard-1") == 0);
    assert_string_equal(office_ask(&o, "HGET shoal:{t}:senders bot"), "speaker-shard-1");
    office_close(&o);
}

static void many_changes_are_written_in_portions(void **state)
{
    (void)state;
    char id[32];
    char channel[32];
    open_office();
    for (int i = 0; i < 250; i++) {
        snprintf(id, sizeof(id), "s%d", i);
        snprintf(channel, sizeof(channel), "c%d", i);
        assert_string_equal(world_add_shard(&o.world, &o.before, id, "anonymous", channel),
                            "added");
    }
    o.answers[MANAGER_SENDER] = "shard:s7";
    begin();

    office_read(&o);

    for (int i = 0; i < 250; i++) {
        snprintf(id, sizeof(id), "s%d", i);
        office_until(&o, strcmp(sender_of(id), "s7") == 0);
    }
    office_close(&o);
}

static void a_view_that_comes_while_it_asks_is_gone_through_after(void **state)
{
    (void)state;
    open_office();
    world_add_shard(&o.world, &o.before, "one", "anonymous", "alice");
    world_add_shard(&o.world, &o.before, "two", "anonymous", "bob");
    begin();
    o.answers[MANAGER_SENDER] = "later";
    office_read(&o);
    assert_int_equal(o.nlater, 3);
    office_read(&o);
    assert_int_equal(o.nlater, 3);
    o.answers[MANAGER_SENDER] = "shard:two";

    while (o.nlater > 0) {
        office_answer(&o, "shard:one");
    }

    office_until(&o, strcmp(sender_of("one"), "two") == 0);
    assert_string_equal(sender_of("two"), "two");
    office_close(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_asks_about_one_channel_of_each_shard_and_about_all_others),
        cmocka_unit_test(what_differs_is_written_and_what_does_not_is_left_alone),
        cmocka_unit_test(what_the_manager_does_not_say_stays_as_it_is),
        cmocka_unit_test(a_sender_of_another_user_is_not_written),
        cmocka_unit_test(the_speaker_may_send_for_shards_of_another_user),
        cmocka_unit_test(many_changes_are_written_in_portions),
        cmocka_unit_test(a_view_that_comes_while_it_asks_is_gone_through_after),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
