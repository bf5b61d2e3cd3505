/* Lease: every input in every state leads where it should, or is a bug. */
#include "shared/lease.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define LEASE 600
#define SENT  1000 /* when all were asked last */

enum { BUG = 99 };

static struct lease linked(enum lease_state first, enum lease_link link)
{
    struct lease l;

    lease_begin(&l, first, "x", SENT);
    for (enum lease_link to = LEASE_LINK_UP; to <= link; to++) {
        lease_set_link(&l, to);
    }
    l.sent_ms = SENT;
    return l;
}

/* One that came to `state`, with a question under way. */
static struct lease lease_in(enum lease_state state)
{
    bool leads = state == LEASE_STANDBY || state == LEASE_LEADING;
    struct lease l = linked(leads ? LEASE_STANDBY : LEASE_UNREGISTERED, LEASE_LINK_ASKING);

    if (state != LEASE_UNREGISTERED && state != LEASE_STANDBY) {
        assert_int_equal(lease_on_granted(&l, SENT + 1, LEASE), LEASE_WON);
    }
    if (state == LEASE_FENCED) {
        assert_int_equal(lease_on_time(&l, SENT + LEASE), LEASE_OUT);
    } else if (state == LEASE_LOST) {
        lease_on_lost(&l);
    } else if (state == LEASE_LEAVING) {
        lease_leave(&l, true);
    }
    assert_int_equal(l.right.state, state);
    return l;
}

/* Run `input` in a child: does it abort? */
static bool aborts(struct lease l, void (*input)(struct lease *l))
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        close(STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        input(&l);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

/* The right ------------------------------------------------------------------------------------ */

static void granted(struct lease *l)
{
    (void)!lease_on_granted(l, SENT + 10, LEASE);
}

static void granted_late(struct lease *l)
{
    (void)!lease_on_granted(l, SENT + 540, LEASE);
}

static void another_leads(struct lease *l)
{
    (void)!lease_on_standby(l, SENT + 10, LEASE);
}

static void deposed(struct lease *l)
{
    (void)!lease_on_deposed(l, SENT + 10);
}

static void lost(struct lease *l)
{
    lease_on_lost(l);
}

static void dropped(struct lease *l)
{
    lease_begin_anew(l, SENT + 10);
}

static void failed(struct lease *l)
{
    lease_on_failure(l, SENT + 10);
}

static void on_time(struct lease *l)
{
    (void)!lease_on_time(l, SENT + 10);
}

static void at_the_deadline(struct lease *l)
{
    l->look_ms = SENT + 540;
    (void)!lease_on_time(l, SENT + 540);
}

static void late_by_a_third(struct lease *l)
{
    l->look_ms = SENT;
    (void)!lease_on_time(l, SENT + 201);
}

static void leaving(struct lease *l)
{
    lease_leave(l, true);
}

static void closing(struct lease *l)
{
    lease_leave(l, false);
}

#define UNREGISTERED LEASE_UNREGISTERED
#define CURRENT      LEASE_CURRENT
#define FENCED       LEASE_FENCED
#define LOST         LEASE_LOST
#define STANDBY      LEASE_STANDBY
#define LEADING      LEASE_LEADING
#define LEAVING      LEASE_LEAVING
#define STATES       (LEASE_LEAVING + 1)

/* clang-format off */
static const struct {
    void (*input)(struct lease *l);
    unsigned then[STATES]; /* in the order of enum lease_state */
} inputs[] = {
    /* from            unregistered  current  fenced   lost          standby  leading  leaving */
    {granted,         {CURRENT,      CURRENT, CURRENT, BUG,          LEADING, LEADING, LEAVING}},
    {granted_late,    {FENCED,       FENCED,  FENCED,  BUG,          STANDBY, STANDBY, LEAVING}},
    {another_leads,   {BUG,          BUG,     BUG,     BUG,          STANDBY, STANDBY, BUG}},
    {deposed,         {BUG,          BUG,     BUG,     BUG,          STANDBY, STANDBY, BUG}},
    {lost,            {BUG,          LOST,    LOST,    BUG,          BUG,     BUG,     LEAVING}},
    {dropped,         {BUG,          BUG,     BUG,     UNREGISTERED, BUG,     BUG,     LEAVING}},
    {failed,          {UNREGISTERED, CURRENT, FENCED,  LOST,         STANDBY, LEADING, LEAVING}},
    {on_time,         {UNREGISTERED, CURRENT, FENCED,  LOST,         STANDBY, LEADING, LEAVING}},
    {at_the_deadline, {UNREGISTERED, FENCED,  FENCED,  LOST,         STANDBY, STANDBY, LEAVING}},
    {late_by_a_third, {UNREGISTERED, FENCED,  FENCED,  LOST,         STANDBY, LEADING, LEAVING}},
    {leaving,         {LEAVING,      LEAVING, LEAVING, LEAVING,      LEAVING, LEAVING, LEAVING}},
    {closing,         {LEAVING,      LEAVING, LEAVING, LEAVING,      LEAVING, LEAVING, LEAVING}},
};
/* clang-format on */

static void every_input_leads_each_state_where_it_should_or_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(inputs); i++) {
        for (enum lease_state from = 0; from < STATES; from++) {
            unsigned then = inputs[i].then[from];
            struct lease l = lease_in(from);

            assert_int_equal(aborts(l, inputs[i].input), then == BUG);
            if (then != BUG) {
                inputs[i].input(&l);
                assert_int_equal(l.right.state, then);
            }
        }
    }
}

