/* Cluster settings given with --set. */
#include "coordinator/options/cluster_settings.h"

#include "shared/irc/parse.h"

#include <stdlib.h>
#include <string.h>

#define MANAGER "manager."

static const struct cluster_setting_rule *rule_of(struct slice name)
{
    for (const struct cluster_setting_rule *rule = cluster_setting_rules; rule->name != NULL;
         rule++) {
        if (slice_is(name, rule->name)) {
            return rule;
        }
    }
    return NULL;
}

static int check_logins(const struct cluster_setting_rule *rule, const char *value, struct err *err)
{
    size_t n = 0;

    for (const char *at = value;; at++) {
        size_t len = strcspn(at, ",");
        if (!irc_channel_valid((struct slice){at, len}) || ++n > rule->logins) {
            break;
        }
        at += len;
        if (*at == '\0') {
            return 0;
        }
    }
    return rule->logins == 1
               ? err_set(err, ERR_USAGE, "%s takes a Twitch login in lower case, or anonymous",
                         rule->name)
               : err_set(err, ERR_USAGE,
                         "%s takes first, all, anonymous, or Twitch logins in lower case between "
                         "commas, at most %zu",
                         rule->name, rule->logins);
}

static int check_value(const struct cluster_setting_rule *rule, const char *value, struct err *err)
{
    uint64_t number;

    if (rule->logins > 0) {
        return check_logins(rule, value, err);
    }
    if ((rule->off != NULL && strcmp(value, rule->off) == 0) ||
        (slice_to_u64(slice_of(value), &number) && number >= rule->least && number <= rule->most)) {
        return 0;
    }
    return err_set(err, ERR_USAGE, "%s takes a number from %llu to %llu%s%s, not \"%.60s\"",
                   rule->name, (unsigned long long)rule->least, (unsigned long long)rule->most,
                   rule->off != NULL ? ", or " : "", rule->off != NULL ? rule->off : "", value);
}

int cluster_setting_check(const char *text, struct err *err)
{
    size_t len = strcspn(text, "=");

    if (strncmp(text, MANAGER, strlen(MANAGER)) == 0) {
        if (text[len] == '=' && len > strlen(MANAGER)) {
            return 0;
        }
        return err_set(err, ERR_USAGE, "\"%.60s\" is not of the form " MANAGER "KEY=VALUE", text);
    }
    if (len == 0 || text[len] != '=') {
        return err_set(err, ERR_USAGE,
                       "\"%.60s\" is not of the form NAME=VALUE, as in channels_per_shard=25",
                       text);
    }
    const struct cluster_setting_rule *rule = rule_of((struct slice){text, len});
    if (rule == NULL) {
        return err_set(err, ERR_USAGE, "Unknown setting %.*s; shoalctl config get lists them",
                       len > 60 ? 60 : (int)len, text);
    }
    return check_value(rule, text + len + 1, err);
}

static void add(struct cluster_settings *s, struct slice name, struct slice value)
{
    for (size_t i = 0; i < s->n; i += 2) {
        if (slice_eq(s->pairs[i], name)) {
            s->pairs[i + 1] = value;
            return;
        }
    }
    s->pairs = xrealloc(s->pairs, (s->n + 2) * sizeof(*s->pairs));
    s->pairs[s->n++] = name;
    s->pairs[s->n++] = value;
}

void cluster_settings_begin(struct cluster_settings *s, const struct shard_manager_option *own)
{
    for (; own != NULL && own->key != NULL; own++) {
        add(s, slice_of(own->key), slice_of(own->value));
    }
}

void cluster_settings_add(struct cluster_settings *s, const char *text)
{
    size_t len = strcspn(text, "=");
    const char *value = text + len + 1;

    if (strncmp(text, MANAGER, strlen(MANAGER)) == 0) {
        s->kwargs = xrealloc(s->kwargs, (s->nkwargs + 1) * sizeof(*s->kwargs));
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
