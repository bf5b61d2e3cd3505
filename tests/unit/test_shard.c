/* The shard under a virtual clock, with a port that writes down what it is asked to do. */
#include "node/shard_private.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

/* The shard, its clock and what it did, one effect a line. */
struct rig {
    struct shard *s;
    uint64_t now;
    char log[65536];
    size_t len;
    bool write_ok;
    bool login_ok;
    bool login_auth; /* a login that fails lacks a token */
    bool grants;     /* answer each draw at once after the input */
    bool pongs;      /* answer each PING */
    unsigned drawn[SHARD_DRAW_KINDS];
    unsigned owed[SHARD_DRAW_KINDS];
    uint64_t ping; /* the token to be answered */
    bool send_again;
    int again_rc;
};

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
    note(ctx, "#%s %s%s%s%s", channel->name, shard_channel_state_name(channel->state),
         channel->reason[0] == '\0' ? "" : " ", channel->reason, channel->moderator ? " mod" : "");
}

static void on_gap(void *ctx, const struct shard_channel *channel, uint64_t from, uint64_t to)
{
    note(ctx, "gap %s %llu-%llu", channel->name, (unsigned long long)from, (unsigned long long)to);
}

static void on_send_result(void *ctx, const struct shard_send_result *result)
{
    static const char *const names[] = {"sent", "rejected", "unknown"};
    struct rig *r = ctx;

    note(r, "%s %llu #%.*s%s%.*s%s", names[result->status], (unsigned long long)result->send_id,
         (int)result->channel.len, result->channel.ptr, result->reason.len > 0 ? " " : "",
         (int)result->reason.len, result->reason.ptr, result->held ? " held" : "");
    assert_true((result->status == SHARD_SENT) == (result->userstate != NULL));
    if (r->send_again) {
        r->send_again = false;
        r->again_rc = shard_send(r->s, 99, SLICE("a"), SLICE("PRIVMSG #a :again\r\n"), SLICE("n99"),
                                 r->now, NULL);
    }
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
    .login_refused = on_login_refused,
};

static struct rig *rig_create(void)
{
    struct rig *r = xcalloc(1, sizeof(*r));

    r->now = 1000000;
    r->write_ok = true;
    r->login_ok = true;
    r->s = shard_create("main-shard", "bot", NULL, &port, r);
    return r;
}

static void rig_destroy(struct rig *r)
{
    shard_destroy(r->s);
    free(r);
}

/* Answer what was drawn: all of it, to be used now. */
static void settle_draws(struct rig *r)
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

static void grant_at(struct rig *r, enum shard_draw_kind kind, size_t n, uint64_t at_ms)
{
    uint64_t at[SHARD_MAX_SLOTS];

    for (size_t i = 0; i < n; i++) {
        at[i] = at_ms;
    }
    r->owed[kind] = 0;
    shard_on_grant(r->s, kind, at, n, r->now);
}

static void line(struct rig *r, const char *text)
{
    size_t len = strlen(text);
    char *copy = xmalloc(len); /* of exactly that size, so that ASan sees a byte too many */

    memcpy(copy, text, len);
    shard_on_line(r->s, (struct slice){copy, len}, r->now);
    free(copy);
    settle_draws(r);
}

static void settle_pong(struct rig *r)
{
    if (r->pongs && r->ping != 0) {
        char text[80];

        (void)snprintf(text, sizeof(text), ":tmi.twitch.tv PONG tmi.twitch.tv :%llu",
                       (unsigned long long)r->ping);
        r->ping = 0;
        line(r, text);
    }
}

/* Let time pass as a driver would: each tick at its deadline. */
static void pass(struct rig *r, uint64_t ms)
{
    uint64_t end = r->now + ms;

    settle_draws(r);
    while (shard_deadline(r->s) <= end) {
        uint64_t due = shard_deadline(r->s);

        assert_true(due > r->now || r->now == end); /* nothing due is left undone: no busy loop */
        r->now = due > r->now ? due : r->now;
        (void)shard_tick(r->s, r->now);
        settle_draws(r);
        settle_pong(r);
        if (due >= end) {
            break;
        }
    }
    r->now = end;
}

static bool has(const struct rig *r, const char *text)
{
    return strstr(r->log, text) != NULL;
}

static void clear(struct rig *r)
{
    r->len = 0;
    r->log[0] = '\0';
}

/* The log holds `text`; then it is cleared. */
static void expect(struct rig *r, const char *text)
{
    if (!has(r, text)) {
        fail_msg("not in the log: %s\n--- the log:\n%s---", text, r->log);
    }
}

static void expect_not(struct rig *r, const char *text)
{
    if (has(r, text)) {
        fail_msg("in the log: %s\n--- the log:\n%s---", text, r->log);
    }
}

static void expect_log(struct rig *r, const char *text)
{
    assert_string_equal(r->log, text);
    clear(r);
}

static void want(struct rig *r, const char *names)
{
    struct shard_want wants[64];
    char copy[1024];
    size_t n = 0;

    (void)snprintf(copy, sizeof(copy), "%s", names);
    for (char *name = strtok(copy, " "); name != NULL; name = strtok(NULL, " ")) {
        wants[n++] = (struct shard_want){.name = slice_of(name)};
    }
    shard_set_channels(r->s, wants, n, r->now);
    settle_draws(r);
}

/* Up to ready, every draw granted at once from now on, PINGs answered. */
static struct rig *rig_ready(const char *channels)
{
    struct rig *r = rig_create();

    r->grants = true;
    r->pongs = true;
    shard_start(r->s, r->now);
    settle_draws(r);
    shard_on_connected(r->s, r->now);
    line(r, ":tmi.twitch.tv 001 bot :Welcome, GLHF!");
    assert_int_equal(shard_state(r->s), SHARD_READY);
    want(r, channels);
    return r;
}

static void joined(struct rig *r, const char *name)
{
    char text[200];

    (void)snprintf(text, sizeof(text),
                   "@emote-only=0;followers-only=-1;r9k=0;room-id=7;slow=0;subs-only=0 "
                   ":tmi.twitch.tv ROOMSTATE #%s",
                   name);
    line(r, text);
    assert_int_equal(shard_channel(r->s, slice_of(name))->state, SHARD_CHANNEL_JOINED);
}

static enum shard_channel_state state_of(const struct rig *r, const char *name)
{
    const struct shard_channel *c = shard_channel(r->s, slice_of(name));

    return c == NULL ? SHARD_CHANNEL_GONE : c->state;
}

/* It connects after at least `min` and at most `max`. */
static void expect_connecting(struct rig *r, uint64_t min, uint64_t max)
{
    if (min > 0) {
        pass(r, min - 1);
        assert_int_equal(shard_state(r->s), SHARD_BACKOFF);
    }
    for (uint64_t passed = min; shard_state(r->s) != SHARD_CONNECTING; passed += 10) {
        assert_true(passed <= max);
        pass(r, 10);
    }
}

