/* Request queue: whose turn it is, and what it has no room for. */
#include "coordinator/requests/request_queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct request_queue *q;
static char why[300];

static int begin(void **state)
{
    (void)state;
    q = request_queue_create();
    return 0;
}

static int finish(void **state)
{
    (void)state;
    request_queue_destroy(q);
    return 0;
}

/* A request of `by` whose id is `id`. */
static struct request *make(const char *entry, const char *by, const char *id, const char *channels)
{
    const struct slice fields[] = {SLICE("op"),       SLICE("join"),     SLICE("by"),
                                   slice_of(by),      SLICE("id"),       slice_of(id),
                                   SLICE("channels"), slice_of(channels)};
    const struct registry_entry e = {slice_of(entry), ARRAY_LEN(fields) / 2, fields};
    return request_create(&e);
}

static bool add(const char *entry, const char *by, const char *id)
{
    struct request *r = make(entry, by, id, "a");
    if (request_queue_add(q, r, why, sizeof(why))) {
        return true;
    }
    request_destroy(r);
    return false;
}

/* Ids in the order of their turns, at most `most`. */
static const char *turns(size_t most)
{
    static char out[512];
    struct request *r;
    out[0] = '\0';
    for (size_t i = 0; i < most && (r = request_queue_first(q)) != NULL; i++) {
        size_t len = strlen(out);
        snprintf(out + len, sizeof(out) - len, "%.*s ", (int)r->id.len, r->id.ptr);
        request_queue_take(q);
        request_destroy(r);
    }
    return out;
}

static void those_of_one_asker_come_in_order(void **state)
{
    (void)state;
    assert_null(request_queue_first(q));
    assert_true(add("1-0", "a", "a1") && add("2-0", "a", "a2") && add("3-0", "a", "a3"));
    assert_string_equal(turns(9), "a1 a2 a3 ");
    assert_null(request_queue_first(q));
}

static void whoever_asks_for_much_waits_for_itself(void **state)
{
    (void)state;
    char id[16];
    for (int i = 0; i < 5000; i++) {
        snprintf(id, sizeof(id), "a%d", i);
        assert_true(add("1-0", "a", id));
    }
    assert_true(add("2-0", "b", "b1") && add("3-0", "", "c1") && add("4-0", "b", "b2"));
    assert_string_equal(turns(6), "a0 b1 c1 a1 b2 a2 ");
}

static void administration_does_not_wait_behind_requests_of_the_same_name(void **state)
{
    (void)state;
    assert_true(add("1-0", "a", "a1") && add("2-0", "a", "a2") && add("admin:3-0", "a", "x"));
    assert_string_equal(turns(9), "a1 x a2 ");
}

static void a_bound_is_named_with_its_setting_and_meets_only_who_reached_it(void **state)
{
    (void)state;
    request_queue_limit(q, 3, 1 << 20);
    assert_true(add("1-0", "a", "a1") && add("2-0", "a", "a2") && add("3-0", "a", "a3"));
    assert_false(add("4-0", "a", "a4"));
    assert_string_equal(why, "Too many requests of \"a\" wait already. (request_limit is 3)");
    assert_true(add("5-0", "b", "b1"));
    (void)turns(1);
    assert_true(add("6-0", "a", "a5"));
}

static void a_bound_in_bytes_is_named_with_its_setting(void **state)
{
    (void)state;
    request_queue_limit(q, 100, 200);
    char channels[200];
    memset(channels, 'a', sizeof(channels) - 1);
    channels[sizeof(channels) - 1] = '\0';
    struct request *r = make("1-0", "a", "a1", channels);
    assert_false(request_queue_add(q, r, why, sizeof(why)));
    assert_string_equal(why,
                        "Too much asked for by \"a\" waits already. (request_limit_bytes is 200)");
    request_destroy(r);
    assert_true(add("2-0", "a", "a2"));
}

static void all_together_hold_eight_times_as_much(void **state)
{
    (void)state;
    char by[16];
    request_queue_limit(q, 2, 1 << 20);
    for (int i = 0; i < 16; i++) {
        snprintf(by, sizeof(by), "b%d", i);
        assert_true(add("1-0", by, "x"));
    }
    assert_false(add("2-0", "new", "x"));
    assert_string_equal(why, "Too many requests wait already. (8 times request_limit, which is 2)");
}

static void more_askers_than_lanes_share_the_emptiest(void **state)
{
    (void)state;
    char by[16];
    for (int i = 0; i < REQUEST_QUEUE_LANES; i++) {
        snprintf(by, sizeof(by), "b%d", i);
        assert_true(add("1-0", by, "x") && (i == 7 || add("1-0", by, "y")));
    }
    assert_true(add("2-0", "late", "z"));
    (void)turns(REQUEST_QUEUE_LANES + 7);
    assert_string_equal(turns(1), "z ");
    request_queue_clear(q);
    assert_null(request_queue_first(q));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(those_of_one_asker_come_in_order),
        TEST(whoever_asks_for_much_waits_for_itself),
        TEST(administration_does_not_wait_behind_requests_of_the_same_name),
        TEST(a_bound_is_named_with_its_setting_and_meets_only_who_reached_it),
        TEST(a_bound_in_bytes_is_named_with_its_setting),
        TEST(all_together_hold_eight_times_as_much),
        TEST(more_askers_than_lanes_share_the_emptiest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
