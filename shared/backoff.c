/* Backoff: doubling, jittered, capped waits; a time of being up long enough starts anew. */
#include "shared/backoff.h"

void backoff_init(struct backoff *b, uint64_t first_ms, uint64_t cap_ms, uint64_t stable_ms)
{
    if (first_ms == 0) {
        first_ms = 1; /* doubling nothing would never back off */
    }
    if (cap_ms < first_ms) {
        cap_ms = first_ms;
    }
    *b = (struct backoff){
        .first_ms = first_ms, .cap_ms = cap_ms, .stable_ms = stable_ms, .next_ms = first_ms};
}

uint64_t backoff_next(struct backoff *b, uint64_t up_ms)
{
    if (up_ms > 0 && up_ms >= b->stable_ms) {
        b->next_ms = b->first_ms;
    }
    uint64_t step = b->next_ms;
    b->next_ms = step > b->cap_ms / 2 ? b->cap_ms : step * 2;
    /* The random half keeps a thousand nodes from coming back in the same millisecond. */
    uint64_t fixed = step / 2;
    return fixed + random_below(step - fixed + 1);
}
