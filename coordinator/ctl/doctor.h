/* The looks of shoalctl doctor, for the other commands that tell them. */
#ifndef SHOAL_CTL_DOCTOR_H
#define SHOAL_CTL_DOCTOR_H

#include "coordinator/ctl/ctl.h"
#include "shared/redis/look.h"

/* Look at Redis: CTL_DONE, or the exit code after the reason was told. */
MUST_USE int doctor_look(struct ctl *c, struct look *l);

#endif
