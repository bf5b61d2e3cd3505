#include "coordinator/ctl/since.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* A number and its unit: ms, or false. */
static bool parse_ago(const char *text, uint64_t *ms)
{
    static const struct {
        const char *unit;
        uint64_t ms;
    } units[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    size_t digits = strspn(text, "0123456789");
    uint64_t number = 0;

    if (!slice_to_u64((struct slice){text, digits}, &number)) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (strcmp(text + digits, units[i].unit) == 0) {
            return !__builtin_mul_overflow(number, units[i].ms, ms);
        }
    }
    return false;
}

/* The whole text is such a time. */
static bool matches(const char *text, const char *format, struct tm *parts)
{
    const char *end = strptime(text, format, parts);

    return end != NULL && *end == '\0';
}

/* A time of day is the last one that is not ahead. */
static bool parse_time_of_day(const char *text, time_t now, time_t *at)
{
    struct tm parts;

    if (localtime_r(&now, &parts) == NULL) {
        return false;
    }
    parts.tm_sec = 0;
    if (!matches(text, "%H:%M:%S", &parts) && !matches(text, "%H:%M", &parts)) {
        return false;
    }
    parts.tm_isdst = -1;
    struct tm before = parts;
    *at = mktime(&parts);
    if (*at > now) {
        before.tm_mday--;
        *at = mktime(&before);
    }
    return true;
}

static bool parse_date(const char *text, time_t *at)
{
    static const char *const formats[] = {"%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M",
                                          "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"};

    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        struct tm parts = {.tm_isdst = -1};
        if (matches(text, formats[i], &parts)) {
            *at = mktime(&parts);
            return true;
        }
    }
    struct tm parts = {0};
    bool utc = matches(text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    *at = utc ? timegm(&parts) : 0;
    return utc;
}

int since_parse(const char *text, struct wall now, struct wall *out, struct err *err)
{
    uint64_t ago_ms = 0;
    time_t at = 0;

    if (parse_ago(text, &ago_ms)) {
        out->ms = ago_ms < now.ms ? now.ms - ago_ms : 1;
    } else if (parse_time_of_day(text, (time_t)(now.ms / 1000), &at) || parse_date(text, &at)) {
        out->ms = at > 0 ? (uint64_t)at * 1000 : 1;
    } else {
        return err_set(err, ERR_USAGE,
                       "\"%.60s\" is no time: 10m or 2h (ago), 14:05, 2026-11-27, "
                       "\"2026-11-27 14:05:30\", 2026-11-27T14:05:30Z",
                       text);
    }
    return 0;
}

int since_check(const char *text, struct err *err)
{
    struct wall out;

    return since_parse(text, wall_now(), &out, err);
}

void since_format(struct wall at, char out[SINCE_CHARS])
{
    time_t seconds = (time_t)(at.ms / 1000);
    struct tm parts;

    if (at.ms == 0 || localtime_r(&seconds, &parts) == NULL ||
        strftime(out, SINCE_CHARS, "%Y-%m-%d %H:%M:%S", &parts) == 0) {
        snprintf(out, SINCE_CHARS, "?");
    }
}
