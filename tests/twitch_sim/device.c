/* Device codes in a hash by the code; the user's code is looked for one by one. */
#include "tests/twitch_sim/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct device *device_begin(struct tokens *t, const struct application *app,
                                  const char *scopes, uint64_t life_ms, uint64_t now)
{
    struct device *d = xcalloc(1, sizeof(*d));

    random_hex(d->code, 20);
    for (size_t i = 0; i + 1 < sizeof(d->user_code); i++) {
        d->user_code[i] = (char)('A' + random_below(26));
    }
    d->app = app;
    d->scopes = xstrdup(scopes);
    d->ends = life_ms == LIMIT_OFF ? TOKEN_NEVER : now + life_ms;
    HASH_ADD_STR(t->devices, code, d);
    return d;
}

bool device_decide(struct tokens *t, const char *user_code, const char *login, uint64_t now)
{
    for (struct device *d = t->devices; d != NULL; d = d->hh.next) {
        if (strcmp(d->user_code, user_code) == 0 && d->state == DEVICE_PENDING && now < d->ends) {
            d->state = login != NULL ? DEVICE_ALLOWED : DEVICE_DENIED;
            (void)snprintf(d->login, sizeof(d->login), "%s", login != NULL ? login : "");
            return true;
        }
    }
    return false;
}

/* A tenth earlier is no offence: timers of clients may be. */
static bool is_too_soon(const struct device *d, uint64_t interval_ms, uint64_t now)
{
    return interval_ms != LIMIT_OFF && d->asked != 0 && now - d->asked < interval_ms / 10 * 9;
}

enum device_word device_look(struct tokens *t, const struct application *app, const char *code,
                             uint64_t interval_ms, uint64_t now, struct issued *out)
{
    struct device *d;

    HASH_FIND_STR(t->devices, code, d);
    if (d == NULL || d->app != app || d->state == DEVICE_USED) {
        return DEVICE_NONE;
    }
    if (now >= d->ends) {
        return DEVICE_OVER;
    }
    bool too_soon = is_too_soon(d, interval_ms, now);
    d->asked = now;
    if (too_soon) {
        return DEVICE_SLOWER;
    }
    switch (d->state) {
    case DEVICE_ALLOWED:
        d->state = DEVICE_USED;
        *out = tokens_grant(t, app, d->login, d->scopes, 0, now);
        return DEVICE_TOKENS;
    case DEVICE_DENIED:
        return DEVICE_REFUSED;
    case DEVICE_PENDING:
    case DEVICE_USED:
        break;
    }
    return DEVICE_NOT_YET;
}

void devices_finish(struct tokens *t)
{
    struct device *d;
    struct device *next;

    HASH_ITER(hh, t->devices, d, next)
    {
        HASH_DEL(t->devices, d);
        free(d->scopes);
        free(d);
    }
}
