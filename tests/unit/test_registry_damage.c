/* Registry: whatever is in Redis instead of what Shoal wrote, every step answers in its own words, and the registry
 * is whole again after a comparison. Each key, each field and each type is damaged in turn. */
#include "shared/redis/registry_accounts.h"

#include "tests/lib/registry_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

extern const unsigned char registry_damages[];

static struct world w;
static struct registry_leader me;
static struct world_node n1;
static struct world_node n2;
static struct world_node n3;
static char claimed[64];
static char entered[64];
static const char *damage; /* the one under way */
static unsigned problems;

/* All of them are told, not only the first. */
static void complain(const char *step, const char *what)
{
    if (problems++ < 40) {
        print_error("%s: %s: %s\n", damage, step, what);
    }
}

static void on_text(void *ctx, const struct redisReply *reply, const struct err *err)
{
    char **text = ctx;

    assert_null(err);
    assert_int_equal(reply->type, REDIS_REPLY_STRING);
    *text = xstrndup(reply->str, (size_t)reply->len);
}

/* Of registry_damages.lua. */
static char *damages(const char *what, const char *argument)
{
    const char *argv[] = {"EVAL", (const char *)registry_damages, "1", "shoal:{t}", what, argument};
    char *text = NULL;

    assert_int_equal(link_command_argv(w.probe.link, 6, argv, NULL, on_text, &text), 0);
    wait_until(&w.probe.t, text != NULL);
    return text;
}

/* Every kind of key there is. */
static void begin(void)
{
    world_begin(&w, &me, &n1, 10);
    world_node(&n2, "n2", 1002, 10, "anonymous,bot");
    world_register(&w, &n2, 0);
    world_configure(&w, &me, "", "", "set", "channels_per_shard,3");
    world_add_shard(&w, &me, "main-shard", "anonymous", "a,b,c");
    world_assign(&w, &me, "", "", "join", "d");
    world_assign(&w, &me, "", "", "initial", "e");
    world_add_shard(&w, &me, "initial-shard-1", "bot", "f");
    world_add_shard(&w, &me, "initial-shard-2", "anonymous", "");
    world_assign_to(&w, &me, "", "", "join", "?later", "w");
    world_configure(&w, &me, "", "", "senders", "initial-shard-2,main-shard");
    world_configure(&w, &me, "", "", "shard_start", "main-shard");
    world_configure(&w, &me, "", "", "setup_done", "");
    world_renew(
        &w, &n1,
        "{\"shards\":{\"main-shard\":{\"epoch\":1,\"state\":\"ready\",\"joined\":1}},"
        "\"channels\":{\"a\":{\"shard\":\"main-shard\",\"state\":\"joined\",\"moderator\":0}},"
        "\"active\":[\"a\"],\"node\":{\"users\":\"anonymous,bot\"}}");
    world_renew(&w, &n2, "{\"node\":{\"users\":\"anonymous,bot\"}}");
    world_draw(&w, &n1, "bot", "login", 2);
    world_draw(&w, &n1, "bot", "join", 2);
    world_ask(&w, "HSET shoal:{t}:fan:n1 seq 17");
    world_ask(&w, "XADD shoal:{t}:requests 1-1 op join channels g id r1");
    world_accept(&w, &n1, "f", "s1", "hello");
    snprintf(claimed, sizeof(claimed), "%.60s", w.rest);
    world_claim(&w, world_ask(&w, "ZSCORE shoal:{t}:node:n1:serves initial-shard-1")[0] ? &n1 : &n2,
                claimed);
    assert_string_equal(w.word, "claimed");
    world_accept(&w, &n1, "f", "s2", "hello");
    snprintf(entered, sizeof(entered), "%.60s", w.rest);
    world_configure(&w, &me, "", "", "account_put", "bot,1.0a1b2c3d.QUJD");
    world_configure(&w, &me, "", "", "account_set", "bot,say_by,helix_app");
    world_ask(&w, "SET shoal:{t}:secret:@app 1.0a1b2c3d.REVG");
    assert_string_equal(world_broken(&w, 3, 6), "");
    assert_int_equal(world_compare(&w, &me), 0);
    free(damages("keep", ""));
}

/* The step was answered: what it was refused with is a word of ours. */
static void answered(const char *step, const char *word)
{
    if (strcmp(word, "ERROR") == 0 && strncmp(w.err.text, "OVERTAKEN", 9) != 0 &&
        strncmp(w.err.text, "LATER", 5) != 0 && /* for a damaged run_id, it is another Redis */
        strncmp(w.err.text, "EMPTIED", 7) != 0) {
        complain(step, w.err.text);
    }
}
#define ANSWERED(step) answered(#step, world_##step)

