/* Status meters: the status document as Prometheus reads it. Every coordinator of a cluster shows
 * the same; its labels are names of nodes and accounts, and of no channel. */
#ifndef SHOAL_COORDINATOR_STATUS_METERS_H
#define SHOAL_COORDINATOR_STATUS_METERS_H

#include "shared/metrics/exposition.h"

#include <cjson/cJSON.h>

/* `document` NULL: none was ever read. */
void status_meters_write(const cJSON *document, struct exposition *e);

#endif
