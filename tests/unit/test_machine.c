/* Machines: what the table allows, and nothing else. */
#include "shared/machine.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

enum { OPEN, SHUT, LOCKED };

struct door {
    struct machine state;
    bool has_key;
    int checked;
};

static void check(const void *owner)
{
    struct door *door = (struct door *)owner;

    door->checked++;
    BUG_ON(door->state.state == LOCKED && !door->has_key);
}

static const char *id(const void *owner)
{
    (void)owner;
    return "front";
}

static const struct machine_state states[] = {
    [OPEN] = {"open", MACHINE_BIT(SHUT)},
    [SHUT] = {"shut", MACHINE_BIT(OPEN) | MACHINE_BIT(LOCKED)},
    [LOCKED] = {"locked", MACHINE_BIT(SHUT)},
};
static const struct machine_type door_machine = {"door", states, ARRAY_LEN(states), id, check};

static struct door door_at(unsigned state, bool has_key)
{
    struct door door = {.has_key = has_key};

    machine_begin(&door.state, &door_machine, state);
    return door;
}

static bool aborts(unsigned from, unsigned to, bool has_key)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        struct door door = door_at(from, has_key);
        close(STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        machine_move(&door.state, to, &door);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void a_move_of_the_table_is_made_and_checked(void **state)
{
    (void)state;
    struct door door = door_at(OPEN, true);

    assert_int_equal(door.checked, 0);
    assert_string_equal(machine_state_name(&door.state), "open");
    machine_move(&door.state, SHUT, &door);
    machine_move(&door.state, LOCKED, &door);
    assert_int_equal(door.state.state, LOCKED);
    assert_string_equal(machine_state_name(&door.state), "locked");
    assert_int_equal(door.checked, 2);
}

static void every_other_move_is_a_bug(void **state)
{
    (void)state;
    for (unsigned from = OPEN; from <= LOCKED; from++) {
        struct door door = door_at(from, true);
        for (unsigned to = OPEN; to <= LOCKED + 1; to++) {
            bool allowed = to <= LOCKED && (states[from].next & MACHINE_BIT(to)) != 0;
            assert_int_equal(machine_may(&door.state, to), allowed);
            assert_int_equal(aborts(from, to, true), !allowed);
        }
    }
}

static void an_owner_that_does_not_fit_its_state_is_a_bug(void **state)
{
    (void)state;
    assert_true(aborts(SHUT, LOCKED, false));
    assert_false(aborts(SHUT, OPEN, false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_move_of_the_table_is_made_and_checked),
        cmocka_unit_test(every_other_move_is_a_bug),
        cmocka_unit_test(an_owner_that_does_not_fit_its_state_is_a_bug),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
