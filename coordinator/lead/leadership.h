/* Leadership: whether this coordinator leads, decided from what Redis answered and when it was asked.
 *
 *     standby --answer "leading"--> leading
 *     leading --answer "standby", DEPOSED, or the own deadline passed--> standby
 *
 * A leader's own deadline is the time at which the renewal was *sent* plus 0.9 of the lease, so that it
 * stops acting before Redis lets another one take over, however late the answer came. Past it this
 * process is a standby that does not know yet who leads; the next answer tells.
 * Pure: no clock, no link. Times are mono_ms. Loop thread only. */
#ifndef SHOAL_COORDINATOR_LEADERSHIP_H
#define SHOAL_COORDINATOR_LEADERSHIP_H

#include "shared/base.h"

enum leadership_state { LEADERSHIP_STANDBY, LEADERSHIP_LEADING };

/* What an input changed. */
enum leadership_change {
    LEADERSHIP_SAME,
    LEADERSHIP_WON, /* standby -> leading */
    LEADERSHIP_OUT, /* leading -> standby */
};

struct leadership {
    enum leadership_state state;
    char token[24];       /* of the last "leading" answer; empty before the first */
    uint64_t deadline_ms; /* leading: acts on nothing from then on */
    uint64_t next_ms;     /* when to ask again */
    uint64_t lease_guess; /* standby: the longest remaining time seen lately, about one lease */
};

/* A standby that asks at once. */
void leadership_init(struct leadership *l, uint64_t now);
/* Redis answered "leading" to the question sent at `sent`. An answer so late that the deadline has
 * passed already leaves a standby. */
MUST_USE enum leadership_change leadership_on_leading(struct leadership *l, uint64_t sent,
                                                      uint64_t now, uint64_t lease_ms,
                                                      struct slice token);
/* Redis answered that another one leads, for `remaining_ms` more unless it renews. */
MUST_USE enum leadership_change leadership_on_standby(struct leadership *l, uint64_t now,
                                                      uint64_t remaining_ms);
/* A step was refused: another one leads. Asks again at once. */
MUST_USE enum leadership_change leadership_on_deposed(struct leadership *l, uint64_t now);
/* Time passed: OUT once the own deadline is reached. */
MUST_USE enum leadership_change leadership_on_time(struct leadership *l, uint64_t now);
/* The question failed: ask again in `retry_ms`. */
void leadership_on_failure(struct leadership *l, uint64_t now, uint64_t retry_ms);
/* Ask at `when` if that is sooner than planned. */
void leadership_ask_at(struct leadership *l, uint64_t when);
/* May it act now? */
bool leadership_may_act(const struct leadership *l, uint64_t now);

#endif
