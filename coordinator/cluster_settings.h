/* Cluster settings given with --set: `NAME=VALUE` pairs for a cluster that is created, and
 * `manager.KEY=VALUE` for its shard manager.
 *
 * Only their form is looked at here; which names and values there are is known by the step that takes
 * them, or by the manager. A setting that is given twice counts as given last. */
#ifndef SHOAL_COORDINATOR_CLUSTER_SETTINGS_H
#define SHOAL_COORDINATOR_CLUSTER_SETTINGS_H

#include "coordinator/shard_manager.h"
#include "shared/err.h"

struct cluster_settings {
    struct slice *pairs; /* name, value, ...; borrowed */
    size_t n;            /* slices */
    struct shard_manager_option *kwargs;
    size_t nkwargs;
};

/* "NAME=VALUE": 0, or -ERR_USAGE. As an option check. */
int cluster_setting_check(const char *text, struct err *err);
/* The manager's own (closed by a NULL key, or NULL; borrowed), and room for `most` more. */
void cluster_settings_begin(struct cluster_settings *s, const struct shard_manager_option *own,
                            size_t most);
/* Add a checked "NAME=VALUE", which is borrowed. */
void cluster_settings_add(struct cluster_settings *s, const char *text);
void cluster_settings_finish(struct cluster_settings *s);

#endif
