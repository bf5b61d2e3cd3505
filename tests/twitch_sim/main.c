/* twitch-sim: a Twitch chat server for tests and the quickstart.
 *
 * main reads the options, starts the rooms (sim.h has the map), and stops them: signals and their
 * watchers, control port, generator, replay, tick, then libwebsockets. */
#include "tests/twitch_sim/commands.h"
#include "tests/twitch_sim/conn.h"
#include "tests/twitch_sim/control.h"
#include "tests/twitch_sim/generate.h"
#include "tests/twitch_sim/replay.h"
#include "tests/twitch_sim/server.h"
#include "tests/twitch_sim/token.h"
#include "tests/twitch_sim/web.h"

#include "shared/log.h"
#include "shared/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <utlist.h>

#define NUMBER(name, fallback, max, metavar, help)                                                 \
    {name, OPTION_INT, 0, fallback, 0, max, metavar, help, NULL}
#define TEXT(name, fallback, metavar, help)                                                        \
    {name, OPTION_STRING, 0, fallback, 0, 0, metavar, help, NULL}
#define FLAG(name, help) {name, OPTION_BOOL, 0, "false", 0, 0, NULL, help, NULL}

static const struct option_spec SPECS[] = {
    TEXT("listen", "127.0.0.1:0", "ADDR:PORT", "Where to serve ws://; port 0: any free one."),
    TEXT("tls-listen", NULL, "ADDR:PORT", "Where to serve wss://."),
    TEXT("http-listen", NULL, "ADDR:PORT", "Where to serve id.twitch.tv and api.twitch.tv."),
    TEXT("https-listen", NULL, "ADDR:PORT", "The same over TLS."),
    TEXT("tls-cert", NULL, "FILE", "Certificate chain (PEM) for all that speaks TLS."),
    TEXT("tls-key", NULL, "FILE", "Its private key (PEM)."),
    NUMBER("control-port", NULL, 65535, "PORT", "Control port on 127.0.0.1; 0: any free one."),
    TEXT("port-file", NULL, "FILE",
         "Write \"ws=PORT wss=PORT control=PORT http=PORT https=PORT\" here when ready."),
    TEXT("users", NULL, "FILE", "Accounts: \"login token [verified] [mod=a,b] [vip=a,b]\" lines."),
    FLAG("verified", "Without --users: the one user, shoalbot (token simtoken), is verified."),
    TEXT("replay", NULL, "FILE", "Recorded lines to send to their channels."),
    TEXT("replay-rate", "max", "R", "Lines a second of the replay, or max."),
    NUMBER("replay-when-joined", "0", 1000000, "N", "Begin the replay when N channels are joined."),
    TEXT("rate", NULL, "R",
         "Generate R lines a second over the joined channels (0: flow controlled)."),
    NUMBER("count", "0", INT64_MAX, "N", "Stop generating after N lines; 0: never."),
    NUMBER("seed", "1", INT64_MAX, "N", "Seed of everything random."),
    TEXT("record", NULL, "FILE", "Write every room line that was sent: channel, TAB, line."),
    NUMBER("coalesce", "1", 10000, "N", "Up to N lines in one WebSocket message."),
    NUMBER("fragment", "0", 1000000, "N", "Messages in fragments of up to N bytes; 0: whole."),
    NUMBER("cut", "0", 1000000, "N", "Lines cut over messages of up to N bytes; 0: never."),
    {"queue-bytes", OPTION_BYTES, 0, "4m", 4096, 1 << 30, "N",
     "What may wait for a connection before generation waits for it.", NULL},
    FLAG("drop-slow", "Close a connection over queue-bytes, as Twitch does, instead of waiting."),
    TEXT("ping-interval", "5m", "TIME", "PING to clients this often, or off."),
    TEXT("ping-timeout", "10s", "TIME", "Close when a PING is not answered in time, or off."),
    TEXT("reconnect-grace", "15s", "TIME", "From RECONNECT to the close."),
    NUMBER("max-connections", "8000", 1000000, "N", "Connections at a time."),
    FLAG("limits-off", "Switch every limit off."),
#define X(field, name, fallback, is_time, help)                                                    \
    TEXT(name, fallback, (is_time) ? "TIME" : "N", help ", or off."),
    LIMIT_TABLE(X)
#undef X
        OPTIONS_DAEMON,
    {NULL, OPTION_STRING, 0, NULL, 0, 0, NULL, NULL, NULL},
};

static const struct options_program PROGRAM = {
    .name = "twitch-sim",
    .purpose = "A Twitch chat server on loopback, for tests.",
    .usage = "",
    .epilogue =
        "The control port takes one command a line and answers with one JSON object a line:\n"
        "send it `help`; tests/twitch_sim/commands.h documents the commands.\n",
    .specs = SPECS,
};

