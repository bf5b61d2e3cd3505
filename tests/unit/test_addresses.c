/* The order in which the addresses of a name are tried, for how long, and what is remembered of them. */
#include "shared/net/addresses.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void add(struct addresses *a, const char *ip)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(443)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(443)};

    if (inet_pton(AF_INET, ip, &v4.sin_addr) == 1) {
        addresses_add(a, (struct sockaddr *)&v4);
    } else {
        assert_int_equal(inet_pton(AF_INET6, ip, &v6.sin6_addr), 1);
        addresses_add(a, (struct sockaddr *)&v6);
    }
}

static void begin(struct addresses *a, struct addresses_memory *memory, size_t turn,
                  const char *const *ips, size_t n)
{
    addresses_init(a, memory, turn);
    for (size_t i = 0; i < n; i++) {
        add(a, ips[i]);
    }
}

static void expect_next(struct addresses *a, uint64_t now, uint64_t left, const char *ip,
                        uint64_t patience)
{
    const struct sockaddr *next;
    uint64_t patience_ms = 0;
    char text[INET6_ADDRSTRLEN] = "";

    next = addresses_next(a, now, left, &patience_ms);
    assert_non_null(next);
    if (next->sa_family == AF_INET) {
        inet_ntop(AF_INET, &((const struct sockaddr_in *)next)->sin_addr, text, sizeof(text));
    } else {
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)next)->sin6_addr, text, sizeof(text));
    }
    assert_string_equal(text, ip);
    assert_int_equal(patience_ms, patience);
}

static void expect_none(struct addresses *a)
{
    uint64_t patience_ms;

    assert_null(addresses_next(a, 1, 1000, &patience_ms));
}

static const char *const two[] = {"10.0.0.1", "10.0.0.2"};

static void each_is_tried_once_and_the_last_may_use_what_is_left(void **state)
{
    struct addresses_memory memory = {0};
    struct addresses a;

    (void)state;
    begin(&a, &memory, 0, two, 2);
    expect_next(&a, 1, 10000, "10.0.0.1", ADDRESSES_PATIENCE_MS);
    addresses_failed(&a, 1501);
    expect_next(&a, 1501, 8500, "10.0.0.2", 8500);
    addresses_failed(&a, 10001);
    expect_none(&a);
}

static void little_time_is_shared_out(void **state)
{
    static const char *const three[] = {"10.0.0.1", "10.0.0.2", "10.0.0.3"};
    struct addresses_memory memory = {0};
    struct addresses a;

    (void)state;
    begin(&a, &memory, 0, three, 3);
    expect_next(&a, 1, 3000, "10.0.0.1", 1000);
    expect_next(&a, 1001, 2000, "10.0.0.2", 1000);
    expect_next(&a, 2001, 1000, "10.0.0.3", 1000);
}

static void a_dead_one_goes_last_for_everybody_until_it_works_or_is_forgotten(void **state)
{
    struct addresses_memory memory = {0};
    struct addresses first;
    struct addresses second;

    (void)state;
    begin(&first, &memory, 0, two, 2);
    begin(&second, &memory, 0, two, 2);
    expect_next(&first, 1, 10000, "10.0.0.1", ADDRESSES_PATIENCE_MS);
    addresses_failed(&first, 1);
    expect_next(&second, 2, 10000, "10.0.0.2", 5000); /* as long as it likes: the other is dead */
    expect_next(&second, 2, 5000, "10.0.0.1", 5000);
    addresses_worked(&second);

    begin(&first, &memory, 0, two, 2);
    expect_next(&first, 3, 10000, "10.0.0.1", ADDRESSES_PATIENCE_MS);
    addresses_failed(&first, 3);
    begin(&first, &memory, 0, two, 2);
    expect_next(&first, 3 + ADDRESSES_FORGET_MS, 10000, "10.0.0.1", ADDRESSES_PATIENCE_MS);
}

