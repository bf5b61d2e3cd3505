/* Moves of a shard and of its channels: all that are legal and no other, in whatever order. */
#include "node/shard_private.h"

#include "tests/lib/shard_rig.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
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
                    shard_on_disconnected(r->s, "x", r->now, r->now);
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
        cmocka_unit_test(a_random_life_keeps_its_books),
    };

    return cmocka_run_group_tests_name("shard_moves", tests, NULL, NULL);
}
