/* Lease: may a node or a leader act, and when does it ask Redis next? What Redis answered, and when
 * it was asked, decides.
 *
 *     a node:    unregistered -> current <-> fenced; both -> lost -> unregistered; any -> leaving
 *     a leader:  standby <-> leading; any -> leaving
 *     the link:  down -> up -> greeting -> ready <-> asking; these three -> up; any -> down
 *
 * These rules stand here alone:
 *
 * - A lease is renewed every quarter of it, and the first time a little sooner: see lease_meet.
 * - The holder's own deadline is the time at which the renewal was *sent* plus 0.9 of the lease. So
 *   it stops before Redis gives the lease to another one, however late the answer came.
 * - Past the deadline a node is fenced: it keeps what it holds and does nothing with it, and the
 *   next answer decides. A leader is a standby then: it keeps nothing.
 * - A node is fenced, too, where its loop is late by a third of the lease: the process or its
 *   machine stood still.
 * - A process that has the node id of another one is gone, as far as can be seen, where its renewal
 *   is late by half of the time between two: where less than five eighths of its lease remain.
 *
 * Pure: no clock and no link. Times are mono_ms. The owner tells what happens, and sets its timer
 * to lease_due_ms after each time. Embedded in its owner. */
#ifndef SHOAL_LEASE_H
#define SHOAL_LEASE_H

#include "shared/machine.h"

enum lease_state {
    LEASE_UNREGISTERED,
    LEASE_CURRENT,
    LEASE_FENCED,
    LEASE_LOST, /* while what was held is dropped */
    LEASE_STANDBY,
    LEASE_LEADING,
    LEASE_LEAVING, /* asks no more; a node acts up to its deadline */
};

/* How far the connection is on which Redis is asked. */
enum lease_link {
    LEASE_LINK_DOWN,
    LEASE_LINK_UP, /* the owner is about to greet, now or at its next turn */
    LEASE_LINK_GREETING,
    LEASE_LINK_READY,  /* may be asked */
    LEASE_LINK_ASKING, /* one question at a time */
};

/* What an input changed. */
enum lease_change {
    LEASE_SAME,
    LEASE_WON, /* acts from now on */
    LEASE_OUT, /* acts no more, or is registered too late to act */
};

struct lease {
    struct machine right; /* enum lease_state */
    struct machine link;  /* enum lease_link */
    const char *id;       /* whose it is, for the log; borrowed */
    uint64_t lease_ms;    /* as answered last, or what a standby takes it for; 0: not known */
    uint64_t sent_ms;     /* when the last question was sent */
    uint64_t deadline_ms; /* acts on nothing from then on; 0: it may not act */
    uint64_t next_ms;     /* when to ask next */
    uint64_t look_ms;     /* the loop comes by then */
};

/* `first`: LEASE_UNREGISTERED for a node, LEASE_STANDBY for a leader. Asks as soon as the link is
 * ready. */
void lease_begin(struct lease *l, enum lease_state first, const char *id, uint64_t now);
/* May it act now? */
bool lease_may_act(const struct lease *l, uint64_t now);
/* Does Redis know a node under this lease, as last heard? Then it is renewed, not registered. */
bool lease_is_held(const struct lease *l);

/* The link: it came to `to`, or is there already. A question that is answered leaves it ready. */
void lease_set_link(struct lease *l, enum lease_link to);
/* A question is sent now, or the next one of several that are one. */
void lease_asked(struct lease *l, uint64_t now);
/* Greeted, or asking? */
bool lease_is_ready(const struct lease *l);

/* Redis answered that the lease is held for `lease_ms` from when the question was sent. An answer
 * past the own deadline wins nothing; then it is asked anew at once. */
MUST_USE enum lease_change lease_on_granted(struct lease *l, uint64_t now, uint64_t lease_ms);
/* Granted: ask next when others do. That is a little sooner than planned, at one of three moments
 * of Redis's clock in a quarter of the lease. Redis, which sleeps between them, is woken once by
 * several of them: waking takes it longer than a renewal. `redis_ahead_ms`: Redis's clock less
 * mono_ms. */
void lease_meet(struct lease *l, int64_t redis_ahead_ms);
/* Redis answered that another one leads, for `remaining_ms` more unless it renews. */
MUST_USE enum lease_change lease_on_standby(struct lease *l, uint64_t now, uint64_t remaining_ms);
/* A step of a leader was refused: another one leads. Asks at once. */
MUST_USE enum lease_change lease_on_deposed(struct lease *l, uint64_t now);
/* Redis answered that a node's lease is gone. The owner drops what it held and begins anew, at
 * once. */
void lease_on_lost(struct lease *l);
void lease_begin_anew(struct lease *l, uint64_t now);
/* The question was not sent, or not answered as it should be: asked again after a while. */
void lease_on_failure(struct lease *l, uint64_t now);
/* Leave, and ask nothing more. `acts`: a node's orderly end, which acts up to its deadline. */
void lease_leave(struct lease *l, bool acts);

/* When the loop must come back at the latest. */
uint64_t lease_due_ms(const struct lease *l);
/* Is the loop late by a third of a lease? Look before lease_on_time. */
bool lease_is_late(const struct lease *l, uint64_t now);
/* The loop came: is the right over? */
MUST_USE enum lease_change lease_on_time(struct lease *l, uint64_t now);
/* Is it time to ask, on a link that is ready, or to greet, on one that is up? The turn after it is
 * a quarter later. */
MUST_USE bool lease_turn(struct lease *l, uint64_t now);
/* Ask at `when` if that is sooner than planned: true. */
bool lease_ask_at(struct lease *l, uint64_t when);

/* Has another one, of whose lease so much remains, missed two renewals? */
bool lease_is_behind(uint64_t lease_ms, int64_t remaining_ms);

#endif
