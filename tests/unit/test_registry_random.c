/* Registry: thousands of random steps by several nodes and coordinators, against a real Redis; the
 * invariants are looked at in the raw keys all along. SHOAL_TEST_SEED=N repeats a run. */
#include "shared/redis/registry.h"

#include "tests/lib/registry_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define NODES        6
#define COORDINATORS 3
#define CHANNELS     120
#define SENDS        400

static struct world w;

static struct run {
    uint64_t random;
    struct world_node nodes[NODES];
    bool alive[NODES]; /* has a lease, as far as the test knows */
    struct registry_leader coordinators[COORDINATORS];
    int leader; /* who leads */
    uint64_t next_link;
    bool limits_change;
    unsigned most;        /* the highest channels_per_shard so far */
    unsigned most_shards; /* the highest max_shard_count so far */
    unsigned sends;       /* accepted */
    struct {
        char entry[64];
        unsigned channel;
        int claimed_by; /* -1: nobody, as far as the test knows */
    } send[SENDS];
    /* To see that the run did something: */
    unsigned assigned;
    unsigned refused;
    unsigned expired;
    unsigned lost;
    unsigned taken;  /* from nodes that did not see Twitch */
    unsigned rested; /* renewals of nodes to which nothing was new */
} run;

static unsigned pick(unsigned bound)
{
    /* xorshift64*: the same run for the same seed on every machine. */
    run.random ^= run.random >> 12;
    run.random ^= run.random << 25;
    run.random ^= run.random >> 27;
    return (unsigned)((run.random * 2685821657736338717ULL) >> 33) % bound;
}

static const char *some_channels(unsigned most)
{
    static char text[4096];
    size_t len = 0;
    unsigned n = 1 + pick(most);
    for (unsigned i = 0; i < n; i++) {
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s%u", i > 0 ? "," : "",
                                pick(9) == 0 ? "#C" : "c", pick(CHANNELS));
    }
    return text;
}

static const char *some_shard(void)
{
    static char names[8][64];
    static unsigned next;
    char *name = names[next++ % 8];
    if (pick(4) == 0) {
        snprintf(name, 64, "%s", pick(2) == 0 ? "main-shard" : "nosuch");
    } else {
        snprintf(name, 64, "%s-shard-%u", pick(3) == 0 ? "initial" : "extended", 1 + pick(12));
    }
    return name;
}

/* Mostly who leads; now and then somebody who does not, and must be refused. */
static struct registry_leader *some_leader(bool *right)
{
    int i = pick(10) == 0 ? (int)pick(COORDINATORS) : run.leader;
    *right = i == run.leader;
    return &run.coordinators[i];
}

static void expect(bool right, const char *word)
{
    if (!right) {
        assert_string_equal(word, "LOST");
        run.lost++;
    } else {
        assert_string_not_equal(word, "LOST");
        assert_string_not_equal(word, "ERROR");
    }
}

static void forget_claims(int i)
{
    for (unsigned s = 0; s < run.sends; s++) {
        if (run.send[s].claimed_by == i) {
            run.send[s].claimed_by = -1;
        }
    }
}

static void register_node(int i)
{
    struct world_node *n = &run.nodes[i];
    uint64_t takeover = run.alive[i] && pick(2) == 0 ? n->link_id : 0;
    struct world_node fresh;
    char name[16];
    snprintf(name, sizeof(name), "n%d", i);
    /* Never less than it holds: a smaller one is another test's. */
    world_node(&fresh, name, run.next_link++, run.alive[i] ? n->capacity : pick(8),
               pick(4) == 0 ? "carol" : "bot,carol");
    const char *word = world_register(&w, &fresh, takeover);
    if (run.alive[i] && takeover == 0) {
        assert_string_equal(word, "held");
        return;
    }
    assert_string_equal(word, "current");
    *n = fresh;
    run.alive[i] = true;
    forget_claims(i);
}

