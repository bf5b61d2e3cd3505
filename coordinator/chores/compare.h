/* Compare: while this process leads, all that the registry holds is compared with itself every
 * compare_ms, slowly, and what differs is put right (the step does both, and tells it as events).
 * That takes 60 ms of compare_ms, so that much of it takes longer; but where something is known to
 * be wrong it is as fast as Redis has time.
 *
 * Each step keeps the registry exact, and each node reconciles itself to it: this finds what
 * neither could know of, such as a key that somebody removed by hand. What a step or a view had to
 * pass over makes the next one come soon. The nodes compare what they hold, and what Twitch has
 * confirmed, too (node_lease.h).
 *
 * Borrows leader and view. Loop thread only. */
#ifndef SHOAL_COORDINATOR_COMPARE_H
#define SHOAL_COORDINATOR_COMPARE_H

#include "coordinator/view/cluster_view.h"

struct compare;

struct compare *compare_create(struct leader *leader, const struct cluster_view *view);
/* A portion or a few, if it is time. */
void compare_on_facts(struct compare *c, const struct registry_lead *facts);
/* Something is known to be wrong: the next comparison begins soon, a second after the last at the
 * earliest. */
void compare_soon(struct compare *c);
/* Leads (again): all of it is compared anew, and soon. */
void compare_begin(struct compare *c);
/* After the leader is closed. */
void compare_destroy(struct compare *c);

#endif
