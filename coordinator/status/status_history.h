/* Status history: how the cluster did in the last 15 minutes, a point each 5 s. */
#ifndef SHOAL_COORDINATOR_STATUS_HISTORY_H
#define SHOAL_COORDINATOR_STATUS_HISTORY_H

#include "shared/base.h"

#include <cjson/cJSON.h>

#define STATUS_STEP_MS 5000
#define STATUS_POINTS  180

enum { STATUS_LINES_S, STATUS_LATENCY_MS, STATUS_LAG_MS, STATUS_CURVES };

/* All zeros to begin with. */
struct status_history {
    double point[STATUS_POINTS][STATUS_CURVES]; /* NAN: not known */
    size_t next;                                /* where the next one goes */
    size_t n;
    uint64_t at_ms;  /* of the newest, by Redis's clock */
    uint64_t due_ms; /* mono_ms: when the next one is due; 0: at once */
};

/* Is a point due? */
bool status_history_is_due(const struct status_history *h, uint64_t now_ms);
/* The point that is due, of nodes as records have them at `at`, and one that is not known for each
 * that was missed; `nodes` NULL: it is not known either. */
void status_history_add(struct status_history *h, uint64_t now_ms, const cJSON *nodes,
                        struct wall at);
/* As the document has it; the caller deletes it. */
cJSON *status_history_json(const struct status_history *h);

#endif
