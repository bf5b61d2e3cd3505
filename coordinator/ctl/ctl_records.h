/* Ctl, records: what commands read of the cluster. */
#ifndef SHOAL_CTL_RECORDS_H
#define SHOAL_CTL_RECORDS_H

#include "coordinator/ctl/ctl.h"
#include "coordinator/status/records.h"

/* Read what is asked for (RECORDS_*), and wait for it: CTL_DONE, or the exit code after the reason
 * was printed. records_finish it in any case. */
MUST_USE int ctl_records(struct ctl *c, unsigned what, struct records *r);

/* Read the wanted channels one after the other, by name, however many there are: `each` is called
 * once for each. CTL_DONE, or the exit code after the reason was printed. */
MUST_USE int ctl_each_channel(struct ctl *c,
                              void (*each)(void *ctx, const struct figures_channel *channel,
                                           const struct registry_hash *hash),
                              void *ctx);

#endif
