/* Errand: its steps are counted, its end is told from the loop. */
#include "coordinator/manager/manager_errand.h"

#include <stdlib.h>
#include <utlist.h>

#define NOT_LEADING "This coordinator does not lead."
#define LINK_DOWN   "The link to Redis is down."

void errand_finish(struct errand *e)
{
    free(e->shard);
    free(e->text);
}

static void tell_done(struct owed *o, bool silently)
{
    struct errand *e = (struct errand *)o;

    if (!silently) {
        e->cb(e->ctx, e->text);
    }
    errand_finish(e);
    free(e);
}

void errand_begin(struct errand *e, struct shard_manager *m, const char *shard,
                  void (*tell)(struct owed *o, bool silently))
{
    e->owed.tell = tell;
    e->manager = m;
    e->shard = shard != NULL ? xstrdup(shard) : NULL;
}

struct errand *errand_create(struct shard_manager *m, const char *shard, shard_cb cb, void *ctx)
{
    struct errand *e = xcalloc(1, sizeof(*e));

    errand_begin(e, m, shard, tell_done);
    e->cb = cb;
    e->ctx = ctx;
    return e;
}

void errand_note(struct errand *e, char *error)
{
    if (e->text == NULL) {
        e->text = error;
    } else {
        free(error);
    }
}

bool errand_may_act(struct errand *e)
{
    if (leader_may_act(e->manager->options.leader)) {
        return true;
    }
    e->manager->passes = true;
    errand_note(e, xstrdup(NOT_LEADING));
    owed_due(e->manager, &e->owed);
    return false;
}

void errand_step(struct errand *e, int failed)
{
    if (failed != 0) {
        e->manager->passes = true;
        errand_note(e, xstrdup(LINK_DOWN));
    } else {
        e->pending++;
        e->manager->steps++;
    }
}

bool errand_stepped(struct errand *e, const char *step, const struct err *err)
{
    e->pending--;
    e->manager->steps--;
    if (!leader_stepped(e->manager->options.leader, step, err)) {
        e->manager->passes = true;
        errand_note(e, xstrdup(err->text));
        return false;
    }
    return true;
}

/* Waiting -------------------------------------------------------------------------------------- */

static bool has_exited(const struct shard *s)
{
    return s == NULL || (s->run == SHARD_STOPPED && !s->connected);
}

static bool is_over(const struct errand *e)
{
    const struct cluster_view *v = e->manager->options.view;

    if (e->shard != NULL) {
        return has_exited(cluster_view_shard(v, e->shard));
    }
    for (const struct shard *s = cluster_view_shards(v); s != NULL; s = s->hh.next) {
        bool waited_for = e->wait == WAIT_EXIT || s->run == SHARD_STOPPED;
        if (waited_for && !has_exited(s)) {
            return false;
        }
    }
    return true;
}

void errand_await_view(struct errand *e, void (*on_round)(struct errand *e))
{
    e->on_round = on_round;
    e->round = cluster_view_refresh(e->manager->options.view);
    DL_APPEND(e->manager->waits, e);
}

void errand_settle(struct errand *e)
{
    if (e->pending > 0) {
        return;
    }
    if (e->text != NULL || e->wait == WAIT_NOT) {
        owed_due(e->manager, &e->owed);
    } else {
        errand_await_view(e, NULL);
    }
}

void manager_on_view(struct shard_manager *m)
{
    struct errand *e;
    struct errand *tmp;

    DL_FOREACH_SAFE(m->waits, e, tmp)
    {
        if (cluster_view_round(m->options.view) < e->round) {
            continue;
        }
        e->round = 0;
        if (e->on_round != NULL) {
            DL_DELETE(m->waits, e);
            e->on_round(e);
        } else if (is_over(e)) {
            DL_DELETE(m->waits, e);
            owed_due(e->manager, &e->owed);
        }
    }
}

void errands_out(struct shard_manager *m)
{
    while (m->waits != NULL) {
        struct errand *e = m->waits;
        DL_DELETE(m->waits, e);
        errand_note(e, xstrdup(MANAGER_OUT_TEXT));
        owed_due(e->manager, &e->owed);
    }
}
