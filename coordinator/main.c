/* shoal-coordinator: decides which shard holds which channel; one leads, the others stand by.
 *
 * This file reads the options, wires the rooms together and ends them in order: the leader's link first
 * (every step under way calls back then), the rooms that used it after. */
#include "coordinator/chores/compare.h"
#include "coordinator/chores/redis_look.h"
#include "coordinator/chores/registry_lost.h"
#include "coordinator/chores/sender_sync.h"
#include "coordinator/chores/setup.h"
#include "coordinator/chores/sweep.h"
#include "coordinator/lead/leader.h"
#include "coordinator/manager/manager_load.h"
#include "coordinator/manager/manager_run.h"
#include "coordinator/options/cluster_settings.h"
#include "coordinator/options/initial_channels.h"
#include "coordinator/requests/intake.h"
#include "coordinator/view/cluster_view.h"
#include "shared/log.h"
#include "shared/loop.h"
#include "shared/options.h"
#include "shared/redis/link_group.h"
#include "shared/secrecy.h"
#include "shared/startup.h"
#include "shared/trouble.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROGRAM "shoal-coordinator"

struct coordinator {
    struct loop loop;
    struct options *options;
    struct url url;
    struct link_group group;
    char id[129];
    struct registry_lost lost;
    struct initial_channels channels;
    struct cluster_settings settings;
    const struct shard_manager_ops *ops;
    struct startup startup;
    struct trouble trouble; /* with Redis */
    struct leader *leader;
    struct redis_look look;
    struct cluster_view *view;
    struct shard_manager *manager;
    struct manager_run *run;
    bool begun; /* leads, and the view is whole */
    bool setup_done;
    struct intake *intake;
    struct setup *setup;
    struct sweep *sweep;
    struct compare *compare;
    struct sender_sync *senders;
    bool stopping;
    int exit_code;
};

static int check_id(const char *value, struct err *err)
{
    size_t ok = strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");
    if (ok == 0 || ok > 64 || value[ok]) {
        return err_set(err, ERR_USAGE,
                       "\"%.80s\" is not an id: 1 to 64 of A-Z, a-z, 0-9, '_', '.' and '-'", value);
    }
    return 0;
}

static const struct option_spec specs[] = {
    OPTIONS_COMMON,
    OPTIONS_DAEMON,
    {"id", OPTION_STRING, 0, NULL, 0, 0, "NAME",
     "This coordinator's name in logs and events; default: host name and process id.", check_id},
    {"initial-channels", OPTION_STRING, OPTION_CODE, NULL, 0, 0, "LIST",
     "Channels to join that were never asked for here before: a,b,c, @FILE, or !COMMAND, which "
     "prints them.",
     initial_channels_check},
    {"shard-manager", OPTION_STRING, OPTION_CODE, "distributed", 0, 0, "NAME",
     "Who decides which shard takes a channel: distributed, default, or FILE.so.",
     manager_load_check},
    {"manager-timeout", OPTION_DURATION, 0, "10s", 10, 3600000, "TIME",
     "How long the shard manager may take for one answer.", NULL},
    {"set", OPTION_STRING, OPTION_REPEAT, NULL, 0, 0, "NAME=VALUE",
     "A setting of the cluster, for when it is created; later a difference is warned about. "
     "manager.KEY=VALUE goes to the shard manager.",
     cluster_setting_check},
    {"connect-timeout", OPTION_DURATION, 0, "10s", 100, 3600000, "TIME",
     "Give up when Redis was never reached for so long after the start.", NULL},
    {0},
};

static const struct options_program program = {
    .name = PROGRAM,
    .purpose = "Decides which shard of a Shoal cluster holds which channel.",
    .usage = "",
    .epilogue = "Signals:\n"
                "  SIGTERM   Stop, and let another one lead. So does SIGINT.\n"
                "  SIGHUP    Read the configuration again.\n"
                "\n" OPTIONS_EXIT_STATUS,
    .specs = specs,
    .shares_file = true,
};

/* Ending ------------------------------------------------------------------------------------------ */

