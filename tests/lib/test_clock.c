/* Test clock. The program's clock_gettime comes before the C library's. */
#include "tests/lib/test_clock.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static uint64_t forward_ms;

void test_clock_forward(uint64_t ms)
{
    forward_ms += ms;
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
    int rc = (int)syscall(SYS_clock_gettime, clock, t);

    if (rc == 0 && (clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE ||
                    clock == CLOCK_MONOTONIC_RAW || clock == CLOCK_BOOTTIME)) {
        uint64_t ns = (uint64_t)t->tv_nsec + forward_ms % 1000 * 1000000;
        t->tv_sec += (time_t)(forward_ms / 1000 + ns / 1000000000);
        t->tv_nsec = (long)(ns % 1000000000);
    }
    return rc;
}