/* Whoever may act now did so before, or was granted it by this input. */
static void nothing_but_a_grant_gives_the_right_to_act(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(inputs); i++) {
        for (enum lease_state from = 0; from < STATES; from++) {
            struct lease l = lease_in(from);
            bool before = lease_may_act(&l, SENT + 10);

            if (inputs[i].then[from] == BUG) {
                continue;
            }
            inputs[i].input(&l);
            bool acts = lease_may_act(&l, SENT + 10);
            assert_true(!acts || before || inputs[i].input == granted);
            assert_false(lease_may_act(&l, SENT + 540)); /* past the own deadline nobody does */
            assert_int_equal(acts && l.right.state != LEASE_LEAVING,
                             l.right.state == LEASE_CURRENT || l.right.state == LEASE_LEADING);
        }
    }
}

/* The link ------------------------------------------------------------------------------------- */

static void down(struct lease *l)
{
    lease_set_link(l, LEASE_LINK_DOWN);
}

static void up(struct lease *l)
{
    lease_set_link(l, LEASE_LINK_UP);
}

static void greeting(struct lease *l)
{
    lease_set_link(l, LEASE_LINK_GREETING);
}

static void ready(struct lease *l)
{
    lease_set_link(l, LEASE_LINK_READY);
}

static void asking(struct lease *l)
{
    lease_asked(l, SENT + 10);
}

static void every_move_of_the_link_is_made_or_refused(void **state)
{
    static void (*const to[])(struct lease *l) = {down, up, greeting, ready, asking};
    static const bool may[][ARRAY_LEN(to)] = {
        [LEASE_LINK_DOWN] = {true, true, false, false, false},
        [LEASE_LINK_UP] = {true, true, true, false, false},
        [LEASE_LINK_GREETING] = {true, true, true, true, false},
        [LEASE_LINK_READY] = {true, true, false, true, true},
        [LEASE_LINK_ASKING] = {true, true, false, true, true},
    };

    (void)state;
    for (enum lease_link from = 0; from < ARRAY_LEN(may); from++) {
        for (enum lease_link then = 0; then < ARRAY_LEN(to); then++) {
            struct lease l = linked(LEASE_STANDBY, from);

            assert_int_equal(l.link.state, from);
            assert_int_equal(aborts(l, to[then]), !may[from][then]);
            if (may[from][then]) {
                to[then](&l);
                assert_int_equal(l.link.state, then);
                assert_int_equal(lease_is_ready(&l), then >= LEASE_LINK_READY);
                assert_int_equal(l.sent_ms, then == LEASE_LINK_ASKING ? SENT + 10 : SENT);
            }
        }
    }
}

static void a_turn_comes_where_the_link_is_up_or_ready_alone(void **state)
{
    (void)state;
    for (enum lease_link link = 0; link <= LEASE_LINK_ASKING; link++) {
        struct lease l = linked(LEASE_UNREGISTERED, link);
        bool turn = link == LEASE_LINK_UP || link == LEASE_LINK_READY;

        assert_int_equal(lease_due_ms(&l), turn ? SENT : SENT + 500);
        assert_int_equal(lease_turn(&l, SENT), turn);
        assert_false(lease_turn(&l, SENT)); /* once */
        assert_int_equal(lease_due_ms(&l), SENT + 500);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_input_leads_each_state_where_it_should_or_is_refused),
        cmocka_unit_test(nothing_but_a_grant_gives_the_right_to_act),
        cmocka_unit_test(every_move_of_the_link_is_made_or_refused),
        cmocka_unit_test(a_turn_comes_where_the_link_is_up_or_ready_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