/* Did `act` abort? In a child, so that this process lives. */
static bool aborts(void (*act)(int a, int b), int a, int b)
{
    int status = 0;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        (void)!freopen("/dev/null", "w", stderr);
        (void)signal(SIGABRT, SIG_DFL);
        act(a, b);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) || WEXITSTATUS(status) != 0;
}

static void move_shard(int from, int to)
{
    struct rig *r = rig_create();

    r->s->state = (enum shard_state)from;
    shard_move(r->s, (enum shard_state)to, r->now);
    rig_destroy(r);
}

static void move_channel(int from, int to)
{
    struct rig *r = rig_create();
    struct shard_want w = {.name = SLICE("a")};
    struct shard_entry *e;

    shard_set_channels(r->s, &w, 1, r->now);
    e = shard_find(r->s, SLICE("a"));
    r->s->counts[e->pub.state]--;
    e->pub.state = (enum shard_channel_state)from;
    r->s->counts[e->pub.state]++;
    shard_channel_move(r->s, e, (enum shard_channel_state)to, r->now);
    rig_destroy(r);
}

static void every_move_of_a_shard_is_legal_or_a_bug(void **state)
{
    static const struct {
        enum shard_state from, to;
    } legal[] = {
        {SHARD_IDLE, SHARD_CONNECTING},
        {SHARD_IDLE, SHARD_CLOSED},
        {SHARD_CONNECTING, SHARD_AUTHENTICATING},
        {SHARD_CONNECTING, SHARD_BACKOFF},
        {SHARD_CONNECTING, SHARD_CLOSED},
        {SHARD_AUTHENTICATING, SHARD_READY},
        {SHARD_AUTHENTICATING, SHARD_BACKOFF},
        {SHARD_AUTHENTICATING, SHARD_CLOSED},
        {SHARD_READY, SHARD_DRAINING},
        {SHARD_READY, SHARD_BACKOFF},
        {SHARD_READY, SHARD_CLOSED},
        {SHARD_DRAINING, SHARD_CLOSED},
        {SHARD_BACKOFF, SHARD_CONNECTING},
        {SHARD_BACKOFF, SHARD_CLOSED},
    };

    (void)state;
    for (int from = 0; from < SHARD_STATES; from++) {
        for (int to = 0; to < SHARD_STATES; to++) {
            bool ok = false;

            for (size_t i = 0; i < ARRAY_LEN(legal); i++) {
                ok = ok || ((int)legal[i].from == from && (int)legal[i].to == to);
            }
            assert_int_equal(aborts(move_shard, from, to), !ok);
        }
    }
}

static void every_move_of_a_channel_is_legal_or_a_bug(void **state)
{
    static const struct {
        enum shard_channel_state from, to;
    } legal[] = {
        {SHARD_CHANNEL_QUEUED, SHARD_CHANNEL_JOINING},
        {SHARD_CHANNEL_QUEUED, SHARD_CHANNEL_GONE},
        {SHARD_CHANNEL_JOINING, SHARD_CHANNEL_JOINED},
        {SHARD_CHANNEL_JOINING, SHARD_CHANNEL_QUEUED},
        {SHARD_CHANNEL_JOINING, SHARD_CHANNEL_FAILED},
        {SHARD_CHANNEL_JOINING, SHARD_CHANNEL_PARTING},
        {SHARD_CHANNEL_JOINED, SHARD_CHANNEL_QUEUED},
        {SHARD_CHANNEL_JOINED, SHARD_CHANNEL_PARTING},
        {SHARD_CHANNEL_PARTING, SHARD_CHANNEL_QUEUED},
        {SHARD_CHANNEL_PARTING, SHARD_CHANNEL_GONE},
        {SHARD_CHANNEL_FAILED, SHARD_CHANNEL_QUEUED},
        {SHARD_CHANNEL_FAILED, SHARD_CHANNEL_GONE},
    };

    (void)state;
    for (int from = 0; from < SHARD_CHANNEL_STATES; from++) {
        for (int to = 0; to < SHARD_CHANNEL_STATES; to++) {
            bool ok = false;

            for (size_t i = 0; i < ARRAY_LEN(legal); i++) {
                ok = ok || ((int)legal[i].from == from && (int)legal[i].to == to);
            }
            assert_int_equal(aborts(move_channel, from, to), !ok);
        }
    }
}

static void a_shard_connects_when_its_login_slot_is_due_and_logs_in_at_once(void **state)
{
    struct rig *r = rig_create();

    (void)state;
    assert_int_equal(shard_deadline(r->s), UINT64_MAX);
    shard_start(r->s, r->now);
    expect_log(r, "draw login 1\n");
    grant_at(r, SHARD_DRAW_LOGIN, 1, r->now + 700);
    expect_log(r, "");
    pass(r, 699);
    expect_log(r, "");
    pass(r, 1);
    expect_log(r, "idle>connecting\nconnect\n");
    shard_on_connected(r->s, r->now);
    expect_log(r, "connecting>authenticating\nlogin\n");
    line(r, ":tmi.twitch.tv CAP * ACK :twitch.tv/tags twitch.tv/commands");
    expect_log(r, "");
    line(r, ":tmi.twitch.tv 001 bot :Welcome, GLHF!");
    expect_log(r, "authenticating>ready\n");
    assert_true(shard_can_send(r->s));
    rig_destroy(r);
}

static void a_slot_not_used_in_time_is_lost_and_drawn_anew(void **state)
{
    struct rig *r = rig_create();

    (void)state;
    shard_start(r->s, r->now);
    clear(r);
    r->now += 2000;
    grant_at(r, SHARD_DRAW_LOGIN, 1, r->now - 501);
    expect_log(r, "draw login 1\n");
    assert_int_equal(shard_stats(r->s)->slots_lost, 1);
    grant_at(r, SHARD_DRAW_LOGIN, 1, r->now - 500);
    expect_log(r, "idle>connecting\nconnect\n");
    rig_destroy(r);
}

static void a_draw_that_gives_nothing_is_repeated_after_a_second(void **state)
{
    struct rig *r = rig_create();

    (void)state;
    shard_start(r->s, r->now);
    clear(r);
    grant_at(r, SHARD_DRAW_LOGIN, 0, 0);
    expect_log(r, "");
    pass(r, 999);
    expect_log(r, "");
    pass(r, 1);
    expect_log(r, "draw login 1\n");
    r->owed[SHARD_DRAW_LOGIN] = 0; /* and one that is never answered, after half a minute */
    pass(r, 30000);
    expect_log(r, "draw login 1\n");
    rig_destroy(r);
}

static void no_connection_or_no_answer_to_the_login_ends_in_backoff(void **state)
{
    struct rig *r = rig_create();

    (void)state;
    shard_start(r->s, r->now);
    grant_at(r, SHARD_DRAW_LOGIN, 1, r->now);
    clear(r);
    pass(r, 14999);
    expect_log(r, "");
    pass(r, 1);
    expect_log(r, "connecting>backoff\nclose no connection in time\ndraw login 1\n");
    assert_string_equal(shard_last_error(r->s), "no connection in time");

    grant_at(r, SHARD_DRAW_LOGIN, 1, r->now);
    shard_on_connected(r->s, r->now);
    clear(r);
    pass(r, 9999);
    expect_log(r, "");
    pass(r, 1);
    expect(r, "authenticating>backoff\nclose no answer to the login\n");
    rig_destroy(r);
}

