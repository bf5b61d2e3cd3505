/* Send refusal: what Twitch says of a message that may be said later. */
#include "node/send_refusal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

static void a_refusal_for_now_says_in_how_many_seconds(void **state)
{
    static const struct {
        const char *msg_id;
        const char *text;
        bool passes;
        uint64_t wait_ms;
    } cases[] = {
        {"msg_slowmode",
         "This room is in slow mode and you are sending messages too quickly. You will be able to "
         "talk again in 12 seconds.",
         true, 12500},
        {"msg_timedout", "You are timed out for 33 more seconds.", true, 33500},
        {"msg_timedout", "You are timed out for 1 more second.", true, 1500},
        {"msg_timedout", "You are timed out.", true, 0},
        {"msg_timedout", "", true, 0},
        {"msg_timedout", "seconds 5", true, 0},
        {"msg_timedout", "99999999999999999999999999 seconds", true, 100000000500},
        {"msg_timedout", "2 hours, 3 minutes or 4 seconds", true, 4500},
        {"msg_ratelimit", "Wait 5 seconds.", true, 0},
        {"msg_banned", "You are banned for 5 seconds.", false, 5500},
        {"msg_duplicate", "... less than 30 seconds ago.", false, 30500},
        {"", "", false, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t wait_ms = 7;
        assert_int_equal(
            send_refusal_passes(slice_of(cases[i].msg_id), slice_of(cases[i].text), &wait_ms),
            cases[i].passes);
        assert_int_equal(wait_ms, cases[i].wait_ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refusal_for_now_says_in_how_many_seconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
