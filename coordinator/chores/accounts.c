/* Accounts: which are due, and when they are looked at. */
#include "coordinator/chores/accounts_private.h"
#include "shared/log.h"

#include <stdlib.h>

#define KEEP_RETRY_MS 500 /* what Redis did not take */

void accounts_tell_idle(struct accounts *a)
{
    void (*on_idle)(void *ctx) = a->on_idle;

    if (a->looks == NULL && on_idle != NULL) {
        a->on_idle = NULL;
        on_idle(a->ctx);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct accounts *a = timer->data;
    struct accounts_look *l;
    struct accounts_look *tmp;

    DL_FOREACH_SAFE(a->looks, l, tmp)
    {
        if (l->machine.state == LOOK_UNKEPT) {
            accounts_look_keep(l);
        }
    }
}

void accounts_keep_soon(struct accounts *a)
{
    (void)uv_timer_start(&a->timer, on_timer, KEEP_RETRY_MS, 0);
}

static bool is_looked_at(const struct accounts *a, struct slice login)
{
    const struct accounts_look *l;

    DL_FOREACH(a->looks, l)
    {
        if (slice_is(login, l->login)) {
            return true;
        }
    }
    return false;
}

static void on_due(void *ctx, const struct registry_due_account *due, size_t n,
                   const struct err *err)
{
    struct accounts *a = ctx;

    a->asking = false;
    if (!leader_stepped(a->options.leader, "accounts_due", err) || a->stopping ||
        !leader_may_act(a->options.leader)) {
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (!is_looked_at(a, due[i].login)) {
            accounts_look_begin(a, &due[i]);
        }
    }
}

void accounts_on_facts(struct accounts *a, const struct registry_lead *facts)
{
    struct leader *leader = a->options.leader;

    if (facts->accounts_due && !a->asking && !a->stopping && leader_may_act(leader)) {
        a->asking =
            registry_due_accounts(leader_registry(leader), leader_identity(leader), on_due, a) == 0;
    }
}

/* What other keys seal ------------------------------------------------------------------------- */

static void look_for_stale(struct accounts *a, struct slice after);

static void on_looked(void *ctx, struct slice word, struct slice rest, const struct err *err)
{
    struct accounts *a = ctx;

    a->looking = false;
    if (!leader_stepped(a->options.leader, "accounts_look", err)) {
        return; /* whoever leads next looks */
    }
    if (slice_is(word, "more")) {
        look_for_stale(a, rest);
    } else {
        leader_ask_now(a->options.leader); /* some may be due */
    }
}

static void look_for_stale(struct accounts *a, struct slice after)
{
    struct leader *leader = a->options.leader;

    a->looking =
        registry_look_at_accounts(leader_registry(leader), leader_identity(leader),
                                  seal_key_name(a->options.keys), after, on_looked, a) == 0;
}

void accounts_begin(struct accounts *a)
{
    if (a->options.keys != NULL && !a->looking && !a->stopping &&
        leader_may_act(a->options.leader)) {
        look_for_stale(a, SLICE(""));
    }
}

struct accounts *accounts_create(const struct accounts_options *options)
{
    struct accounts *a = xcalloc(1, sizeof(*a));

    a->options = *options;
    (void)uv_timer_init(options->loop, &a->timer);
    a->timer.data = a;
    return a;
}

void accounts_stop(struct accounts *a, void (*on_idle)(void *ctx), void *ctx)
{
    a->stopping = true;
    a->on_idle = on_idle;
    a->ctx = ctx;
    accounts_tell_idle(a);
}

static void on_timer_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void accounts_destroy(struct accounts *a)
{
    struct accounts_look *l;
    struct accounts_look *tmp;

    a->on_idle = NULL;
    DL_FOREACH_SAFE(a->looks, l, tmp)
    {
        if (l->call != NULL) {
            twitch_cancel(l->call);
            l->call = NULL;
        }
        if (l->refreshed) {
            log_error("accounts", "account.tokens_lost", "account", l->login, "mend",
                      "Redis could not be told the new tokens: shoalctl account login", NULL);
        }
        accounts_look_end(l);
    }
    uv_close((uv_handle_t *)&a->timer, on_timer_closed);
}
