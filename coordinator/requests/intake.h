/* Intake: carries out what is asked for in the streams `requests` and `admin`, while this process
 * leads.
 *
 *   a bell -> read from the beginning, a portion a step -> the queue -> at most 64 steps under way
 *     -> the step answers, deletes the entry
 *
 * A step does all of a request or nothing, its entry's removal included, so an entry may be tried
 * again whenever it is in doubt: a step for an entry that is gone does nothing. So a new leader
 * reads from the beginning, and after a failed step the streams are read from the beginning once
 * more. What is in a stream is never dropped, whatever dies. What the queue (request_queue.h)
 * has no room for is refused at once. Those of one `by` are carried out in order; between several
 * they take turns. A join first asks the shard manager (assignment.h); what was asked for after it
 * waits until its step is sent.
 * Failure modes: a link goes down (the queue is forgotten, read again); Redis refuses a step (tried
 * again in a second; the entries behind it go on), or has no memory for it (the request is
 * refused); deposed (everything stops, the successor reads it).
 * Owns a link of its own, which waits for the bell; borrows leader and manager. Loop thread
 * only. */
#ifndef SHOAL_COORDINATOR_INTAKE_H
#define SHOAL_COORDINATOR_INTAKE_H

#include "coordinator/manager/manager.h"

struct intake;

struct intake *intake_create(struct leader *leader, struct shard_manager *manager);
/* Leads from now on: read from the beginning. */
void intake_begin(struct intake *i);
/* The leader's link was made anew: where Redis came back with older data, the streams hold again
 * what was read, so they are read from the beginning. */
void intake_anew(struct intake *i);
/* Leads no more. */
void intake_end(struct intake *i);
/* Is the cluster set up? Before that a join waits, with all that was asked for behind it: 2 s after
 * intake_begin at most, then its channels do. */
void intake_set_up(struct intake *i, bool done);
/* The lease was renewed: go on with what had to wait. */
void intake_go_on(struct intake *i);
/* After the leader is stopped, so that no step is under way; the memory goes from the loop. */
void intake_close(struct intake *i);

#endif