static void waits_grow_from_none_to_a_minute_and_begin_anew_when_stable(void **state)
{
    /* At once, then 1, 2, 4 ... 60 s; half of each is random. */
    static const uint64_t steps[] = {0, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
    struct rig *r = rig_ready("");

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        shard_on_disconnected(r->s, "reset", r->now);
        assert_int_equal(shard_state(r->s), SHARD_BACKOFF);
        settle_draws(r);
        expect_connecting(r, steps[i] / 2, steps[i]);
        shard_on_connected(r->s, r->now);
        line(r, ":tmi.twitch.tv 001 bot :Welcome, GLHF!");
    }
    pass(r, 60000);
    shard_on_disconnected(r->s, "reset", r->now);
    settle_draws(r);
    assert_int_equal(shard_state(r->s), SHARD_CONNECTING);
    rig_destroy(r);
}

static void a_refused_login_waits_long_unless_a_new_token_comes(void **state)
{
    static const char *const texts[] = {"Login authentication failed", "Improperly formatted auth",
                                        "Invalid NICK", "Login unsuccessful"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct rig *r = rig_create();
        char text[100];

        r->grants = true;
        shard_start(r->s, r->now);
        settle_draws(r);
        shard_on_connected(r->s, r->now);
        clear(r);
        (void)snprintf(text, sizeof(text), ":tmi.twitch.tv NOTICE * :%s", texts[i]);
        line(r, text);
        expect(r, "authenticating>backoff\nclose login refused: ");
        expect(r, "\nrefused ");
        assert_non_null(strstr(shard_last_error(r->s), texts[i]));
        clear(r);
        pass(r, 14999);
        expect_log(r, "");
        shard_on_token(r->s, r->now);
        expect(r, "draw login 1\n");
        rig_destroy(r);
    }
}

static void refused_logins_wait_up_to_ten_minutes(void **state)
{
    struct rig *r = rig_create();

    (void)state;
    r->grants = true;
    shard_start(r->s, r->now);
    for (int i = 0; i < 8; i++) {
        uint64_t step = 30000ull << i > 600000 ? 600000 : 30000ull << i;

        settle_draws(r);
        assert_int_equal(shard_state(r->s), SHARD_CONNECTING);
        shard_on_connected(r->s, r->now);
        line(r, ":tmi.twitch.tv NOTICE * :Login authentication failed");
        expect_connecting(r, step / 2, step);
    }
    rig_destroy(r);
}

static void a_missing_token_is_a_refused_login(void **state)
{
    struct rig *r = rig_create();

    (void)state;
    r->grants = true;
    r->login_ok = false;
    r->login_auth = true;
    shard_start(r->s, r->now);
    settle_draws(r);
    shard_on_connected(r->s, r->now);
    expect(r, "authenticating>backoff\n");
    expect(r, "refused no token for bot\n");
    rig_destroy(r);
}

static void joins_keep_to_the_slots_and_share_a_line(void **state)
{
    struct rig *r = rig_ready("");
    char names[1024] = "";

    (void)state;
    for (int i = 0; i < 25; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "c%02d ", i);
        strcat(names, name);
    }
    r->grants = false;
    clear(r);
    want(r, names);
    expect(r, "draw join 20\n");
    expect_not(r, "write");
    clear(r);
    grant_at(r, SHARD_DRAW_JOIN, 3, r->now);
    expect(r, "write 1 JOIN #c00,#c01,#c02\n");
    expect_not(r, "draw");
    clear(r);
    pass(r, 1000); /* it gave less than asked: a second until the next */
    expect_log(r, "draw join 20\n");
    grant_at(r, SHARD_DRAW_JOIN, 20, r->now + 5000);
    expect_log(r, "draw join 2\n");
    pass(r, 4999);
    expect_log(r, "");
    pass(r, 1);
    expect(r, "write 1 JOIN #c03,#c04,");
    assert_int_equal(shard_channel_count(r->s, SHARD_CHANNEL_QUEUED), 2);
    grant_at(r, SHARD_DRAW_JOIN, 2, r->now);
    assert_int_equal(shard_channel_count(r->s, SHARD_CHANNEL_QUEUED), 0);
    assert_int_equal(shard_channel_count(r->s, SHARD_CHANNEL_JOINING) +
                         shard_channel_count(r->s, SHARD_CHANNEL_FAILED),
                     25);
    rig_destroy(r);
}

static void a_roomstate_or_the_own_join_is_the_answer(void **state)
{
    struct rig *r = rig_ready("a b");

    (void)state;
    clear(r);
    line(r, ":bot!bot@bot.tmi.twitch.tv JOIN #a");
    expect_log(r, "#a joined\n");
    line(r, ":other!other@other.tmi.twitch.tv JOIN #b");
    expect_log(r, "line b #b\n");
    line(r, "@emote-only=1;followers-only=10;r9k=1;room-id=77;slow=30;subs-only=1 :tmi.twitch.tv "
            "ROOMSTATE #b");
    expect_log(r, "#b joined\n");

    const struct shard_channel *b = shard_channel(r->s, SLICE("b"));
    assert_true(b->known && b->room.emote_only && b->room.r9k && b->room.subs_only);
    assert_int_equal(b->room.followers_only, 10);
    assert_int_equal(b->room.slow_s, 30);
    assert_string_equal(b->room.id, "77");

    /* A change goes out to the room as well, and is kept. */
    line(r, "@room-id=77;slow=0 :tmi.twitch.tv ROOMSTATE #b");
    expect_log(r, "line b #b\n#b joined\n");
    assert_int_equal(b->room.slow_s, 0);
    assert_true(b->room.emote_only);
    rig_destroy(r);
}

static void no_answer_to_a_join_is_tried_once_more_then_failed_for_an_hour(void **state)
{
    struct rig *r = rig_ready("");
    uint64_t began;

    (void)state;
    clear(r);
    want(r, "a");
    expect_log(r, "#a queued\ndraw join 1\nwrite 1 JOIN #a\n#a joining\n");
    pass(r, 9999);
    expect_not(r, "#a");
    pass(r, 1);
    expect(r, "#a queued\ndraw join 1\nwrite 1 JOIN #a\n#a joining\n");
    clear(r);
    pass(r, 10000);
    expect(r, "#a failed no_answer\n");
    clear(r);
    began = r->now;
    pass(r, 3600 * 1000 - 1);
    expect_not(r, "#a");
    pass(r, 1);
    expect(r, "#a queued\n");
    expect(r, "JOIN #a\n");
    assert_int_equal(r->now - began, 3600 * 1000);
    joined(r, "a");
    rig_destroy(r);
}

