/* shoal-node: hosts chat connections (shards) and fans their lines out through Redis.
 *
 * main reads the options, starts the loop and the node (node.h), and turns what the node says at
 * its end into an exit code: 0 left in order, 1 refused, 2 wrong usage, 3 Redis out of reach. */
#include "node/node.h"

#include "node/tokens.h"
#include "shared/log.h"
#include "shared/loop.h"
#include "shared/options.h"
#include "shared/secrecy.h"
#include "shared/web/web_settings.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ID_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"

static int check_twitch_url(const char *value, struct err *err)
{
    struct url url;

    return url_parse_ws(value, &url, err);
}

static int check_node_id(const char *value, struct err *err)
{
    size_t len = strlen(value);

    if (strspn(value, ID_CHARS) != len) {
        return err_set(err, ERR_USAGE, "a node id has 1 to 64 of A-Z a-z 0-9 _ . -");
    }
    if (len == 0 || len > 64) {
        return err_set(err, ERR_USAGE, "a node id has 1 to 64 characters");
    }
    return 0;
}

static const struct option_spec specs[] = {
    OPTIONS_COMMON,
    {"node-id", OPTION_STRING, 0, NULL, 0, 0, "ID",
     "The node's name in the cluster, unique; default: the host name.", check_node_id},
    {"twitch-url", OPTION_STRING, 0, "wss://irc-ws.chat.twitch.tv:443", 0, 0, "URL",
     "Twitch chat over WebSocket; ws:// is for simulators on loopback.", check_twitch_url},
    {"twitch-tls-ca", OPTION_STRING, OPTION_RELOAD, NULL, 0, 0, "FILE",
     "CA certificates (PEM) to verify Twitch with; default: the system's.", ca_store_check},
    OPTIONS_TWITCH_API,
    {"shard-capacity", OPTION_INT, 0, "100", 1, 100000, "N", "How many shards this host can hold.",
     NULL},
    OPTIONS_ACCOUNT_KEYS(seal_keys_check),
    {"tokens", OPTION_STRING, OPTION_RELOAD, NULL, 0, 0, "FILE",
     "Lines `login = token`; without it chat is read anonymously.", tokens_check},
    {"buffer-bytes", OPTION_BYTES, 0, "64m", 65536, (int64_t)64 << 30, "BYTES",
     "What may be held while Redis is away; more is dropped, counted and told as gaps.", NULL},
    {"drain-timeout", OPTION_DURATION, OPTION_RELOAD, "30s", 0, 3600000, "TIME",
     "The longest an orderly leave (SIGTERM) may take.", NULL},
    {"connect-timeout", OPTION_DURATION, 0, "10s", 100, 3600000, "TIME",
     "Give up if Redis was not reached for the first time within this; one that loads its data is "
     "waited for.",
     NULL},
    WEB_SETTINGS_SPECS,
    OPTIONS_DAEMON,
    {0},
};

/* A token in the clear is for loopback. */
static bool is_in_the_clear(int (*parse)(const char *text, struct url *out, struct err *err),
                            const char *text)
{
    struct url url;

    return parse(text, &url, NULL) == 0 && !url.tls && !url_is_loopback(&url);
}

static const char *warning(const struct options *o)
{
    bool accounts = options_string(o, "account-keys") != NULL;

    if ((accounts || options_string(o, "tokens") != NULL) &&
        is_in_the_clear(url_parse_ws, options_string(o, "twitch-url"))) {
        return "tokens are sent to --twitch-url unencrypted, over the network: use wss://";
    }
    if (accounts && is_in_the_clear(url_parse_http, options_string(o, "twitch-api-url"))) {
        return "tokens are sent to --twitch-api-url unencrypted, over the network: use https://";
    }
    return NULL;
}

static const struct options_program program = {
    .name = "shoal-node",
    .purpose = "Hosts Twitch chat connections and fans their lines out through Redis.",
    .usage = "",
    .epilogue = "Signals:\n"
                "  SIGTERM   Leave in order; a second one: at once. So does SIGINT.\n"
                "  SIGHUP    Read the configuration, tokens, account keys, TLS CA and the\n"
                "            certificate of --http-tls-cert again.\n"
                "\n" OPTIONS_EXIT_STATUS,
    .specs = specs,
    .shares_file = true,
    .warning = warning,
};

struct app {
    struct loop loop;
    struct options *options;
    struct node *node;
    struct url redis;               /* what the links connect to next */
    struct seal_keys *account_keys; /* NULL: there are none */
    struct web_settings web;
    struct err why;
};

static void on_stop(void *ctx, int times)
{
    struct app *app = ctx;

    node_stop(app->node, times);
}

static void on_gone(void *ctx, const struct err *why)
{
    struct app *app = ctx;

    app->why = *why;
    loop_close_signals(&app->loop);
}

