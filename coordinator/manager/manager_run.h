/* Manager run: the shard manager starts the shards while the cluster is to run, and stops them
 * while it is not.
 *
 * `start` and `stop` are asked for once each time the one becomes the other, and by every new
 * leader; what failed is tried again after a while. */
#ifndef SHOAL_COORDINATOR_MANAGER_RUN_H
#define SHOAL_COORDINATOR_MANAGER_RUN_H

#include "coordinator/manager/manager.h"

struct manager_run;

struct manager_run *manager_run_create(struct shard_manager *m);
/* Leads from now on. */
void manager_run_begin(struct manager_run *r);
/* What the leader knows now. */
void manager_run_on_facts(struct manager_run *r, const struct registry_lead *facts);
/* After the manager is closed. */
void manager_run_destroy(struct manager_run *r);

#endif
