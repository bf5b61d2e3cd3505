/* Test clock: the monotonic clocks of this program, which a test moves on (clock_gettime is ours).
 * What waits for a time, be it a timer of libuv's, comes in the next turn of its loop. The wall's
 * clock, and Redis's, stay as they are. */
#ifndef SHOAL_TESTS_TEST_CLOCK_H
#define SHOAL_TESTS_TEST_CLOCK_H

#include <stdint.h>

void test_clock_forward(uint64_t ms);

#endif
