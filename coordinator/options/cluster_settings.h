/* Cluster settings given with --set: `NAME=VALUE` pairs for a cluster that is created, and
 * `manager.KEY=VALUE` for its shard manager.
 *
 * Names and values are judged by the same table as in the step that takes them (settings.cmake
 * makes one of the other); what goes to the manager is its own business. A setting that is given
 * twice counts as given last. */
#ifndef SHOAL_COORDINATOR_CLUSTER_SETTINGS_H
#define SHOAL_COORDINATOR_CLUSTER_SETTINGS_H

#include "coordinator/manager/shard_manager.h"
#include "shared/err.h"

struct cluster_settings {
    struct slice *pairs; /* name, value, ...; borrowed */
    size_t n;            /* slices */
    struct shard_manager_option *kwargs;
    size_t nkwargs;
};

/* One setting of a cluster: a number from `least` to `most`, or the word `off` (NULL: none). Or so
 * many Twitch `logins`, with commas between them; where it may be more than one, also `first` or
 * `all`, which are logins as well. */
struct cluster_setting_rule {
    const char *name;
    uint64_t least;
    uint64_t most;
    const char *off;
    size_t logins; /* 0: it is a number */
};
/* All there are, closed by one without name. */
extern const struct cluster_setting_rule cluster_setting_rules[];

/* "NAME=VALUE": 0, or -ERR_USAGE. As an option check. */
int cluster_setting_check(const char *text, struct err *err);
/* The manager's own (closed by a NULL key, or NULL; borrowed); all zeros before. */
void cluster_settings_begin(struct cluster_settings *s, const struct shard_manager_option *own);
/* Add a checked "NAME=VALUE", which is borrowed. */
void cluster_settings_add(struct cluster_settings *s, const char *text);
void cluster_settings_finish(struct cluster_settings *s);

#endif
