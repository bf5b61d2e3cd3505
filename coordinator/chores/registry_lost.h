/* Registry lost: what this coordinator knew of a registry that was emptied, to tell what is gone.
 *
 *   the lead is answered by another registry -> registry_lost_begin: what was known is kept
 *   the first view of the new one            -> registry_lost_tell: what is gone is told, once
 *
 * Redis came back without its data, somebody emptied it, or a part was evicted: nothing in it says
 * so. The coordinator that led knows which shards and channels there were. It tells the loss as an
 * error in the log, as event `registry.lost`, and in the status. Loop thread only. */
#ifndef SHOAL_COORDINATOR_REGISTRY_LOST_H
#define SHOAL_COORDINATOR_REGISTRY_LOST_H

#include "coordinator/view/cluster_view.h"
#include "shared/buf.h"

struct registry_lost {
    bool due;
    struct buf channels; /* that were assigned: names, each with its NUL */
    struct buf shards;
};

/* Keep what the view knows; all zeros before. What an earlier loss left untold is kept as well. */
void registry_lost_begin(struct registry_lost *l, const struct cluster_view *view);
/* Tell what the view (NULL: none) does not know any more, if something is due. Where this process
 * does not lead it is told in its log alone. */
void registry_lost_tell(struct registry_lost *l, const struct cluster_view *view,
                        struct leader *leader);
void registry_lost_finish(struct registry_lost *l);

#endif
