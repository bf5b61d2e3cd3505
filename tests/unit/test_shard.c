/* The life of a shard: states, logins, signs of life, its end, and lines of every bad kind. */
#include "node/shard_private.h"

#include "tests/lib/shard_rig.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

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

    r->s->machine.state = (unsigned)from;
    r->s->connected = true;
    (void)snprintf(r->s->last_error, sizeof(r->s->last_error), "why");
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
    r->s->counts[e->pub.machine.state]--;
    e->pub.machine.state = (unsigned)from;
    r->s->counts[from]++;
    (void)snprintf(e->pub.reason, sizeof(e->pub.reason), "why");
    e->pub.next_try_ms = r->now;
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
    rig_expect_log(r, "draw login 1\n");
    rig_grant_at(r, SHARD_DRAW_LOGIN, 1, r->now + 700);
    rig_expect_log(r, "");
    rig_pass(r, 699);
    rig_expect_log(r, "");
    rig_pass(r, 1);
    rig_expect_log(r, "idle>connecting\nconnect\n");
    shard_on_connected(r->s, r->now);
    rig_expect_log(r, "connecting>authenticating\nlogin\n");
    rig_line(r, ":tmi.twitch.tv CAP * ACK :twitch.tv/tags twitch.tv/commands");
    rig_expect_log(r, "");
    rig_line(r, ":tmi.twitch.tv 001 bot :Welcome, GLHF!");
    rig_expect_log(r, "authenticating>ready\n");
    assert_true(shard_can_send(r->s));
    rig_destroy(r);
}

static void a_connection_that_took_long_draws_anew_to_log_in(void **state)
{
    struct rig *r = rig_create();

    (void)state;
    shard_start(r->s, r->now);
    rig_grant_at(r, SHARD_DRAW_LOGIN, 1, r->now);
    rig_clear(r);
    rig_pass(r, 501);
    shard_on_connected(r->s, r->now);
    rig_expect_log(r, "connecting>authenticating\ndraw login 1\n");
    rig_grant_at(r, SHARD_DRAW_LOGIN, 1, r->now + 15000);
    rig_pass(r, 14999);
    rig_expect_log(r, "");
    rig_pass(r, 1);
    rig_expect_log(r, "login\n");
    rig_pass(r, 9999); /* the answer is waited for from then on */
    rig_expect_log(r, "");
    rig_pass(r, 1);
    rig_expect(r, "authenticating>backoff\nclose no answer to the login\n");

    rig_grant_at(r, SHARD_DRAW_LOGIN, 1, r->now);
    rig_pass(r, 501);
    shard_on_connected(r->s, r->now);
    rig_clear(r);
    rig_pass(r, 30000);
    rig_expect(r, "authenticating>backoff\nclose no lease or no slot to log in with\n");
    rig_destroy(r);
}

static void a_slot_not_used_in_time_is_lost_and_drawn_anew(void **state)
{
    struct rig *r = rig_create();

    (void)state;
    shard_start(r->s, r->now);
    rig_clear(r);
    r->now += 2000;
    rig_grant_at(r, SHARD_DRAW_LOGIN, 1, r->now - 501);
    rig_expect_log(r, "draw login 1\n");
    assert_int_equal(shard_stats(r->s)->slots_lost, 1);
    rig_grant_at(r, SHARD_DRAW_LOGIN, 1, r->now - 500);
    rig_expect_log(r, "idle>connecting\nconnect\n");
    rig_destroy(r);
}

static void a_draw_that_gives_nothing_is_repeated_after_a_second(void **state)
{
    struct rig *r = rig_create();

    (void)state;
    shard_start(r->s, r->now);
    rig_clear(r);
    rig_grant_at(r, SHARD_DRAW_LOGIN, 0, 0);
    rig_expect_log(r, "");
    rig_pass(r, 999);
    rig_expect_log(r, "");
    rig_pass(r, 1);
    rig_expect_log(r, "draw login 1\n");
    r->owed[SHARD_DRAW_LOGIN] = 0; /* and one that is never answered, after half a minute */
    rig_pass(r, 30000);
    rig_expect_log(r, "draw login 1\n");
    rig_destroy(r);
}

