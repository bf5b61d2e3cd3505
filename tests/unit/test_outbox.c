/* Outbox of the leader over the real steps: what is added is taken as it comes. */
#include "coordinator/requests/outbox.h"

#include "tests/lib/office.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct office o;
static struct outbox *outbox;

static void on_facts(void *room, const struct registry_lead *facts)
{
    outbox_go_on(room, facts->sends);
}

static void close_outbox(void *room)
{
    outbox_close(room);
}

/* Until something waits for it. */
static void await_bell(void)
{
    office_until(&o, strstr(office_ask(&o, "INFO clients"), "blocked_clients:1") != NULL);
}

/* Nobody says it here, so that it has a result as soon as it is taken. */
static const char *result(const char *id)
{
    return office_ask(&o, "HGET shoal:{t}:result:alice:%s status", id);
}

static void add(const char *id, const char *rest)
{
    office_ask(&o, "XADD shoal:{t}:outbox * id %s channel alice text hello %s", id, rest);
}

/* It leads, and waits for the bell. */
static int open_office(void **state)
{
    (void)state;
    memset(&o, 0, sizeof(o));
    office_open(&o, "");
    office_lead(&o);
    outbox = outbox_create(&o.world.probe.t.uv, o.leader);
    office_room(&o, outbox, on_facts, close_outbox);
    office_facts(&o);
    await_bell();
    return 0;
}

static int close_office(void **state)
{
    (void)state;
    office_close(&o);
    return 0;
}

static void what_is_added_is_taken_as_the_bell_rings(void **state)
{
    unsigned facts = o.facts;

    (void)state;
    for (int n = 1; n <= 3; n++) {
        char id[16];
        snprintf(id, sizeof(id), "my-%d", n);
        add(id, "ttl_ms 30000");
        office_until(&o, result(id)[0] != '\0');
        await_bell();
    }
    for (int n = 4; n <= 300; n++) {
        char id[16];
        snprintf(id, sizeof(id), "my-%d", n);
        add(id, "ttl_ms 30000");
    }
    office_until(&o, strcmp(office_ask(&o, "XLEN shoal:{t}:outbox"), "0") == 0);
    assert_int_equal(o.facts, facts); /* the lease was not renewed */
}

static void the_bell_brings_nothing_of_the_entry_however_large(void **state)
{
    (void)state;
    office_ask(&o, "CONFIG RESETSTAT");
    office_ask(&o, "EVAL %s 1 shoal:{t}:outbox",
               "return(redis.call('XADD',KEYS[1],'*','text',string.rep('x',9999999)))");
    office_until(&o, strcmp(office_ask(&o, "XLEN shoal:{t}:outbox"), "0") == 0); /* it is no send */
    const char *sent = strstr(office_ask(&o, "INFO stats"), "total_net_output_bytes:");
    assert_non_null(sent);
    assert_in_range(atoi(strchr(sent, ':') + 1), 1, 1000000);
}

static void an_empty_one_is_left_to_the_bell(void **state)
{
    unsigned before = o.facts;

    (void)state;
    office_ask(&o, "CONFIG RESETSTAT");
    for (int second = 0; second < 4; second++) {
        office_after(&o, 1000);
    }
    const char *steps = strstr(office_ask(&o, "INFO commandstats"), "cmdstat_fcall:calls=");
    assert_non_null(steps);
    assert_int_equal(atoi(strchr(steps, '=') + 1), o.facts - before);
}

static void what_nobody_says_expires(void **state)
{
    struct world_node bot;

    (void)state;
    world_node(&bot, "n2", 1002, 10, "bot");
    assert_string_equal(world_register(&o.world, &bot, 0), "current");
    world_configure(&o.world, office_me(&o), "", "", "set", "user,bot");
    assert_string_equal(world_add_shard(&o.world, office_me(&o), "one", "bot", ""), "added");
    add("my-1", "ttl_ms 500");
    office_until(&o, strcmp(office_ask(&o, "ZCARD shoal:{t}:sends"), "1") == 0);

    for (int i = 0; i < 100 && result("my-1")[0] == '\0'; i++) {
        test_loop_run_for(&o.world.probe.t, 60);
        office_after(&o, 1000);
    }

    assert_string_equal(result("my-1"), "expired");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define OFFICE_TEST(f) cmocka_unit_test_setup_teardown(f, open_office, close_office)
        OFFICE_TEST(what_is_added_is_taken_as_the_bell_rings),
        OFFICE_TEST(the_bell_brings_nothing_of_the_entry_however_large),
        OFFICE_TEST(an_empty_one_is_left_to_the_bell),
        OFFICE_TEST(what_nobody_says_expires),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
