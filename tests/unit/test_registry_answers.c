/* Registry: what Twitch answered to sends, against a real Redis. */
#include "shared/redis/registry.h"

#include "tests/lib/registry_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* What the result of a send to foo says. */
static const char *result(const char *id, const char *field)
{
    return world_ask(&w, "HGET shoal:{t}:result:foo:%s %s", id, field);
}

static void a_result_has_twitchs_message_id_cut_and_as_utf8(void **state)
{
    (void)state;
    char id[200];
    const char *entry = outbox("channel foo text hello id s1");
    world_claim(&w, &n1, entry);
    memset(id, 'x', sizeof(id));
    id[0] = '\xff';
    id[199] = '\0';
    w.message_id = id;
    assert_string_equal(world_done(&w, &n1, entry, SEND_SENT), "done");
    assert_int_equal(strlen(result("s1", "message_id")), 130); /* U+FFFD takes three bytes */
    assert_memory_equal(result("s1", "message_id"), "\xef\xbf\xbdxxx", 6);
}

static void what_twitch_refused_for_now_waits_and_holds_up_its_channel_alone(void **state)
{
    (void)state;
    const char *first = outbox("channel foo text hello id s1 ttl_ms 20000");
    const char *second = outbox("channel foo text hello id s2 ttl_ms 4000");
    const char *other = outbox("channel bar text hello");
    assert_string_equal(world_claim(&w, &n1, first), "claimed");
    assert_in_range(w.claim.left_ms, 19000, 20000);
    assert_int_equal(w.claim.pace_ms, 1200);
    assert_string_equal(world_later(&w, &n1, first, 5000, "msg_slowmode"), "done");
    assert_string_equal(world_later(&w, &n1, first, 9000, "msg_slowmode"), "done"); /* gone */
    assert_string_equal(world_claim(&w, &n1, first), "later");
    assert_int_equal(w.claim.held_by, HELD_BY_CHANNEL);
    assert_in_range(w.claim.wait_ms, 4000, 5000);
    assert_string_equal(world_claim(&w, &n1, second), "done");
    assert_string_equal(result("s2", "status"), "expired");
    assert_string_equal(world_claim(&w, &n1, other), "claimed");
    world_done(&w, &n1, other, SEND_SENT);
    world_ask(&w, "SET shoal:{t}:budget:bot:wait:foo 5_%d", 1);
    assert_string_equal(world_claim(&w, &n1, first), "later"); /* the pace */
    assert_in_range(w.claim.wait_ms, 1, 1200);
    world_ask(&w, "DEL shoal:{t}:budget:bot:channel:foo");
    assert_string_equal(world_claim(&w, &n1, first), "claimed");
    world_ask(&w, "SET shoal:{t}:budget:bot:wait:foo 99999999999999999999");
    world_done(&w, &n1, first, SEND_SENT);
    assert_string_equal(result("s1", "status"), "sent");
}

#define SENDING(name) cmocka_unit_test_setup_teardown(name, begin_sending, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SENDING(a_result_has_twitchs_message_id_cut_and_as_utf8),
        SENDING(what_twitch_refused_for_now_waits_and_holds_up_its_channel_alone),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
