/* Monitoring: what is asked of a coordinator by machines: /metrics for Prometheus, /readyz for who
 * starts and replaces processes.
 *
 * Of the cluster every coordinator says the same, whether it leads or stands by: see
 * status_meters.h. Of itself it says how its process does, and whether it leads. Loop thread
 * only. */
#ifndef SHOAL_COORDINATOR_MONITORING_H
#define SHOAL_COORDINATOR_MONITORING_H

#include "coordinator/lead/leader.h"
#include "coordinator/status/status_watch.h"
#include "shared/metrics/metrics_page.h"

/* Embedded in its owner. */
struct monitoring {
    const struct leader *leader; /* borrowed, as is: */
    struct status_watch *watch;
    struct metrics_page page;
};

void monitoring_begin(struct monitoring *m, uv_loop_t *loop, const struct leader *leader,
                      struct status_watch *watch);
/* Requests of it have ended: its timer is part of that teardown. */
void monitoring_end(struct monitoring *m, struct teardown *t);
/* 200 with all meters, when they are there: after 2 s at the latest. */
void monitoring_metrics(struct monitoring *m, struct web_request *r);
/* 200: it leads, or stands by; else 503. The body says which, or what it waits for. */
void monitoring_readyz(const struct monitoring *m, struct web_request *r);

#endif
