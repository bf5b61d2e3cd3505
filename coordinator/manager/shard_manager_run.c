/* Shard manager: shards that are started and stopped. */
#include "coordinator/manager/manager_errand.h"

#include <stdlib.h>
#include <string.h>

/* One shard of an errand. */
struct run_step {
    struct errand *errand;
    char id[];
};

static void on_run(void *ctx, const struct registry_outcome *outcome, const struct err *err)
{
    struct run_step *step = ctx;
    struct errand *e = step->errand;

    if (errand_stepped(e, "shard", err)) {
        struct shard *s = cluster_view_shard(e->manager->options.view, step->id);
        bool is_so = e->shard == NULL && s != NULL && s->run == e->to; /* to all it is no error */
        if (!outcome->ok && !is_so) {
            errand_note(e, xstrdup(outcome->error != NULL ? outcome->error : "refused"));
        } else if (outcome->ok && s != NULL) {
            s->run = e->to;
            s->ready = s->ready && e->to == SHARD_STARTED;
            s->connected = true; /* until its node says that it is closed */
        }
    }
    free(step);
    errand_settle(e);
}

static void run_step(struct errand *e, const char *id)
{
    const struct slice args[] = {slice_of(id)};
    size_t len = strlen(id) + 1;
    struct run_step *step = xmalloc(sizeof(*step) + len);
    const char *name = e->to == SHARD_STARTED ? "shard_start" : "shard_stop";

    step->errand = e;
    memcpy(step->id, id, len);
    int failed = leader_do(e->manager->options.leader, name, args, ARRAY_LEN(args), on_run, step);
    errand_step(e, failed);
    if (failed) {
        free(step);
    }
}

static void run_all(struct errand *e)
{
    const struct cluster_view *view = e->manager->options.view;

    for (const struct shard *s = cluster_view_shards(view); s != NULL; s = s->hh.next) {
        if ((s->run == SHARD_STARTED) != (e->to == SHARD_STARTED)) {
            run_step(e, s->id);
        }
    }
    errand_settle(e);
}

/* `shard` NULL: all of them, and who asks for all means those there are now, which the view may not
 * know yet. */
static void begin(struct shard_manager *m, const char *shard, enum shard_run to,
                  enum errand_wait wait, shard_cb cb, void *ctx)
{
    struct errand *e = errand_create(m, shard, cb, ctx);

    e->to = to;
    e->wait = wait;
    if (!errand_may_act(e)) {
        return;
    }
    if (shard != NULL) {
        run_step(e, shard);
        errand_settle(e);
    } else {
        errand_await_view(e, to != SHARD_NEW ? run_all : NULL);
    }
}

void shard_start(struct shard *s, bool wait, shard_cb cb, void *ctx)
{
    begin(s->manager, s->id, SHARD_STARTED, wait ? WAIT_EXIT : WAIT_NOT, cb, ctx);
}

void shard_stop(struct shard *s, shard_cb cb, void *ctx)
{
    begin(s->manager, s->id, SHARD_STOPPED, WAIT_EXIT, cb, ctx);
}

void shard_manager_start_all_shards(struct shard_manager *m, shard_cb cb, void *ctx)
{
    begin(m, NULL, SHARD_STARTED, WAIT_NOT, cb, ctx);
}

void shard_manager_stop_all_shards(struct shard_manager *m, shard_cb cb, void *ctx)
{
    begin(m, NULL, SHARD_STOPPED, WAIT_STOPPED, cb, ctx);
}

void shard_manager_wait_until_exit(struct shard_manager *m, shard_cb cb, void *ctx)
{
    begin(m, NULL, SHARD_NEW, WAIT_EXIT, cb, ctx);
}
