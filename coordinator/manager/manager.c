/* Manager: its life, and whom it calls back. */
#include "coordinator/manager/manager_private.h"

#include <stdlib.h>
#include <utlist.h>

#define END_TURNS 100 /* at the end a manager may ask for so much in answer to answers */

const char *manager_name(const struct shard_manager *m)
{
    return m->options.ops->name;
}

struct cluster_view *manager_view(const struct shard_manager *m)
{
    return m->options.view;
}

struct leader *manager_leader(const struct shard_manager *m)
{
    return m->options.leader;
}

/* Whom it calls back --------------------------------------------------------------------------- */

static void tell_due(struct shard_manager *m, bool silently)
{
    struct owed *due = m->due; /* what becomes due in here is for the next turn */

    m->due = NULL;
    while (due != NULL) {
        struct owed *o = due;
        DL_DELETE(due, o);
        o->tell(o, silently);
    }
}

static void on_turn(uv_timer_t *timer)
{
    tell_due(timer->data, false);
}

void owed_due(struct shard_manager *m, struct owed *o)
{
    DL_APPEND(m->due, o);
    uv_timer_start(&m->turn, on_turn, 0, 0);
}

/* Life ----------------------------------------------------------------------------------------- */

static void keep_initial_channels(struct shard_manager *m)
{
    const struct slice *channels = m->options.channels;

    if (channels == NULL) {
        return;
    }
    m->ninitial = m->options.nchannels;
    m->initial = xcalloc(m->ninitial + 1, sizeof(*m->initial));
    for (size_t i = 0; i < m->ninitial; i++) {
        m->initial[i] = xstrndup(channels[i].ptr, channels[i].len);
    }
}

static void finish(void *owner)
{
    struct shard_manager *m = owner;

    for (size_t i = 0; i < m->ninitial; i++) {
        free((char *)m->initial[i]);
    }
    free(m->initial);
    free(m);
}

struct shard_manager *manager_create(const struct manager_create_options *options, struct err *err)
{
    struct shard_manager *m = xcalloc(1, sizeof(*m));
    const char *error = NULL;

    m->options = *options;
    m->client.manager = m;
    m->token_handler.manager = m;
    keep_initial_channels(m);
    m->self = options->ops->create(m, &m->options.kwargs, &error);
    if (m->self == NULL) {
        err_set(err, ERR_REFUSED, "shard manager \"%s\": %s", options->ops->name,
                error != NULL ? error : "it cannot be created, and gives no reason");
        finish(m);
        return NULL;
    }
    cluster_view_set_manager(options->view, m);
    uv_timer_init(options->loop, &m->deadline);
    uv_timer_init(options->loop, &m->turn);
    m->deadline.data = m->turn.data = m;
    return m;
}

bool manager_failure_passes(const struct shard_manager *m)
{
    return m->passes;
}

void manager_out(struct shard_manager *m)
{
    calls_out(m);
    errands_out(m);
}

void manager_close(struct shard_manager *m)
{
    BUG_ON(m->steps > 0);
    manager_out(m);
    for (unsigned turns = 0; m->due != NULL && turns < END_TURNS; turns++) {
        tell_due(m, false);
    }
    m->options.ops->destroy(m->self);
    tell_due(m, true);
    teardown_begin(&m->teardown, finish, m, NULL, NULL);
    teardown_handle(&m->teardown, (uv_handle_t *)&m->deadline);
    teardown_handle(&m->teardown, (uv_handle_t *)&m->turn);
}
