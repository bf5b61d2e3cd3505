/* Commands with a TARGET: connections are collected first, since doing something may close them. */
#include "tests/twitch_sim/targets.h"

#include "tests/twitch_sim/fault.h"
#include "tests/twitch_sim/flood.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* The connections of TARGET, in fresh memory. */
static int find_targets(struct sim *s, const struct command *cmd, struct conn ***out, size_t *n,
                        struct err *err)
{
    const char *user = command_value(cmd, "user");
    const char *channel = command_value(cmd, "channel");
    uint64_t id = command_number(cmd, "conn", 0);
    uint64_t random = command_number(cmd, "random", 0);
    struct conn *c;

    if (!user && !channel && !id && !random && !command_has(cmd, "all")) {
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

int target_silence(struct conn *c, const struct command *cmd, struct err *err)
{
    uint64_t until = mono_ms() + 1000 * command_number(cmd, "s", 1800);

    (void)err;
    c->silenced_until = until;
    return 0;
}

int target_slow(struct conn *c, const struct command *cmd, struct err *err)
{
    (void)err;
    fault_rates(c, command_number(cmd, "read", 0), command_number(cmd, "write", 0));
    return 0;
}

int target_pause(struct conn *c, const struct command *cmd, struct err *err)
{
    (void)err;
    fault_pause(c, command_number(cmd, "ms", 1000));
    return 0;
}

int target_half_open(struct conn *c, const struct command *cmd, struct err *err)
{
    (void)cmd;
    (void)err;
    fault_half_open(c);
    return 0;
}

int target_lag(struct conn *c, const struct command *cmd, struct err *err)
{
    (void)err;
    fault_lag(c, command_number(cmd, "ms", 0));
    return 0;
}

int target_swap(struct conn *c, const struct command *cmd, struct err *err)
{
    (void)err;
    fault_swap(c, !command_has(cmd, "off"));
    return 0;
}

int target_disconnect(struct conn *c, const struct command *cmd, struct err *err)
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

int target_reconnect(struct conn *c, const struct command *cmd, struct err *err)
{
    (void)err;
    if (c->caps & CAP_COMMANDS) {
        conn_printf(c, ":" SIM_HOST " RECONNECT");
    }
    c->close_at = mono_ms() + command_number(cmd, "ms", c->sim->settings.reconnect_grace_ms);
    return 0;
}

int target_raw(struct conn *c, const struct command *cmd, struct err *err)
{
    const char *line = command_value(cmd, "line");

    if (!line) {
        return err_set(err, ERR_USAGE, "raw: line= is missing");
    }
    conn_send(c, slice_of(line));
    return 0;
}

int target_garbage(struct conn *c, const struct command *cmd, struct err *err)
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

int target_longline(struct conn *c, const struct command *cmd, struct err *err)
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

int target_flood(struct conn *c, const struct command *cmd, struct err *err)
{
    size_t bytes = command_number(cmd, "bytes", 0);

    if (bytes > 0 && (bytes < FLOOD_LEAST || bytes > FLOOD_MOST)) {
        return err_set(err, ERR_USAGE, "flood: bytes is between %d and %d", FLOOD_LEAST,
                       FLOOD_MOST);
    }
    flood_start(c, command_number(cmd, "count", 0), bytes, command_number(cmd, "seed", c->id));
    return 0;
}

int targets_each(struct sim *s, const struct command *cmd, target_fn fn, struct json *out,
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
