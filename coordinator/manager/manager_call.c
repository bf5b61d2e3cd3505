/* Manager: calls of the table, with their deadlines.
 *
 * A call is known by its number alone, so completing one twice, or after it was given up, finds
 * nothing. All calls have the same time, so the oldest is due first; `start` has none. */
#include "coordinator/manager/manager_private.h"

#include "shared/log.h"
#include "shared/loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const op_names[] = {"setup", "assign_shard", "get_sender_shard", "start",
                                       "stop"};

static void on_deadline(uv_timer_t *timer);

/* The next call to give up; `start` never is given up. */
static struct manager_call *next_late(const struct shard_manager *m)
{
    struct manager_call *c = m->calls;

    while (c != NULL && c->op == MANAGER_START) {
        c = c->hh.next;
    }
    return c;
}

static void plan_deadline(struct shard_manager *m)
{
    const struct manager_call *c = next_late(m);

    if (c != NULL) {
        loop_timer_at(&m->deadline, on_deadline, c->deadline_ms);
    } else {
        uv_timer_stop(&m->deadline);
    }
}

static struct manager_call *call_find(struct shard_manager *m, shard_call id)
{
    struct manager_call *c;

    HASH_FIND(hh, m->calls, &id, sizeof(id), c);
    if (c == NULL) {
        log_debug("manager", "manager.late", "manager", m->options.ops->name, "call", log_u64(id),
                  "why", "it was completed before, or given up", NULL);
    }
    return c;
}

static void call_end(struct shard_manager *m, struct manager_call *c, enum manager_answer answer,
                     const char *text)
{
    HASH_DEL(m->calls, c);
    c->cb(c->ctx, answer, text);
    free(c);
}

static void on_deadline(uv_timer_t *timer)
{
    struct shard_manager *m = timer->data;
    uint64_t now = mono_ms();
    struct manager_call *c;
    enum manager_op told = MANAGER_OPS;

    while ((c = next_late(m)) != NULL && c->deadline_ms <= now) {
        char text[200];
        snprintf(text, sizeof(text), "The shard manager did not answer %s within %llu ms.",
                 op_names[c->op], (unsigned long long)m->options.timeout_ms);
        if (c->op != told) { /* one event for many channels */
            told = c->op;
            cluster_error(&m->client, op_names[c->op], c->channel, text);
        }
        call_end(m, c, MANAGER_LATE, text);
    }
    plan_deadline(m);
}

static void call_table(struct shard_manager *m, enum manager_op op, const char *channel,
                       bool is_initial, shard_call id)
{
    const struct shard_manager_ops *ops = m->options.ops;
    char name[IRC_CHANNEL_CHARS]; /* completing the call may free the caller's */

    snprintf(name, sizeof(name), "%s", channel);
    switch (op) {
    case MANAGER_SETUP:
        ops->setup(m->self, &m->options.kwargs, id);
        break;
    case MANAGER_ASSIGN:
        ops->assign_shard(m->self, name, is_initial, id);
        break;
    case MANAGER_SENDER:
        ops->get_sender_shard(m->self, name, id);
        break;
    case MANAGER_START:
        ops->start(m->self, id);
        break;
    case MANAGER_STOP:
        ops->stop(m->self, id);
        break;
    case MANAGER_OPS:
        break;
    }
}

void manager_ask(struct shard_manager *m, enum manager_op op, const char *channel, bool is_initial,
                 manager_answer_cb cb, void *ctx)
{
    struct manager_call *c = xcalloc(1, sizeof(*c));
    shard_call id = ++m->last_call;

    c->id = id;
    c->op = op;
    snprintf(c->channel, sizeof(c->channel), "%s", channel);
    c->is_initial = is_initial;
    c->deadline_ms = mono_ms() + m->options.timeout_ms;
    c->cb = cb;
    c->ctx = ctx;
    HASH_ADD(hh, m->calls, id, sizeof(c->id), c);
    m->passes = m->passes && op != MANAGER_SETUP;
    call_table(m, op, channel, is_initial, id);
    if (m->calls != NULL && !uv_is_active((uv_handle_t *)&m->deadline)) {
        plan_deadline(m);
    }
}

/* Does the kind of answer fit the question? */
static bool is_fit(const struct manager_call *c, enum manager_answer answer)
{
    switch (answer) {
    case MANAGER_DONE:
        return c->op != MANAGER_SENDER && (c->op != MANAGER_ASSIGN || c->is_initial);
    case MANAGER_SHARD:
        return c->op == MANAGER_ASSIGN || c->op == MANAGER_SENDER;
    case MANAGER_LEAST_LOADED:
        return c->op == MANAGER_ASSIGN;
    default:
        return true;
    }
}

/* `what` names an answer that may not fit; the text may go with the call. */
static void complete(struct shard_manager *m, shard_call call, enum manager_answer answer,
                     const char *what, const char *text)
{
    struct manager_call *c = call_find(m, call);

    if (c != NULL && is_fit(c, answer) && text != NULL) {
        char *own = xstrdup(text);
        call_end(m, c, answer, own);
        free(own);
    } else if (c != NULL) {
        char *misfit = xasprintf("The shard manager answered %s with %s.", op_names[c->op], what);
        call_end(m, c, MANAGER_FAILED, misfit);
        free(misfit);
    }
}

void shard_call_done(struct shard_manager *m, shard_call call)
{
    complete(m, call, MANAGER_DONE, "no shard", "");
}

void shard_call_fail(struct shard_manager *m, shard_call call, const char *error)
{
    complete(m, call, MANAGER_FAILED, NULL,
             error != NULL && error[0] ? error : "The shard manager gives no reason.");
}

void shard_call_shard(struct shard_manager *m, shard_call call, const struct shard *shard)
{
    complete(m, call, MANAGER_SHARD, shard != NULL ? "a shard" : "a shard that does not exist",
             shard != NULL ? shard->id : NULL);
}

void shard_call_least_loaded(struct shard_manager *m, shard_call call, const char *user)
{
    complete(m, call, MANAGER_LEAST_LOADED, "the least-loaded shard", user != NULL ? user : "");
}

struct call_ctx {
    struct shard_manager *manager;
    shard_call call;
};

void *shard_call_ctx(struct shard_manager *m, shard_call call)
{
    struct call_ctx *c = xmalloc(sizeof(*c));

    *c = (struct call_ctx){m, call};
    return c;
}

void shard_call_complete(void *ctx, const char *error)
{
    struct call_ctx c = *(struct call_ctx *)ctx;

    free(ctx);
    if (error != NULL) {
        shard_call_fail(c.manager, c.call, error);
    } else {
        shard_call_done(c.manager, c.call);
    }
}

void calls_out(struct shard_manager *m)
{
    while (m->calls != NULL) {
        call_end(m, m->calls, MANAGER_OUT, MANAGER_OUT_TEXT);
    }
    plan_deadline(m);
}
