/* Fuzz: the options file. Whatever the bytes, parsing ends in a verdict with one line of text, and
 * every value that comes through is judged as each type of option. */
#include "shared/options_private.h"
#include "shared/pairs.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int on_pair(void *ctx, const char *key, const char *value, size_t line, struct err *err)
{
    static const enum option_type types[] = {OPTION_STRING, OPTION_INT, OPTION_BOOL, OPTION_BYTES,
                                             OPTION_DURATION};
    size_t *last = ctx;
    BUG_ON(line <= *last || !*key);
    *last = line;
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        const struct option_spec spec = {.name = "x", .type = types[i], .min = 1, .max = 1 << 20};
        struct err why = {0};
        int64_t number;
        if (option_value_parse(&spec, value, &number, &why) < 0) {
            BUG_ON(why.code != ERR_USAGE || !why.text[0]);
        } else {
            BUG_ON(types[i] >= OPTION_BYTES && (number < 1 || number > 1 << 20));
        }
    }
    char *masked = option_value_mask(value);
    free(masked);
    (void)option_distance(key, "redis_url");
    (void)options_check_redis_url(value, err);
    (void)options_check_cluster(value, err);
    return strcmp(key, "stop") == 0 ? err_set(err, ERR_USAGE, "stopped") : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {0};
    size_t last = 0;
    int rc = pairs_parse((struct slice){(const char *)data, size}, "fuzz.conf", "key = value",
                         on_pair, &last, &err);
    BUG_ON(rc < 0 && (err.code == ERR_OK || !err.text[0] || strchr(err.text, '\n')));
    return 0;
}
