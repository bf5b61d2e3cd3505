/* Due: whatever is put in, moved and taken out, the first one is known. */
#include "shared/due.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define THINGS 300

static void the_first_one_is_known_whatever_moves_and_goes(void **state)
{
    static struct due_item things[THINGS];
    struct due due = {0};

    (void)state;
    memset(things, 0, sizeof(things));
    for (unsigned step = 0; step < 20000; step++) {
        struct due_item *thing = &things[random_below(THINGS)];
        if (random_below(3) == 0) {
            due_clear(&due, thing);
        } else {
            due_set(&due, thing, random_below(1000));
        }
        const struct due_item *least = NULL;
        for (size_t i = 0; i < THINGS; i++) {
            if (things[i].place != 0 && (least == NULL || things[i].at_ms < least->at_ms)) {
                least = &things[i];
            }
        }
        const struct due_item *first = due_first(&due);
        assert_true((first == NULL) == (least == NULL));
        assert_true(first == NULL || first->at_ms == least->at_ms);
    }
    due_finish(&due);
}

static void they_come_out_in_their_order(void **state)
{
    static struct due_item things[THINGS];
    struct due due = {0};
    uint64_t last = 0;

    (void)state;
    memset(things, 0, sizeof(things));
    for (size_t i = 0; i < THINGS; i++) {
        due_set(&due, &things[i], random_below(50));
    }
    for (struct due_item *first; (first = due_first(&due)) != NULL; due_clear(&due, first)) {
        assert_true(first->at_ms >= last);
        last = first->at_ms;
    }
    due_finish(&due);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_one_is_known_whatever_moves_and_goes),
        cmocka_unit_test(they_come_out_in_their_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
