/* Registry: settings, against a real Redis. */
#include "shared/redis/registry.h"

#include "tests/lib/registry_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void a_setting_out_of_range_is_refused_with_the_range(void **state)
{
    (void)state;
    static const struct {
        const char *args;
        const char *text;
    } cases[] = {
        {"channels_per_shard,0", "takes a number from 1 to 1000000, or none, not \\\"0\\\"."},
        {"channels_per_shard,many", "takes a number from 1 to 1000000, or none"},
        {"channels_per_shard,99999999999999999999", "takes a number from 1 to 1000000, or none"},
        {"lease_ms,10", "Setting lease_ms takes a number from 300 to 60000, not"},
        {"lease_ms,off", "takes a number from 300"},
        {"colour,red", "Unknown setting colour; settings are: blind_ms, channel_message_ms, "},
        {"user,Foo", "takes a Twitch login in lower case, or anonymous, not \\\"Foo\\\"."},
        {"user", "takes a Twitch login"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        world_configure(&w, &me, "", "", "set", cases[i].args);
        assert_non_null(strstr(w.rest, "\"ok\":false"));
        assert_non_null(strstr(w.rest, cases[i].text));
    }
    assert_string_equal(world_ask(&w, "HLEN shoal:{t}:config"), "1");
}

static void an_unset_setting_has_its_default_again(void **state)
{
    (void)state;
    set("lease_ms,700");
    world_renew(&w, &n1, "");
    assert_int_equal(w.picture.settings.lease_ms, 700);
    world_configure(&w, &me, "", "", "unset", "lease_ms");
    world_renew(&w, &n1, "");
    assert_int_equal(w.picture.settings.lease_ms, 3000);
    world_configure(&w, &me, "", "", "unset", "colour");
    assert_non_null(strstr(w.rest, "Unknown setting colour"));
}

static void settings_of_a_cluster_that_is_set_up_are_only_compared(void **state)
{
    (void)state;
    world_configure(&w, &me, "", "", "create", "one,channels_per_shard,7,lease_ms,3000");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:config channels_per_shard"), "7");
    world_configure(&w, &me, "", "", "setup_done", "");
    world_configure(&w, &me, "", "", "create",
                    "two,channels_per_shard,8,room_limit,100,lease_ms,5000");
    assert_non_null(strstr(w.rest, "\"channels_per_shard\":\"7\""));
    assert_non_null(strstr(w.rest, "\"lease_ms\":\"3000\""));
    assert_null(strstr(w.rest, "room_limit"));
    assert_non_null(strstr(w.rest, "\"manager\":\"one\""));
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:config channels_per_shard"), "7");
}

static void a_setup_that_failed_leaves_no_settings(void **state)
{
    (void)state;
    set("send_ttl_ms,5000");
    world_configure(&w, &me, "", "", "create", "one,channels_per_shard,7,lease_ms,5000");
    world_configure(&w, &me, "", "", "abandon", "channels_per_shard,lease_ms");
    assert_string_equal(world_ask(&w, "HEXISTS shoal:{t}:config channels_per_shard"), "0");
    assert_string_equal(world_ask(&w, "HEXISTS shoal:{t}:config lease_ms"), "0");
    assert_string_equal(world_ask(&w, "HEXISTS shoal:{t}:config manager"), "0");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:config send_ttl_ms"), "5000");

    world_configure(&w, &me, "", "", "create", "one,channels_per_shard,7");
    world_add_shard(&w, &me, "main-shard", "anonymous", "");
    world_configure(&w, &me, "", "", "abandon", "channels_per_shard");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:config channels_per_shard"), "7");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_setting_out_of_range_is_refused_with_the_range),
        TEST(an_unset_setting_has_its_default_again),
        TEST(settings_of_a_cluster_that_is_set_up_are_only_compared),
        TEST(a_setup_that_failed_leaves_no_settings),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
