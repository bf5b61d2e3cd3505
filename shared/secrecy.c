/* Secrecy: a limit for what writes core dumps to files, and "not dumpable" for the rest: core dumps
 * that go to a program (core_pattern with a pipe) do not ask for the limit. */
#include "shared/secrecy.h"

#include "shared/base.h"

#include <sys/prctl.h>
#include <sys/resource.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define SANITIZED 1
#endif

void secrecy_begin(void)
{
    const struct rlimit none = {0, 0};

    BUG_ON(setrlimit(RLIMIT_CORE, &none) != 0); /* lowering a limit is allowed to everybody */
#ifndef SANITIZED
    BUG_ON(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0);
#endif
}