/* Whoever led or was registered before leads and is registered after it, at the second try at the latest. */
static void lead(void)
{
    ANSWERED(lead(&w, &me));
    if (strcmp(w.word, "leading") != 0) {
        world_ask(&w, "HSET shoal:{t}:leader deadline 1");
        assert_string_equal(world_lead(&w, &me), "leading");
    }
}

static void register_again(struct world_node *n)
{
    ANSWERED(renew(&w, n, ""));
    for (int i = 0; i < 3 && strcmp(w.word, "current") != 0; i++) {
        ANSWERED(register(&w, n, w.holder_link));
    }
    if (strcmp(w.word, "current") != 0) { /* as with a process that never comes back */
        world_ask(&w, "DEL shoal:{t}:node:%s", n->name);
        assert_string_equal(world_register(&w, n, 0), "current");
    }
    n->seen = -1;
}

static bool answered_accounts;

static void on_account_word(void *ctx, struct slice word, struct slice rest, const struct err *err)
{
    (void)word;
    (void)rest;
    if (err != NULL && strncmp(err->text, "DEPOSED", 7) != 0 &&
        strncmp(err->text, "LOST", 4) != 0) {
        complain(ctx, err->text);
    }
    answered_accounts = true;
}

static void on_due(void *ctx, const struct registry_due_account *due, size_t n,
                   const struct err *err)
{
    (void)due;
    (void)n;
    on_account_word(ctx, (struct slice){0}, (struct slice){0}, err);
}

static void on_accounts(void *ctx, uint64_t rev, const struct registry_account *list, size_t n,
                        const struct err *err)
{
    (void)rev;
    (void)list;
    (void)n;
    on_account_word(ctx, (struct slice){0}, (struct slice){0}, err);
}

#define ASKED(name, call)                                                                          \
    do {                                                                                           \
        char step[] = name;                                                                        \
        answered_accounts = false;                                                                 \
        assert_int_equal((call), 0);                                                               \
        wait_until(&w.probe.t, answered_accounts);                                                 \
    } while (0)

/* What the leader does with accounts, and what nodes read of them. */
static void accounts_are_looked_at(void)
{
    const struct slice found[] = {SLICE("error"), SLICE("")};
    const struct registry_looked looked = {.login = SLICE("bot"),
                                           .claim = "c1",
                                           .next_ms = 1000,
                                           .state = "usable",
                                           .of = "",
                                           .found = found,
                                           .nfound = ARRAY_LEN(found)};

    ASKED("accounts_due", registry_due_accounts(w.r, &me, on_due, step));
    ASKED("account_claim",
          registry_claim_account(w.r, &me, SLICE("bot"), 2, "c1", on_account_word, step));
    ASKED("account_keep", registry_keep_account(w.r, &looked, on_account_word, step));
    ASKED("accounts_look",
          registry_look_at_accounts(w.r, &me, "ffffffff", SLICE(""), on_account_word, step));
    ASKED("account_state", registry_account_state(w.r, &me, SLICE("bot"), on_account_word, step));
    ASKED("accounts",
          registry_accounts(w.r, n1.name, n1.incarnation, SLICE(""), on_accounts, step));
    ANSWERED(configure(&w, &me, "", "", "account_set", "bot,tier,verified"));
}

static void nodes_do_all_they_do(void)
{
    static const char report[] =
        "{\"shards\":{\"main-shard\":{\"epoch\":1,\"state\":\"ready\",\"joined\":1,\"silent_ms\":1}"
        ","
        "\"nosuch\":{\"epoch\":\"x\"},\"x:y\":3},\"channels\":{\"a\":{\"shard\":\"main-shard\","
        "\"state\":\"joined\",\"moderator\":0},\"b\":{\"shard\":\"main-shard\",\"state\":"
        "\"failed\","
        "\"reason\":\"no\",\"unread_ms\":5},\"c\":{\"shard\":\"x:y\"},\"d\":7},\"active\":[\"a\",1,"
        "[]],"
        "\"gaps\":[{\"channel\":\"a\",\"from\":1e999,\"to\":2},7],\"node\":{\"users\":\"anonymous,"
        "bot\"},"
        "\"waits_ms\":1e300}";

    world_node(&n3, "n3", 1003, 10, "anonymous");
    ANSWERED(register(&w, &n3, 0));
    ANSWERED(renew(&w, &n1, report));
    ANSWERED(renew(&w, &n2, ""));
    ANSWERED(draw(&w, &n1, "bot", "login", 2));
    ANSWERED(draw(&w, &n1, "bot", "join", 2));
    ANSWERED(accept(&w, &n1, "f", "s3", "hello"));
    ANSWERED(claim(&w, &n1, entered));
    ANSWERED(claim(&w, &n2, entered));
    ANSWERED(claim(&w, &n1, entered));
    ANSWERED(unclaim(&w, &n1, claimed));
    ANSWERED(unclaim(&w, &n2, entered));
    ANSWERED(done(&w, &n1, entered, SEND_SENT));
    ANSWERED(done(&w, &n2, claimed, SEND_SENT));
}