static void no_connection_or_no_answer_to_the_login_ends_in_backoff(void **state)
{
    struct rig *r = rig_create();

    (void)state;
    shard_start(r->s, r->now);
    rig_grant_at(r, SHARD_DRAW_LOGIN, 1, r->now);
    rig_clear(r);
    rig_pass(r, 14999);
    rig_expect_log(r, "");
    rig_pass(r, 1);
    rig_expect_log(r, "connecting>backoff\nclose no connection in time\ndraw login 1\n");
    assert_string_equal(shard_last_error(r->s), "no connection in time");

    rig_grant_at(r, SHARD_DRAW_LOGIN, 1, r->now);
    shard_on_connected(r->s, r->now);
    rig_clear(r);
    rig_pass(r, 9999);
    rig_expect_log(r, "");
    rig_pass(r, 1);
    rig_expect(r, "authenticating>backoff\nclose no answer to the login\n");
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
        rig_settle_draws(r);
        rig_expect_connecting(r, steps[i] / 2, steps[i]);
        shard_on_connected(r->s, r->now);
        rig_line(r, ":tmi.twitch.tv 001 bot :Welcome, GLHF!");
    }
    rig_pass(r, 60000);
    shard_on_disconnected(r->s, "reset", r->now);
    rig_settle_draws(r);
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
        rig_settle_draws(r);
        shard_on_connected(r->s, r->now);
        rig_clear(r);
        (void)snprintf(text, sizeof(text), ":tmi.twitch.tv NOTICE * :%s", texts[i]);
        rig_line(r, text);
        rig_expect(r, "authenticating>backoff\nclose login refused: ");
        rig_expect(r, "\nrefused ");
        assert_non_null(strstr(shard_last_error(r->s), texts[i]));
        rig_clear(r);
        rig_pass(r, 14999);
        rig_expect_log(r, "");
        shard_on_token(r->s, r->now);
        rig_expect(r, "draw login 1\n");
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

        rig_settle_draws(r);
        assert_int_equal(shard_state(r->s), SHARD_CONNECTING);
        shard_on_connected(r->s, r->now);
        rig_line(r, ":tmi.twitch.tv NOTICE * :Login authentication failed");
        rig_expect_connecting(r, step / 2, step);
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
    rig_settle_draws(r);
    shard_on_connected(r->s, r->now);
    rig_expect(r, "authenticating>backoff\n");
    rig_expect(r, "refused no token for bot\n");
    rig_destroy(r);
}

static void silence_after_a_ping_is_a_dead_connection(void **state)
{
    struct rig *r = rig_ready("a");

    (void)state;
    rig_joined(r, "a");
    r->pongs = false;
    rig_clear(r);
    rig_pass(r, 14999);
    rig_expect_log(r, "");
    rig_pass(r, 1);
    rig_expect_log(r, "write 0 PING :1\n");
    rig_pass(r, 4999);
    rig_expect_log(r, "");
    rig_pass(r, 1);
    rig_expect(r, "ready>backoff\nclose no answer to PING\n");
    rig_destroy(r);
}

static void a_pong_measures_lag_and_any_line_is_a_sign_of_life(void **state)
{
    struct rig *r = rig_ready("a");

    (void)state;
    rig_joined(r, "a");
    r->pongs = false;
    rig_pass(r, 15000);
    rig_clear(r);
    rig_pass(r, 4000);
    rig_line(r, ":x!x@x PRIVMSG #a :alive");
    rig_pass(r, 4000);
    rig_line(r, ":tmi.twitch.tv PONG tmi.twitch.tv :17"); /* not ours */
    assert_int_equal(shard_stats(r->s)->figures.lag_ms, 0);
    rig_line(r, ":tmi.twitch.tv PONG tmi.twitch.tv :1");
    assert_int_equal(shard_stats(r->s)->figures.lag_ms, 8000);
    assert_int_equal(shard_state(r->s), SHARD_READY);

    /* Never silent: lag is measured all the same, and PONG must come at last. */
    rig_clear(r);
    for (int i = 0; i < 13; i++) {
        rig_pass(r, 5000);
        rig_line(r, ":x!x@x PRIVMSG #a :alive");
    }
    rig_expect(r, "write 0 PING :2\n");
    for (int i = 0; i < 12; i++) {
        rig_pass(r, 5000 - 1);
        rig_line(r, ":x!x@x PRIVMSG #a :alive");
    }
    rig_expect(r, "close no answer to PING\n");
    rig_destroy(r);
}

