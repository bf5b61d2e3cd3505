/* Link: a Redis whose name has several addresses, some of them dead. */
#include "shared/redis/link.h"

#include "tests/lib/link_probe.h"
#include "tests/lib/names.h"
#include "tests/lib/private_redis.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <cmocka.h>

static void begin(struct link_probe *p, const char *addresses)
{
    names_set(addresses);
    link_probe_init(p, private_redis_port(redis));
    (void)snprintf(p->url.host, sizeof(p->url.host), "%s", NAMES_NAME);
    p->options.connect_ms = 5000;
}

/* Up for the n-th time, after so many ms at most. */
static void expect_up(struct link_probe *p, unsigned n, uint64_t most_ms)
{
    uint64_t begun = mono_ms();

    wait_until(&p->t, p->ups == n);
    assert_in_range(mono_ms() - begun, 0, most_ms);
}

static void come_back(struct link_probe *p, unsigned n)
{
    link_reset(p->link, "test");
    wait_until(&p->t, p->downs > n - 2);
    expect_up(p, n, 800);
}

static void a_dead_address_costs_two_seconds_once(void **state)
{
    struct dead_port *dead = dead_port_open("127.0.0.2", private_redis_port(redis));
    struct link_probe p;

    (void)state;
    begin(&p, "127.0.0.2 127.0.0.1");
    link_probe_start(&p);
    expect_up(&p, 1, 2000);
    for (unsigned n = 2; n < 5; n++) {
        come_back(&p, n);
    }
    link_probe_finish(&p);
    dead_port_close(dead);
}

static void an_address_that_accepts_and_says_nothing_is_passed_over_the_next_time(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(private_redis_port(redis))};
    int mute = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct link_probe p;

    (void)state;
    inet_pton(AF_INET, "127.0.0.2", &address.sin_addr);
    assert_int_equal(bind(mute, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(mute, 8), 0);
    begin(&p, "127.0.0.2 127.0.0.1");
    p.options.connect_ms = 500;
    link_probe_start(&p);
    expect_up(&p, 1, 1500);
    assert_int_equal(p.downs, 1);
    come_back(&p, 2);
    link_probe_finish(&p);
    (void)close(mute);
}

static void an_address_that_refuses_is_passed_over_at_once(void **state)
{
    struct link_probe p;

    (void)state;
    begin(&p, "::1 127.0.0.3 127.0.0.1");
    link_probe_start(&p);
    expect_up(&p, 1, 800);
    assert_int_equal(p.downs, 0);
    link_probe_finish(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dead_address_costs_two_seconds_once),
        cmocka_unit_test(an_address_that_accepts_and_says_nothing_is_passed_over_the_next_time),
        cmocka_unit_test(an_address_that_refuses_is_passed_over_at_once),
    };

    return cmocka_run_group_tests_name("link_addresses", tests, start_redis, stop_redis);
}
