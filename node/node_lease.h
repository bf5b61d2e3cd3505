/* Lease: this node's right to act, registered and renewed on its fan-out link.
 *
 *   link up -> greet (CLIENT ID, run id) -> kill the former link -> register, or renew -> current
 *
 * Registering: a node id that another live process holds is refused, with its host and pid; it is
 * taken over where the holder's link is gone, or where it misses two renewals (its link is killed
 * first). Renewing: as shared/lease.h has it, and sooner on node_lease_renew_soon. Each answer
 * carries the registry's picture, as far as it changed; every compare_ms all of it, so that no
 * difference stays for ever: of more than 1,000 rows (a channel, a tenth of a shard) more rarely,
 * in proportion.
 *
 * Failure modes: the link fails: the lease runs on, the deadline decides; the deadline passes, or
 * the loop is late: on_fenced, once, until the next answer; Redis says LOST: on_lost, a new
 * incarnation, and it registers anew.
 *
 * Owns the fan-out link and its registry. Loop thread only. */
#ifndef SHOAL_NODE_NODE_LEASE_H
#define SHOAL_NODE_NODE_LEASE_H

#include "shared/buf.h"
#include "shared/lease.h"
#include "shared/redis/registry.h"

struct node_lease;

struct node_lease_options {
    uv_loop_t *loop;
    struct link_options link; /* url, tls_ca, name; callbacks are set here */
    const char *cluster;
    const char *node;
    uint64_t capacity;
    const char *users; /* "a,b" */
    /* How it is when it registers: "active", "blind" or "proving". */
    const char *(*state)(void *ctx);
    /* Append the report of the next renewal (JSON object), or nothing. And report_quiet_ms. */
    uint64_t (*report)(void *ctx, struct buf *out);
    /* Registered or renewed. `new_link`: the first time on this connection: fan-out may flow on it
     * from picture->seq + 1. */
    void (*on_current)(void *ctx, const struct registry_picture *picture, bool new_link);
    /* A renewal was answered, and what it reported has arrived; or it must be told again. */
    void (*on_reported)(void *ctx, bool arrived);
    void (*on_fenced)(void *ctx,
                      const char *why); /* from the loop, never from within node_lease_holds */
    /* `emptied`: as all of the registry is gone, so that nobody else takes over what was held. */
    void (*on_lost)(void *ctx, const char *why, bool emptied);
    void (*on_link_down)(void *ctx, const struct err *why);
    /* Redis serves: it was greeted and answers calls of its functions, even if only that they are
     * not loaded yet. */
    void (*on_usable)(void *ctx);
    /* The node id is another process's: nothing more is tried. */
    void (*on_refused)(void *ctx, const struct err *why);
    void *ctx;
};

/* Begins to connect. */
struct node_lease *node_lease_create(const struct node_lease_options *options);
/* Lets go of everything; on_closed comes from the loop, then the memory is gone. */
void node_lease_close(struct node_lease *l, void (*on_closed)(void *ctx), void *ctx);
enum lease_state node_lease_state(const struct node_lease *l);
/* May this node act now? Reads the clock each time. */
bool node_lease_holds(struct node_lease *l);
/* What was left of the lease, by its own deadline, when the last renewal was answered; 0: it is not
 * held. */
uint64_t node_lease_margin_ms(const struct node_lease *l);
/* Does Redis answer: is the link up, and was the last renewal answered within a lease? */
bool node_lease_is_answered(const struct node_lease *l);
/* Renew within some milliseconds instead of at the next turn. */
void node_lease_renew_soon(struct node_lease *l);
/* The users this node has tokens for changed (SIGHUP); told when it registers next, and sooner
 * where the report names them. */
void node_lease_set_users(struct node_lease *l, const char *users);
/* Leave in order: `cb` when the registry has placed the shards elsewhere, or could not be told. No
 * renewals any more. `said`: see registry_leave. */
void node_lease_leave(struct node_lease *l, bool said, registry_done_cb cb, void *ctx);
/* The registry on the fan-out link. */
struct registry *node_lease_registry(const struct node_lease *l);
/* What Redis's clock shows now, as far as its answers told; 0: not known yet. A report says with it
 * when it was written, since a Redis that stands still reads it late. */
struct wall node_lease_redis_now(const struct node_lease *l);
/* The incarnation in force; the pointer stays, what it points to changes with each loss. */
const char *node_lease_incarnation(const struct node_lease *l);
uint64_t node_lease_ms(const struct node_lease *l);

#endif