static void a_tick_that_comes_late_reads_before_it_judges(void **state)
{
    struct rig *r = rig_ready("a");

    (void)state;
    rig_joined(r, "a");
    r->pongs = false;
    rig_pass(r, 15000);
    rig_clear(r);
    r->now += 60000; /* the process was stopped */
    (void)shard_tick(r->s, r->now);
    assert_int_equal(shard_state(r->s), SHARD_READY);
    rig_line(r, ":tmi.twitch.tv PONG tmi.twitch.tv :1");
    rig_pass(r, 2000);
    assert_int_equal(shard_state(r->s), SHARD_READY);
    rig_destroy(r);
}

static void a_ping_is_answered_with_its_text_even_while_fenced(void **state)
{
    struct rig *r = rig_ready("a");

    (void)state;
    shard_set_fenced(r->s, true, r->now);
    rig_clear(r);
    rig_line(r, "PING :tmi.twitch.tv");
    rig_line(r, ":tmi.twitch.tv PING");
    rig_expect_log(r, "write 0 PONG :tmi.twitch.tv\nwrite 0 PONG :\n");
    rig_destroy(r);
}

static void reconnect_leaves_within_a_second_and_comes_back_at_once(void **state)
{
    struct rig *r = rig_ready("a");

    (void)state;
    rig_joined(r, "a");
    rig_pass(r, 10000);
    rig_clear(r);
    rig_line(r, ":tmi.twitch.tv RECONNECT");
    assert_false(shard_can_send(r->s));
    rig_pass(r, 500);
    rig_line(r, ":x!x@x PRIVMSG #a :still here");
    rig_expect_log(r, "line a still here\n");
    rig_pass(r, 499);
    rig_expect_log(r, "");
    rig_pass(r, 1);
    rig_expect(r, "ready>backoff\nclose Twitch asked to reconnect\n");
    rig_expect(r, "draw login 1\nbackoff>connecting\nconnect\n");
    shard_on_connected(r->s, r->now);
    rig_line(r, ":tmi.twitch.tv 001 bot :Welcome, GLHF!");
    rig_clear(r);
    rig_joined(r, "a");
    rig_expect(r, "gap a ");

    rig_pass(r, 6000); /* and where the server closes first */
    rig_line(r, ":tmi.twitch.tv RECONNECT");
    rig_clear(r);
    shard_on_disconnected(r->s, "closed", r->now);
    rig_settle_draws(r);
    rig_expect(r, "connect\n");
    rig_destroy(r);
}

static void a_fenced_shard_joins_parts_sends_and_connects_nothing(void **state)
{
    struct rig *r = rig_ready("a");
    struct err err = {0};

    (void)state;
    rig_joined(r, "a");
    shard_set_fenced(r->s, true, r->now);
    rig_clear(r);
    rig_want(r, "b");
    rig_pass(r, 3000);
    rig_expect_log(r, "#b queued\n#a parting\n");
    assert_int_equal(
        shard_send(r->s, 1, SLICE("a"), SLICE("PRIVMSG #a :x\r\n"), SLICE(""), false, r->now, &err),
        -ERR_DOWN);
    assert_int_equal(shard_state(r->s), SHARD_READY);
    shard_set_fenced(r->s, false, r->now);
    rig_settle_draws(r);
    rig_expect(r, "PART #a\n");
    rig_expect(r, "JOIN #b\n");

    shard_set_fenced(r->s, true, r->now);
    shard_on_disconnected(r->s, "reset", r->now);
    rig_clear(r);
    rig_pass(r, 100000);
    rig_expect_not(r, "draw");
    rig_expect_not(r, "connect");
    shard_set_fenced(r->s, false, r->now);
    rig_settle_draws(r);
    rig_expect(r, "connect\n");
    shard_set_fenced(r->s, true, r->now);
    shard_on_connected(r->s, r->now);
    rig_expect_not(r, "\nlogin");
    shard_set_fenced(r->s, false, r->now);
    rig_expect(r, "\nlogin\n");
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
                rig_settle_draws(r);
            }
            if (step > 1) {
                shard_on_connected(r->s, r->now);
            }
            if (step > 2) {
                rig_line(r, ":tmi.twitch.tv 001 bot :Welcome, GLHF!");
                rig_want(r, "a b");
            }
            if (step > 3) {
                r->grants = false;
                shard_on_disconnected(r->s, "reset", r->now);
            }
            rig_clear(r);
            if (how == 0) {
                shard_stop(r->s, r->now);
            } else {
                shard_close(r->s, "lease lost", r->now);
                shard_close(r->s, "lease lost", r->now);
            }
            assert_int_equal(shard_state(r->s), SHARD_CLOSED);
            assert_int_equal(rig_has(r, "close "), step >= 1 && step <= 3);
            rig_destroy(r);
        }
    }
}