static int read_time(const struct options *o, const char *name, uint64_t *out, struct err *err)
{
    const char *value = options_string(o, name);

    return limits_parse_time(value, out)
               ? 0
               : err_set(err, ERR_USAGE, "--%s %s: not a time such as 500ms, 10s, 5m or off", name,
                         value);
}

static int read_settings(struct sim *s, const struct options *o, struct err *err)
{
    struct sim_settings *set = &s->settings;
    int rc = 0;

#define X(field, name, fallback, is_time, help)                                                    \
    if (rc == 0) {                                                                                 \
        rc = limits_set(&set->limits, name, options_string(o, name), err);                         \
    }
    LIMIT_TABLE(X)
#undef X
    if (rc == 0 && options_bool(o, "limits-off")) {
        rc = limits_set(&set->limits, "all", "off", err);
    }
    if (rc == 0) {
        rc = read_time(o, "ping-interval", &set->ping_interval_ms, err);
    }
    if (rc == 0) {
        rc = read_time(o, "ping-timeout", &set->ping_timeout_ms, err);
    }
    if (rc == 0) {
        rc = read_time(o, "reconnect-grace", &set->reconnect_grace_ms, err);
    }
    set->coalesce = (size_t)options_int(o, "coalesce");
    set->fragment = (size_t)options_int(o, "fragment");
    set->cut = (size_t)options_int(o, "cut");
    set->queue_bytes = (size_t)options_int(o, "queue-bytes");
    set->drop_slow = options_bool(o, "drop-slow");
    return rc;
}

static int read_rate(const char *name, const char *value, double *out, struct err *err)
{
    char *end;

    *out = 0;
    if (!value || strcmp(value, "max") == 0) {
        return 0;
    }
    *out = strtod(value, &end);
    return *end == '\0' && end != value && *out >= 0
               ? 0
               : err_set(err, ERR_USAGE, "--%s %s: not a number of lines a second", name, value);
}

static void on_tick(uv_timer_t *handle)
{
    struct sim *s = handle->data;
    uint64_t now = mono_ms();
    bool fine = false;
    struct conn *c;
    struct conn *next;

    DL_FOREACH_SAFE(s->conns, c, next)
    {
        fine = conn_tick(c, now, now - s->last_tick) || fine;
    }
    s->last_tick = now;
    control_tick(s);
    if (now - s->last_record >= 500) {
        s->last_record = now;
        room_flush_record(s);
    }
    if (s->fine && !fine && !control_waits(s)) {
        s->fine = false;
        uv_timer_set_repeat(&s->tick, SIM_TICK_MS);
    }
}

static void stop_all(struct sim *s)
{
    if (s->stopping) {
        return;
    }
    s->stopping = true;
    loop_close_signals(&s->loop);
    if (s->control) {
        control_close(s);
    }
    if (s->generator) {
        generate_close(s);
    }
    if (s->replay) {
        replay_close(s);
    }
    uv_close((uv_handle_t *)&s->tick, NULL);
    server_stop(s);
}

static void on_stop(void *ctx, int times)
{
    (void)times;
    stop_all(ctx);
}

/* Written beside and renamed, so that a reader never sees half of it. */
static int write_port_file(const struct sim *s, const char *path, struct err *err)
{
    char *beside = xasprintf("%s.%d", path, (int)getpid());
    FILE *file = fopen(beside, "we");
    int rc = 0;

    if (!file) {
        rc = err_set(err, ERR_IO, "port file %s: %s", beside, strerror(errno));
    } else {
        fprintf(file, "ws=%d wss=%d control=%d http=%d https=%d\n", server_port(s, SERVICE_WS),
                server_port(s, SERVICE_WSS), control_port(s), server_port(s, SERVICE_HTTP),
                server_port(s, SERVICE_HTTPS));
        if (fclose(file) != 0 || rename(beside, path) != 0) {
            rc = err_set(err, ERR_IO, "port file %s: %s", path, strerror(errno));
        }
    }
    free(beside);
    return rc;
}

static int load_users(struct sim *s, const struct options *o, struct err *err)
{
    const char *path = options_string(o, "users");

    if (path) {
        return user_load(&s->users, path, err);
    }
    user_put(&s->users, "shoalbot", "simtoken", options_bool(o, "verified"));
    return 0;
}

