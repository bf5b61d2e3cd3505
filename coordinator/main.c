/* shoal-coordinator: decides which shard holds which channel; one leads, the others stand by.
 *
 * main reads the options, starts the loop and the coordinator (coordinator.h), and turns what that
 * says at its end into an exit code: 0 stopped, 1 refused, 2 wrong usage, 3 Redis out of reach. */
#include "coordinator/coordinator.h"
#include "coordinator/manager/manager_load.h"
#include "coordinator/options/twitch_settings.h"
#include "shared/log.h"
#include "shared/loop.h"
#include "shared/options.h"
#include "shared/secrecy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROGRAM "shoal-coordinator"

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
    OPTIONS_ACCOUNT_KEYS(seal_keys_check),
    TWITCH_SETTINGS_SPECS,
    WEB_SETTINGS_SPECS,
    WEB_SETTINGS_ADMIN_SPECS,
    {"connect-timeout", OPTION_DURATION, 0, "10s", 100, 3600000, "TIME",
     "Give up if Redis was not reached for the first time within this; one that loads its data is "
     "waited for.",
     NULL},
    {0},
};

static const char *warning(const struct options *o)
{
    return web_settings_warning(o, true);
}

static const struct options_program program = {
    .name = PROGRAM,
    .purpose = "Decides which shard of a Shoal cluster holds which channel.",
    .usage = "",
    .epilogue = "Signals:\n"
                "  SIGTERM   Stop, and let another one lead. So does SIGINT.\n"
                "  SIGHUP    Read the configuration, the account keys, and certificate\n"
                "            and token of HTTP again.\n"
                "\n" OPTIONS_EXIT_STATUS,
    .specs = specs,
    .shares_file = true,
    .warning = warning,
};

struct app {
    struct loop loop;
    struct options *options;
    struct coordinator *coordinator;
    struct url redis; /* what the links connect to next */
    char id[129];
    const struct shard_manager_ops *manager;
    struct initial_channels channels;
    struct cluster_settings settings;
    struct seal_keys *account_keys; /* NULL: there are none */
    struct twitch_settings twitch;
    struct web_settings web;
    int exit_code;
};

static void on_stop(void *ctx, int times)
{
    struct app *app = ctx;

    if (times == 1) {
        log_info("coordinator", "coordinator.stopping", "id", app->id, NULL);
    }
    coordinator_stop(app->coordinator);
}

static bool look(void *ctx, char *status)
{
    struct app *app = ctx;

    return coordinator_describe(app->coordinator, status, SERVICE_STATUS_CHARS);
}

static void on_reload(void *ctx)
{
    struct app *app = ctx;
    struct options *fresh = NULL;
    struct seal_keys *keys = NULL;
    struct web_settings web = {.token = NULL};
    struct err err;
    int rc = options_read_again(app->options, &fresh, &err);

    if (rc == 0) {
        rc = seal_keys_load(options_string(app->options, "account-keys"), &keys, &err);
        rc = rc == 0 ? web_settings_read(fresh, true, &web, &err) : rc;
        rc = rc == 0 ? coordinator_on_web(app->coordinator, &web, &err) : rc;
    }
    web_settings_finish(&web);
    if (rc != 0) {
        seal_keys_destroy(keys);
        options_destroy(fresh);
        log_error("coordinator", "config.reload", "error", err.text, "kept", "everything as it was",
                  NULL);
        return;
    }
    options_go_over(&app->options, fresh, "coordinator");
    BUG_ON(url_parse_redis(options_string(app->options, "redis-url"), &app->redis, NULL) != 0);
    options_set_up_log(app->options);
    options_warn(app->options, "coordinator");
    seal_keys_take(app->account_keys, keys);
    coordinator_on_keys(app->coordinator);
    log_info("coordinator", "config.reloaded", NULL);
}

