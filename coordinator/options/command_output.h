/* Command output: what a program prints, for options that take one (--initial-channels '!COMMAND').
 *
 * Runs it with /bin/sh -c to its end, on a loop of its own: before the program's loop begins. It
 * gets the environment without SHOAL_* variables (they may hold a password), no standard input, and
 * our standard error. */
#ifndef SHOAL_COORDINATOR_COMMAND_OUTPUT_H
#define SHOAL_COORDINATOR_COMMAND_OUTPUT_H

#include "shared/err.h"

/* Its standard output in *out (owned, NUL-terminated), *len bytes. -ERR_IO where it cannot be run,
 * ends with another code than 0, prints more than `most` bytes or takes longer than `timeout_ms`:
 * then it and what it started are killed. */
MUST_USE int command_output(const char *command, size_t most, uint64_t timeout_ms, char **out,
                            size_t *len, struct err *err);

#endif
