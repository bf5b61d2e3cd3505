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

#define SENDING(name) cmocka_unit_test_setup_teardown(name, begin_sending, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SENDING(a_result_has_twitchs_message_id_cut_and_as_utf8),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
