/* Since: a time as people write it: how long ago, or when. */
#ifndef SHOAL_CTL_SINCE_H
#define SHOAL_CTL_SINCE_H

#include "shared/err.h"

/* "90s", "10m", "2h", "3d" (a plain number: seconds) before `now`; "14:05", "14:05:30" (the last
 * time it was that, by this host's clock and zone), "2026-11-27", "2026-11-27 14:05:30" (in its
 * zone; with a T between them and a Z behind, in UTC). 0 and *out, or -ERR_USAGE. */
MUST_USE int since_parse(const char *text, struct wall now, struct wall *out, struct err *err);
/* The same as an option check. */
int since_check(const char *text, struct err *err);
/* The option, for the commands that take it. */
#define SINCE_OPTION                                                                               \
    {"since",                                                                                      \
     OPTION_STRING,                                                                                \
     0,                                                                                            \
     NULL,                                                                                         \
     0,                                                                                            \
     0,                                                                                            \
     "TIME",                                                                                       \
     "events, tail, history: from then on: 10m (ago), 14:05, 2026-11-27, "                         \
     "\"2026-11-27 14:05:30\".",                                                                   \
     since_check}
/* "2026-11-27 14:05:30", by this host's clock and zone; "?" for what is no time. */
#define SINCE_CHARS 24
void since_format(struct wall at, char out[SINCE_CHARS]);

#endif
