/* Test loop: a uv loop for one test, with waits that fail instead of hanging.
 *
 *     struct test_loop t;
 *     test_loop_init(&t);
 *     wait_until(&t, replies == 3);
 *     ...close everything...
 *     test_loop_finish(&t);     runs until all is closed and asserts uv_loop_close() == 0 */
#ifndef SHOAL_TESTS_TEST_LOOP_H
#define SHOAL_TESTS_TEST_LOOP_H

#include <stdbool.h>
#include <uv.h>

struct test_loop {
    uv_loop_t uv;
    uv_timer_t tick; /* wakes the loop so that conditions are looked at */
};

/* SIGPIPE is ignored from now on, as loop_init does. */
void test_loop_init(struct test_loop *t);
/* One turn, at most 10 ms long if nothing happens. */
void test_loop_turn(struct test_loop *t);
/* Turn for `ms`. */
void test_loop_run_for(struct test_loop *t, uint64_t ms);
/* Run until all handles are closed; fails the test if that takes 20 s or the loop cannot close. */
void test_loop_finish(struct test_loop *t);

#define TEST_WAIT_MS 20000
/* Turn until `condition` holds; the test fails after TEST_WAIT_MS. */
#define wait_until(t, condition)                                                                   \
    do {                                                                                           \
        uint64_t wait_start_ = uv_hrtime();                                                        \
        while (!(condition)) {                                                                     \
            if ((uv_hrtime() - wait_start_) / 1000000 > TEST_WAIT_MS) {                            \
                fail_msg("waited in vain for: %s", #condition);                                    \
            }                                                                                      \
            test_loop_turn(t);                                                                     \
        }                                                                                          \
    } while (0)

#endif
