/* Machine: states, and which may follow which, for everything that has any.
 *
 *     static const struct machine_state states[] = {
 *         [DOOR_OPEN] = {"open", MACHINE_BIT(DOOR_SHUT)},
 *         [DOOR_SHUT] = {"shut", MACHINE_BIT(DOOR_OPEN) | MACHINE_BIT(DOOR_LOCKED)},
 *         [DOOR_LOCKED] = {"locked", MACHINE_BIT(DOOR_SHUT)},
 *     };
 *     static const struct machine_type machine = {"door", states, ARRAY_LEN(states), id, check};
 *
 * The owner keeps a struct machine, reads its `state`, and changes it with machine_move alone. A
 * move that the table does not have is a bug, and so is an owner whose fields do not fit the state
 * it has moved to. Each move is told at log level debug, as "machine.move" of the machine. */
#ifndef SHOAL_MACHINE_H
#define SHOAL_MACHINE_H

#include "shared/base.h"

/* A state's place in a set of states. */
#define MACHINE_BIT(state) (UINT32_C(1) << (state))

struct machine_state {
    const char *name; /* as people read it; stable where the registry or a log tells it */
    uint32_t next;    /* the states that may follow: MACHINE_BITs */
};

struct machine_type {
    const char *name; /* NULL: it moves with each line of chat, which is not for the log */
    const struct machine_state *states; /* by number */
    unsigned count;                     /* of states, 32 at most */
    /* Which one this is, for the log. NULL: there is but one. */
    const char *(*id)(const void *owner);
    /* Abort (BUG_ON) where the owner's fields do not fit its state. Called after each move: set the
     * fields first. NULL: no field depends on the state. */
    void (*check)(const void *owner);
};

struct machine {
    const struct machine_type *type; /* (borrowed) */
    unsigned state;                  /* read it; machine_move changes it */
};

/* The first state. Nothing is checked: the owner is not complete yet. */
void machine_begin(struct machine *m, const struct machine_type *type, unsigned state);
/* Move on. `owner` is what `id` and `check` of the type are called with. */
void machine_move(struct machine *m, unsigned to, const void *owner);
/* May `to` follow now? */
bool machine_may(const struct machine *m, unsigned to);
/* The name of the state it is in. */
const char *machine_state_name(const struct machine *m);

#endif
