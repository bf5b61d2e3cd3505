/* Tool: what the benchmarks' programs share. What goes wrong ends them, with a line that says why. */
#ifndef BENCH_TOOL_H
#define BENCH_TOOL_H

#include "shared/base.h"

/* `what` and errno. */
_Noreturn void tool_die(const char *what);
/* Microseconds since 1970. */
long long tool_now_us(void);
/* A socket to the loopback port, without delays for small writes. */
int tool_connect(int port);
void tool_send(int sock, const char *bytes, size_t len);
/* Read answers of Redis (":N" each): how many; flags as of recv: 0 waits for one. */
uint64_t tool_take_answers(int redis, int flags);

#endif