static void a_shard_that_is_destroyed_closes_its_connection_and_says_nothing(void **state)
{
    struct rig *r = rig_ready("a");

    (void)state;
    rig_send(r, 1, "a", "n1");
    rig_clear(r);
    shard_destroy(r->s);
    rig_expect_log(r, "close the shard is gone\n");
    r->s = NULL;
    rig_destroy(r);
}

static void an_anonymous_login_learns_its_name(void **state)
{
    struct rig *r = rig_create();

    (void)state;
    r->grants = true;
    shard_start(r->s, r->now);
    rig_settle_draws(r);
    shard_on_connected(r->s, r->now);
    rig_line(r, ":tmi.twitch.tv 001 justinfan12345 :Welcome, GLHF!");
    rig_want(r, "a");
    rig_line(r, ":justinfan12345!justinfan12345@justinfan12345.tmi.twitch.tv JOIN #a");
    assert_int_equal(rig_state_of(r, "a"), SHARD_CHANNEL_JOINED);
    rig_destroy(r);
}

static void refused_capabilities_are_a_failure(void **state)
{
    struct rig *r = rig_create();

    (void)state;
    r->grants = true;
    shard_start(r->s, r->now);
    rig_settle_draws(r);
    shard_on_connected(r->s, r->now);
    rig_line(r, ":tmi.twitch.tv CAP * NAK :twitch.tv/tags twitch.tv/commands");
    rig_expect(r, "authenticating>backoff\n");
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
    rig_joined(r, "a");
    rig_clear(r);
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        rig_line(r, lines[i]);
    }
    memset(text, 'x', sizeof(text));
    memcpy(text, "PING :", 6);
    text[sizeof(text) - 1] = '\0';
    rig_line(r, text); /* its PONG would not fit: none */
    rig_expect_not(r, "JOIN");
    rig_expect_not(r, "backoff");
    assert_int_equal(rig_state_of(r, "a"), SHARD_CHANNEL_JOINED);
    assert_int_equal(shard_channel(r->s, SLICE("a"))->room.slow_s, 0);
    assert_int_equal(shard_channel(r->s, SLICE("a"))->room.followers_only, -1);
    assert_true(shard_stats(r->s)->figures.bad_lines >= 4);
    rig_line(r, ":bot!bot@bot PART #a"); /* the name did not change */
    assert_int_not_equal(rig_state_of(r, "a"), SHARD_CHANNEL_JOINED);
    rig_destroy(r);
}

static void what_is_no_line_is_counted_and_told_with_the_reason(void **state)
{
    struct rig *r = rig_ready("a");

    (void)state;
    rig_clear(r);
    rig_line(r, ":prefix-only");
    rig_line(r, "PRIVMSG #a :a\rb");
    shard_on_long_line(r->s, r->now);
    rig_expect_log(r, "bad 12: a line without a command\n"
                      "bad 15: NUL, CR or LF inside a line\n"
                      "bad 0: longer than 65536 bytes\n");
    assert_int_equal(shard_stats(r->s)->figures.bad_lines, 3);
    assert_int_equal(shard_last_line_ms(r->s), r->now);
    shard_on_disconnected(r->s, "gone", r->now);
    rig_clear(r);
    shard_on_long_line(r->s, r->now); /* nothing of a connection that is gone */
    rig_expect_log(r, "");
    rig_destroy(r);
}