/* What it says of Twitch. */
static void step_sight(struct world_node *n, bool alive)
{
    static const char *const states[] = {"active", "active", "blind", "blind", "proving"};
    char report[128];

    if (n->name[0] == '\0') {
        return;
    }
    if (pick(2) == 0) {
        snprintf(report, sizeof(report), "{\"node\":{\"seen_ms\":%u}}", pick(20000));
    } else {
        n->state = states[pick(5)];
        snprintf(report, sizeof(report),
                 "{\"node\":{\"state\":\"%s\",\"failing_ms\":%u,\"why\":\"w\"}}", n->state,
                 pick(20000));
    }
    expect(alive, world_renew(&w, n, report));
    run.taken += alive && strstr(report, "seen") != NULL && w.picture.changed;
}

static void step_node(int i)
{
    struct world_node *n = &run.nodes[i];
    bool right;
    switch (pick(10)) {
    case 0:
    case 1:
        register_node(i);
        break;
    case 2:
        if (run.alive[i] && pick(3) == 0) {
            assert_string_equal(world_leave(&w, n), "done");
            run.alive[i] = false;
            forget_claims(i);
        }
        break;
    case 3:
        if (run.alive[i] && pick(2) == 0) {
            struct registry_leader *me = some_leader(&right);
            world_end_lease(&w, n);
            const char *word = world_expire(&w, me, n->name, n->link_id);
            if (right && strcmp(word, "kept") == 0) {
                assert_string_equal(world_renew(&w, n, ""), "current");
            } else if (right) {
                assert_string_equal(word, "expired");
                run.alive[i] = false;
                forget_claims(i);
                run.expired++;
            } else {
                assert_string_equal(word, "LOST");
                assert_string_equal(world_renew(&w, n, ""), "current");
            }
        }
        break;
    case 4:
    case 5:
        step_sight(n, run.alive[i]);
        break;
    case 6:
        if (n->name[0] != '\0' && strcmp(world_rest(&w, n), "current") == 0) {
            assert_true(run.alive[i]);
            run.rested++;
        }
        break;
    default:
        if (n->name[0] != '\0') {
            expect(run.alive[i], world_renew(&w, n, ""));
        }
        break;
    }
}

static void step_leader(void)
{
    int i = (int)pick(COORDINATORS);
    if (pick(4) == 0) {
        world_ask(&w, "HSET shoal:{t}:leader deadline 1");
    } else if (pick(8) == 0) {
        world_resign(&w, &run.coordinators[run.leader]);
        run.leader = -1;
    }
    const char *word = world_lead(&w, &run.coordinators[i]);
    if (strcmp(word, "leading") == 0) {
        run.leader = i;
    } else {
        assert_int_not_equal(run.leader, -1);
        assert_string_equal(word, "standby");
    }
}

static void step_settings(void)
{
    char args[64];
    bool right;
    struct registry_leader *me = some_leader(&right);
    if (!run.limits_change) {
        return;
    }
    if (pick(3) == 0) {
        static const char *const readers[] = {"first", "all", "carol", "bot,carol",
                                              "carol,stranger"};
        world_ask(&w, "HSET shoal:{t}:config readers %s room_limit %u", readers[pick(5)],
                  10 + pick(50));
        return;
    }
    unsigned value = 1 + pick(10);
    bool shards = pick(2) == 0;
    snprintf(args, sizeof(args), "%s,%u", shards ? "max_shard_count" : "channels_per_shard", value);
    expect(right, world_configure(&w, me, "", "", "set", args));
    if (right && shards && value > run.most_shards) {
        run.most_shards = value;
    } else if (right && !shards && value > run.most) {
        run.most = value;
    }
}