static void on_leader_closed(void *ctx)
{
    struct coordinator *c = ctx;
    manager_close(c->manager, NULL, NULL); /* what waits for it ends */
    intake_close(c->intake, NULL, NULL);
    setup_close(c->setup, NULL, NULL);
    sweep_close(c->sweep, NULL, NULL);
    sender_sync_destroy(c->senders);
    compare_destroy(c->compare);
    registry_lost_finish(&c->lost);
    manager_run_destroy(c->run);
    cluster_view_destroy(c->view);
    c->leader = NULL;
    startup_close(&c->startup);
    loop_close_signals(&c->loop);
}

static void stop(struct coordinator *c)
{
    c->stopping = true;
    if (c->leader) {
        leader_stop(c->leader, on_leader_closed, c);
    }
}

static void on_stop(void *ctx, int times)
{
    struct coordinator *c = ctx;
    if (times == 1) {
        log_info("coordinator", "coordinator.stopping", "id", c->id, NULL);
    }
    stop(c);
}

static void on_reload(void *ctx)
{
    struct coordinator *c = ctx;
    struct options *fresh;
    struct err err;
    if (options_read_again(c->options, &fresh, &err) != 0) {
        log_error("coordinator", "config.reload", "error", err.text, "kept", "everything as it was",
                  NULL);
        return;
    }
    options_go_over(&c->options, fresh, "coordinator");
    BUG_ON(url_parse_redis(options_string(c->options, "redis-url"), &c->url, NULL) != 0);
    options_set_up_log(c->options);
    log_info("coordinator", "config.reloaded", NULL);
}

static void fail(struct coordinator *c, const struct err *why, int exit_code)
{
    if (!c->stopping) {
        fprintf(stderr, "%s: %s\n", PROGRAM, why->text);
        c->exit_code = exit_code;
        stop(c);
    }
}

/* Wiring ------------------------------------------------------------------------------------------ */

static void on_give_up(void *ctx, const struct err *why)
{
    fail(ctx, why, err_exit_code(why->code));
}

static void on_setting_refused(void *ctx, const struct err *why)
{
    fail(ctx, why, err_exit_code(why->code));
}

static void on_ready(void *ctx)
{
    struct coordinator *c = ctx;
    startup_succeeded(&c->startup);
    trouble_over(&c->trouble);
    log_info("coordinator", "redis.up", NULL);
}

