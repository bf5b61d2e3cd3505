/* Options, one value at a time: text to number, bounds, masking, names, and what all programs
 * check alike. */
#include "shared/options_private.h"

#include "shared/log.h"
#include "shared/text.h"
#include "shared/url.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#define MAX_WORD 60 /* letters of one that may be misspelt */

struct unit {
    const char *suffix;
    uint64_t factor;
};

/* Largest first: the first that divides a number is the one it is shown with. */
static const struct unit byte_units[] = {{"g", (uint64_t)1 << 30},
                                         {"m", (uint64_t)1 << 20},
                                         {"k", (uint64_t)1 << 10},
                                         {"", 1},
                                         {NULL, 0}};
static const struct unit duration_units[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000},
                                             {"ms", 1},      {"", 1000},   {NULL, 0}};
static const struct unit plain_units[] = {{"", 1}, {NULL, 0}};

static const struct unit *units_of(enum option_type type)
{
    switch (type) {
    case OPTION_BYTES:
        return byte_units;
    case OPTION_DURATION:
        return duration_units;
    default:
        return plain_units;
    }
}

/* `digits`, then a unit. */
static bool parse_number(enum option_type type, const char *text, int64_t *out)
{
    bool negative = type == OPTION_INT && *text == '-';
    const char *digits = text + negative;
    size_t len = strspn(digits, "0123456789");
    uint64_t value;
    if (!slice_to_u64((struct slice){digits, len}, &value)) {
        return false;
    }
    for (const struct unit *unit = units_of(type); unit->suffix; unit++) {
        if (strcasecmp(digits + len, unit->suffix) == 0) {
            if (__builtin_mul_overflow(value, unit->factor, &value) || value > INT64_MAX) {
                return false;
            }
            *out = negative ? -(int64_t)value : (int64_t)value;
            return true;
        }
    }
    return false;
}

/* A bound as a person would write it. */
static void describe_number(enum option_type type, int64_t n, char *out, size_t size)
{
    for (const struct unit *unit = units_of(type); unit->suffix; unit++) {
        if (n > 0 && (uint64_t)n % unit->factor == 0) {
            snprintf(out, size, "%" PRIu64 "%s", (uint64_t)n / unit->factor, unit->suffix);
            return;
        }
    }
    snprintf(out, size, "%" PRId64, n);
}

static int parse_bool(const char *text, int64_t *number, struct err *err)
{
    static const char *const words[][2] = {
        {"false", "true"}, {"no", "yes"}, {"off", "on"}, {"0", "1"}};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        for (int b = 0; b < 2; b++) {
            if (strcasecmp(text, words[i][b]) == 0) {
                *number = b;
                return 0;
            }
        }
    }
    return err_set(err, ERR_USAGE, "\"%.60s\" is neither true nor false", text);
}

static int parse_bounded(const struct option_spec *spec, const char *text, int64_t *number,
                         struct err *err)
{
    static const char *const forms[] = {
        [OPTION_INT] = "a whole number",
        [OPTION_BYTES] = "a number of bytes (like 65536, 64k, 1m, 2g)",
        [OPTION_DURATION] = "a duration (like 500ms, 3s, 5m, 1h)",
    };
    bool bounded = spec->min != 0 || spec->max != 0;
    char low[32];
    char high[32];
    describe_number(spec->type, spec->min, low, sizeof(low));
    describe_number(spec->type, spec->max, high, sizeof(high));
    if (!parse_number(spec->type, text, number)) {
        if (!bounded) {
            return err_set(err, ERR_USAGE, "\"%.60s\" is not %s", text, forms[spec->type]);
        }
        return err_set(err, ERR_USAGE, "\"%.60s\" is not %s from %s to %s", text, forms[spec->type],
                       low, high);
    }
    if (bounded && (*number < spec->min || *number > spec->max)) {
        return err_set(err, ERR_USAGE, "\"%.60s\" is out of range: %s to %s is allowed", text, low,
                       high);
    }
    return 0;
}