static void step_request(void)
{
    static const char *const modes[] = {"join", "join", "join", "initial", "waiting"};
    static const char *const wheres[] = {"@bot", "+bot",   "@carol", "+carol",
                                         "!no",  "?later", "-",      NULL};
    bool right;
    struct registry_leader *me = some_leader(&right);
    const char *mode = modes[pick(5)];
    const char *where;
    char text[256];
    switch (pick(11)) {
    case 0:
        expect(right, world_release(&w, me, "", "", "part", some_channels(40)));
        break;
    case 1:
        expect(right, world_release(&w, me, "", "", "part", some_channels(3)));
        break;
    case 2:
        snprintf(text, sizeof(text), "%s,%s,%s", some_shard(), some_shard(), some_shard());
        expect(right, world_release(&w, me, "", "", "idle", text));
        break;
    case 3:
        snprintf(text, sizeof(text), "%s,%s,%s,%s,@bot,%s", some_shard(), some_shard(),
                 some_shard(), some_shard(), some_shard());
        expect(right, world_configure(&w, me, "", "", "senders", text));
        break;
    case 4:
        expect(right, world_add_shard(&w, me, pick(2) == 0 ? "main-shard" : "initial-shard-2",
                                      pick(5) == 0 ? "carol" : "bot",
                                      pick(2) == 0 ? "" : some_channels(3)));
        break;
    case 5:
        snprintf(text, sizeof(text), "%s,%s", some_shard(), some_channels(5));
        expect(right, world_release(&w, me, "", "", "remove", text));
        break;
    case 6:
        snprintf(text, sizeof(text), "=%s", some_shard());
        where = wheres[pick(8)];
        expect(right,
               world_assign_to(&w, me, "", "", mode, where ? where : text, some_channels(10)));
        break;
    case 7:
        expect(right, world_configure(&w, me, "", "", pick(2) == 0 ? "shard_start" : "shard_stop",
                                      some_shard()));
        break;
    default:
        expect(right, world_assign(&w, me, "", "", mode, some_channels(30)));
        run.assigned += strstr(w.rest, "extended-shard") != NULL;
        run.refused += strstr(w.rest, "All shards are full") != NULL;
        break;
    }
}

static void step_send(void)
{
    int i = (int)pick(NODES);
    struct world_node *n = &run.nodes[i];
    if (n->name[0] == '\0') {
        return;
    }
    if (pick(3) == 0 && run.sends < SENDS) {
        char channel[16];
        char id[16];
        unsigned number = pick(CHANNELS);
        snprintf(channel, sizeof(channel), "%s%u", pick(2) == 0 ? "#C" : "c", number);
        snprintf(id, sizeof(id), "s%u", run.sends);
        const char *word = world_accept(&w, n, channel, id, "hello");
        expect(run.alive[i], word);
        if (run.alive[i]) {
            snprintf(run.send[run.sends].entry, 64, "%.60s", w.rest);
            run.send[run.sends].channel = number;
            run.send[run.sends++].claimed_by = -1;
        }
        return;
    }
    if (run.sends == 0) {
        return;
    }
    unsigned s = pick(run.sends);
    const char *entry = run.send[s].entry;
    if (run.send[s].claimed_by == i) {
        if (pick(3) == 0) {
            expect(run.alive[i], world_unclaim(&w, n, entry));
        } else {
            expect(run.alive[i], world_done(&w, n, entry, SEND_SENT));
        }
        run.send[s].claimed_by = -1;
        return;
    }
    const char *word = world_claim(&w, n, entry);
    expect(run.alive[i], word);
    if (strcmp(word, "claimed") == 0) {
        assert_int_equal(run.send[s].claimed_by, -1); /* by one at a time */
        run.send[s].claimed_by = i;
    }
}

static void check_all(unsigned step)
{
    char view[64 * 1024];
    const char *broken = world_broken(&w, run.most, run.most_shards);
    if (broken[0] != '\0') {
        fail_msg("after step %u: %s", step, broken);
    }
    if (run.leader >= 0 && world_compare(&w, &run.coordinators[run.leader]) != 0) {
        fail_msg("after step %u: there was something to put right: %s", step,
                 world_ask(&w, "XREVRANGE shoal:{t}:log + - COUNT 1"));
    }
    for (int i = 0; i < NODES; i++) {
        if (run.alive[i]) {
            assert_string_equal(world_renew(&w, &run.nodes[i], ""), "current");
            assert_string_equal(world_node_view(&run.nodes[i], view, sizeof(view)),
                                world_raw_view(&w, &run.nodes[i]));
        }
    }
}

