/* Sight: does this node see Twitch?
 *
 *     sees -> blind -> proving -> sees
 *             proving -> blind
 *
 * It sees until nothing has worked for blind_ms: no connection is ready, two tries at least have
 * failed, and the first of those was begun so long ago. That Twitch refuses a login is an answer:
 * it is seen. While it is blind a probe tries alone. What works then has to last (proving): as long
 * as blind_ms, and twice as long each time it was blind again soon after.
 *
 * Pure: facts and `now` (mono_ms) come in. Owned by the node. Loop thread only. */
#ifndef SHOAL_NODE_SIGHT_H
#define SHOAL_NODE_SIGHT_H

#include "shared/machine.h"

/* Their names are what the registry shows as the node's state: "active", "blind", "proving". */
enum sight_state { SIGHT_SEES, SIGHT_BLIND, SIGHT_PROVING };

struct sight {              /* to be read only */
    struct machine machine; /* enum sight_state */
    uint64_t seen_ms;       /* when Twitch was last heard of; 0: never */
    uint64_t failing_ms;    /* when the first try that failed since then was begun; 0: none did */
    unsigned failures;      /* since then */
    uint64_t since_ms;      /* the state */
    uint64_t proof_ms;      /* how long it has to prove itself */
    char why[200];          /* the last failure */
    enum sight_state told;  /* to the registry */
    bool given_away;        /* the registry may have it as blind */
};

/* A node that sees, as far as is known. */
void sight_init(struct sight *s);
/* Something was heard of Twitch: a login was answered, or a probe. */
void sight_saw(struct sight *s, uint64_t now_ms);
/* A try that was begun at `began_ms` has failed. */
void sight_missed(struct sight *s, uint64_t began_ms, const char *why, uint64_t now_ms);
/* What failed does not count (it did so while Redis was away as well). */
void sight_rest(struct sight *s);
/* What is true by now. `working`: a connection is ready. `blind_ms` 0: never blind. True: the
 * state is another. */
bool sight_look(struct sight *s, bool working, uint64_t blind_ms, uint64_t now_ms);
/* The name of its state, which is about to be told to the registry; and that has arrived. */
const char *sight_tell(struct sight *s);
void sight_told(struct sight *s);

#endif
