/* The commands of the control port: a table of names and functions. What each takes is in commands.h. */
#include "tests/twitch_sim/commands.h"

#include "tests/twitch_sim/conn.h"
#include "tests/twitch_sim/generate.h"
#include "tests/twitch_sim/replay.h"
#include "tests/twitch_sim/stats.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

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

static bool has_word(const struct command *cmd, const char *word)
{
    for (size_t i = 0; i < cmd->nwords; i++) {
        if (strcmp(cmd->words[i], word) == 0) {
            return true;
        }
    }
    return false;
}

/* The connections of TARGET, in fresh memory. */
static int find_targets(struct sim *s, const struct command *cmd, struct conn ***out, size_t *n,
                        struct err *err)
{
    const char *user = command_value(cmd, "user");
    const char *channel = command_value(cmd, "channel");
    uint64_t id = command_number(cmd, "conn", 0);
    uint64_t random = command_number(cmd, "random", 0);
    struct conn *c;

    if (!user && !channel && !id && !random && !has_word(cmd, "all")) {
        return err_set(err, ERR_USAGE,
                       "%s: whom? all, conn=ID, user=LOGIN, channel=NAME or random=N", cmd->name);
    }
    *out = xcalloc(s->nconns + 1, sizeof(struct conn *));
    *n = 0;
    DL_FOREACH(s->conns, c)
    {
        struct room *r = channel ? room_find(s, channel) : NULL;
        struct membership *m = NULL;

        if (r) {
            HASH_FIND_PTR(c->rooms, &r, m);
        }
        if (!c->killed && !c->closing && (!id || c->id == id) && (!channel || m) &&
            (!user || (c->user && strcmp(c->user->login, user) == 0))) {
            (*out)[(*n)++] = c;
        }
    }
    for (size_t i = 0; random && i < *n && i < random; i++) {
        size_t j = i + rng_below(&s->rng, *n - i);
        struct conn *swap = (*out)[i];

        (*out)[i] = (*out)[j];
        (*out)[j] = swap;
    }
    if (random && *n > random) {
        *n = random;
    }
    return 0;
}

typedef int (*target_fn)(struct conn *c, const struct command *cmd, struct err *err);

static int to_silence(struct conn *c, const struct command *cmd, struct err *err)
{
    uint64_t until = mono_ms() + 1000 * command_number(cmd, "s", 1800);

    (void)err;
    c->silenced_until = until;
    return 0;
}

static int to_slow(struct conn *c, const struct command *cmd, struct err *err)
{
    (void)err;
    conn_set_rates(c, command_number(cmd, "read", 0), command_number(cmd, "write", 0));
    return 0;
}

static int to_pause(struct conn *c, const struct command *cmd, struct err *err)
{
    (void)err;
    conn_pause(c, command_number(cmd, "ms", 1000));
    return 0;
}

static int to_half_open(struct conn *c, const struct command *cmd, struct err *err)
{
    (void)cmd;
    (void)err;
    conn_set_half_open(c);
    return 0;
}

static int to_lag(struct conn *c, const struct command *cmd, struct err *err)
{
    (void)err;
    conn_set_lag(c, command_number(cmd, "ms", 0));
    return 0;
}

static int to_swap(struct conn *c, const struct command *cmd, struct err *err)
{
    (void)err;
    conn_set_swap(c, !has_word(cmd, "off"));
    return 0;
}

static int to_disconnect(struct conn *c, const struct command *cmd, struct err *err)
{
    const char *how = command_value(cmd, "how");

    (void)err;
    if (c->half_open || (how && strcmp(how, "reset") == 0)) {
        conn_kill(c);
    } else {
        conn_close(c);
    }
    return 0;
}

static int to_reconnect(struct conn *c, const struct command *cmd, struct err *err)
{
    (void)err;
    if (c->caps & CAP_COMMANDS) {
        conn_printf(c, ":" SIM_HOST " RECONNECT");
    }
    c->close_at = mono_ms() + command_number(cmd, "ms", c->sim->settings.reconnect_grace_ms);
    return 0;
}

static int to_raw(struct conn *c, const struct command *cmd, struct err *err)
{
    const char *line = command_value(cmd, "line");

    if (!line) {
        return err_set(err, ERR_USAGE, "raw: line= is missing");
    }
    conn_send(c, slice_of(line));
    return 0;
}