static void a_refused_join_fails_with_what_twitch_said(void **state)
{
    static const char *const reasons[] = {"msg_channel_suspended", "msg_banned", "tos_ban",
                                          "msg_room_not_found"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
        struct rig *r = rig_ready("a b");
        char text[200];

        (void)snprintf(text, sizeof(text), "@msg-id=%s :tmi.twitch.tv NOTICE #a :No.", reasons[i]);
        line(r, text);
        assert_int_equal(state_of(r, "a"), SHARD_CHANNEL_FAILED);
        assert_string_equal(shard_channel(r->s, SLICE("a"))->reason, reasons[i]);
        assert_int_equal(shard_channel(r->s, SLICE("a"))->next_try_ms, r->now + 3600 * 1000);
        assert_int_equal(state_of(r, "b"), SHARD_CHANNEL_JOINING);
        joined(r, "b"); /* a channel that is joined is not thrown out by it */
        (void)snprintf(text, sizeof(text), "@msg-id=%s :tmi.twitch.tv NOTICE #b :No.", reasons[i]);
        line(r, text);
        assert_int_equal(state_of(r, "b"), SHARD_CHANNEL_JOINED);
        want(r, "a b");
        assert_int_equal(state_of(r, "a"), SHARD_CHANNEL_FAILED);
        rig_destroy(r);
    }
}

static void rejoins_come_first_and_the_recently_active_before_the_others(void **state)
{
    struct rig *r = rig_ready("a b c");

    (void)state;
    joined(r, "a");
    joined(r, "b");
    joined(r, "c");
    pass(r, 10);
    line(r, ":x!x@x PRIVMSG #c :one");
    pass(r, 10);
    line(r, ":x!x@x PRIVMSG #b :two");
    want(r, "a b c d");
    r->grants = false;
    shard_on_disconnected(r->s, "reset", r->now);
    grant_at(r, SHARD_DRAW_LOGIN, 1, r->now);
    shard_on_connected(r->s, r->now);
    clear(r);
    line(r, ":tmi.twitch.tv 001 bot :Welcome, GLHF!");
    expect(r, "draw join 4\n");
    grant_at(r, SHARD_DRAW_JOIN, 4, r->now);
    expect(r, "JOIN #b,#c,#a,#d\n");
    rig_destroy(r);

    r = rig_ready("");
    clear(r);
    struct shard_want wants[] = {{.name = SLICE("first")},
                                 {.name = SLICE("again"), .rejoin = true, .lost_at_ms = 5000},
                                 {.name = SLICE("no channel")}};
    shard_set_channels(r->s, wants, 3, r->now);
    settle_draws(r);
    expect(r, "JOIN #again,#first\n");
    joined(r, "again");
    expect(r, "gap again 5000-1000000\n");
    rig_destroy(r);
}

static void a_lost_connection_announces_a_gap_for_each_joined_channel(void **state)
{
    struct rig *r = rig_ready("a b");
    uint64_t last;
    char text[100];

    (void)state;
    joined(r, "a");
    pass(r, 1000);
    line(r, ":x!x@x PRIVMSG #a :hi");
    last = r->now;
    pass(r, 700);
    clear(r);
    shard_on_disconnected(r->s, "reset by peer", r->now);
    expect(r, "ready>backoff\n");
    expect(r, "#a queued\n");
    expect_not(r, "close"); /* it is gone already */
    assert_string_equal(shard_last_error(r->s), "reset by peer");
    settle_draws(r);
    pass(r, 50);
    shard_on_connected(r->s, r->now);
    line(r, ":tmi.twitch.tv 001 bot :Welcome, GLHF!");
    assert_string_equal(shard_last_error(r->s), "");
    clear(r);
    pass(r, 50);
    joined(r, "a");
    (void)snprintf(text, sizeof(text), "#a joined\ngap a %llu-%llu\n", (unsigned long long)last,
                   (unsigned long long)r->now);
    expect(r, text);
    clear(r);
    joined(r, "b"); /* was never joined: nothing missed */
    expect_log(r, "#b joined\n");
    rig_destroy(r);
}

static void silence_after_a_ping_is_a_dead_connection(void **state)
{
    struct rig *r = rig_ready("a");

    (void)state;
    joined(r, "a");
    r->pongs = false;
    clear(r);
    pass(r, 14999);
    expect_log(r, "");
    pass(r, 1);
    expect_log(r, "write 0 PING :1\n");
    pass(r, 4999);
    expect_log(r, "");
    pass(r, 1);
    expect(r, "ready>backoff\nclose no answer to PING\n");
    rig_destroy(r);
}

static void a_pong_measures_lag_and_any_line_is_a_sign_of_life(void **state)
{
    struct rig *r = rig_ready("a");

    (void)state;
    joined(r, "a");
    r->pongs = false;
    pass(r, 15000);
    clear(r);
    pass(r, 4000);
    line(r, ":x!x@x PRIVMSG #a :alive");
    pass(r, 4000);
    line(r, ":tmi.twitch.tv PONG tmi.twitch.tv :17"); /* not ours */
    assert_int_equal(shard_stats(r->s)->lag_ms, 0);
    line(r, ":tmi.twitch.tv PONG tmi.twitch.tv :1");
    assert_int_equal(shard_stats(r->s)->lag_ms, 8000);
    assert_int_equal(shard_state(r->s), SHARD_READY);

    /* Never silent: lag is measured all the same, and PONG must come at last. */
    clear(r);
    for (int i = 0; i < 13; i++) {
        pass(r, 5000);
        line(r, ":x!x@x PRIVMSG #a :alive");
    }
    expect(r, "write 0 PING :2\n");
    for (int i = 0; i < 12; i++) {
        pass(r, 5000 - 1);
        line(r, ":x!x@x PRIVMSG #a :alive");
    }
    expect(r, "close no answer to PING\n");
    rig_destroy(r);
}

static void a_tick_that_comes_late_reads_before_it_judges(void **state)
{
    struct rig *r = rig_ready("a");

    (void)state;
    joined(r, "a");
    r->pongs = false;
    pass(r, 15000);
    clear(r);
    r->now += 60000; /* the process was stopped */
    (void)shard_tick(r->s, r->now);
    assert_int_equal(shard_state(r->s), SHARD_READY);
    line(r, ":tmi.twitch.tv PONG tmi.twitch.tv :1");
    pass(r, 2000);
    assert_int_equal(shard_state(r->s), SHARD_READY);
    rig_destroy(r);
}

static void a_ping_is_answered_with_its_text_even_while_fenced(void **state)
{
    struct rig *r = rig_ready("a");

    (void)state;
    shard_set_fenced(r->s, true, r->now);
    clear(r);
    line(r, "PING :tmi.twitch.tv");
    line(r, ":tmi.twitch.tv PING");
    expect_log(r, "write 0 PONG :tmi.twitch.tv\nwrite 0 PONG :\n");
    rig_destroy(r);
}

