/* Trouble: remembers what was logged last. */
#include "shared/trouble.h"

#include <string.h>

bool trouble_is_news(struct trouble *t, const struct err *why, uint64_t now_ms)
{
    if (t->last.code == why->code && strcmp(t->last.text, why->text) == 0 &&
        now_ms - t->logged_ms < TROUBLE_AGAIN_MS) {
        return false;
    }
    t->last = *why;
    t->logged_ms = now_ms;
    return true;
}

bool trouble_over(struct trouble *t)
{
    bool had = t->last.code != ERR_OK;

    t->last.code = ERR_OK;
    return had;
}