static void on_gone(void *ctx, const struct err *why)
{
    struct app *app = ctx;

    if (why->code != ERR_OK) {
        fprintf(stderr, "%s: %s\n", PROGRAM, why->text);
        app->exit_code = err_exit_code(why->code);
    }
    loop_close_signals(&app->loop);
}

static bool read_options(struct app *app, struct err *err)
{
    const struct options *o = app->options;
    const char *id = options_string(o, "id");

    if (url_parse_redis(options_string(o, "redis-url"), &app->redis, err) != 0 ||
        initial_channels_parse(options_string(o, "initial-channels"), &app->channels, err) != 0) {
        return false;
    }
    if (seal_keys_load(options_string(o, "account-keys"), &app->account_keys, err) != 0) {
        return false;
    }
    if (twitch_settings_read(o, &app->twitch, err) != 0 ||
        web_settings_read(o, true, &app->web, err) != 0) {
        return false;
    }
    app->manager = manager_load(options_string(o, "shard-manager"), err);
    if (app->manager == NULL) {
        return false;
    }
    cluster_settings_begin(&app->settings, app->manager->settings);
    for (size_t i = 0; i < options_count(o, "set"); i++) {
        cluster_settings_add(&app->settings, options_at(o, "set", i));
    }
    if (id != NULL) {
        snprintf(app->id, sizeof(app->id), "%s", id);
    } else {
        char host[65] = "";
        bool named = gethostname(host, sizeof(host) - 1) == 0;
        snprintf(app->id, sizeof(app->id), "%s-%d", named ? host : "localhost", (int)getpid());
    }
    return true;
}

static void run(struct app *app)
{
    const struct options *o = app->options;
    const struct coordinator_options options = {
        .redis = &app->redis,
        .redis_tls_ca = options_string(o, "redis-tls-ca"),
        .cluster = options_string(o, "cluster"),
        .id = app->id,
        .manager = app->manager,
        .settings = &app->settings,
        .channels = &app->channels,
        .manager_timeout_ms = (uint64_t)options_int(o, "manager-timeout"),
        .connect_ms = (uint64_t)options_int(o, "connect-timeout"),
        .account_keys = app->account_keys,
        .twitch = &app->twitch,
        .web = &app->web,
        .on_gone = on_gone,
        .ctx = app,
    };
    char where[400];

    url_describe(&app->redis, where, sizeof(where));
    log_info("coordinator", "coordinator.started", "id", app->id, "version", SHOAL_VERSION,
             "cluster", options.cluster, "redis", where, NULL);
    loop_init(&app->loop, on_stop, on_reload, app);
    app->coordinator = coordinator_create(&app->loop.uv, &options);
    service_begin(&app->loop.service, &app->loop.uv, look, app);
    loop_run(&app->loop);
    coordinator_free(app->coordinator);
    loop_finish(&app->loop);
    log_info("coordinator", "coordinator.stopped", "id", app->id, NULL);
    log_flush(1000);
}

int main(int argc, char **argv)
{
    static struct app app; /* handles in it live as long as the loop */
    struct err err;

    secrecy_begin();
    enum options_outcome outcome = options_parse(&program, argc, argv, &app.options, &err);
    if (outcome != OPTIONS_RUN) {
        if (outcome == OPTIONS_ERROR) {
            fprintf(stderr, "%s: %s\n", PROGRAM, err.text);
        }
        return outcome == OPTIONS_DONE ? 0 : 2;
    }
    options_set_up_log(app.options);
    options_warn(app.options, "coordinator");
    if (read_options(&app, &err)) {
        run(&app);
    } else {
        fprintf(stderr, "%s: %s\n", PROGRAM, err.text);
        app.exit_code = err_exit_code(err.code);
    }
    seal_keys_destroy(app.account_keys);
    twitch_settings_finish(&app.twitch);
    web_settings_finish(&app.web);
    initial_channels_finish(&app.channels);
    cluster_settings_finish(&app.settings);
    options_destroy(app.options);
    return app.exit_code;
}