static void reconnect_leaves_within_a_second_and_comes_back_at_once(void **state)
{
    struct rig *r = rig_ready("a");

    (void)state;
    joined(r, "a");
    pass(r, 10000);
    clear(r);
    line(r, ":tmi.twitch.tv RECONNECT");
    assert_false(shard_can_send(r->s));
    pass(r, 500);
    line(r, ":x!x@x PRIVMSG #a :still here");
    expect_log(r, "line a still here\n");
    pass(r, 499);
    expect_log(r, "");
    pass(r, 1);
    expect(r, "ready>backoff\nclose Twitch asked to reconnect\n");
    expect(r, "draw login 1\nbackoff>connecting\nconnect\n");
    shard_on_connected(r->s, r->now);
    line(r, ":tmi.twitch.tv 001 bot :Welcome, GLHF!");
    clear(r);
    joined(r, "a");
    expect(r, "gap a ");

    pass(r, 6000); /* and where the server closes first */
    line(r, ":tmi.twitch.tv RECONNECT");
    clear(r);
    shard_on_disconnected(r->s, "closed", r->now);
    settle_draws(r);
    expect(r, "connect\n");
    rig_destroy(r);
}

static void only_lines_of_held_channels_go_out(void **state)
{
    struct rig *r = rig_ready("a b");

    (void)state;
    joined(r, "a");
    clear(r);
    line(r, ":x!x@x PRIVMSG #a :one");
    line(r, ":x!x@x PRIVMSG #b :two"); /* joining */
    line(r, ":x!x@x PRIVMSG #stranger :three");
    line(r, "@msg-id=slow_on :tmi.twitch.tv NOTICE #a :four");
    line(r, ":tmi.twitch.tv CLEARCHAT #a :five");
    expect_log(r, "line a one\nline b two\nline a four\nline a five\n");
    want(r, "b");
    clear(r);
    line(r, ":x!x@x PRIVMSG #a :parting");
    expect_log(r, "");
    assert_int_equal(shard_stats(r->s)->room_lines, 4);
    rig_destroy(r);
}

static void the_difference_is_joined_and_parted(void **state)
{
    struct rig *r = rig_ready("a b c");

    (void)state;
    joined(r, "a");
    joined(r, "b");
    line(r, "@msg-id=msg_banned :tmi.twitch.tv NOTICE #c :No.");
    clear(r);
    want(r, "b d");
    expect(r, "#a parting\n");
    expect(r, "write 2 PART #a\n");
    expect(r, "#c gone\n");
    expect(r, "#d queued\n");
    expect(r, "JOIN #d\n");
    expect_not(r, "#b");
    assert_int_equal(state_of(r, "c"), SHARD_CHANNEL_GONE);
    clear(r);
    line(r, ":bot!bot@bot.tmi.twitch.tv PART #a");
    expect_log(r, "#a gone\n");
    assert_null(shard_channel(r->s, SLICE("a")));
    want(r, "b d");
    expect_log(r, "");
    rig_destroy(r);
}

static void a_part_while_joining_and_a_join_while_parting_end_well(void **state)
{
    struct rig *r = rig_ready("a");

    (void)state;
    clear(r);
    want(r, "");
    expect_log(r, "#a parting\nwrite 2 PART #a\n");
    line(r, "@room-id=1 :tmi.twitch.tv ROOMSTATE #a"); /* the JOIN's, late */
    line(r, ":bot!bot@bot.tmi.twitch.tv JOIN #a");
    expect_log(r, "");
    want(r, "a");
    expect_log(r, "");
    line(r, ":bot!bot@bot.tmi.twitch.tv PART #a");
    expect_log(r, "#a queued\ndraw join 1\nwrite 1 JOIN #a\n#a joining\n");
    want(r, "");
    clear(r);
    pass(r, 4999);
    expect_log(r, "");
    pass(r, 1); /* no answer: gone all the same */
    expect_log(r, "#a gone\n");

    want(r, "b");
    want(r, "");
    want(r, "b");
    want(r, "");
    shard_on_disconnected(r->s, "reset", r->now);
    assert_null(shard_channel(r->s, SLICE("b")));
    rig_destroy(r);
}

static void a_channel_that_twitch_takes_away_is_joined_again_with_a_gap(void **state)
{
    struct rig *r = rig_ready("a");

    (void)state;
    joined(r, "a");
    clear(r);
    pass(r, 100);
    line(r, ":bot!bot@bot.tmi.twitch.tv PART #a");
    expect(r, "#a queued\n");
    expect(r, "JOIN #a\n");
    joined(r, "a");
    expect(r, "gap a ");
    rig_destroy(r);
}

static void a_fenced_shard_joins_parts_sends_and_connects_nothing(void **state)
{
    struct rig *r = rig_ready("a");
    struct err err = {0};

    (void)state;
    joined(r, "a");
    shard_set_fenced(r->s, true, r->now);
    clear(r);
    want(r, "b");
    pass(r, 3000);
    expect_log(r, "#b queued\n#a parting\n");
    assert_int_equal(
        shard_send(r->s, 1, SLICE("a"), SLICE("PRIVMSG #a :x\r\n"), SLICE(""), r->now, &err),
        -ERR_DOWN);
    assert_int_equal(shard_state(r->s), SHARD_READY);
    shard_set_fenced(r->s, false, r->now);
    settle_draws(r);
    expect(r, "PART #a\n");
    expect(r, "JOIN #b\n");

    shard_set_fenced(r->s, true, r->now);
    shard_on_disconnected(r->s, "reset", r->now);
    clear(r);
    pass(r, 100000);
    expect_not(r, "draw");
    expect_not(r, "connect");
    shard_set_fenced(r->s, false, r->now);
    settle_draws(r);
    expect(r, "connect\n");
    shard_set_fenced(r->s, true, r->now);
    shard_on_connected(r->s, r->now);
    expect_not(r, "\nlogin");
    shard_set_fenced(r->s, false, r->now);
    expect(r, "\nlogin\n");
    rig_destroy(r);
}

static void a_join_that_cannot_be_written_waits_for_its_slot_and_then_for_another(void **state)
{
    struct rig *r = rig_ready("");

    (void)state;
    r->write_ok = false;
    r->grants = false;
    want(r, "a");
    grant_at(r, SHARD_DRAW_JOIN, 1, r->now);
    assert_int_equal(state_of(r, "a"), SHARD_CHANNEL_QUEUED);
    clear(r);
    pass(r, 300);
    r->write_ok = true;
    pass(r, 100);
    expect(r, "JOIN #a\n");

    want(r, "a b");
    r->write_ok = false;
    grant_at(r, SHARD_DRAW_JOIN, 1, r->now);
    clear(r);
    pass(r, 600);
    expect(r, "draw join 1\n");
    assert_int_equal(shard_stats(r->s)->slots_lost, 1);
    rig_destroy(r);
}

static void the_moderator_flag_follows_the_userstate(void **state)
{
    struct rig *r = rig_ready("a");

    (void)state;
    joined(r, "a");
    clear(r);
    line(r, "@badges=;mod=0 :tmi.twitch.tv USERSTATE #a");
    expect_log(r, "");
    line(r, "@badges=subscriber/0,moderator/1;mod=1 :tmi.twitch.tv USERSTATE #a");
    expect_log(r, "#a joined mod\n");
    line(r, "@badges=subscriber/0;mod=0 :tmi.twitch.tv USERSTATE #a");
    expect_log(r, "#a joined\n");
    line(r, "@badges=broadcaster/1,premium/1;mod=0 :tmi.twitch.tv USERSTATE #a");
    expect_log(r, "#a joined mod\n");
    line(r, "@badges=broadcasterx/1,xbroadcaster/1,moderator;mod=0 :tmi.twitch.tv USERSTATE #a");
    expect_log(r, "#a joined\n");
    rig_destroy(r);
}

