/* Registry: by which route a send is said, against a real Redis. */
#include "shared/redis/registry_sends.h"

#include "tests/lib/registry_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* "bot irc 42", of a send to foo that is claimed, and done. */
static const char *route(void)
{
    static const char *const ways[] = {"irc", "helix", "helix_app"};
    static char text[256];
    const char *entry = outbox("channel foo text hello");

    assert_string_equal(world_claim(&w, &n1, entry), "claimed");
    snprintf(text, sizeof(text), "%s %s %s", w.claim_user, ways[w.claim.route.say_by],
             w.claim_room_id);
    assert_string_equal(world_done(&w, &n1, entry, SEND_SENT), "done");
    return text;
}

static const char *keep(const char *channel, const char *room_id)
{
    return world_keep_room_id(&w, &n1, channel, room_id);
}

static void an_account_says_it_as_it_was_chosen_for_it(void **state)
{
    (void)state;
    assert_string_equal(route(), "bot irc "); /* no account of ours at all */
    world_configure(&w, &me, "", "", "account_put", "bot,1.0a1b2c3d.QUJD");
    assert_string_equal(route(), "bot irc ");
    world_configure(&w, &me, "", "", "account_set", "bot,say_by,helix");
    assert_string_equal(route(), "bot helix ");
    world_configure(&w, &me, "", "", "account_set", "bot,say_by,helix_app");
    assert_string_equal(route(), "bot helix_app ");
    world_ask(&w, "HSET shoal:{t}:account:bot say_by shouting"); /* by hand */
    assert_string_equal(route(), "bot irc ");
    world_configure(&w, &me, "", "", "account_set", "bot,say_by,shouting");
    assert_non_null(strstr(w.rest, "say_by (irc, helix, helix_app)"));
    world_configure(&w, &me, "", "", "account_set", "bot,say_by,irc");
}

static void the_id_of_a_channel_comes_from_its_room_or_from_who_asked_for_it(void **state)
{
    (void)state;
    assert_string_equal(keep("foo", "42"), "done");
    assert_string_equal(route(), "bot irc 42");
    assert_in_range(atoi(world_ask(&w, "TTL shoal:{t}:room_id:foo")), 86000, 86400);
    world_renew(&w, &n1,
                "{\"channels\":{\"foo\":{\"shard\":\"main-shard\",\"state\":\"joined\","
                "\"room_id\":\"7\"}}}");
    assert_string_equal(route(), "bot irc 7");
    world_ask(&w, "HSET shoal:{t}:channel:foo room_id 7&sender_id=1");
    assert_string_equal(route(), "bot irc 42");
    world_ask(&w, "SET shoal:{t}:room_id:foo 123456789012345678901");
    assert_string_equal(route(), "bot irc ");
}

static void what_is_no_id_is_not_kept(void **state)
{
    static const char *const ids[] = {"", "x", "-1", "1.5", "123456789012345678901"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        assert_string_equal(keep("foo", ids[i]), "ERROR");
    }
    assert_string_equal(keep("no channel", "42"), "ERROR");
    assert_string_equal(world_ask(&w, "EXISTS shoal:{t}:room_id:foo"), "0");
}

/* Some answers are held back by budgets: these are off here. */
static int begin_fast(void **state)
{
    begin_sending(state);
    set("channel_message_ms,off");
    set("message_limit,off");
    set("message_mod_limit,off");
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_fast, finish)
    const struct CMUnitTest tests[] = {
        TEST(an_account_says_it_as_it_was_chosen_for_it),
        TEST(the_id_of_a_channel_comes_from_its_room_or_from_who_asked_for_it),
        TEST(what_is_no_id_is_not_kept),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
