/* Trouble: what fails again and again is worth a line when it is new, and then once a minute.
 *
 * A link that cannot be made, a key of the wrong type: tried again every second or so, and each try
 * fails in the same words. The owner asks here whether to log. Embedded in its owner; all zeros to
 * begin with. */
#ifndef SHOAL_TROUBLE_H
#define SHOAL_TROUBLE_H

#include "shared/err.h"

#define TROUBLE_AGAIN_MS 60000

struct trouble {
    struct err last; /* as logged; code 0: none */
    uint64_t logged_ms;
};

/* Should `why` be logged now (mono ms)? True notes that it is. */
bool trouble_is_news(struct trouble *t, const struct err *why, uint64_t now_ms);
/* It works again: whatever comes next is news. True if there had been trouble. */
bool trouble_over(struct trouble *t);

#endif
