/* The commands of the control port: a table of names and functions. What each takes is in commands.h. */
#include "tests/twitch_sim/commands.h"

#include "tests/twitch_sim/commands_web.h"
#include "tests/twitch_sim/flood.h"
#include "tests/twitch_sim/generate.h"
#include "tests/twitch_sim/replay.h"
#include "tests/twitch_sim/stats.h"
#include "tests/twitch_sim/targets.h"

#include <stdlib.h>
#include <string.h>

bool command_parse(char *line, struct command *cmd)
{
    char *at = line;

    memset(cmd, 0, sizeof(*cmd));
    line[strcspn(line, "\r\n")] = '\0';
    while (*at) {
        char *word = at + strspn(at, " \t");
        char *equals;

        if (strncmp(word, "line=", 5) == 0) {
            at = word + strlen(word);
        } else {
            at = word + strcspn(word, " \t");
        }
        if (*word == '\0') {
            break;
        }
        if (*at) {
            *at++ = '\0';
        }
        equals = strchr(word, '=');
        if (!cmd->name) {
            cmd->name = word;
        } else if (equals && cmd->npairs < COMMAND_ARGS) {
            *equals = '\0';
            cmd->keys[cmd->npairs] = word;
            cmd->values[cmd->npairs++] = equals + 1;
        } else if (cmd->nwords < COMMAND_ARGS) {
            cmd->words[cmd->nwords++] = word;
        }
    }
    return cmd->name != NULL;
}

const char *command_value(const struct command *cmd, const char *key)
{
    for (size_t i = 0; i < cmd->npairs; i++) {
        if (strcmp(cmd->keys[i], key) == 0) {
            return cmd->values[i];
        }
    }
    return NULL;
}

uint64_t command_number(const struct command *cmd, const char *key, uint64_t fallback)
{
    const char *value = command_value(cmd, key);
    uint64_t n;

    return value && slice_to_u64(slice_of(value), &n) && n <= 1000000000000000 ? n : fallback;
}

bool command_has(const struct command *cmd, const char *word)
{
    for (size_t i = 0; i < cmd->nwords; i++) {
        if (strcmp(cmd->words[i], word) == 0) {
            return true;
        }
    }
    return false;
}

/* The channel of the first word. */
static int need_room(struct sim *s, const struct command *cmd, struct room **out, struct err *err)
{
    char name[IRC_CHANNEL_CHARS];

    if (cmd->nwords == 0 || !irc_channel_normalise(slice_of(cmd->words[0]), name, sizeof(name))) {
        return err_set(err, ERR_USAGE, "%s: which channel?", cmd->name);
    }
    *out = room_make(s, name);
    return 0;
}

static int need_user(struct sim *s, const struct command *cmd, const char *login, struct user **out,
                     struct err *err)
{
    *out = login ? user_find(s->users, login) : NULL;
    return *out ? 0 : err_set(err, ERR_USAGE, "%s: no user \"%s\"", cmd->name, login ? login : "");
}

static int do_stats(struct sim *s, const struct command *cmd, struct json *out, struct err *err)
{
    (void)err;
    stats_write(s, command_number(cmd, "channels", 1) != 0, out);
    return 0;
}

static int do_connections(struct sim *s, const struct command *cmd, struct json *out,
                          struct err *err)
{
    (void)cmd;
    (void)err;
    stats_write_connections(s, out);
    return 0;
}

static int do_received(struct sim *s, const struct command *cmd, struct json *out, struct err *err)
{
    struct room *r = NULL;
    int rc = need_room(s, cmd, &r, err);

    if (rc == 0) {
        stats_write_received(s, r->name, command_number(cmd, "from", 0), out);
    }
    return rc;
}

static int do_flush(struct sim *s, const struct command *cmd, struct json *out, struct err *err)
{
    (void)cmd;
    (void)out;
    (void)err;
    room_flush_record(s);
    return 0;
}

static int do_channel(struct sim *s, const struct command *cmd, struct json *out, struct err *err)
{
    static const char *const names[] = {"ok", "banned", "suspended", "missing", "tos"};
    const char *state = command_value(cmd, "state");
    struct room *r = NULL;
    int rc = need_room(s, cmd, &r, err);

    (void)out;
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; state && i < ARRAY_LEN(names); i++) {
        if (strcmp(state, names[i]) == 0) {
            r->condition = (enum room_condition)i;
            return 0;
        }
    }
    return err_set(err, ERR_USAGE, "channel: state is ok, banned, suspended, missing or tos");
}

