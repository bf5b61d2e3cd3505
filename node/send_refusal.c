/* Send refusal: msg_slowmode and msg_timedout say in how many seconds. */
#include "node/send_refusal.h"

#include <string.h>

#define SECONDS_MOST 100000000
#define MARGIN_MS    500 /* the seconds are rounded, and lines take their time */

static const char *const passing[] = {"msg_slowmode", "msg_timedout", "msg_ratelimit"};

/* The number before the last "second" of the text: "... again in 12 seconds.", "... for 33 more
 * seconds."; 0: there is none. */
static uint64_t seconds_of(struct slice text)
{
    uint64_t number = 0;
    uint64_t found = 0;

    for (size_t i = 0; i < text.len;) {
        struct slice rest = {text.ptr + i, text.len - i};
        size_t digits = 0;
        while (digits < rest.len && rest.ptr[digits] >= '0' && rest.ptr[digits] <= '9') {
            digits++;
        }
        if (digits > 0) {
            bool fits = slice_to_u64((struct slice){rest.ptr, digits}, &number);
            number = fits && number < SECONDS_MOST ? number : SECONDS_MOST;
        } else if (rest.len >= 6 && memcmp(rest.ptr, "second", 6) == 0) {
            found = number;
        }
        i += digits > 0 ? digits : 1;
    }
    return found;
}

bool send_refusal_passes(struct slice msg_id, struct slice text, uint64_t *wait_ms)
{
    uint64_t seconds = slice_is(msg_id, "msg_ratelimit") ? 0 : seconds_of(text);

    *wait_ms = seconds > 0 ? seconds * 1000 + MARGIN_MS : 0;
    return slice_is_one_of(msg_id, passing, ARRAY_LEN(passing));
}
