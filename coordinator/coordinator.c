/* Coordinator: the wiring. */
#include "coordinator/coordinator.h"

#include "coordinator/chores/accounts.h"
#include "coordinator/chores/compare.h"
#include "coordinator/chores/redis_look.h"
#include "coordinator/chores/registry_lost.h"
#include "coordinator/chores/sender_sync.h"
#include "coordinator/chores/setup.h"
#include "coordinator/chores/sweep.h"
#include "coordinator/lead/leader.h"
#include "coordinator/manager/manager_run.h"
#include "coordinator/requests/intake.h"
#include "coordinator/requests/outbox.h"
#include "coordinator/view/cluster_view.h"
#include "coordinator/web/coordinator_web.h"
#include "shared/log.h"
#include "shared/redis/link_group.h"
#include "shared/startup.h"
#include "shared/trouble.h"

#include <stdlib.h>

struct coordinator {
    struct coordinator_options options;
    uv_loop_t *loop;
    struct coordinator_web *web; /* NULL: no HTTP */
    struct link_group group;
    struct startup startup;
    struct http *http;
    struct twitch *twitch;
    struct accounts *accounts;
    struct trouble trouble; /* with Redis */
    struct leader *leader;
    struct cluster_view *view;
    struct shard_manager *manager; /* NULL: it could not begin, and so nor could what is below */
    struct manager_run *run;
    struct intake *intake;
    struct outbox *outbox;
    struct setup *setup;
    struct sweep *sweep;
    struct compare *compare;
    struct sender_sync *senders;
    struct redis_look look;
    struct registry_lost lost;
    bool begun; /* leads, and the view is whole */
    bool setup_done;
    bool stopping;
    struct err why; /* it ends */
};

/* Ending --------------------------------------------------------------------------------------- */

static void on_web_closed(void *ctx)
{
    struct coordinator *c = ctx;

    c->web = NULL;
    c->options.on_gone(c->options.ctx, &c->why);
}

/* The leader is there for as long as this takes, and no longer. */
static void on_leader_closed(void *ctx)
{
    struct coordinator *c = ctx;

    accounts_destroy(c->accounts);
    twitch_destroy(c->twitch);
    http_close(c->http, NULL, NULL);
    if (c->manager != NULL) {
        manager_close(c->manager); /* what waits for it ends */
        intake_close(c->intake);
        outbox_close(c->outbox);
        setup_destroy(c->setup);
        sweep_destroy(c->sweep);
        sender_sync_destroy(c->senders);
        compare_destroy(c->compare);
        manager_run_destroy(c->run);
    }
    registry_lost_finish(&c->lost);
    cluster_view_destroy(c->view);
    c->leader = NULL;
    startup_close(&c->startup);
    coordinator_web_close(c->web, on_web_closed, c); /* nobody asks any more whether it leads */
}

static void stop_leading(void *ctx)
{
    struct coordinator *c = ctx;

    if (c->leader != NULL) {
        leader_stop(c->leader, on_leader_closed, c);
    }
}

void coordinator_stop(struct coordinator *c)
{
    bool again = c->stopping;

    c->stopping = true;
    if (again || c->leader == NULL) {
        stop_leading(c);
    } else { /* what Twitch lets be done once ends first */
        accounts_stop(c->accounts, stop_leading, c);
    }
}

static void on_refused(void *ctx, const struct err *why)
{
    struct coordinator *c = ctx;

    if (!c->stopping) {
        c->why = *why;
        coordinator_stop(c);
    }
}

/* Wiring --------------------------------------------------------------------------------------- */

static void on_ready(void *ctx)
{
    struct coordinator *c = ctx;

    startup_succeeded(&c->startup);
    trouble_over(&c->trouble);
    log_info("coordinator", "redis.up", NULL);
    intake_anew(c->intake);
}

static void on_failed(void *ctx, const struct err *why)
{
    struct coordinator *c = ctx;

    if (!startup_is_over(&c->startup)) {
        startup_failed(&c->startup, why);
    } else if (!err_is_told(why) && trouble_is_news(&c->trouble, why, mono_ms())) {
        log_warn("coordinator", "redis.down", "error", why->text, NULL);
    }
}

static void on_won(void *ctx)
{
    struct coordinator *c = ctx;

    c->begun = false;
    cluster_view_begin(c->view);
    compare_begin(c->compare);
    setup_begin(c->setup);
    manager_run_begin(c->run);
    redis_look_begin(&c->look, c->leader, c->options.redis->db);
    accounts_begin(c->accounts);
}

static void on_damaged(void *ctx)
{
    struct coordinator *c = ctx;

    compare_soon(c->compare);
}

static void on_registry_lost(void *ctx)
{
    struct coordinator *c = ctx;

    registry_lost_begin(&c->lost, c->view);
    if (!leader_may_act(c->leader)) { /* no view of the new one will come */
        registry_lost_tell(&c->lost, NULL, c->leader);
    }
}

static void on_view(void *ctx)
{
    struct coordinator *c = ctx;

    if (!c->begun) {
        c->begun = true;
        registry_lost_tell(&c->lost, c->view, c->leader);
        intake_begin(c->intake);
        leader_ask_now(c->leader); /* the others go by facts */
    }
    manager_on_view(c->manager);
    setup_on_view(c->setup);
    if (c->setup_done) { /* while a cluster is set up its shards change all the time */
        sender_sync_on_view(c->senders);
    }
}

