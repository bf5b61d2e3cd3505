/* Manager run: what was asked for last, and whether it went wrong. */
#include "coordinator/manager/manager_run.h"

#include "shared/log.h"

#include <stdlib.h>

#define RETRY_MS 5000

struct manager_run {
    struct shard_manager *manager;
    enum manager_op asked; /* MANAGER_START or MANAGER_STOP; MANAGER_OPS: nothing yet */
    uint64_t retry_ms;     /* it failed, and is asked for again then; UINT64_MAX: it did not */
};

struct manager_run *manager_run_create(struct shard_manager *m)
{
    struct manager_run *r = xcalloc(1, sizeof(*r));
    r->manager = m;
    manager_run_begin(r);
    return r;
}

void manager_run_begin(struct manager_run *r)
{
    r->asked = MANAGER_OPS;
    r->retry_ms = UINT64_MAX;
}

/* What became of `op`, which may have been overtaken by the other one. */
static void on_answer(struct manager_run *r, enum manager_op op, enum manager_answer answer,
                      const char *text)
{
    const char *what = op == MANAGER_START ? "start" : "stop";

    if (answer == MANAGER_OUT) {
        return;
    }
    if (answer == MANAGER_DONE) {
        log_info("manager", op == MANAGER_START ? "manager.exited" : "manager.stopped", "manager",
                 manager_name(r->manager), NULL);
        return;
    }
    if (answer != MANAGER_LATE) {
        cluster_error(shard_manager_client(r->manager), what, NULL, text);
    }
    if (r->asked == op) {
        r->retry_ms = mono_ms() + RETRY_MS;
    }
}

static void on_start(void *ctx, enum manager_answer answer, const char *text)
{
    on_answer(ctx, MANAGER_START, answer, text);
}

static void on_stop(void *ctx, enum manager_answer answer, const char *text)
{
    on_answer(ctx, MANAGER_STOP, answer, text);
}

void manager_run_on_facts(struct manager_run *r, const struct registry_lead *facts)
{
    enum manager_op wanted = facts->stopped ? MANAGER_STOP : MANAGER_START;

    if (!facts->setup_done) {
        r->asked = MANAGER_OPS; /* a cluster that lost its state begins anew */
        return;
    }
    if (!cluster_view_is_whole(manager_view(r->manager)) ||
        (r->asked == wanted && mono_ms() < r->retry_ms)) {
        return;
    }
    r->asked = wanted;
    r->retry_ms = UINT64_MAX;
    log_info("manager", wanted == MANAGER_START ? "manager.starting" : "manager.stopping",
             "manager", manager_name(r->manager), NULL);
    manager_ask(r->manager, wanted, "", false, wanted == MANAGER_START ? on_start : on_stop, r);
}

void manager_run_destroy(struct manager_run *r)
{
    free(r);
}
