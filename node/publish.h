/* Publish: PUBLISH commands in the form in which Redis reads them, one behind the other.
 *
 * Written without a copy or an allocation of their own: this is done for each room line. */
#ifndef SHOAL_NODE_PUBLISH_H
#define SHOAL_NODE_PUBLISH_H

#include "shared/base.h"

/* No command of these is longer. */
size_t publish_most(struct slice topic_prefix, struct slice channel, struct slice line);
/* Write PUBLISH <topic_prefix><channel> <line> to `out`; how many bytes it is. */
size_t publish_put(char *out, struct slice topic_prefix, struct slice channel, struct slice line);
/* Take the first command off `commands` (written by publish_put): its channel, and its line; both
 * point into it. */
struct slice publish_take(struct slice *commands, struct slice topic_prefix, struct slice *line);

#endif
