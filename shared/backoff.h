/* Backoff: how long to wait before the next try: exponential, jittered, capped, reset when stable.
 * Pure: no clock of its own. */
#ifndef SHOAL_BACKOFF_H
#define SHOAL_BACKOFF_H

#include "shared/base.h"

struct backoff {
    uint64_t first_ms;
    uint64_t cap_ms;
    uint64_t stable_ms; /* after this long up, the next failure starts from the beginning */
    uint64_t next_ms;
};

/* The first wait is up to first_ms, then twice that, ... up to cap_ms. */
void backoff_init(struct backoff *b, uint64_t first_ms, uint64_t cap_ms, uint64_t stable_ms);
/* Something failed after having been up for `up_ms` (0: never was). Returns the wait in ms: half of
 * the step fixed, half random. */
uint64_t backoff_next(struct backoff *b, uint64_t up_ms);

#endif