static int do_mode(struct sim *s, const struct command *cmd, struct json *out, struct err *err)
{
    struct room *r = NULL;
    int rc = need_room(s, cmd, &r, err);

    (void)out;
    for (size_t i = 0; rc == 0 && i < cmd->npairs; i++) {
        r->enforce = true;
        if (!room_change(s, r, cmd->keys[i], atoi(cmd->values[i]))) {
            rc = err_set(err, ERR_USAGE, "mode: no setting is called \"%s\"", cmd->keys[i]);
        }
    }
    return rc;
}

static int do_ban(struct sim *s, const struct command *cmd, struct json *out, struct err *err)
{
    struct room *r = NULL;
    struct user *u = NULL;
    int rc = need_room(s, cmd, &r, err);

    (void)out;
    if (rc == 0) {
        rc = need_user(s, cmd, command_value(cmd, "user"), &u, err);
    }
    if (rc == 0) {
        struct user_room *place = user_room(u, r->name, true);

        if (strcmp(cmd->name, "ban") == 0) {
            place->banned = !command_has(cmd, "off");
        } else {
            place->timed_out_until = mono_ms() + 1000 * command_number(cmd, "s", 600);
        }
    }
    return rc;
}

static int do_user(struct sim *s, const struct command *cmd, struct json *out, struct err *err)
{
    const char *token = command_value(cmd, "token");
    const char *mod = command_value(cmd, "mod");
    const char *vip = command_value(cmd, "vip");
    char login[IRC_CHANNEL_CHARS];
    struct user *u = NULL;

    (void)out;
    if (cmd->nwords == 0 || !irc_channel_normalise(slice_of(cmd->words[0]), login, sizeof(login))) {
        return err_set(err, ERR_USAGE, "user: which login?");
    }
    u = user_put(&s->users, login, token, command_number(cmd, "verified", 0) != 0);
    if (mod) {
        user_raise(u, mod, true);
    }
    if (vip) {
        user_raise(u, vip, false);
    }
    return 0;
}

static int do_limit(struct sim *s, const struct command *cmd, struct json *out, struct err *err)
{
    int rc = cmd->npairs ? 0 : err_set(err, ERR_USAGE, "limit: NAME=VALUE is missing");

    (void)out;
    for (size_t i = 0; rc == 0 && i < cmd->npairs; i++) {
        rc = limits_set(&s->settings.limits, cmd->keys[i], cmd->values[i], err);
    }
    return rc;
}

static int do_silence(struct sim *s, const struct command *cmd, struct json *out, struct err *err)
{
    const char *login = command_value(cmd, "user");
    struct user *u = NULL;
    int rc;

    if (!login) {
        return targets_each(s, cmd, target_silence, out, err);
    }
    rc = need_user(s, cmd, login, &u, err);
    if (rc == 0) {
        u->silenced_until = mono_ms() + 1000 * command_number(cmd, "s", 1800);
        u->silence_told = command_has(cmd, "told");
    }
    return rc;
}

static int do_outage(struct sim *s, const struct command *cmd, struct json *out, struct err *err)
{
    (void)out;
    (void)err;
    s->outage = !command_has(cmd, "off");
    return 0;
}

static int do_upgrade(struct sim *s, const struct command *cmd, struct json *out, struct err *err)
{
    const char *location = command_value(cmd, "location");
    uint64_t status = command_number(cmd, "status", 0);

    (void)out;
    if (!command_has(cmd, "ok") && (status < 200 || status > 599)) {
        return err_set(err, ERR_USAGE, "upgrade: ok, or status=200 to 599 [location=URL]");
    }
    s->refusal = (unsigned)status;
    (void)snprintf(s->location, sizeof(s->location), "%s", location ? location : "");
    return 0;
}

static int do_inject(struct sim *s, const struct command *cmd, struct json *out, struct err *err)
{
    const char *text = command_value(cmd, "line");
    struct irc_line line;
    enum audience audience = AUDIENCE_ALL;
    struct room *r = NULL;
    int rc = need_room(s, cmd, &r, err);

    if (rc == 0 && !text) {
        rc = err_set(err, ERR_USAGE, "inject: line= is missing");
    }
    if (rc == 0) {
        if (irc_parse(slice_of(text), &line, NULL) == 0) {
            audience = room_audience(line.command);
        }
        json_number(out, "heard", (int64_t)room_send(s, r, slice_of(text), audience, NULL, NULL));
    }
    return rc;
}

static int do_generate(struct sim *s, const struct command *cmd, struct json *out, struct err *err)
{
    const char *rate = command_value(cmd, "rate");
    const char *only = command_value(cmd, "only");
    struct generate_order order = {.count = command_number(cmd, "count", 0),
                                   .rate = rate ? strtod(rate, NULL) : 0,
                                   .seed = command_number(cmd, "seed", 0),
                                   .only_privmsg = only != NULL,
                                   .stamp = command_number(cmd, "stamp", 0) != 0,
                                   .channels = (char *)command_value(cmd, "channels")};

    (void)err;
    generate_start(s, &order);
    stats_write_generate(s, out);
    return 0;
}

