/* View: the cluster's state in Redis as records (cJSON), the same for tables, JSON and the status page.
 *
 * Reads only, in portions, so that a large cluster is no burden. What is read in several portions may
 * have changed in between. All return an array (owned by the caller; cJSON_Delete), or NULL after the
 * reason was printed and *code set. */
#ifndef SHOAL_CTL_VIEW_H
#define SHOAL_CTL_VIEW_H

#include "coordinator/ctl/ctl.h"

#include <cjson/cJSON.h>

/* {"channel","shard","state","since","reason",...}, by name. */
cJSON *view_channels(struct ctl *c, int *code);
/* {"shard","node","user","state","channels","joined",...}, as they were added. */
cJSON *view_shards(struct ctl *c, int *code);
/* {"node","state","host","pid","shards","capacity","lease_ms",...}, by name. */
cJSON *view_nodes(struct ctl *c, int *code);
/* {"name","value","default","allowed"}, by name. */
cJSON *view_settings(struct ctl *c, int *code);

/* The text of a field, "" where there is none; borrowed. */
const char *view_text(const cJSON *record, const char *field);
/* The number in a field, be it a number or a text; 0 where there is none. */
uint64_t view_number(const cJSON *record, const char *field);
/* The record whose `field` is `text`, or NULL. */
const cJSON *view_find(const cJSON *records, const char *field, const char *text);

#endif