static void on_failed(void *ctx, const struct err *why)
{
    struct coordinator *c = ctx;
    if (!startup_is_over(&c->startup)) {
        startup_failed(&c->startup, why);
    } else if (why->code != ERR_UNABLE && trouble_is_news(&c->trouble, why, mono_ms())) {
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
    redis_look_begin(&c->look, c->leader, c->url.db);
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
    setup_on_facts(c->setup, facts);
    manager_run_on_facts(c->run, facts);
    compare_on_facts(c->compare, facts);
    intake_go_on(c->intake);
}

static void on_out(void *ctx)
{
    struct coordinator *c = ctx;
    intake_end(c->intake);
    sweep_end(c->sweep);
    manager_out(c->manager);
}

/* Beginning --------------------------------------------------------------------------------------- */

static int read_options(struct coordinator *c, struct err *err)
{
    const struct options *o = c->options;
    options_set_up_log(o);
    int failed = url_parse_redis(options_string(o, "redis-url"), &c->url, err);
    if (!failed) {
        failed = initial_channels_parse(options_string(o, "initial-channels"), &c->channels, err);
    }
    if (!failed) {
        c->ops = manager_load(options_string(o, "shard-manager"), err);
        failed = c->ops ? 0 : -ERR_USAGE;
    }
    if (!failed) {
        cluster_settings_begin(&c->settings, c->ops->settings, options_count(o, "set"));
        for (size_t i = 0; i < options_count(o, "set"); i++) {
            cluster_settings_add(&c->settings, options_at(o, "set", i));
        }
    }
    const char *id = options_string(o, "id");
    if (id) {
        snprintf(c->id, sizeof(c->id), "%s", id);
    } else {
        char host[65] = "";
        bool named = gethostname(host, sizeof(host) - 1) == 0;
        snprintf(c->id, sizeof(c->id), "%s-%d", named ? host : "localhost", (int)getpid());
    }
    return failed;
}

static int start(struct coordinator *c, struct err *err)
{
    const struct options *o = c->options;
    uv_loop_t *loop = &c->loop.uv;
    const char *cluster = options_string(o, "cluster");
    const char *tls_ca = options_string(o, "redis-tls-ca");
    c->leader = leader_create(&(struct leader_options){.loop = loop,
                                                       .url = &c->url,
                                                       .group = &c->group,
                                                       .tls_ca = tls_ca,
                                                       .cluster = cluster,
                                                       .id = c->id,
                                                       .on_ready = on_ready,
                                                       .on_failed = on_failed,
                                                       .on_won = on_won,
                                                       .on_facts = on_facts,
                                                       .on_out = on_out,
                                                       .on_registry_lost = on_registry_lost,
                                                       .ctx = c});
    c->view = cluster_view_create(&(struct cluster_view_options){
        .leader = c->leader, .on_fresh = on_view, .on_damaged = on_damaged, .ctx = c});
    c->manager = manager_create(
        &(struct shard_manager_create_options){
            .loop = loop,
            .leader = c->leader,
            .view = c->view,
            .cluster = cluster,
            .ops = c->ops,
            .kwargs = c->settings.kwargs,
            .nkwargs = c->settings.nkwargs,
            .channels = options_string(o, "initial-channels") ? &c->channels : NULL,
            .timeout_ms = (uint64_t)options_int(o, "manager-timeout")},
        err);
    if (!c->manager) {
        leader_stop(c->leader, NULL, NULL);
        cluster_view_destroy(c->view);
        loop_close_signals(&c->loop);
        return -(int)err->code;
    }
    startup_begin(&c->startup, loop, (uint64_t)options_int(o, "connect-timeout"), on_give_up, c);
    c->run = manager_run_create(c->manager);
    c->intake = intake_create(&(struct intake_options){.loop = loop,
                                                       .url = &c->url,
                                                       .group = &c->group,
                                                       .tls_ca = tls_ca,
                                                       .cluster = cluster,
                                                       .id = c->id,
                                                       .leader = c->leader,
                                                       .manager = c->manager});
    c->setup = setup_create(&(struct setup_options){.loop = loop,
                                                    .leader = c->leader,
                                                    .manager = c->manager,
                                                    .channels = &c->channels,
                                                    .settings = c->settings.pairs,
                                                    .nsettings = c->settings.n,
                                                    .on_refused = on_setting_refused,
                                                    .on_done = on_set_up,
                                                    .ctx = c});
    c->sweep = sweep_create(loop, c->leader, c->manager);
    c->senders = sender_sync_create(c->leader, c->manager);
    c->compare = compare_create(c->leader, c->view);
    return 0;
}

static int run(struct coordinator *c)
{
    struct err err;
    if (read_options(c, &err) != 0) {
        fprintf(stderr, "%s: %s\n", PROGRAM, err.text);
        return err_exit_code(err.code);
    }
    char where[400];
    url_describe(&c->url, where, sizeof(where));
    log_info("coordinator", "coordinator.started", "id", c->id, "version", SHOAL_VERSION, "cluster",
             options_string(c->options, "cluster"), "redis", where, NULL);
    loop_init(&c->loop, on_stop, on_reload, c);
    if (start(c, &err) != 0) {
        fprintf(stderr, "%s: %s\n", PROGRAM, err.text);
        c->exit_code = err_exit_code(err.code);
    }
    loop_run(&c->loop);
    loop_finish(&c->loop);
    log_info("coordinator", "coordinator.stopped", "id", c->id, NULL);
    log_flush(1000);
    return c->exit_code;
}

int main(int argc, char **argv)
{
    static struct coordinator c; /* handles in it live as long as the loop */
    struct err err;

    secrecy_begin();
    enum options_outcome outcome = options_parse(&program, argc, argv, &c.options, &err);
    if (outcome != OPTIONS_RUN) {
        if (outcome == OPTIONS_ERROR) {
            fprintf(stderr, "%s: %s\n", PROGRAM, err.text);
        }
        return outcome == OPTIONS_DONE ? 0 : 2;
    }
    int code = run(&c);
    initial_channels_finish(&c.channels);
    cluster_settings_finish(&c.settings);
    options_destroy(c.options);
    return code;
}
