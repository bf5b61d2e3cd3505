/* Secrecy: no core dump, in whatever way one would be made. */
#include "shared/secrecy.h"

#include "shared/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static void no_core_dump_is_made_from_then_on(void **state)
{
    (void)state;
    pid_t child = fork(); /* it cannot be taken back */
    if (child == 0) {
        struct rlimit limit;
        secrecy_begin();
        bool none =
            getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur == 0 && limit.rlim_max == 0;
#ifndef __SANITIZE_ADDRESS__
        none = none && prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0;
#endif
        _exit(none ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_core_dump_is_made_from_then_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