static void a_line_that_names_no_channel_is_counted_and_told(void **state)
{
    static const char *const lines[] = {
        ":tmi.twitch.tv CLEARCHAT a",
        ":tmi.twitch.tv CLEARCHAT",
        "@login=x :tmi.twitch.tv CLEARMSG a :x",
        ":x!x@x PRIVMSG a :x",
        ":x!x@x PRIVMSG #A :x",
        ":tmi.twitch.tv USERNOTICE #A",
        "@room-id=1;slow=3 :tmi.twitch.tv ROOMSTATE a",
        "@room-id=1;slow=3 :tmi.twitch.tv ROOMSTATE #A",
        "@mod=1 :tmi.twitch.tv USERSTATE #A",
        "@msg-id=slow_on :tmi.twitch.tv NOTICE #A :x",
        "@msg-id=msg_banned :tmi.twitch.tv NOTICE a :x",
        ":bot!bot@bot JOIN a",
        ":bot!bot@bot PART #A",
        "@a=b :tmi.twitch.tv NEWTHING #A :x",
    };
    static const char *const fine[] = {
        ":tmi.twitch.tv NOTICE * :Hello",
        "@msg-id=x :tmi.twitch.tv NOTICE * :Hello",
        ":tmi.twitch.tv GLOBALUSERSTATE",
        ":tmi.twitch.tv CAP * ACK :twitch.tv/tags",
        ":tmi.twitch.tv 376 bot :>",
        ":bot.tmi.twitch.tv 353 bot = #a :bot",
        "PING :#A b",
        ":tmi.twitch.tv NEWTHING :x",
        ":tmi.twitch.tv WHISPER bot :#A",
        ":x!x@x PRIVMSG #elsewhere :x",
        "@mod=0 :tmi.twitch.tv USERSTATE #elsewhere",
    };
    struct rig *r = rig_ready("a");

    (void)state;
    rig_joined(r, "a");
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        rig_clear(r);
        rig_line(r, lines[i]);
        rig_expect(r, "names no channel");
        assert_int_equal(shard_stats(r->s)->figures.bad_lines, i + 1);
    }
    rig_clear(r);
    for (size_t i = 0; i < ARRAY_LEN(fine); i++) {
        rig_line(r, fine[i]);
    }
    rig_expect_not(r, "bad ");
    rig_expect(r, "PONG :#A b");
    assert_int_equal(rig_state_of(r, "a"), SHARD_CHANNEL_JOINED);
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
                rig_want(r, sets[(size_t)rand_r(&seed) % ARRAY_LEN(sets)]);
                break;
            case 5:
                shard_set_fenced(r->s, rand_r(&seed) % 4 == 0, r->now);
                break;
            case 6:
                (void)!shard_send(r->s, (uint64_t)step, SLICE("a"), SLICE("PRIVMSG #a :x\r\n"),
                                  SLICE("n"), step % 2 == 1, r->now, NULL);
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
                rig_pass(r, (uint64_t)rand_r(&seed) % 20000);
                break;
            default:
                rig_line(r, lines[(size_t)rand_r(&seed) % ARRAY_LEN(lines)]);
                break;
            }
            rig_settle_draws(r);
            for (e = r->s->channels; e != NULL; e = e->hh.next) {
                total++;
            }
            for (int c = 0; c < SHARD_CHANNEL_STATES; c++) {
                total -= shard_channel_count(r->s, c);
            }
            assert_int_equal(total, 0);
            rig_clear(r);
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
        cmocka_unit_test(a_connection_that_took_long_draws_anew_to_log_in),
        cmocka_unit_test(a_slot_not_used_in_time_is_lost_and_drawn_anew),
        cmocka_unit_test(a_draw_that_gives_nothing_is_repeated_after_a_second),
        cmocka_unit_test(no_connection_or_no_answer_to_the_login_ends_in_backoff),
        cmocka_unit_test(waits_grow_from_none_to_a_minute_and_begin_anew_when_stable),
        cmocka_unit_test(a_refused_login_waits_long_unless_a_new_token_comes),
        cmocka_unit_test(refused_logins_wait_up_to_ten_minutes),
        cmocka_unit_test(a_missing_token_is_a_refused_login),
        cmocka_unit_test(silence_after_a_ping_is_a_dead_connection),
        cmocka_unit_test(a_pong_measures_lag_and_any_line_is_a_sign_of_life),
        cmocka_unit_test(a_tick_that_comes_late_reads_before_it_judges),
        cmocka_unit_test(a_ping_is_answered_with_its_text_even_while_fenced),
        cmocka_unit_test(reconnect_leaves_within_a_second_and_comes_back_at_once),
        cmocka_unit_test(a_fenced_shard_joins_parts_sends_and_connects_nothing),
        cmocka_unit_test(stop_and_close_end_every_state),
        cmocka_unit_test(a_shard_that_is_destroyed_closes_its_connection_and_says_nothing),
        cmocka_unit_test(an_anonymous_login_learns_its_name),
        cmocka_unit_test(refused_capabilities_are_a_failure),
        cmocka_unit_test(hostile_lines_do_no_harm),
        cmocka_unit_test(what_is_no_line_is_counted_and_told_with_the_reason),
        cmocka_unit_test(a_line_that_names_no_channel_is_counted_and_told),
        cmocka_unit_test(a_random_life_keeps_its_books),
    };

    return cmocka_run_group_tests_name("shard", tests, NULL, NULL);
}