static bool look(void *ctx, char *status)
{
    struct app *app = ctx;

    return node_describe(app->node, status, SERVICE_STATUS_CHARS);
}

static struct node_options node_options_of(const struct options *o)
{
    return (struct node_options){
        .redis_tls_ca = options_string(o, "redis-tls-ca"),
        .cluster = options_string(o, "cluster"),
        .twitch_url = options_string(o, "twitch-url"),
        .twitch_tls_ca = options_string(o, "twitch-tls-ca"),
        .twitch_api_url = options_string(o, "twitch-api-url"),
        .http_proxy = options_string(o, "http-proxy"),
        .tokens_file = options_string(o, "tokens"),
        .capacity = (uint64_t)options_int(o, "shard-capacity"),
        .buffer_bytes = (size_t)options_int(o, "buffer-bytes"),
        .drain_ms = (uint64_t)options_int(o, "drain-timeout"),
        .connect_ms = (uint64_t)options_int(o, "connect-timeout"),
    };
}

/* All of it or nothing. */
static void on_reload(void *ctx)
{
    struct app *app = ctx;
    struct options *fresh = NULL;
    struct seal_keys *keys = NULL;
    struct web_settings web = {.token = NULL};
    struct err err = {0};
    int rc = options_read_again(app->options, &fresh, &err);

    if (rc == 0) {
        struct node_options node = node_options_of(fresh);
        rc = seal_keys_load(options_string(app->options, "account-keys"), &keys, &err);
        rc = rc == 0 ? web_settings_read(fresh, false, &web, &err) : rc;
        node.web = web.web;
        rc = rc == 0 ? node_reload(app->node, &node, &err) : rc;
    }
    web_settings_finish(&web);
    if (rc != 0) {
        seal_keys_destroy(keys);
        options_destroy(fresh);
        log_error("node", "config.reload", "error", err.text, "kept", "everything as it was", NULL);
        return;
    }
    seal_keys_take(app->account_keys, keys);
    options_go_over(&app->options, fresh, "node");
    BUG_ON(url_parse_redis(options_string(app->options, "redis-url"), &app->redis, NULL) != 0);
    options_set_up_log(app->options);
    options_warn(app->options, "node");
    log_info("node", "config.reloaded", NULL);
}

static int run(struct app *app, const char *id)
{
    struct node_options node = node_options_of(app->options);
    const char *keys = options_string(app->options, "account-keys");

    if (seal_keys_load(keys, &app->account_keys, &app->why) != 0) {
        fprintf(stderr, "shoal-node: --account-keys %s\n", app->why.text);
        return err_exit_code(app->why.code);
    }
    if (web_settings_read(app->options, false, &app->web, &app->why) != 0) {
        fprintf(stderr, "shoal-node: %s\n", app->why.text);
        return err_exit_code(app->why.code);
    }
    node.web = app->web.web;
    node.account_keys = app->account_keys;
    node.redis = &app->redis;
    node.id = id;
    node.on_gone = on_gone;
    node.ctx = app;
    loop_init(&app->loop, on_stop, on_reload, app);
    app->node = node_create(&app->loop.uv, &node, &app->why);
    if (app->node == NULL) {
        loop_close_signals(&app->loop);
    } else {
        service_begin(&app->loop.service, &app->loop.uv, look, app);
    }
    loop_run(&app->loop);
    node_free(app->node);
    loop_finish(&app->loop);
    web_settings_finish(&app->web);
    seal_keys_destroy(app->account_keys);
    if (app->why.code != ERR_OK) {
        fprintf(stderr, "shoal-node: %s\n", app->why.text);
        return err_exit_code(app->why.code);
    }
    return 0;
}

int main(int argc, char **argv)
{
    static struct app app; /* handles in it live as long as the loop */
    struct options *options;
    struct err err = {0};
    char host[65] = "";

    secrecy_begin();
    enum options_outcome outcome = options_parse(&program, argc, argv, &options, &err);
    if (outcome == OPTIONS_DONE) {
        return 0;
    }
    const char *id = outcome == OPTIONS_RUN ? options_string(options, "node-id") : NULL;
    if (outcome == OPTIONS_RUN && id == NULL) {
        id = gethostname(host, sizeof(host) - 1) == 0 ? host : "";
        if (check_node_id(id, &err) != 0) {
            err_wrap(&err, "the host name \"%s\" cannot be the node's name; give --node-id", host);
            outcome = OPTIONS_ERROR;
        }
    }
    if (outcome == OPTIONS_ERROR ||
        url_parse_redis(options_string(options, "redis-url"), &app.redis, &err) != 0) {
        fprintf(stderr, "shoal-node: %s\n", err.text);
        return 2;
    }
    options_set_up_log(options);
    options_warn(options, "node");
    app.options = options;
    int code = run(&app, id);
    explicit_bzero(&app.redis, sizeof(app.redis));
    options_destroy(app.options);
    log_flush(200);
    return code;
}
