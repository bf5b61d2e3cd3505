/* Shard rig. */
#include "tests/lib/shard_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void note(struct rig *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void note(struct rig *r, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    int n = vsnprintf(r->log + r->len, sizeof(r->log) - r->len, fmt, args);
    va_end(args);
    r->len += (size_t)n;
    assert_true(r->len + 2 < sizeof(r->log));
    memcpy(r->log + r->len, "\n", 2);
    r->len++;
}

static void on_connect(void *ctx)
{
    note(ctx, "connect");
}

static void on_close(void *ctx, const char *reason)
{
    note(ctx, "close %s", reason);
}

static bool on_login(void *ctx, struct err *err)
{
    struct rig *r = ctx;

    if (!r->login_ok) {
        if (r->login_auth) {
            (void)err_set(err, ERR_AUTH, "no token for bot");
        }
        return false;
    }
    note(r, "login");
    return true;
}

static bool on_write(void *ctx, enum shard_write_kind kind, struct slice bytes)
{
    struct rig *r = ctx;
    unsigned long long ping;

    if (!r->write_ok) {
        note(r, "refused write");
        return false;
    }
    assert_true(bytes.len > 2 && memcmp(bytes.ptr + bytes.len - 2, "\r\n", 2) == 0);
    note(r, "write %d %.*s", (int)kind, (int)bytes.len - 2, bytes.ptr);
    if (sscanf(bytes.ptr, "PING :%llu", &ping) == 1) {
        r->ping = ping;
    }
    return true;
}

static void on_draw(void *ctx, enum shard_draw_kind kind, unsigned n)
{
    struct rig *r = ctx;

    note(r, "draw %s %u", kind == SHARD_DRAW_LOGIN ? "login" : "join", n);
    assert_int_equal(r->owed[kind], 0);
    assert_true(n <= 20);
    r->owed[kind] = n;
    r->drawn[kind] += n;
}

static void on_room_line(void *ctx, const struct shard_channel *channel,
                         const struct irc_line *line)
{
    note(ctx, "line %s %.*s", channel->name, (int)line->params[line->nparams - 1].len,
         line->params[line->nparams - 1].ptr);
}

static void on_state_changed(void *ctx, enum shard_state from, enum shard_state to)
{
    note(ctx, "%s>%s", shard_state_name(from), shard_state_name(to));
}

static void on_channel_changed(void *ctx, const struct shard_channel *channel)
{
    note(ctx, "#%s %s%s%s%s", channel->name, shard_channel_state_name(channel->machine.state),
         channel->reason[0] == '\0' ? "" : " ", channel->reason,
         channel->standing == IRC_STANDING_MODERATOR ? " mod"
         : channel->standing == IRC_STANDING_VIP     ? " vip"
                                                     : "");
}

static void on_gap(void *ctx, const struct shard_channel *channel, uint64_t from, uint64_t to)
{
    note(ctx, "gap %s %llu-%llu", channel->name, (unsigned long long)from, (unsigned long long)to);
}

static void on_send_result(void *ctx, const struct shard_send_result *result)
{
    struct rig *r = ctx;

    const struct send_outcome *o = &result->outcome;

    char passes[48] = "";

    if (o->passes) {
        (void)snprintf(passes, sizeof(passes), " passes in %llu",
                       (unsigned long long)o->passes_in_ms);
    }
    note(r, "%s %llu #%.*s%s%.*s%s%s%.*s%s", send_status_name(o->status),
         (unsigned long long)result->send_id, (int)result->channel.len, result->channel.ptr,
         o->reason.len > 0 ? " " : "", (int)o->reason.len, o->reason.ptr,
         result->held ? " held" : "", o->message_id.len > 0 ? " id=" : "", (int)o->message_id.len,
         o->message_id.ptr, passes);
    (void)snprintf(r->said, sizeof(r->said), "%.*s", (int)o->text.len, o->text.ptr);
    assert_true(o->status == SEND_SENT || result->userstate == NULL);
    assert_true(result->userstate == NULL || o->reason.len == 0);
    if (r->send_again) {
        r->send_again = false;
        r->again_rc = shard_send(r->s, 99, SLICE("a"), SLICE("PRIVMSG #a :again\r\n"), SLICE("n99"),
                                 false, r->now, NULL);
    }
}

static void on_bad_line(void *ctx, struct slice line, const char *why)
{
    note(ctx, "bad %zu: %s", line.len, why);
}

static void on_login_refused(void *ctx, struct slice text)
{
    note(ctx, "refused %.*s", (int)text.len, text.ptr);
}

static const struct shard_port port = {
    .connect = on_connect,
    .close = on_close,
    .login = on_login,
    .write = on_write,
    .draw = on_draw,
    .room_line = on_room_line,
    .state_changed = on_state_changed,
    .channel_changed = on_channel_changed,
    .gap = on_gap,
    .send_result = on_send_result,
    .bad_line = on_bad_line,
    .login_refused = on_login_refused,
};

struct rig *rig_create(void)
{
    struct rig *r = xcalloc(1, sizeof(*r));

    r->now = 1000000;
    r->write_ok = true;
    r->login_ok = true;
    r->s = shard_create("main-shard", "bot", &port, r);
    return r;
}

void rig_destroy(struct rig *r)
{
    shard_destroy(r->s);
    free(r);
}

