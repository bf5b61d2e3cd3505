/* Leader: this process's part in who leads: one link, one lease, asked for again and again.
 *
 *   link up -> greet -> load the library -> lead, again and again -> facts -> the other rooms act
 *
 * Decides nothing by itself (shared/lease.h does) and acts on nothing: it hands facts on. Failure
 * modes: the link goes down (it comes back by itself, and all begins again with the greeting);
 * Redis refuses a step (emptied of its functions, a replica by now: greeted and loaded anew); the
 * answer comes too late (out of office at its own deadline); another one leads.
 * Owns the link and the registry the steps go through. Loop thread only. */
#ifndef SHOAL_COORDINATOR_LEADER_H
#define SHOAL_COORDINATOR_LEADER_H

#include "shared/redis/registry.h"

struct leader;

struct leader_options {
    uv_loop_t *loop;
    const struct url *url;
    struct link_group *group; /* of all links of this process; borrowed */
    const char *tls_ca;       /* or NULL */
    const char *cluster;      /* borrowed, as id is */
    const char *id;
    void (*on_ready)(void *ctx);                         /* connected, and steps are done */
    void (*on_failed)(void *ctx, const struct err *why); /* it is not, or not any more */
    void (*on_won)(void *ctx);                           /* leads from now on */
    void (*on_facts)(void *ctx, const struct registry_lead *facts); /* each "leading" answer */
    void (*on_out)(void *ctx);                                      /* leads no more */
    /* All, or a part, of the registry that this process knew is gone. In the one that is there now
     * it leads anew (on_out and on_won come next), or does not. */
    void (*on_registry_lost)(void *ctx);
    void *ctx;
};

/* Start connecting. */
struct leader *leader_create(const struct leader_options *options);
/* Resign if it leads (waiting a second for the answer at most), close, then on_closed from the
 * loop; it is valid until that returns. A second call, with the same arguments, does not wait. No
 * callback of the options after the first. */
void leader_stop(struct leader *l, void (*on_closed)(void *ctx), void *ctx);

/* A link to the same Redis, for `purpose`, with the registry on it: the caller's, who borrows what
 * the options of the leader have borrowed. */
struct registry *leader_connect(const struct leader *l, const char *purpose,
                                void (*on_up)(void *ctx),
                                void (*on_down)(void *ctx, const struct err *why), void *ctx);
/* The registry that steps go through; valid until on_closed. */
struct registry *leader_registry(const struct leader *l);
/* Who calls the steps. */
const struct registry_leader *leader_identity(const struct leader *l);
/* Does it lead, and is the own deadline ahead? Look before each step. */
bool leader_may_act(const struct leader *l);
/* How it stands, in one line into `out`. True: Redis answers, and it leads or stands by. */
bool leader_describe(const struct leader *l, char *out, size_t size);
/* Ask for new facts now, ahead of the next renewal. */
void leader_ask_now(struct leader *l);
/* The same in so many ms, where no renewal is due before. */
void leader_ask_in(struct leader *l, uint64_t ms);
/* A step that the leader takes by itself (registry_do). Not 0: it may not act, or the link is down,
 * and `cb` never comes. */
MUST_USE int leader_do(const struct leader *l, const char *step, const struct slice *args, size_t n,
                       registry_outcome_cb cb, void *ctx);
/* Every room hands what became of its steps here: a leader that was deposed is out of office at
 * once, and other failures are told in the log. False: it failed. */
bool leader_stepped(struct leader *l, const char *step, const struct err *err);
/* leader_do of a step that makes something known; what becomes of it is told in the log. */
void leader_tell(struct leader *l, const char *step, const struct slice *args, size_t n);

#endif
