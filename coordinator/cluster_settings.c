/* Cluster settings given with --set. */
#include "coordinator/cluster_settings.h"

#include <stdlib.h>
#include <string.h>

#define MAX_LEN 200 /* of a setting; what a manager takes is its own business */
#define MANAGER "manager."

int cluster_setting_check(const char *text, struct err *err)
{
    size_t len = strcspn(text, "=");

    if (strncmp(text, MANAGER, strlen(MANAGER)) == 0) {
        if (text[len] == '=' && len > strlen(MANAGER)) {
            return 0;
        }
        return err_set(err, ERR_USAGE, "\"%.60s\" is not of the form " MANAGER "KEY=VALUE", text);
    }
    if (len == 0 || strspn(text, "abcdefghijklmnopqrstuvwxyz_") != len || text[len] != '=' ||
        text[len + 1] == '\0' || strlen(text) > MAX_LEN) {
        return err_set(err, ERR_USAGE,
                       "\"%.60s\" is not of the form NAME=VALUE, as in channels_per_shard=25",
                       text);
    }
    return 0;
}

static void add(struct cluster_settings *s, struct slice name, struct slice value)
{
    for (size_t i = 0; i < s->n; i += 2) {
        if (slice_eq(s->pairs[i], name)) {
            s->pairs[i + 1] = value;
            return;
        }
    }
    s->pairs[s->n++] = name;
    s->pairs[s->n++] = value;
}

void cluster_settings_begin(struct cluster_settings *s, const struct shard_manager_option *own,
                            size_t most)
{
    size_t nown = 0;

    while (own && own[nown].key) {
        nown++;
    }
    s->pairs = xcalloc(2 * (nown + most) + 1, sizeof(*s->pairs));
    s->kwargs = xcalloc(most + 1, sizeof(*s->kwargs));
    for (size_t i = 0; i < nown; i++) {
        add(s, slice_of(own[i].key), slice_of(own[i].value));
    }
}

void cluster_settings_add(struct cluster_settings *s, const char *text)
{
    size_t len = strcspn(text, "=");
    const char *value = text + len + 1;

    if (strncmp(text, MANAGER, strlen(MANAGER)) == 0) {
        s->kwargs[s->nkwargs++] = (struct shard_manager_option){
            xstrndup(text + strlen(MANAGER), len - strlen(MANAGER)), value};
    } else {
        add(s, (struct slice){text, len}, slice_of(value));
    }
}

void cluster_settings_finish(struct cluster_settings *s)
{
    for (size_t i = 0; i < s->nkwargs; i++) {
        free((char *)s->kwargs[i].key);
    }
    free(s->kwargs);
    free(s->pairs);
}
