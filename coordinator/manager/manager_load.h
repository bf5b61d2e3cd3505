/* Manager load: the shard manager that --shard-manager names: "distributed", "default", or a shared
 * object. */
#ifndef SHOAL_COORDINATOR_MANAGER_LOAD_H
#define SHOAL_COORDINATOR_MANAGER_LOAD_H

#include "coordinator/manager/shard_manager.h"
#include "shared/err.h"

/* Its table; NULL with err (ERR_USAGE) filled: there is none of that name, or the object does not
 * fit. An object stays loaded until the process ends. */
const struct shard_manager_ops *manager_load(const char *name, struct err *err);
/* The same as an option check. */
int manager_load_check(const char *name, struct err *err);

#endif