static int to_garbage(struct conn *c, const struct command *cmd, struct err *err)
{
    const struct {
        const char *kind;
        int first_byte; /* -1: no frame at all */
        struct slice bytes;
    } kinds[] = {
        {"utf8", 0x81, SLICE(":tmi.twitch.tv NOTICE * :\xff\xfe\xc0\x80 broken\r\n")},
        {"binary", 0x82, SLICE("\x00\x01\x02\x80\xff binary \r\n")},
        {"nul", 0x81, SLICE("@a=b :x!x@x PRIVMSG #x :a\0b\r\n")},
        {"cr", 0x81, SLICE("\r\r\n\n:x PRIVMSG #x :a\rb\r\n \r\n@ : \r\n@=;;= :\r\n")},
        {"opcode", 0x8b, SLICE("unknown opcode")},
        {"bytes", -1, SLICE("\xff\xff\xff\xff HTTP/1.1 400 Bad Request\r\n\r\n")},
    };
    const char *kind = command_value(cmd, "kind");

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strcmp(kind ? kind : "utf8", kinds[i].kind) != 0) {
            continue;
        }
        if (kinds[i].first_byte < 0) {
            conn_send_bytes(c, kinds[i].bytes.ptr, kinds[i].bytes.len);
        } else {
            conn_send_frame(c, (unsigned char)kinds[i].first_byte, kinds[i].bytes.ptr,
                            kinds[i].bytes.len);
        }
        return 0;
    }
    return err_set(err, ERR_USAGE, "garbage: kind is utf8, binary, nul, cr, opcode or bytes");
}

static int to_longline(struct conn *c, const struct command *cmd, struct err *err)
{
    static const char start[] = ":x!x@x.tmi.twitch.tv PRIVMSG #x :";
    size_t len = command_number(cmd, "bytes", 100000);
    char *line;

    if (len < sizeof(start) || len > ((size_t)64 << 20)) {
        return err_set(err, ERR_USAGE, "longline: bytes is between %zu and 64 Mi", sizeof(start));
    }
    line = xmalloc(len);
    memset(line, 'x', len);
    memcpy(line, start, sizeof(start) - 1);
    conn_send(c, (struct slice){line, len});
    free(line);
    return 0;
}

static int do_targets(struct sim *s, const struct command *cmd, target_fn fn, struct json *out,
                      struct err *err)
{
    struct conn **conns = NULL;
    size_t n = 0;
    int rc = find_targets(s, cmd, &conns, &n, err);

    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = fn(conns[i], cmd, err);
    }
    free(conns);
    sim_hurry(s);
    if (rc == 0) {
        json_number(out, "connections", (int64_t)n);
    }
    return rc;
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
            place->banned = !has_word(cmd, "off");
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
    char login[IRC_CHANNEL_CHARS];
    struct user *u = NULL;

    (void)out;
    if (cmd->nwords == 0 || !irc_channel_normalise(slice_of(cmd->words[0]), login, sizeof(login))) {
        return err_set(err, ERR_USAGE, "user: which login?");
    }
    u = user_put(&s->users, login, token, command_number(cmd, "verified", 0) != 0);
    if (mod) {
        user_moderate(u, mod);
    }
    return 0;
}

static int do_revoke(struct sim *s, const struct command *cmd, struct json *out, struct err *err)
{
    struct user *u = NULL;
    int rc = need_user(s, cmd, cmd->nwords ? cmd->words[0] : NULL, &u, err);

    (void)out;
    if (rc == 0) {
        u->revoked = true;
    }
    return rc;
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
        return do_targets(s, cmd, to_silence, out, err);
    }
    rc = need_user(s, cmd, login, &u, err);
    if (rc == 0) {
        u->silenced_until = mono_ms() + 1000 * command_number(cmd, "s", 1800);
    }
    return rc;
}

static int do_outage(struct sim *s, const struct command *cmd, struct json *out, struct err *err)
{
    (void)out;
    (void)err;
    s->outage = !has_word(cmd, "off");
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
    {"revoke", do_revoke, NULL},
    {"limit", do_limit, NULL},
    {"silence", do_silence, NULL},
    {"slow", NULL, to_slow},
    {"pause", NULL, to_pause},
    {"half-open", NULL, to_half_open},
    {"lag", NULL, to_lag},
    {"swap", NULL, to_swap},
    {"disconnect", NULL, to_disconnect},
    {"reconnect", NULL, to_reconnect},
    {"outage", do_outage, NULL},
    {"inject", do_inject, NULL},
    {"raw", NULL, to_raw},
    {"garbage", NULL, to_garbage},
    {"longline", NULL, to_longline},
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
                                   : do_targets(s, cmd, COMMANDS[i].target, out, err);
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

    if (has_word(cmd, "generate")) {
        *done = !generate_look(s).running;
    } else if (has_word(cmd, "replay")) {
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
                       "wait: for what? generate, replay, connections=N, logins=N, "
                       "joined=N or members=CHANNEL:N");
    }
    return 0;
}
