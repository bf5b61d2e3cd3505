/* shoalctl: what each command needs of Redis. */
#ifndef SHOAL_COORDINATOR_CTL_RIGHTS_H
#define SHOAL_COORDINATOR_CTL_RIGHTS_H

#include "coordinator/ctl/ctl.h"

/* Before the first question to Redis: CTL_DONE; else the exit code, after what is missing was
 * printed. */
MUST_USE int ctl_check_rights(struct ctl *c);

#endif
