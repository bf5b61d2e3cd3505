/* Link group: what the links of one process to its Redis know of each other.
 *
 *   one link hears READONLY, or finds another server behind the address -> all of them connect anew
 *
 * A primary that was demoted may keep its connections open: the link that writes finds out, the one
 * that only listens never does. So what one finds counts for all. And what Redis refuses is told
 * once, not by each link. Embedded in its owner, all zeros to begin with; must outlive its links.
 * Loop thread only. */
#ifndef SHOAL_REDIS_LINK_GROUP_H
#define SHOAL_REDIS_LINK_GROUP_H

#include "shared/redis/refusal.h"
#include "shared/trouble.h"

struct link;

struct link_group {
    struct link *links;
    struct trouble told[REFUSAL_KINDS];
    char run_id[41]; /* of the server, as the link said that asks for it */
    /* A right is missing somewhere: the owner that looks (rights.h) names it, and clears this. */
    bool look_at_rights;
};

/* Drop every link that went up before `before_ms` (mono), but `but` (NULL: none is spared). A
 * subscriber hears first what was counted as heard. */
void link_group_drop(struct link_group *g, const struct link *but, uint64_t before_ms,
                     const char *why);
/* The run id that `link` was told by its server. Where it is another than before, the links that
 * were up already when `link` lost the former server are dropped. `g` may be NULL. */
void link_group_server(struct link_group *g, const struct link *link, const char *run_id);
/* Log the refusal unless it was in the last minute; a missing right is left to look_at_rights. */
void link_group_tell(struct link_group *g, const char *link_name, const struct redisReply *reply);

#endif