static int do_stop(struct sim *s, const struct command *cmd, struct json *out, struct err *err)
{
    (void)cmd;
    (void)err;
    generate_stop(s);
    stats_write_generate(s, out);
    return 0;
}

static int do_replay(struct sim *s, const struct command *cmd, struct json *out, struct err *err)
{
    (void)cmd;
    (void)out;
    return replay_start(s) ? 0 : err_set(err, ERR_USAGE, "replay: there is no --replay file");
}

static int do_help(struct sim *s, const struct command *cmd, struct json *out, struct err *err);

static const struct {
    const char *name;
    int (*run)(struct sim *s, const struct command *cmd, struct json *out, struct err *err);
    target_fn target; /* instead of run: for each connection of TARGET */
} COMMANDS[] = {
    {"help", do_help, NULL},
    {"stats", do_stats, NULL},
    {"connections", do_connections, NULL},
    {"received", do_received, NULL},
    {"flush", do_flush, NULL},
    {"channel", do_channel, NULL},
    {"mode", do_mode, NULL},
    {"ban", do_ban, NULL},
    {"timeout", do_ban, NULL},
    {"user", do_user, NULL},
    {"revoke", command_revoke, NULL},
    {"app", command_app, NULL},
    {"grant", command_grant, NULL},
    {"device", command_device, NULL},
    {"token", command_token, NULL},
    {"http", command_http, NULL},
    {"limit", do_limit, NULL},
    {"silence", do_silence, NULL},
    {"slow", NULL, target_slow},
    {"pause", NULL, target_pause},
    {"half-open", NULL, target_half_open},
    {"lag", NULL, target_lag},
    {"swap", NULL, target_swap},
    {"disconnect", NULL, target_disconnect},
    {"reconnect", NULL, target_reconnect},
    {"outage", do_outage, NULL},
    {"upgrade", do_upgrade, NULL},
    {"inject", do_inject, NULL},
    {"raw", NULL, target_raw},
    {"garbage", NULL, target_garbage},
    {"longline", NULL, target_longline},
    {"flood", NULL, target_flood},
    {"generate", do_generate, NULL},
    {"stop", do_stop, NULL},
    {"replay", do_replay, NULL},
};

static int do_help(struct sim *s, const struct command *cmd, struct json *out, struct err *err)
{
    (void)s;
    (void)cmd;
    (void)err;
    json_array_begin(out, "commands");
    for (size_t i = 0; i < ARRAY_LEN(COMMANDS); i++) {
        json_string(out, NULL, COMMANDS[i].name);
    }
    json_string(out, NULL, "wait");
    json_array_end(out);
    return 0;
}

int command_run(struct sim *s, const struct command *cmd, struct json *out, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(COMMANDS); i++) {
        if (strcmp(cmd->name, COMMANDS[i].name) == 0) {
            return COMMANDS[i].run ? COMMANDS[i].run(s, cmd, out, err)
                                   : targets_each(s, cmd, COMMANDS[i].target, out, err);
        }
    }
    return err_set(err, ERR_USAGE, "no command is called \"%s\": try help", cmd->name);
}

static size_t members_of(struct sim *s, const char *spec, uint64_t *wanted)
{
    const char *colon = strchr(spec, ':');
    char name[LOGIN_CHARS];
    struct room *r = NULL;

    snprintf(name, sizeof(name), "%.*s", (int)strcspn(spec, ":"), spec);
    *wanted = colon ? strtoull(colon + 1, NULL, 10) : 1;
    r = room_find(s, name);
    return r ? r->n : 0;
}

int command_wait(struct sim *s, const struct command *cmd, bool *done, struct err *err)
{
    const char *members = command_value(cmd, "members");

    if (command_has(cmd, "generate")) {
        *done = !generate_look(s).running;
    } else if (command_has(cmd, "flood")) {
        *done = !flood_runs(s);
    } else if (command_has(cmd, "replay")) {
        *done = replay_look(s).done;
    } else if (members) {
        uint64_t wanted;

        *done = members_of(s, members, &wanted) == wanted;
    } else if (command_value(cmd, "joined")) {
        *done = s->njoined >= command_number(cmd, "joined", 0);
    } else if (command_value(cmd, "logins")) {
        *done = s->count.logins_ok >= command_number(cmd, "logins", 0);
    } else if (command_value(cmd, "connections")) {
        *done = stats_connections(s) == command_number(cmd, "connections", 0);
    } else {
        return err_set(err, ERR_USAGE,
                       "wait: for what? generate, flood, replay, connections=N, logins=N, "
                       "joined=N or members=CHANNEL:N");
    }
    return 0;
}
