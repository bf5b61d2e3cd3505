/* Node metrics: all that /metrics and /readyz of a node say. */
#ifndef SHOAL_NODE_NODE_METRICS_H
#define SHOAL_NODE_NODE_METRICS_H

#include "node/node.h"
#include "shared/metrics/exposition.h"

/* What is counted (meters.h) and what is so now. */
void node_metrics_write(const struct node *n, struct exposition *e);
/* Does the node do its work? It does where it holds its lease (so Redis answers), sees Twitch, and
 * all its shards that are to run are connected and have got an answer of Twitch for each of their
 * channels: joined, or refused. Not counted are shards whose account Twitch does not let in, as
 * that is no work of the node. A node without shards is ready, one that leaves is not. False: `why`
 * has a line for each reason, 20 at most. */
bool node_metrics_is_ready(const struct node *n, struct buf *why);

#endif