static void the_leader_does_all_it_does(void)
{
    static const struct registry_wish wishes[] = {
        {{"g", 1}, {"", 0}},
        {{"h", 1}, {"=main-shard", 11}},
        {{"i", 1}, {"@bot", 4}},
    };

    ANSWERED(lead(&w, &me));
    accounts_are_looked_at();
    ANSWERED(assign_wishes(&w, &me, "join", wishes, ARRAY_LEN(wishes)));
    ANSWERED(assign(&w, &me, "1-1", "r1", "join", "g"));
    ANSWERED(assign(&w, &me, "", "", "waiting", "w"));
    ANSWERED(assign(&w, &me, "", "", "initial", "e"));
    ANSWERED(add_shard(&w, &me, "extended-shard-7", "anonymous", "j"));
    ANSWERED(
        configure(&w, &me, "", "", "senders", "main-shard,initial-shard-1,@bot,initial-shard-1"));
    ANSWERED(configure(&w, &me, "", "", "shard_stop", "main-shard"));
    ANSWERED(configure(&w, &me, "", "", "shard_start", "main-shard"));
    ANSWERED(configure(&w, &me, "", "", "create", "distributed,room_limit,100"));
    ANSWERED(release(&w, &me, "", "", "idle", "main-shard,extended-shard-1"));
    ANSWERED(release(&w, &me, "", "", "remove", "main-shard,b"));
    ANSWERED(release(&w, &me, "", "", "part", "d"));
    world_end_lease(&w, &n2);
    ANSWERED(expire(&w, &me, "n2", n2.link_id));
    ANSWERED(configure(&w, &me, "", "", "place_homeless", ""));
    ANSWERED(leave(&w, &n3));
}

static void it_is_whole_again(void)
{
    char view[4096];
    unsigned repairs = 1;

    lead();
    register_again(&n1);
    register_again(&n2);
    lead();
    for (int round = 0; round < 6 && repairs > 0; round++) {
        repairs = world_compare(&w, &me);
    }
    if (repairs > 0) {
        complain("compare", world_ask(&w, "XREVRANGE shoal:{t}:log + - COUNT 1"));
    }
    if (world_broken(&w, 1000, 1000)[0] != '\0') {
        complain("broken", w.rest);
    }
    lead();
    if (w.lead.damaged) {
        complain("lead", "something is damaged");
    }
    struct world_node *all[] = {&n1, &n2};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        assert_string_equal(world_renew(&w, all[i], ""), "current");
        world_node_view(all[i], view, sizeof(view));
        if (strcmp(view, world_raw_view(&w, all[i])) != 0) {
            complain("view", all[i]->name);
        }
    }
}

static void whatever_is_in_redis_every_step_answers_and_a_comparison_makes_it_whole(void **state)
{
    const char *text = getenv("SHOAL_TEST_SEED");
    char seed[24];
    char *save = NULL;
    unsigned n = 0;

    (void)state;
    snprintf(seed, sizeof(seed), "%u",
             text != NULL ? (unsigned)strtoul(text, NULL, 10)
                          : 1 + (unsigned)random_below(1000000));
    print_message("SHOAL_TEST_SEED=%s\n", seed);
    begin();
    struct world_node first[] = {n1, n2};
    struct registry_leader leader = me;
    char *list = damages("list", seed);
    for (char *line = strtok_r(list, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        const char *only = getenv("SHOAL_TEST_DAMAGE");
        if (only != NULL && strstr(line, only) == NULL) {
            continue;
        }
        damage = line;
        n1 = first[0];
        n2 = first[1];
        me = leader;
        free(damages("restore", ""));
        free(damages("damage", line));
        nodes_do_all_they_do();
        the_leader_does_all_it_does();
        it_is_whole_again();
        n++;
    }
    print_message("%u damages\n", n);
    free(list);
    world_finish(&w);
    assert_int_equal(problems, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_is_in_redis_every_step_answers_and_a_comparison_makes_it_whole),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
