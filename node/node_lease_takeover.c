/* Lease, another's node id: is the process that holds it gone, does it fall behind, or is it simply
 * alive? */
#include "node/node_lease_private.h"

#include "shared/log.h"

static void refused(struct node_lease *l, const struct registry_holder *holder)
{
    struct err err = {0};

    err_set(&err, ERR_REFUSED,
            "node id %s is held by a live process on host %.*s, pid %.*s; stop that one or choose "
            "another --node-id",
            l->options.node, (int)holder->host.len, holder->host.ptr, (int)holder->pid.len,
            holder->pid.ptr);
    node_lease_give_up(l, &err);
}

/* Registering is tried again soon where there is a link to take over from, else at the next
 * turn. */
static void take_over(struct node_lease *l, uint64_t link_id)
{
    l->takeover = link_id;
    if (link_id != 0) {
        node_lease_renew_soon(l);
    }
    node_lease_answered(l);
}

static void on_alive(void *ctx, bool yes, const struct err *err)
{
    struct node_lease *l = ctx;

    take_over(l, err == NULL && !yes ? l->takeover : 0);
}

static void on_killed(void *ctx, const struct err *err)
{
    on_alive(ctx, false, err);
}

void node_lease_id_taken(struct node_lease *l, const struct registry_holder *holder)
{
    uint64_t now = mono_ms();

    if (l->taken_since_ms == 0) {
        log_info("lease", "lease.held", "node", l->options.node, "host", log_slice(holder->host),
                 "pid", log_slice(holder->pid), NULL);
    }
    /* What remains says how late the holder is only under the lease it renewed with: where the
     * setting has changed meanwhile, watching begins anew. */
    bool steady = l->taken_since_ms != 0 && l->taken_lease_ms == holder->lease_ms &&
                  holder->remaining_ms <= (int64_t)holder->lease_ms;
    if (!steady) {
        l->taken_since_ms = now;
        l->taken_lease_ms = holder->lease_ms;
    }
    if (!slice_is(holder->run_id, l->greeting.run_id)) {
        /* Another server's client: gone for certain, and its id may be somebody else's here. The
         * holder has the lease to come back in. */
        take_over(l, holder->remaining_ms < 0 ? holder->link_id : 0);
        return;
    }
    l->takeover = holder->link_id;
    if (steady && lease_is_behind(holder->lease_ms, holder->remaining_ms)) {
        if (registry_kill_link(l->registry, holder->link_id, on_killed, l) == 0) {
            return;
        }
    } else if (now - l->taken_since_ms > holder->lease_ms) {
        refused(l, holder);
        return;
    } else if (registry_link_alive(l->registry, holder->link_id, on_alive, l) == 0) {
        return;
    }
    take_over(l, 0);
}
