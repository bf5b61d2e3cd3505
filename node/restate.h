/* Restate: what this node said, was told and drew lately, in case Redis forgets it.
 *
 * A Redis that was restarted with older data, or a replica that was behind and is the primary now,
 * holds sends that were said already and knows nothing of slots that were used. So each node
 * remembers: of each send that it claimed what became of it, and of each draw when it was. Where
 * the registry asks for it (registry_picture), all of that is told again, in portions; until then
 * nothing is claimed or drawn there.
 *
 * Bounded: the last RESTATE_SENDS sends and RESTATE_DRAWS draws of the last RESTATE_MS; what is
 * under way is never forgotten. Owns what it remembers. Borrows nothing but during a call. Loop
 * thread only. */
#ifndef SHOAL_NODE_RESTATE_H
#define SHOAL_NODE_RESTATE_H

#include "shared/redis/registry_sends.h"

#define RESTATE_MS    300000
#define RESTATE_SENDS 4096
#define RESTATE_DRAWS 4096

struct restate;

struct restate *restate_create(void);
/* The calls under way must have been answered, or their link closed. */
void restate_destroy(struct restate *r);

/* A send was claimed, to be said as `shard` in wait_ms. Entry and channel in the registry's
 * words. */
void restate_claimed(struct restate *r, const char *entry, const char *channel, const char *id,
                     const char *shard, uint64_t wait_ms);
/* The claim was taken back, or there is none: it was surely not written. */
void restate_unclaimed(struct restate *r, const char *entry, const char *channel);
/* It has its result; the registry was not told yet, or has it. Unknown entries: nothing. */
void restate_settled(struct restate *r, const char *entry, const struct send_outcome *outcome);
/* Of a text that is split, so many parts were said ("1/3"); it is claimed still. */
void restate_part(struct restate *r, const char *entry, const char *parts);
void restate_told(struct restate *r, const char *entry);
/* The lease is lost: nobody will know what became of what is under way. */
void restate_lost(struct restate *r);
/* A slot of the user's budget ("login" or "join", a literal) was drawn, that may be used in
 * wait_ms. */
void restate_drew(struct restate *r, const char *user, const char *kind, uint64_t wait_ms);

/* Tell all of it, and how far back the registry went (0: it did not). Nothing while that is under
 * way; where it fails, the registry asks again. */
void restate_tell(struct restate *r, struct registry *registry, const char *node,
                  const char *incarnation, uint64_t back_ms);

#endif
