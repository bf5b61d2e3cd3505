/* Registry case: see registry_case.h. */
#include "tests/lib/registry_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

struct world w;
struct registry_leader me;
struct world_node n1;

int begin(void **state)
{
    (void)state;
    world_begin(&w, &me, &n1, 10);
    return 0;
}

int begin_sending(void **state)
{
    begin(state);
    set("user,bot");
    world_node(&n1, "n1", 1002, 10, "bot");
    world_register(&w, &n1, 1001);
    world_add_shard(&w, &me, "main-shard", "bot", "");
    world_assign(&w, &me, "", "", "join", "foo");
    return 0;
}

int finish(void **state)
{
    (void)state;
    assert_string_equal(world_broken(&w, 1000000, 1000000), "");
    world_finish(&w);
    return 0;
}

void set(const char *setting_and_value)
{
    assert_string_equal(world_configure(&w, &me, "", "", "set", setting_and_value), "done");
    assert_non_null(strstr(w.rest, "\"ok\":true"));
}

const char *outbox(const char *fields)
{
    static char entries[8][64];
    static unsigned next;
    char *entry = entries[next++ % ARRAY_LEN(entries)];

    snprintf(entry, sizeof(entries[0]), "%s", world_ask(&w, "XADD shoal:{t}:outbox * %s", fields));
    return entry;
}