void rig_settle_draws(struct rig *r)
{
    for (int kind = 0; kind < SHARD_DRAW_KINDS; kind++) {
        while (r->grants && r->owed[kind] > 0) {
            uint64_t at[SHARD_MAX_SLOTS];
            unsigned n = r->owed[kind];

            for (unsigned i = 0; i < n; i++) {
                at[i] = r->now;
            }
            r->owed[kind] = 0;
            shard_on_grant(r->s, kind, at, n, r->now);
        }
    }
}

void rig_grant_at(struct rig *r, enum shard_draw_kind kind, size_t n, uint64_t at_ms)
{
    uint64_t at[SHARD_MAX_SLOTS];

    for (size_t i = 0; i < n; i++) {
        at[i] = at_ms;
    }
    r->owed[kind] = 0;
    shard_on_grant(r->s, kind, at, n, r->now);
}

static void settle_pong(struct rig *r);

void rig_line(struct rig *r, const char *text)
{
    size_t len = strlen(text);
    char *copy = xmalloc(len); /* of exactly that size, so that ASan sees a byte too many */

    memcpy(copy, text, len);
    shard_on_line(r->s, (struct slice){copy, len}, r->now);
    free(copy);
    rig_settle_draws(r);
    settle_pong(r);
}

static void settle_pong(struct rig *r)
{
    if (r->pongs && r->ping != 0) {
        char text[80];

        (void)snprintf(text, sizeof(text), ":tmi.twitch.tv PONG tmi.twitch.tv :%llu",
                       (unsigned long long)r->ping);
        r->ping = 0;
        rig_line(r, text);
    }
}

void rig_pass(struct rig *r, uint64_t ms)
{
    uint64_t end = r->now + ms;

    rig_settle_draws(r);
    while (shard_deadline(r->s) <= end) {
        uint64_t due = shard_deadline(r->s);

        assert_true(due > r->now || r->now == end); /* nothing due is left undone: no busy loop */
        r->now = due > r->now ? due : r->now;
        (void)shard_tick(r->s, r->now);
        rig_settle_draws(r);
        settle_pong(r);
        if (due >= end) {
            break;
        }
    }
    r->now = end;
}

bool rig_has(const struct rig *r, const char *text)
{
    return strstr(r->log, text) != NULL;
}

void rig_clear(struct rig *r)
{
    r->len = 0;
    r->log[0] = '\0';
}

void rig_expect(struct rig *r, const char *text)
{
    if (!rig_has(r, text)) {
        fail_msg("not in the log: %s\n--- the log:\n%s---", text, r->log);
    }
}

void rig_expect_not(struct rig *r, const char *text)
{
    if (rig_has(r, text)) {
        fail_msg("in the log: %s\n--- the log:\n%s---", text, r->log);
    }
}

void rig_expect_log(struct rig *r, const char *text)
{
    assert_string_equal(r->log, text);
    rig_clear(r);
}

void rig_want(struct rig *r, const char *names)
{
    struct shard_want wants[64];
    char copy[1024];
    size_t n = 0;

    (void)snprintf(copy, sizeof(copy), "%s", names);
    for (char *name = strtok(copy, " "); name != NULL; name = strtok(NULL, " ")) {
        wants[n++] = (struct shard_want){.name = slice_of(name)};
    }
    shard_set_channels(r->s, wants, n, r->now);
    rig_settle_draws(r);
}

struct rig *rig_ready(const char *channels)
{
    struct rig *r = rig_create();

    r->grants = true;
    r->pongs = true;
    shard_start(r->s, r->now);
    rig_settle_draws(r);
    shard_on_connected(r->s, r->now);
    rig_line(r, ":tmi.twitch.tv 001 bot :Welcome, GLHF!");
    assert_int_equal(shard_state(r->s), SHARD_READY);
    rig_want(r, channels);
    return r;
}

void rig_joined(struct rig *r, const char *name)
{
    char text[200];

    (void)snprintf(text, sizeof(text),
                   "@emote-only=0;followers-only=-1;r9k=0;room-id=7;slow=0;subs-only=0 "
                   ":tmi.twitch.tv ROOMSTATE #%s",
                   name);
    rig_line(r, text);
    assert_int_equal(shard_channel(r->s, slice_of(name))->machine.state, SHARD_CHANNEL_JOINED);
}

enum shard_channel_state rig_state_of(const struct rig *r, const char *name)
{
    const struct shard_channel *c = shard_channel(r->s, slice_of(name));

    return c == NULL ? SHARD_CHANNEL_GONE : c->machine.state;
}

void rig_expect_connecting(struct rig *r, uint64_t min, uint64_t max)
{
    if (min > 0) {
        rig_pass(r, min - 1);
        assert_int_equal(shard_state(r->s), SHARD_BACKOFF);
    }
    for (uint64_t passed = min; shard_state(r->s) != SHARD_CONNECTING; passed += 10) {
        assert_true(passed <= max);
        rig_pass(r, 10);
    }
}

void rig_send(struct rig *r, uint64_t id, const char *channel, const char *nonce)
{
    char text[100];

    (void)snprintf(text, sizeof(text), "PRIVMSG #%s :text %d\r\n", channel, (int)id);
    assert_int_equal(shard_send(r->s, id, slice_of(channel), slice_of(text), slice_of(nonce),
                                r->command, r->now, NULL),
                     0);
}
