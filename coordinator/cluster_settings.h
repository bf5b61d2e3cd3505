/* Cluster settings given with --set: `NAME=VALUE` pairs for a cluster that is created.
 *
 * Only their form is looked at here; which names and values there are is known by the step that takes
 * them. What is given twice counts as given last. */
#ifndef SHOAL_COORDINATOR_CLUSTER_SETTINGS_H
#define SHOAL_COORDINATOR_CLUSTER_SETTINGS_H

#include "shared/err.h"

/* "NAME=VALUE": 0, or -ERR_USAGE. As an option check. */
int cluster_setting_check(const char *text, struct err *err);
/* Add a checked "NAME=VALUE" to `pairs` (name, value, ...), which has room for two more; a name that is
 * there already gets the new value. Returns the number of slices. They point into `text`. */
size_t cluster_setting_add(struct slice *pairs, size_t n, const char *text);

#endif
