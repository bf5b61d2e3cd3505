/* Manager: calls of the table, with their deadlines.
 *
 * A call is known by its number alone, so completing one twice, or after it was given up, finds
 * nothing. All calls have the same time, so the oldest is due first; `start` has none. */
#include "coordinator/manager/manager_private.h"

#include "shared/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

static const char *const op_names[] = {"setup", "assign_shard", "get_sender_shard", "start",
                                       "stop"};

static void on_deadline(uv_timer_t *timer);

/* The next call to give up; `start` never is given up. */
static struct manager_call *next_late(const struct shard_manager *m)
{
    struct manager_call *c = m->oldest;

    while (c != NULL && c->op == MANAGER_START) {
        c = c->next;
    }
    return c;
}

static void plan_deadline(struct shard_manager *m)
{
    const struct manager_call *c = next_late(m);
    uint64_t now = mono_ms();

    if (c == NULL) {
        uv_timer_stop(&m->deadline);
        return;
    }
    uv_update_time(m->options.loop);
    uv_timer_start(&m->deadline, on_deadline, c->deadline_ms > now ? c->deadline_ms - now : 0, 0);
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

static void call_end(struct shard_manager *m, struct manager_call *c, enum manager_answer_kind kind,
                     const char *text)
{
    HASH_DEL(m->calls, c);
    DL_DELETE(m->oldest, c);
    struct manager_answer answer = {kind, text};
    c->cb(c->ctx, &answer);
    free(c->channel);
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
    const struct shard_manager_options options = {m->options.nkwargs, m->options.kwargs};
    char name[IRC_CHANNEL_CHARS] = ""; /* completing the call may free the caller's */

    if (channel != NULL) {
        snprintf(name, sizeof(name), "%s", channel);
    }
    switch (op) {
    case MANAGER_SETUP:
        ops->setup(m->self, &options, id);
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
    c->channel = channel != NULL ? xstrdup(channel) : NULL;
    c->is_initial = is_initial;
    c->deadline_ms = mono_ms() + m->options.timeout_ms;
    c->cb = cb;
    c->ctx = ctx;
    HASH_ADD(hh, m->calls, id, sizeof(c->id), c);
    DL_APPEND(m->oldest, c);
    m->passes = m->passes && op != MANAGER_SETUP;
    call_table(m, op, channel, is_initial, id);
    if (m->oldest != NULL && !uv_is_active((uv_handle_t *)&m->deadline)) {
        plan_deadline(m);
    }
}

/* The kind of answer does not fit the question. */
static void call_misfit(struct shard_manager *m, struct manager_call *c, const char *with)
{
    char text[200];

    snprintf(text, sizeof(text), "The shard manager answered %s with %s.", op_names[c->op], with);
    call_end(m, c, MANAGER_FAILED, text);
}

void shard_call_done(struct shard_manager *m, shard_call call)
{
    struct manager_call *c = call_find(m, call);

    if (c == NULL) {
        return;
    }
    if (c->op == MANAGER_SENDER || (c->op == MANAGER_ASSIGN && !c->is_initial)) {
        call_misfit(m, c, "no shard");
    } else {
        call_end(m, c, MANAGER_DONE, "");
    }
}

void shard_call_fail(struct shard_manager *m, shard_call call, const char *error)
{
    struct manager_call *c = call_find(m, call);

    if (c != NULL) {
        char *text =
            xstrdup(error != NULL && error[0] ? error : "The shard manager gives no reason.");
        call_end(m, c, MANAGER_FAILED, text);
        free(text);
    }
}

void shard_call_shard(struct shard_manager *m, shard_call call, const struct shard *shard)
{
    struct manager_call *c = call_find(m, call);

    if (c == NULL) {
        return;
    }
    if (c->op != MANAGER_ASSIGN && c->op != MANAGER_SENDER) {
        call_misfit(m, c, "a shard");
    } else if (shard == NULL) {
        call_misfit(m, c, "a shard that does not exist");
    } else {
        char *id = xstrdup(shard->id);
        call_end(m, c, MANAGER_SHARD, id);
        free(id);
    }
}

void shard_call_least_loaded(struct shard_manager *m, shard_call call, const char *user)
{
    struct manager_call *c = call_find(m, call);

    if (c == NULL) {
        return;
    }
    if (c->op != MANAGER_ASSIGN) {
        call_misfit(m, c, "the least-loaded shard");
    } else {
        char *text = xstrdup(user != NULL ? user : "");
        call_end(m, c, MANAGER_LEAST_LOADED, text);
        free(text);
    }
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
    while (m->oldest != NULL) {
        call_end(m, m->oldest, MANAGER_OUT, MANAGER_OUT_TEXT);
    }
    plan_deadline(m);
}