static void where_all_are_dead_each_gets_its_share(void **state)
{
    struct addresses_memory memory = {0};
    struct addresses a;

    (void)state;
    begin(&a, &memory, 0, two, 2);
    for (int i = 0; i < 2; i++) {
        uint64_t patience_ms;

        assert_non_null(addresses_next(&a, 1, 10000, &patience_ms));
        addresses_failed(&a, 1);
    }
    begin(&a, &memory, 0, two, 2);
    expect_next(&a, 2, 10000, "10.0.0.1", 5000);
    expect_next(&a, 2, 5000, "10.0.0.2", 5000);
}

static void after_a_failure_the_other_family_comes_first(void **state)
{
    static const char *const ips[] = {"2001:db8::1", "2001:db8::2", "10.0.0.1", "10.0.0.2"};
    struct addresses_memory memory = {0};
    struct addresses a;

    (void)state;
    begin(&a, &memory, 0, ips, 4);
    expect_next(&a, 1, 100000, "2001:db8::1", ADDRESSES_PATIENCE_MS);
    addresses_failed(&a, 1);
    expect_next(&a, 1, 100000, "10.0.0.1", ADDRESSES_PATIENCE_MS);
    addresses_failed(&a, 1);
    expect_next(&a, 1, 100000, "2001:db8::2", ADDRESSES_PATIENCE_MS);
    addresses_failed(&a, 1);
    expect_next(&a, 1, 100000, "10.0.0.2", 100000);
    expect_none(&a);
}

static void turns_spread_connections_over_equals(void **state)
{
    static const char *const three[] = {"10.0.0.1", "10.0.0.2", "10.0.0.3"};
    struct addresses_memory memory = {0};
    struct addresses a;

    (void)state;
    for (size_t turn = 0; turn < 6; turn++) {
        begin(&a, &memory, turn, three, 3);
        expect_next(&a, 1, 9000, three[turn % 3], ADDRESSES_PATIENCE_MS);
    }
}

static void what_is_remembered_is_bounded(void **state)
{
    struct addresses_memory memory = {0};
    struct addresses a;
    uint64_t patience_ms;

    (void)state;
    for (unsigned i = 0; i < 3 * ADDRESSES_REMEMBERED; i++) {
        char ip[32];

        (void)snprintf(ip, sizeof(ip), "10.0.1.%u", i);
        addresses_init(&a, &memory, 0);
        add(&a, ip);
        assert_non_null(addresses_next(&a, 1, 1000, &patience_ms));
        addresses_failed(&a, 1);
    }
    begin(&a, &memory, 0, (const char *const[]){"10.0.1.95", "10.0.1.0"}, 2);
    expect_next(&a, 2, 10000, "10.0.1.0", 5000);
}

static void more_than_fit_and_other_families_are_left_out(void **state)
{
    struct sockaddr other = {.sa_family = AF_UNIX};
    struct addresses_memory memory = {0};
    struct addresses a;

    (void)state;
    addresses_init(&a, &memory, 0);
    addresses_add(&a, &other);
    assert_int_equal(a.n, 0);
    expect_none(&a);
    addresses_failed(&a, 1);
    addresses_worked(&a);
    for (int i = 0; i < 2 * ADDRESSES_MAX; i++) {
        add(&a, "10.0.0.1");
    }
    assert_int_equal(a.n, ADDRESSES_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_tried_once_and_the_last_may_use_what_is_left),
        cmocka_unit_test(little_time_is_shared_out),
        cmocka_unit_test(a_dead_one_goes_last_for_everybody_until_it_works_or_is_forgotten),
        cmocka_unit_test(where_all_are_dead_each_gets_its_share),
        cmocka_unit_test(after_a_failure_the_other_family_comes_first),
        cmocka_unit_test(turns_spread_connections_over_equals),
        cmocka_unit_test(what_is_remembered_is_bounded),
        cmocka_unit_test(more_than_fit_and_other_families_are_left_out),
    };

    return cmocka_run_group_tests_name("addresses", tests, NULL, NULL);
}