static void send(struct rig *r, uint64_t id, const char *channel, const char *nonce)
{
    char text[100];

    (void)snprintf(text, sizeof(text), "PRIVMSG #%s :text %d\r\n", channel, (int)id);
    assert_int_equal(
        shard_send(r->s, id, slice_of(channel), slice_of(text), slice_of(nonce), r->now, NULL), 0);
}

static void a_send_is_answered_by_the_userstate_of_its_channel(void **state)
{
    struct rig *r = rig_ready("a");

    (void)state;
    joined(r, "a");
    line(r, "@mod=0 :tmi.twitch.tv USERSTATE #a"); /* the JOIN's */
    clear(r);
    send(r, 1, "a", "n1");
    send(r, 2, "other", "n2"); /* a channel that is held elsewhere */
    expect_log(r, "write 3 PRIVMSG #a :text 1\nwrite 3 PRIVMSG #other :text 2\n");
    line(r, "@mod=0 :tmi.twitch.tv USERSTATE #stranger");
    line(r, "@client-nonce=zzz;mod=0 :tmi.twitch.tv USERSTATE #a");
    expect_log(r, "");
    line(r, "@mod=0 :tmi.twitch.tv USERSTATE #a");
    expect_log(r, "sent 1 #a held\n");
    line(r, "@client-nonce=n2;mod=0 :tmi.twitch.tv USERSTATE #other");
    expect_log(r, "sent 2 #other\n");
    pass(r, 11000);
    expect_log(r, "");
    rig_destroy(r);
}

static void the_userstate_after_a_join_answers_no_send(void **state)
{
    struct rig *r = rig_ready("a b");

    (void)state;
    joined(r, "a");
    send(r, 1, "a", "");
    clear(r);
    line(r, "@mod=0 :tmi.twitch.tv USERSTATE #a"); /* the JOIN's: it was written before */
    expect_log(r, "");
    line(r, "@mod=0 :tmi.twitch.tv USERSTATE #a");
    expect_log(r, "sent 1 #a held\n");

    /* Written before the JOIN: the first answer is the message's. */
    send(r, 2, "c", "");
    want(r, "a b c");
    clear(r);
    line(r, "@mod=0 :tmi.twitch.tv USERSTATE #c");
    expect_log(r, "sent 2 #c held\n");
    line(r, "@mod=0 :tmi.twitch.tv USERSTATE #c");
    expect_log(r, "");
    rig_destroy(r);
}

static void a_refusal_is_told_with_its_reason(void **state)
{
    static const char *const reasons[] = {
        "msg_ratelimit",
        "msg_slowmode",
        "msg_duplicate",
        "msg_timedout",
        "msg_banned",
        "msg_suspended",
        "msg_channel_suspended",
        "msg_channel_blocked",
        "msg_emoteonly",
        "msg_followersonly",
        "msg_followersonly_followed",
        "msg_followersonly_zero",
        "msg_subsonly",
        "msg_r9k",
        "msg_verified_email",
        "msg_requires_verified_phone_number",
        "msg_bad_characters",
        "msg_rejected",
        "msg_rejected_mandatory",
        "no_permission",
        "unrecognized_cmd",
    };
    struct rig *r = rig_ready("a");

    (void)state;
    joined(r, "a");
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
        char text[200];
        char told[100];

        send(r, i, "a", "n");
        clear(r);
        (void)snprintf(text, sizeof(text), "@msg-id=%s :tmi.twitch.tv NOTICE #a :No.", reasons[i]);
        (void)snprintf(told, sizeof(told), "rejected %d #a %s held\n", (int)i, reasons[i]);
        line(r, text);
        expect_log(r, told);
    }
    send(r, 50, "a", "n");
    clear(r);
    line(r, "@msg-id=slow_on :tmi.twitch.tv NOTICE #a :slow"); /* not about us */
    line(r, "@msg-id=msg_r9k :tmi.twitch.tv NOTICE #b :not there");
    expect_log(r, "line a slow\n");
    rig_destroy(r);
}

static void a_ban_answers_the_older_of_a_message_and_a_join(void **state)
{
    struct rig *r = rig_ready("");

    (void)state;
    send(r, 1, "a", "n1");
    want(r, "a");
    clear(r);
    line(r, "@msg-id=msg_banned :tmi.twitch.tv NOTICE #a :No.");
    expect_log(r, "rejected 1 #a msg_banned held\n");
    line(r, "@msg-id=msg_banned :tmi.twitch.tv NOTICE #a :No.");
    expect_log(r, "#a failed msg_banned\n");

    want(r, "a b");
    send(r, 2, "b", "n2");
    clear(r);
    line(r, "@msg-id=msg_banned :tmi.twitch.tv NOTICE #b :No.");
    expect_log(r, "#b failed msg_banned\n");
    line(r, "@msg-id=msg_banned :tmi.twitch.tv NOTICE #b :No.");
    expect_log(r, "rejected 2 #b msg_banned\n");
    rig_destroy(r);
}

static void what_is_not_answered_becomes_unknown(void **state)
{
    struct rig *r = rig_ready("a");

    (void)state;
    joined(r, "a");
    line(r, "@mod=0 :tmi.twitch.tv USERSTATE #a");
    send(r, 1, "a", "n1");
    clear(r);
    pass(r, 9999);
    expect_not(r, "unknown");
    pass(r, 1);
    expect(r, "unknown 1 #a no_answer held\n");

    send(r, 2, "a", "n2"); /* a later answer proves that an earlier one will not come */
    send(r, 3, "b", "n3");
    send(r, 4, "c", "n4");
    clear(r);
    line(r, "@mod=0 :tmi.twitch.tv USERSTATE #b");
    expect_log(r, "unknown 2 #a overtaken held\nsent 3 #b\n");

    shard_on_disconnected(r->s, "reset", r->now);
    expect(r, "unknown 4 #c connection_lost\n");
    assert_false(shard_can_send(r->s));
    rig_destroy(r);
}

static void the_next_send_may_be_made_from_within_a_result(void **state)
{
    struct rig *r = rig_ready("a");

    (void)state;
    joined(r, "a");
    line(r, "@mod=0 :tmi.twitch.tv USERSTATE #a");
    send(r, 1, "b", "n1");
    send(r, 2, "a", "n2");
    r->send_again = true;
    clear(r);
    line(r, "@client-nonce=n2 :tmi.twitch.tv USERSTATE #a");
    expect_log(r, "unknown 1 #b overtaken\nwrite 3 PRIVMSG #a :again\nsent 2 #a held\n");
    assert_int_equal(r->again_rc, 0);
    line(r, "@client-nonce=n99 :tmi.twitch.tv USERSTATE #a");
    expect_log(r, "sent 99 #a held\n");

    send(r, 3, "a", "n3"); /* but not on a connection that is lost */
    r->send_again = true;
    shard_on_disconnected(r->s, "reset", r->now);
    assert_int_equal(r->again_rc, -ERR_DOWN);
    rig_destroy(r);
}

