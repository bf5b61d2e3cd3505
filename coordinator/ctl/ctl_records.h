/* Ctl, records: what commands read of the cluster. */
#ifndef SHOAL_CTL_RECORDS_H
#define SHOAL_CTL_RECORDS_H

#include "coordinator/ctl/ctl.h"
#include "coordinator/status/records.h"

/* Read what is asked for (RECORDS_*), and wait for it: CTL_DONE, or the exit code after the reason
 * was printed. records_finish it in any case. */
MUST_USE int ctl_records(struct ctl *c, unsigned what, struct records *r);

#endif
