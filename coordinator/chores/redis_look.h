/* Redis look: a coordinator that begins to lead looks at its Redis, and tells what is wrong with
 * it, with the mend: in the log (redis.unsafe) and as an event (error, where "redis"). What it
 * finds changes nothing else. */
#ifndef SHOAL_COORDINATOR_REDIS_LOOK_H
#define SHOAL_COORDINATOR_REDIS_LOOK_H

#include "coordinator/lead/leader.h"
#include "shared/redis/look.h"

struct redis_look {
    struct leader *leader; /* borrowed */
    struct look look;
};

/* Look now, unless it is looking; `db` is the database this cluster is in. *r must live until the
 * leader is closed. */
void redis_look_begin(struct redis_look *r, struct leader *leader, unsigned db);

#endif