static void a_send_that_was_not_written_has_no_result(void **state)
{
    struct rig *r = rig_ready("a");
    struct err err = {0};

    (void)state;
    r->write_ok = false;
    assert_int_equal(
        shard_send(r->s, 1, SLICE("a"), SLICE("PRIVMSG #a :x\r\n"), SLICE(""), r->now, &err),
        -ERR_DOWN);
    shard_on_disconnected(r->s, "reset", r->now);
    expect_not(r, "unknown");
    rig_destroy(r);

    r = rig_create();
    assert_int_equal(
        shard_send(r->s, 1, SLICE("a"), SLICE("PRIVMSG #a :x\r\n"), SLICE(""), r->now, &err),
        -ERR_DOWN);
    assert_non_null(strstr(err.text, "idle"));
    rig_destroy(r);
}

static void draining_waits_for_answers_and_then_closes(void **state)
{
    struct rig *r = rig_ready("a");

    (void)state;
    joined(r, "a");
    line(r, "@mod=0 :tmi.twitch.tv USERSTATE #a");
    send(r, 1, "a", "n1");
    clear(r);
    shard_stop(r->s, r->now);
    expect_log(r, "ready>draining\n");
    assert_false(shard_can_send(r->s));
    line(r, ":x!x@x PRIVMSG #a :still read");
    expect_log(r, "line a still read\n");
    line(r, "@mod=0 :tmi.twitch.tv USERSTATE #a");
    (void)shard_tick(r->s, r->now);
    /* Whose channel it was wants to know from when on it is not read. */
    expect_log(r, "sent 1 #a held\ndraining>closed\nclose drained\n#a queued\n");
    assert_int_equal(shard_channel(r->s, SLICE("a"))->lost_at_ms, r->now);
    assert_int_equal(shard_deadline(r->s), UINT64_MAX);
    shard_on_disconnected(r->s, "late", r->now);
    line(r, ":x!x@x PRIVMSG #a :late");
    want(r, "b");
    pass(r, 100000);
    expect_log(r, "#b queued\n#a gone\n");
    rig_destroy(r);
}

static void draining_ends_though_no_answer_comes_or_the_connection_goes(void **state)
{
    struct rig *r = rig_ready("a");

    (void)state;
    send(r, 1, "a", "n1");
    shard_stop(r->s, r->now);
    clear(r);
    pass(r, 10000);
    expect(r, "unknown 1 #a no_answer held\ndraining>closed\n");
    rig_destroy(r);

    r = rig_ready("a");
    send(r, 1, "a", "n1");
    shard_stop(r->s, r->now);
    shard_stop(r->s, r->now);
    clear(r);
    shard_on_disconnected(r->s, "reset", r->now);
    expect(r, "draining>closed\nunknown 1 #a connection_lost");
    rig_destroy(r);
}

static void stop_and_close_end_every_state(void **state)
{
    (void)state;
    for (int step = 0; step < 5; step++) {
        for (int how = 0; how < 2; how++) {
            struct rig *r = rig_create();

            r->grants = true;
            if (step > 0) {
                shard_start(r->s, r->now);
                settle_draws(r);
            }
            if (step > 1) {
                shard_on_connected(r->s, r->now);
            }
            if (step > 2) {
                line(r, ":tmi.twitch.tv 001 bot :Welcome, GLHF!");
                want(r, "a b");
            }
            if (step > 3) {
                r->grants = false;
                shard_on_disconnected(r->s, "reset", r->now);
            }
            clear(r);
            if (how == 0) {
                shard_stop(r->s, r->now);
            } else {
                shard_close(r->s, "lease lost", r->now);
                shard_close(r->s, "lease lost", r->now);
            }
            assert_int_equal(shard_state(r->s), SHARD_CLOSED);
            assert_int_equal(has(r, "close "), step >= 1 && step <= 3);
            rig_destroy(r);
        }
    }
}

static void a_shard_that_is_destroyed_closes_its_connection_and_says_nothing(void **state)
{
    struct rig *r = rig_ready("a");

    (void)state;
    send(r, 1, "a", "n1");
    clear(r);
    shard_destroy(r->s);
    expect_log(r, "close the shard is gone\n");
    r->s = NULL;
    rig_destroy(r);
}

static void an_anonymous_login_learns_its_name(void **state)
{
    struct rig *r = rig_create();

    (void)state;
    r->grants = true;
    shard_start(r->s, r->now);
    settle_draws(r);
    shard_on_connected(r->s, r->now);
    line(r, ":tmi.twitch.tv 001 justinfan12345 :Welcome, GLHF!");
    want(r, "a");
    line(r, ":justinfan12345!justinfan12345@justinfan12345.tmi.twitch.tv JOIN #a");
    assert_int_equal(state_of(r, "a"), SHARD_CHANNEL_JOINED);
    rig_destroy(r);
}

static void refused_capabilities_are_a_failure(void **state)
{
    struct rig *r = rig_create();

    (void)state;
    r->grants = true;
    shard_start(r->s, r->now);
    settle_draws(r);
    shard_on_connected(r->s, r->now);
    line(r, ":tmi.twitch.tv CAP * NAK :twitch.tv/tags twitch.tv/commands");
    expect(r, "authenticating>backoff\n");
    rig_destroy(r);
}

static void hostile_lines_do_no_harm(void **state)
{
    static const char *const lines[] = {
        "",
        " ",
        "@",
        ":",
        "@ : ",
        "JOIN",
        "PART",
        "PING",
        "PONG",
        "CAP",
        "001",
        "NOTICE",
        "USERSTATE",
        "ROOMSTATE",
        "PRIVMSG",
        "NOTICE * :#a",
        "NOTICE *",
        "NOTICE * :Login unsuccessfu",
        "NOTICE bot :Login authentication failed",
        "@msg-id NOTICE #a :x",
        "@msg-id= NOTICE #a",
        "@msg-id=msg_ NOTICE #a",
        ":bot PART #a,#b",
        ":bot!bot@bot PART #",
        ":x!x@x PRIVMSG #aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa :x",
        "@slow=99999999999999999999;followers-only=-5;emote-only=x;room-id=1 ROOMSTATE #a",
        "@room-id=123456789012345678901234567890 ROOMSTATE #a",
        "001 :not a login at all",
        ":tmi.twitch.tv 001 someoneelse :Welcome",
        "\xff\xfe\xfd",
        ":tmi.twitch.tv PONG tmi.twitch.tv :-1",
        "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17",
    };
    struct rig *r = rig_ready("a");
    char text[4096];

    (void)state;
    joined(r, "a");
    clear(r);
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        line(r, lines[i]);
    }
    memset(text, 'x', sizeof(text));
    memcpy(text, "PING :", 6);
    text[sizeof(text) - 1] = '\0';
    line(r, text); /* its PONG would not fit: none */
    expect_not(r, "JOIN");
    expect_not(r, "backoff");
    assert_int_equal(state_of(r, "a"), SHARD_CHANNEL_JOINED);
    assert_int_equal(shard_channel(r->s, SLICE("a"))->room.slow_s, 0);
    assert_int_equal(shard_channel(r->s, SLICE("a"))->room.followers_only, -1);
    assert_true(shard_stats(r->s)->bad_lines >= 4);
    line(r, ":bot!bot@bot PART #a"); /* the name did not change */
    assert_int_not_equal(state_of(r, "a"), SHARD_CHANNEL_JOINED);
    rig_destroy(r);
}