static void set_up(struct coordinator *c, bool done)
{
    c->setup_done = done;
    intake_set_up(c->intake, done);
}

static void on_set_up(void *ctx)
{
    struct coordinator *c = ctx;

    set_up(c, true);
    leader_ask_now(c->leader); /* shards are started, and channels that wait are assigned */
}

static void on_facts(void *ctx, const struct registry_lead *facts)
{
    struct coordinator *c = ctx;

    set_up(c, facts->setup_done);
    cluster_view_on_facts(c->view, facts);
    sweep_on_facts(c->sweep, facts);
    accounts_on_facts(c->accounts, facts);
    setup_on_facts(c->setup, facts);
    manager_run_on_facts(c->run, facts);
    compare_on_facts(c->compare, facts);
    intake_go_on(c->intake);
    outbox_go_on(c->outbox, facts->sends);
}

static void on_out(void *ctx)
{
    struct coordinator *c = ctx;

    intake_end(c->intake);
    manager_out(c->manager);
}

/* Beginning ------------------------------------------------------------------------------------ */

static void create_rooms(struct coordinator *c)
{
    const struct manager_create_options manager = {
        .loop = c->loop,
        .leader = c->leader,
        .view = c->view,
        .cluster = c->options.cluster,
        .ops = c->options.manager,
        .kwargs = {c->options.settings->nkwargs, c->options.settings->kwargs},
        .channels = c->options.channels->names,
        .nchannels = c->options.channels->n,
        .timeout_ms = c->options.manager_timeout_ms};
    c->manager = manager_create(&manager, &c->why);
    if (c->manager == NULL) {
        coordinator_stop(c);
        return;
    }
    const struct setup_options setup = {.leader = c->leader,
                                        .manager = c->manager,
                                        .channels = c->options.channels,
                                        .settings = c->options.settings,
                                        .on_refused = on_refused,
                                        .on_done = on_set_up,
                                        .ctx = c};

    c->run = manager_run_create(c->manager);
    c->intake = intake_create(c->leader, c->manager);
    c->outbox = outbox_create(c->loop, c->leader);
    c->setup = setup_create(&setup);
    c->sweep = sweep_create(c->leader, c->manager);
    c->senders = sender_sync_create(c->leader, c->manager);
    c->compare = compare_create(c->leader, c->view);
}

static void create_accounts(struct coordinator *c)
{
    struct twitch_options twitch = c->options.twitch->twitch;

    c->http = http_create(&(struct http_options){
        .loop = c->loop, .tls_ca = c->options.twitch->tls_ca, .proxy = c->options.twitch->proxy});
    twitch.http = c->http;
    c->twitch = twitch_create(&twitch);
    c->accounts = accounts_create(
        &(struct accounts_options){.loop = c->loop,
                                   .leader = c->leader,
                                   .twitch = c->twitch,
                                   .has_client_id = twitch.client_id != NULL,
                                   .has_client_secret = twitch.client_secret != NULL,
                                   .keys = c->options.account_keys,
                                   .cluster = c->options.cluster});
}

static void create_web(struct coordinator *c)
{
    const struct coordinator_web_options web = {.loop = c->loop,
                                                .settings = c->options.web,
                                                .leader = c->leader,
                                                .watch = {.loop = c->loop,
                                                          .url = c->options.redis,
                                                          .tls_ca = c->options.redis_tls_ca,
                                                          .group = &c->group,
                                                          .cluster = c->options.cluster,
                                                          .id = c->options.id}};

    if (c->options.web == NULL || c->options.web->web.listen == NULL || c->stopping) {
        return;
    }
    c->web = coordinator_web_create(&web, &c->why);
    if (c->web == NULL) {
        coordinator_stop(c);
    }
}

struct coordinator *coordinator_create(uv_loop_t *loop, const struct coordinator_options *options)
{
    struct coordinator *c = xcalloc(1, sizeof(*c));
    const struct leader_options leader = {.loop = loop,
                                          .url = options->redis,
                                          .group = &c->group,
                                          .tls_ca = options->redis_tls_ca,
                                          .cluster = options->cluster,
                                          .id = options->id,
                                          .on_ready = on_ready,
                                          .on_failed = on_failed,
                                          .on_won = on_won,
                                          .on_facts = on_facts,
                                          .on_out = on_out,
                                          .on_registry_lost = on_registry_lost,
                                          .ctx = c};

    c->options = *options;
    c->loop = loop;
    startup_begin(&c->startup, loop, options->connect_ms, on_refused, c);
    c->leader = leader_create(&leader);
    c->view = cluster_view_create(&(struct cluster_view_options){
        .leader = c->leader, .on_fresh = on_view, .on_damaged = on_damaged, .ctx = c});
    create_accounts(c);
    create_rooms(c);
    create_web(c);
    return c;
}

int coordinator_on_web(struct coordinator *c, const struct web_settings *web, struct err *err)
{
    return c->leader != NULL ? coordinator_web_reload(c->web, web, err) : 0;
}

void coordinator_on_keys(struct coordinator *c)
{
    if (c->leader != NULL) {
        accounts_begin(c->accounts);
    }
}

bool coordinator_describe(const struct coordinator *c, char *out, size_t size)
{
    if (c->leader == NULL || c->stopping) {
        snprintf(out, size, "ends");
        return false;
    }
    return leader_describe(c->leader, out, size);
}

void coordinator_free(struct coordinator *c)
{
    free(c);
}
