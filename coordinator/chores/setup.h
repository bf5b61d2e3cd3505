/* Setup: what a cluster needs once, and what each start of a coordinator adds to it.
 *
 *   settings -> nodes are there and their number is still -> user -> the shard manager's setup
 *     -> its assign_shard for each initial channel -> marked as done in Redis
 *
 * Every part may be done twice without harm, so a successor simply begins anew where its
 * predecessor died. In a cluster that is set up already only the settings are compared (a
 * difference is a warning) and initial channels never seen before are joined. A cluster that lost
 * its state is set up anew; what is left of it (shards, without the settings) is adopted, whatever
 * the manager says. Where the manager's setup fails in a cluster without shards, the settings go
 * again, so that nothing is left of it. A coordinator that never led a cluster that was set up ends
 * then; one that did tries again. It waits for what passes by itself: Redis, a node, a node that
 * has a token for a user. Borrows leader and manager. Loop thread only. */
#ifndef SHOAL_COORDINATOR_SETUP_H
#define SHOAL_COORDINATOR_SETUP_H

#include "coordinator/manager/manager.h"
#include "coordinator/options/cluster_settings.h"
#include "coordinator/options/initial_channels.h"

struct setup;

struct setup_options {
    struct leader *leader;
    struct shard_manager *manager;
    const struct initial_channels *channels; /* borrowed */
    const struct cluster_settings *settings; /* borrowed */
    /* A setting is refused, or the manager's setup failed, and there is no cluster that could go on
     * without, nor was there one that this process led. */
    void (*on_refused)(void *ctx, const struct err *why);
    void (*on_done)(void *ctx); /* the cluster is set up from now on */
    void *ctx;
};

struct setup *setup_create(const struct setup_options *options);
/* Leads from now on. */
void setup_begin(struct setup *s);
/* What the leader knows now, once the view is whole: go on. */
void setup_on_facts(struct setup *s, const struct registry_lead *facts);
/* It shows more now: a part that waited for that goes on. */
void setup_on_view(struct setup *s);
/* After leader and manager are closed. */
void setup_destroy(struct setup *s);

#endif
