/* Sliding windows as rings of times, and the table of limits by name. */
#include "tests/twitch_sim/limits.h"

#include <stdlib.h>
#include <string.h>

size_t window_add(struct window *w, uint64_t now, uint64_t span_ms)
{
    if (span_ms == LIMIT_OFF) {
        span_ms = 0;
    }
    while (w->len > 0 && w->at[w->head] + span_ms <= now) {
        w->head = (w->head + 1) % w->cap;
        w->len--;
    }
    if (w->len == w->cap) {
        size_t cap = w->cap ? 2 * w->cap : 16;
        uint64_t *at = xmalloc(cap * sizeof(*at));

        for (size_t i = 0; i < w->len; i++) {
            at[i] = w->at[(w->head + i) % w->cap];
        }
        free(w->at);
        w->at = at;
        w->head = 0;
        w->cap = cap;
    }
    w->at[(w->head + w->len++) % w->cap] = now;
    w->total++;
    if (w->len > w->most) {
        w->most = w->len;
    }
    return w->len;
}

void window_finish(struct window *w)
{
    free(w->at);
    memset(w, 0, sizeof(*w));
}

#define POINT    60000 /* what a bucket is counted in */
#define NO_LIMIT 1000000000

/* What is missing now, at most all. */
static uint64_t missing_at(const struct bucket *b, uint64_t now, uint64_t limit)
{
    uint64_t passed = now - b->at < POINT ? now - b->at : POINT;
    uint64_t missing = b->missing < limit * POINT ? b->missing : limit * POINT;

    return missing > passed * limit ? missing - passed * limit : 0;
}

void bucket_look(const struct bucket *b, uint64_t now, uint64_t limit, struct bucket_look *out)
{
    uint64_t most = limit < NO_LIMIT ? limit : NO_LIMIT;
    uint64_t missing = missing_at(b, now, most);

    *out = (struct bucket_look){.limit = most,
                                .remaining = (most * POINT - missing) / POINT,
                                .full_in_ms = most > 0 ? (missing + most - 1) / most : 0};
}

bool bucket_take(struct bucket *b, uint64_t now, uint64_t limit, struct bucket_look *out)
{
    uint64_t most = limit < NO_LIMIT ? limit : NO_LIMIT;

    b->missing = missing_at(b, now, most);
    b->at = now;
    bucket_look(b, now, limit, out);
    if (out->remaining == 0) {
        return false;
    }
    b->missing += POINT;
    bucket_look(b, now, limit, out);
    return true;
}

static bool count_parse(const char *text, uint64_t *out)
{
    if (strcmp(text, "off") == 0) {
        *out = LIMIT_OFF;
        return true;
    }
    return slice_to_u64(slice_of(text), out);
}

bool limits_parse_time(const char *text, uint64_t *out)
{
    static const struct {
        const char *suffix;
        uint64_t ms;
    } units[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    size_t digits = strspn(text, "0123456789");
    uint64_t n;

    if (strcmp(text, "off") == 0) {
        *out = LIMIT_OFF;
        return true;
    }
    if (!slice_to_u64((struct slice){text, digits}, &n) || n > 1000000000) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (strcmp(text + digits, units[i].suffix) == 0) {
            *out = n * units[i].ms;
            return true;
        }
    }
    return false;
}

static void all_off(struct limits *l)
{
    l->login_limit = l->login_limit_verified = LIMIT_OFF;
    l->join_limit = l->join_limit_verified = LIMIT_OFF;
    l->message_limit = l->message_limit_moderator = l->message_limit_verified = LIMIT_OFF;
    l->room_limit = l->helix_limit = LIMIT_OFF;
    l->channel_interval = l->duplicate_window = LIMIT_OFF;
}

int limits_set(struct limits *l, const char *name, const char *value, struct err *err)
{
    if (strcmp(name, "all") == 0) {
        if (strcmp(value, "off") != 0) {
            return err_set(err, ERR_USAGE, "all: only \"off\" is possible");
        }
        all_off(l);
        return 0;
    }
#define X(field, option, fallback, is_time, help)                                                  \
    if (strcmp(name, option) == 0) {                                                               \
        bool ok = (is_time) ? limits_parse_time(value, &l->field) : count_parse(value, &l->field); \
        return ok ? 0                                                                              \
                  : err_set(err, ERR_USAGE, "%s: \"%s\" is neither %s nor \"off\"", name, value,   \
                            (is_time) ? "a time such as 500ms, 30s, 5m" : "a number");             \
    }
    LIMIT_TABLE(X)
#undef X
    return err_set(err, ERR_USAGE, "no limit is called \"%s\"", name);
}