static int start_chat(struct sim *s, const struct options *o, struct err *err)
{
    const char *rate = options_string(o, "rate");
    const char *record = options_string(o, "record");
    struct generate_order order = {.count = (uint64_t)options_int(o, "count")};
    double replay_rate;
    int rc = read_rate("replay-rate", options_string(o, "replay-rate"), &replay_rate, err);

    if (rc == 0) {
        rc = replay_init(s, options_string(o, "replay"), replay_rate,
                         (uint64_t)options_int(o, "replay-when-joined"), err);
    }
    if (rc == 0 && record) {
        s->record = fopen(record, "we");
        if (!s->record) {
            rc = err_set(err, ERR_IO, "record %s: %s", record, strerror(errno));
        } else {
            setvbuf(s->record, NULL, _IOFBF, 1 << 20);
        }
    }
    if (rc == 0) {
        rc = read_rate("rate", rate, &order.rate, err);
    }
    if (rc == 0 && rate) {
        generate_start(s, &order);
    }
    return rc;
}

static int start_all(struct sim *s, const struct options *o, struct err *err)
{
    struct server_options server = {.listen = {[SERVICE_WS] = options_string(o, "listen"),
                                               [SERVICE_WSS] = options_string(o, "tls-listen"),
                                               [SERVICE_HTTP] = options_string(o, "http-listen"),
                                               [SERVICE_HTTPS] = options_string(o, "https-listen")},
                                    .tls_cert = options_string(o, "tls-cert"),
                                    .tls_key = options_string(o, "tls-key"),
                                    .max_connections = (unsigned)options_int(o, "max-connections")};
    uint64_t seed = (uint64_t)options_int(o, "seed");
    int rc = read_settings(s, o, err);

    rng_init(&s->rng, seed);
    generate_init(s, seed);
    if (rc == 0) {
        rc = load_users(s, o, err);
    }
    if (rc == 0) {
        rc = start_chat(s, o, err);
    }
    if (rc == 0) {
        rc = server_start(s, &server, err);
    }
    if (rc == 0) {
        rc = control_start(
            s, options_string(o, "control-port") ? (int)options_int(o, "control-port") : 0, err);
    }
    if (rc == 0 && options_string(o, "port-file")) {
        rc = write_port_file(s, options_string(o, "port-file"), err);
    }
    return rc;
}

static void raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void free_all(struct sim *s)
{
    if (s->generator) {
        generate_free(s);
    }
    if (s->replay) {
        replay_free(s);
    }
    if (s->control) {
        control_free(s);
    }
    web_destroy(s->web);
    tokens_destroy(s->tokens);
    room_free_all(s);
    user_free_all(&s->users);
    buf_finish(&s->line);
    buf_finish(&s->wire);
    if (s->record) {
        fclose(s->record);
    }
}

int main(int argc, char **argv)
{
    struct sim *s = xcalloc(1, sizeof(*s));
    struct options *o = NULL;
    struct err err = {0};
    enum log_level level = LOG_LEVEL_INFO;
    enum log_format format = LOG_FORMAT_TEXT;
    enum options_outcome outcome = options_parse(&PROGRAM, argc, argv, &o, &err);
    int rc;

    if (outcome != OPTIONS_RUN) {
        free(s);
        if (outcome == OPTIONS_ERROR) {
            fprintf(stderr, "twitch-sim: %s\n", err.text);
            return 2;
        }
        return 0;
    }
    if (log_level_parse(options_string(o, "log-level"), &level) &&
        log_format_parse(options_string(o, "log-format"), &format)) {
        log_setup(level, format);
    }
    raise_file_limit();
    buf_init(&s->line, 1 << 20);
    buf_init(&s->wire, SIZE_MAX / 2);
    s->tokens = tokens_create();
    s->web = web_create();
    loop_init(&s->loop, on_stop, NULL, s);
    uv_timer_init(&s->loop.uv, &s->tick);
    s->tick.data = s;
    rc = start_all(s, o, &err);
    if (rc == 0) {
        s->last_tick = mono_ms();
        uv_timer_start(&s->tick, on_tick, SIM_TICK_MS, SIM_TICK_MS);
        log_info("sim", "sim.ready", "ws", log_i64(server_port(s, SERVICE_WS)), "wss",
                 log_i64(server_port(s, SERVICE_WSS)), "control", log_i64(control_port(s)), "http",
                 log_i64(server_port(s, SERVICE_HTTP)), "https",
                 log_i64(server_port(s, SERVICE_HTTPS)), NULL);
    } else {
        fprintf(stderr, "twitch-sim: %s\n", err.text);
        stop_all(s);
    }
    loop_run(&s->loop);
    server_stop(s);
    loop_run(&s->loop);
    loop_finish(&s->loop);
    free_all(s);
    free(s);
    options_destroy(o);
    log_flush(100);
    return rc == 0 ? 0 : err_exit_code(err.code);
}
