/* Cluster settings given with --set. */
#include "coordinator/cluster_settings.h"

#include <string.h>

#define MAX_LEN 200

int cluster_setting_check(const char *text, struct err *err)
{
    size_t name = strspn(text, "abcdefghijklmnopqrstuvwxyz_");
    if (name == 0 || text[name] != '=' || text[name + 1] == '\0' || strlen(text) > MAX_LEN) {
        return err_set(err, ERR_USAGE,
                       "\"%.60s\" is not of the form NAME=VALUE, as in channels_per_shard=25",
                       text);
    }
    return 0;
}

size_t cluster_setting_add(struct slice *pairs, size_t n, const char *text)
{
    size_t len = strcspn(text, "=");
    struct slice name = {text, len};
    struct slice value = slice_of(text + len + 1);
    for (size_t i = 0; i < n; i += 2) {
        if (slice_eq(pairs[i], name)) {
            pairs[i + 1] = value;
            return n;
        }
    }
    pairs[n] = name;
    pairs[n + 1] = value;
    return n + 2;
}
