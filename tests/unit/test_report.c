/* Report: what a node says of itself, and until when it says it again. What its shards say is in
 * test_holder_picture.c. */
#include "node/report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define BLIND_MS 1000

static struct report *r;
static struct sight sight;
static unsigned changes;
static char told[4096]; /* the newest */

static void on_change(void *ctx)
{
    (void)ctx;
    changes++;
}

static int begin(void **state)
{
    (void)state;
    sight_init(&sight);
    changes = 0;
    r = report_create(on_change, NULL);
    return 0;
}

static int finish(void **state)
{
    (void)state;
    report_destroy(r);
    return 0;
}

/* Write a report; false: there is nothing to tell. */
static bool take(struct report_node node)
{
    struct buf out;

    buf_init(&out, sizeof(told) - 1);
    node.sight = &sight;
    report_write(r, &node, &out);
    snprintf(told, sizeof(told), "%.*s", (int)out.len, out.len > 0 ? out.data : "");
    buf_finish(&out);
    return told[0] != '\0';
}

static bool tells(const char *text)
{
    return strstr(told, text) != NULL;
}

static void go_blind(void)
{
    sight_missed(&sight, 1, "refused", 1);
    sight_missed(&sight, 1, "refused", 2);
    assert_true(sight_look(&sight, false, BLIND_MS, 1 + BLIND_MS));
    report_news(r, REPORT_SIGHT, "");
}

static void where_nothing_happened_nothing_is_told(void **state)
{
    (void)state;
    assert_false(take((struct report_node){.at.ms = 7}));
    assert_true(take((struct report_node){.at.ms = 7, .waits_ms = 5}));
    assert_string_equal(told, "{\"waits_ms\":5,\"at_ms\":7}");
    assert_int_equal(changes, 0);
}

static void news_are_told_until_they_have_arrived(void **state)
{
    (void)state;
    report_news(r, REPORT_FENCED, "late");
    report_news(r, REPORT_USERS, "");
    report_rewound(r, 30, 4);
    for (int i = 0; i < 2; i++) {
        assert_true(take((struct report_node){.users = "bob"}));
        assert_true(tells("{\"node\":{\"users\":\"bob\",\"fenced\":\"late\","
                          "\"rewound_ms\":30,\"rewound_lines\":4"));
        report_again(r);
    }
    (void)take((struct report_node){.users = "bob"});
    report_news(r, REPORT_FENCED, "again"); /* after it left */

    report_arrived(r, &sight);

    assert_true(take((struct report_node){0}));
    assert_string_equal(told, "{\"node\":{\"fenced\":\"again\"}}");
    report_arrived(r, &sight);
    assert_false(take((struct report_node){0}));
}

static void what_becomes_events_waits_for_its_subscribers(void **state)
{
    (void)state;
    report_news(r, REPORT_LOST, "slow");
    report_gap(r, SLICE("foo"), 1, 2, 3, "buffer_full");
    assert_int_equal(changes, 1);
    assert_false(take((struct report_node){.held = true}));
    report_arrived(r, &sight); /* of a renewal without a report */
    assert_true(take((struct report_node){0}));
    assert_true(tells("\"lost\":\"slow\"") && tells("\"channel\":\"foo\""));
}

static void a_blind_node_says_so_again_and_again(void **state)
{
    (void)state;
    go_blind();
    for (int i = 0; i < 2; i++) {
        assert_true(take((struct report_node){0}));
        assert_true(tells("\"state\":\"blind\",\"why\":\"refused\",\"failing_ms\":"));
        report_arrived(r, &sight);
        assert_true(sight.given_away);
    }
}

static void what_is_given_away_is_back_when_seeing_has_arrived(void **state)
{
    (void)state;
    go_blind();
    (void)take((struct report_node){0});
    sight_saw(&sight, 2 * BLIND_MS);
    assert_true(sight_look(&sight, true, BLIND_MS, 2 * BLIND_MS));
    report_arrived(r, &sight); /* what was told is that it is blind */
    assert_true(sight.given_away);

    (void)take((struct report_node){0});
    assert_true(tells("\"state\":\"proving\""));
    assert_true(sight.given_away);
    report_arrived(r, &sight);

    assert_false(sight.given_away);
}

static void when_twitch_was_heard_is_told_while_others_are_blind(void **state)
{
    (void)state;
    assert_true(take((struct report_node){.others_blind = true}));
    assert_string_equal(told, "{\"node\":{}}");
    assert_true(take((struct report_node){.others_blind = true, .heard_ms = mono_ms()}));
    assert_true(tells("\"seen_ms\":"));
}

static void a_node_that_leaves_says_nothing_but_that(void **state)
{
    (void)state;
    go_blind();
    assert_true(take((struct report_node){.draining = true}));
    assert_string_equal(told, "{\"node\":{\"state\":\"draining\"}}");
}

#define T(name) cmocka_unit_test_setup_teardown(name, begin, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(where_nothing_happened_nothing_is_told),
        T(news_are_told_until_they_have_arrived),
        T(what_becomes_events_waits_for_its_subscribers),
        T(a_blind_node_says_so_again_and_again),
        T(what_is_given_away_is_back_when_seeing_has_arrived),
        T(when_twitch_was_heard_is_told_while_others_are_blind),
        T(a_node_that_leaves_says_nothing_but_that),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