/* Anything in any order: the counts stay true, and time never stands still. */
static void a_random_life_keeps_its_books(void **state)
{
    static const char *const lines[] = {
        ":tmi.twitch.tv 001 bot :hi",
        ":bot!bot@bot JOIN #a",
        ":bot!bot@bot PART #b",
        "@room-id=1;slow=3 ROOMSTATE #c",
        "@mod=1 USERSTATE #a",
        "@msg-id=msg_banned NOTICE #b :x",
        "RECONNECT",
        "NOTICE * :Login unsuccessful",
        "PING :x",
        ":x PRIVMSG #a :x",
    };
    static const char *const sets[] = {"", "a", "a b", "a b c", "c d e f"};
    unsigned seed = 20240131;

    (void)state;
    for (int life = 0; life < 60; life++) {
        struct rig *r = rig_create();

        r->grants = true;
        r->pongs = life % 2 == 0;
        for (int step = 0; step < 200; step++) {
            size_t total = 0;
            struct shard_entry *e;

            switch (rand_r(&seed) % 12) {
            case 0:
                shard_start(r->s, r->now);
                break;
            case 1:
            case 2:
                shard_on_connected(r->s, r->now);
                break;
            case 3:
                if (rand_r(&seed) % 4 == 0) {
                    shard_on_disconnected(r->s, "x", r->now);
                }
                break;
            case 4:
                want(r, sets[(size_t)rand_r(&seed) % ARRAY_LEN(sets)]);
                break;
            case 5:
                shard_set_fenced(r->s, rand_r(&seed) % 4 == 0, r->now);
                break;
            case 6:
                (void)!shard_send(r->s, (uint64_t)step, SLICE("a"), SLICE("PRIVMSG #a :x\r\n"),
                                  SLICE("n"), r->now, NULL);
                break;
            case 7:
                r->write_ok = rand_r(&seed) % 8 != 0;
                break;
            case 8:
                if (rand_r(&seed) % 100 == 0) {
                    shard_stop(r->s, r->now);
                }
                break;
            case 9:
                pass(r, (uint64_t)rand_r(&seed) % 20000);
                break;
            default:
                line(r, lines[(size_t)rand_r(&seed) % ARRAY_LEN(lines)]);
                break;
            }
            settle_draws(r);
            for (e = r->s->channels; e != NULL; e = e->hh.next) {
                total++;
            }
            for (int c = 0; c < SHARD_CHANNEL_STATES; c++) {
                total -= shard_channel_count(r->s, c);
            }
            assert_int_equal(total, 0);
            clear(r);
        }
        rig_destroy(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_move_of_a_shard_is_legal_or_a_bug),
        cmocka_unit_test(every_move_of_a_channel_is_legal_or_a_bug),
        cmocka_unit_test(a_shard_connects_when_its_login_slot_is_due_and_logs_in_at_once),
        cmocka_unit_test(a_slot_not_used_in_time_is_lost_and_drawn_anew),
        cmocka_unit_test(a_draw_that_gives_nothing_is_repeated_after_a_second),
        cmocka_unit_test(no_connection_or_no_answer_to_the_login_ends_in_backoff),
        cmocka_unit_test(waits_grow_from_none_to_a_minute_and_begin_anew_when_stable),
        cmocka_unit_test(a_refused_login_waits_long_unless_a_new_token_comes),
        cmocka_unit_test(refused_logins_wait_up_to_ten_minutes),
        cmocka_unit_test(a_missing_token_is_a_refused_login),
        cmocka_unit_test(joins_keep_to_the_slots_and_share_a_line),
        cmocka_unit_test(a_roomstate_or_the_own_join_is_the_answer),
        cmocka_unit_test(no_answer_to_a_join_is_tried_once_more_then_failed_for_an_hour),
        cmocka_unit_test(a_refused_join_fails_with_what_twitch_said),
        cmocka_unit_test(rejoins_come_first_and_the_recently_active_before_the_others),
        cmocka_unit_test(a_lost_connection_announces_a_gap_for_each_joined_channel),
        cmocka_unit_test(silence_after_a_ping_is_a_dead_connection),
        cmocka_unit_test(a_pong_measures_lag_and_any_line_is_a_sign_of_life),
        cmocka_unit_test(a_tick_that_comes_late_reads_before_it_judges),
        cmocka_unit_test(a_ping_is_answered_with_its_text_even_while_fenced),
        cmocka_unit_test(reconnect_leaves_within_a_second_and_comes_back_at_once),
        cmocka_unit_test(only_lines_of_held_channels_go_out),
        cmocka_unit_test(the_difference_is_joined_and_parted),
        cmocka_unit_test(a_part_while_joining_and_a_join_while_parting_end_well),
        cmocka_unit_test(a_channel_that_twitch_takes_away_is_joined_again_with_a_gap),
        cmocka_unit_test(a_fenced_shard_joins_parts_sends_and_connects_nothing),
        cmocka_unit_test(a_join_that_cannot_be_written_waits_for_its_slot_and_then_for_another),
        cmocka_unit_test(the_moderator_flag_follows_the_userstate),
        cmocka_unit_test(a_send_is_answered_by_the_userstate_of_its_channel),
        cmocka_unit_test(the_userstate_after_a_join_answers_no_send),
        cmocka_unit_test(a_refusal_is_told_with_its_reason),
        cmocka_unit_test(a_ban_answers_the_older_of_a_message_and_a_join),
        cmocka_unit_test(what_is_not_answered_becomes_unknown),
        cmocka_unit_test(the_next_send_may_be_made_from_within_a_result),
        cmocka_unit_test(a_send_that_was_not_written_has_no_result),
        cmocka_unit_test(draining_waits_for_answers_and_then_closes),
        cmocka_unit_test(draining_ends_though_no_answer_comes_or_the_connection_goes),
        cmocka_unit_test(stop_and_close_end_every_state),
        cmocka_unit_test(a_shard_that_is_destroyed_closes_its_connection_and_says_nothing),
        cmocka_unit_test(an_anonymous_login_learns_its_name),
        cmocka_unit_test(refused_capabilities_are_a_failure),
        cmocka_unit_test(hostile_lines_do_no_harm),
        cmocka_unit_test(a_random_life_keeps_its_books),
    };

    return cmocka_run_group_tests_name("shard", tests, NULL, NULL);
}
