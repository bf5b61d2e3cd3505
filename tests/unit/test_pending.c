/* Pending: order, growth and deadlines of commands that wait for their answers. */
#include "shared/redis/pending.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void push(struct pending_ring *ring, size_t replies, uint64_t now_ms, uint64_t block_ms)
{
    const struct pending command = {.replies = replies};

    pending_push(ring, &command, now_ms, 1000, block_ms);
}

static void commands_come_out_in_the_order_they_went_in(void **state)
{
    struct pending_ring ring = {0};
    size_t in = 0;
    size_t out = 0;

    (void)state;
    assert_null(pending_head(&ring));
    for (int round = 0; round < 300; round++) { /* grows while its head is anywhere */
        for (int i = 0; i < 7; i++) {
            push(&ring, ++in, 0, 0);
        }
        for (int i = 0; i < (round < 200 ? 3 : 10) && ring.len > 0; i++) {
            assert_int_equal(pending_pop(&ring).replies, ++out);
        }
    }
    while (ring.len > 0) {
        assert_int_equal(pending_head(&ring)->replies, out + 1);
        assert_int_equal(pending_pop(&ring).replies, ++out);
    }
    assert_int_equal(out, in);
    pending_finish(&ring);
}

static void a_command_behind_one_that_blocks_gets_its_time_too(void **state)
{
    struct pending_ring ring = {0};

    (void)state;
    push(&ring, 1, 100, 0);
    push(&ring, 1, 150, 5000);
    push(&ring, 1, 200, 0);
    push(&ring, 1, 300, 500);
    push(&ring, 1, 9000, 0);

    assert_int_equal(pending_pop(&ring).deadline, 1100);
    assert_int_equal(pending_pop(&ring).deadline, 6150);
    assert_int_equal(pending_pop(&ring).deadline, 6150);
    assert_int_equal(pending_pop(&ring).deadline, 6650);
    assert_int_equal(pending_pop(&ring).deadline, 10000);
    pending_finish(&ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_come_out_in_the_order_they_went_in),
        cmocka_unit_test(a_command_behind_one_that_blocks_gets_its_time_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