int option_value_parse(const struct option_spec *spec, const char *text, int64_t *number,
                       struct err *err)
{
    int rc = 0;
    *number = 0;
    switch (spec->type) {
    case OPTION_STRING:
        break;
    case OPTION_BOOL:
        rc = parse_bool(text, number, err);
        break;
    case OPTION_INT:
    case OPTION_BYTES:
    case OPTION_DURATION:
        rc = parse_bounded(spec, text, number, err);
        break;
    }
    if (rc == 0 && spec->check) {
        rc = spec->check(text, err);
    }
    return rc;
}

char *option_value_mask(const char *text)
{
    struct url url;

    if (url_parse_redis(text, &url, NULL) < 0 && url_parse_ws(text, &url, NULL) < 0) {
        return xstrdup(*text ? "(secret)" : "");
    }
    return text_shown(text);
}

size_t options_typos(const char *a, const char *b)
{
    size_t d[MAX_WORD + 1][MAX_WORD + 1];
    size_t na = strlen(a);
    size_t nb = strlen(b);

    if (na > MAX_WORD || nb > MAX_WORD) {
        return SIZE_MAX;
    }
    for (size_t i = 0; i <= na; i++) {
        for (size_t k = 0; k <= nb; k++) {
            if (i == 0 || k == 0) {
                d[i][k] = i + k;
                continue;
            }
            d[i][k] = d[i - 1][k - 1] + (a[i - 1] != b[k - 1]);
            d[i][k] = d[i - 1][k] + 1 < d[i][k] ? d[i - 1][k] + 1 : d[i][k];
            d[i][k] = d[i][k - 1] + 1 < d[i][k] ? d[i][k - 1] + 1 : d[i][k];
            if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1] &&
                d[i - 2][k - 2] + 1 < d[i][k]) {
                d[i][k] = d[i - 2][k - 2] + 1;
            }
        }
    }
    return d[na][nb];
}

size_t option_distance(const char *given, const char *known)
{
    size_t n = strlen(given);
    size_t m = strlen(known);
    if (n >= 3 && n < m && strncmp(given, known, n) == 0) {
        return 1; /* an abbreviation */
    }
    size_t typos = options_typos(given, known);
    size_t limit = m / 3 > 2 ? m / 3 : 2;
    return typos <= limit && typos < n ? typos : SIZE_MAX;
}

void option_key(const char *name, char *out, size_t size)
{
    snprintf(out, size, "%s", name);
    for (; *out; out++) {
        *out = *out == '-' ? '_' : *out;
    }
}

void option_env(const char *name, char *out, size_t size)
{
    snprintf(out, size, "SHOAL_%s", name);
    for (; *out; out++) {
        *out = *out == '-' ? '_' : (char)toupper((unsigned char)*out);
    }
}

int options_check_redis_url(const char *value, struct err *err)
{
    struct url url;
    return url_parse_redis(value, &url, err);
}

int options_check_cluster(const char *value, struct err *err)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";
    size_t len = strlen(value);
    if (len < 1 || len > 32 || strspn(value, allowed) != len) {
        return err_set(err, ERR_USAGE, "\"%.60s\" is not 1 to 32 of a-z 0-9 _ -", value);
    }
    return 0;
}

int options_check_log_level(const char *value, struct err *err)
{
    enum log_level level;
    return log_level_parse(value, &level)
               ? 0
               : err_set(err, ERR_USAGE, "\"%.60s\" is not error, warn, info or debug", value);
}

void options_set_up_log(const struct options *o)
{
    enum log_level level = LOG_LEVEL_INFO;
    enum log_format format = LOG_FORMAT_TEXT;
    bool parsed = log_level_parse(options_string(o, "log-level"), &level) &&
                  log_format_parse(options_string(o, "log-format"), &format);

    BUG_ON(!parsed); /* their checks let nothing else pass */
    log_setup(level, format);
}

void options_warn(const struct options *o, const char *room)
{
    const char *warning = o->program->warning ? o->program->warning(o) : NULL;

    if (warning) {
        log_warn(room, "config.unsafe", "warning", warning, NULL);
    }
}

int options_check_log_format(const char *value, struct err *err)
{
    enum log_format format;
    return log_format_parse(value, &format)
               ? 0
               : err_set(err, ERR_USAGE, "\"%.60s\" is neither text nor json", value);
}
