/* Node, sends: over a connection or by Helix, as their account has it; and what Helix needs of the
 * node. */
#include "node/node_private.h"

static bool account(void *ctx, struct slice user, enum registry_say_by say_by,
                    struct helix_account *out)
{
    const struct node *n = ctx;

    return node_accounts_find(n, user, say_by, out);
}

static bool may_say(void *ctx, const char *entry)
{
    struct node *n = ctx;

    return sender_may_leave(n->sender, entry);
}

static void on_result(void *ctx, const char *entry, const struct send_outcome *outcome)
{
    struct node *n = ctx;

    sender_on_result(n->sender, entry, outcome);
}

static void on_unsaid(void *ctx, const char *entry)
{
    struct node *n = ctx;

    sender_on_unsaid(n->sender, entry);
}

static void on_refused(void *ctx, const char *login)
{
    struct node *n = ctx;

    (void)node_accounts_refused(n, slice_of(login));
}

static void on_room_id(void *ctx, const char *channel, const char *room_id)
{
    const struct node *n = ctx;

    if (registry_keep_room_id(n->control_registry, n->options.id, node_lease_incarnation(n->lease),
                              slice_of(channel), slice_of(room_id), NULL, NULL) != 0) {
        return; /* the link is down: the next send there asks again */
    }
}

void node_begin_helix(struct node *n)
{
    const struct helix_options helix = {.loop = n->loop,
                                        .api_url = n->options.twitch_api_url,
                                        .tls_ca = n->options.twitch_tls_ca,
                                        .proxy = n->options.http_proxy,
                                        .account = account,
                                        .may_say = may_say,
                                        .on_result = on_result,
                                        .on_unsaid = on_unsaid,
                                        .on_refused = on_refused,
                                        .on_room_id = on_room_id,
                                        .ctx = n};

    n->helix = helix_create(&helix);
}

bool node_can_send(void *ctx, struct slice shard)
{
    struct node *n = ctx;
    const struct held *held = held_find(n->holder, shard);

    if (held == NULL) {
        return false;
    }
    enum registry_say_by say_by = node_accounts_say_by(n, slice_of(held->user));
    if (say_by == SAY_BY_IRC) {
        return holder_can_send(n->holder, shard);
    }
    /* Its connection may be as it is; but who leaves, or was told to stop, begins nothing. */
    return n->state.state == NODE_ACTIVE && held->run == SHARD_STARTED &&
           helix_can_say(n->helix, slice_of(held->user), say_by);
}

int node_write_send(void *ctx, const struct registry_route *route, const struct registry_send *send,
                    const char *entry, struct err *err)
{
    struct node *n = ctx;

    /* Without keys it has no token but those of a file, for connections. */
    bool by_irc = route->say_by == SAY_BY_IRC || n->options.account_keys == NULL;

    return by_irc ? holder_send(n->holder, route->shard, send, entry, err)
                  : helix_say(n->helix, route, send, entry, err);
}