/* Whatever happened to it, each send ends with one result and leaves nothing behind. */
static void finish_sends(void)
{
    for (unsigned s = 0; s < run.sends; s++) {
        int i = run.send[s].claimed_by;
        if (i >= 0) {
            assert_string_equal(world_done(&w, &run.nodes[i], run.send[s].entry, SEND_SENT),
                                "done");
        }
    }
    world_take(&w);
    world_eval(&w,
               "for _, m in ipairs(redis.call('ZRANGE', KEYS[1] .. ':sends', 0, -1)) do "
               "redis.call('ZADD', KEYS[1] .. ':sends', 1, m) end return ''",
               "");
    while (strcmp(world_ask(&w, "ZCARD shoal:{t}:sends"), "0") != 0) {
        world_take(&w);
    }
    for (unsigned s = 0; s < run.sends; s++) {
        const char *status =
            world_ask(&w, "HGET shoal:{t}:result:c%u:s%u status", run.send[s].channel, s);
        assert_true(strcmp(status, "sent") == 0 || strcmp(status, "unknown") == 0 ||
                    strcmp(status, "expired") == 0);
    }
    assert_string_equal(world_ask(&w, "XLEN shoal:{t}:outbox"), "0");
    assert_string_equal(world_ask(&w, "HLEN shoal:{t}:claims"), "0");
    assert_string_equal(world_ask(&w, "EXISTS shoal:{t}:sends shoal:{t}:queued shoal:{t}:ids"),
                        "0");
}

static void begin(uint64_t seed, bool limits_change)
{
    memset(&run, 0, sizeof(run));
    run.random = seed * 2654435761ULL + 1;
    run.limits_change = limits_change;
    run.next_link = 1000;
    run.most = 6;
    run.most_shards = 8;
    world_start(&w);
    for (int i = 0; i < COORDINATORS; i++) {
        static const char *const ids[] = {"c0", "c1", "c2"};
        world_leader(&run.coordinators[i], ids[i]);
        snprintf(run.coordinators[i].token, sizeof(run.coordinators[i].token), "0");
    }
    world_lead(&w, &run.coordinators[0]);
    world_ask(&w, "HSET shoal:{t}:config setup done");
    world_configure(&w, &run.coordinators[0], "", "", "set", "user,bot");
    world_configure(&w, &run.coordinators[0], "", "", "set", "channels_per_shard,6");
    world_configure(&w, &run.coordinators[0], "", "", "set", "max_shard_count,8");
    world_configure(&w, &run.coordinators[0], "", "", "set", "room_limit,60");
    world_configure(&w, &run.coordinators[0], "", "", "set", "message_limit,off");
    world_configure(&w, &run.coordinators[0], "", "", "set", "channel_message_ms,off");
    world_configure(&w, &run.coordinators[0], "", "", "set", "message_mod_limit,off");
}

static void random_steps(uint64_t seed, bool limits_change, unsigned steps)
{
    begin(seed, limits_change);
    for (unsigned step = 1; step <= steps; step++) {
        if (run.leader < 0) {
            step_leader();
        }
        switch (pick(10)) {
        case 0:
            step_leader();
            break;
        case 1:
        case 2:
            step_node((int)pick(NODES));
            break;
        case 3:
            step_settings();
            break;
        case 4:
        case 5:
            step_send();
            break;
        default:
            if (run.leader >= 0) {
                step_request();
            }
            break;
        }
        if (step % 20 == 0) {
            check_all(step);
        }
    }
    check_all(steps);
    finish_sends();
    assert_true(run.assigned > steps / 20);
    assert_true(run.refused > 0);
    assert_true(run.expired > 0);
    assert_true(run.lost > 0);
    assert_true(run.taken > 0);
    assert_true(run.rested > 0);
    assert_true(run.sends > 0);
    world_finish(&w);
}

static uint64_t seed_of_run(void)
{
    const char *text = getenv("SHOAL_TEST_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 10) : random_below(1000000);
    print_message("SHOAL_TEST_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

static void no_random_steps_break_an_invariant(void **state)
{
    (void)state;
    random_steps(seed_of_run(), false, 3000);
}

static void no_random_steps_break_an_invariant_while_limits_change(void **state)
{
    (void)state;
    random_steps(seed_of_run(), true, 3000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_random_steps_break_an_invariant),
        cmocka_unit_test(no_random_steps_break_an_invariant_while_limits_change),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
