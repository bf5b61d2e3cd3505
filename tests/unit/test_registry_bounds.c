/* Registry: no step touches more than it may, however large the cluster is and with no limits set.
 *
 * A registry with 20,000 channels on one shard, 1,200 shards and 1,500 nodes. Each step is called as
 * its callers call it, until it says that it is done; tests/lib/registry_count.lua, put before the
 * library, counts the keys and elements that each call touched. */
#include "shared/base.h"
#include "tests/lib/private_redis.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <hiredis/hiredis.h>

#define CHANNELS      20000
#define SHARDS        1200
#define NODES         1500
#define ACCOUNTS      900
#define MOST_KEYS     1000
#define MOST_ELEMENTS 25000
#define MOST_WORDS    3000
#define STEPS         54 /* that are called */

extern const unsigned char shoal_lua[];
extern const size_t shoal_lua_len;
extern const unsigned char registry_count[];

static redisContext *connection;
static redisReply *answer; /* the newest */

static const redisReply *ask(int argc, const char **argv)
{
    freeReplyObject(answer);
    answer = redisCommandArgv(connection, argc, argv, NULL);
    assert_non_null(answer);
    if (answer->type == REDIS_REPLY_ERROR) {
        fail_msg("%s %s: %s", argv[0], argc > 1 ? argv[1] : "", answer->str);
    }
    return answer;
}

/* A command of words between blanks; "-" is the empty text. */
static const redisReply *words(char *text)
{
    static const char *argv[MOST_WORDS];
    int argc = 0;
    char *save = NULL;

    for (char *at = strtok_r(text, " ", &save); at != NULL; at = strtok_r(NULL, " ", &save)) {
        assert_true(argc < MOST_WORDS);
        argv[argc++] = strcmp(at, "-") == 0 ? "" : at;
    }
    return ask(argc, argv);
}

static const redisReply *raw(const char *fmt, ...) PRINTF_LIKE(1, 2);
static const redisReply *raw(const char *fmt, ...)
{
    static char text[1 << 16];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    return words(text);
}

#define STEP(name, ...) raw("FCALL shoal1_" name " 1 shoal:{t} " __VA_ARGS__)
#define LEADER          "inc 1 "

static bool is_more(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 &&
           reply->element[0]->type == REDIS_REPLY_STRING &&
           strcmp(reply->element[0]->str, "more") == 0;
}

/* The whole picture: how many channels were told. */
static size_t picture(const redisReply *reply, const char *node, const char *incarnation)
{
    size_t told = 0;
    char place[256];

    for (size_t lists = 5;; lists = 0) {
        const redisReply *changed = reply->element[lists + 1];
        size_t at = lists == 5 ? 12 : 4;
        for (size_t i = 0; i < changed->elements; i++) {
            for (size_t k = 6; k < changed->element[i]->elements; k++) {
                told += changed->element[i]->element[k]->type == REDIS_REPLY_STRING;
            }
        }
        snprintf(place, sizeof(place), "%s", reply->element[at]->str);
        if (place[0] == '\0') {
            return told;
        }
        const char *argv[] = {"FCALL", "shoal1_picture", "1",  "shoal:{t}",
                              node,    incarnation,      place};
        reply = ask(ARRAY_LEN(argv), argv);
    }
}

static void register_node(const char *node, const char *incarnation, const char *takeover,
                          unsigned link, const char *users)
{
    const redisReply *reply;
    do {
        reply = STEP("register", "%s %s %u run host 1 0 2000 %s %s active", node, incarnation, link,
                     users, takeover);
    } while (is_more(reply));
    assert_true(picture(reply, node, incarnation) % CHANNELS == 0);
}

static size_t renew(const char *node, const char *incarnation, unsigned link, const char *report)
{
    return picture(
        STEP("renew", "%s %s %u run -1 %s - host 1 0 1000 bot", node, incarnation, link, report),
        node, incarnation);
}

/* `n` names, prefixed, from number `from` on, as words. */
static const char *names(const char *prefix, unsigned from, unsigned n)
{
    static char text[1 << 15];
    size_t len = 0;

    for (unsigned i = from; i < from + n; i++) {
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%u ", prefix, i);
    }
    return text;
}

static int begin(void **state)
{
    static char text[1 << 19];
    size_t first = (size_t)(strchr((const char *)shoal_lua, '\n') - (const char *)shoal_lua) + 1;
    const char *load[] = {"FUNCTION", "LOAD", "REPLACE", text};

    start_redis(state);
    connection = redisConnect("127.0.0.1", private_redis_port(redis));
    snprintf(text, sizeof(text), "%.*s%s%s", (int)first, (const char *)shoal_lua,
             (const char *)registry_count, (const char *)shoal_lua + first);
    ask(ARRAY_LEN(load), load);
    return 0;
}

static int finish(void **state)
{
    freeReplyObject(answer);
    redisFree(connection);
    return stop_redis(state);
}

static void build(void)
{
    static const char *const settings[] = {"room_limit off",          "max_shard_count none",
                                           "channels_per_shard none", "user bot",
                                           "lease_ms 60000",          "idle_shard_ms 0",
                                           "send_queue 1000000",      "channel_send_queue 10000",
                                           "message_limit off",       "message_mod_limit off"};
    STEP("lead", "c1 inc 1 run host 1");
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        STEP("set", LEADER "- - %s", settings[i]);
    }
    STEP("create", LEADER "distributed lease_ms 60000");
    register_node("n0", "i0", "-", 100, "bot");
    STEP("add_shard", LEADER "main-shard bot %s", names("first", 0, 1000));
    for (unsigned i = 1000; i < CHANNELS; i += 1000) {
        STEP("assign", LEADER "- - join =main-shard 1000 %s", names("channel", i, 1000));
    }
    for (unsigned i = 1; i < NODES; i++) {
        char name[16];
        snprintf(name, sizeof(name), "n%u", i);
        STEP("register", "n%u i%u %u run host 1 0 %u %s - active", i, i, 100 + i, i < 10 ? 200 : 1,
             i + 1 == NODES ? "bot,rare" : "bot");
    }
    for (unsigned i = 1; i < SHARDS; i++) {
        STEP("add_shard", LEADER "shard-%u bot", i);
    }
    STEP("setup_done", LEADER);
}

static void nodes_do_all_they_do(void)
{
    char report[1 << 16];
    size_t len = 0;

    assert_int_equal(renew("n0", "i0", 100, "-"), CHANNELS);
    for (unsigned i = 1000; i < CHANNELS; i += 500) {
        len = (size_t)snprintf(report, sizeof(report), "{\"channels\":{");
        for (unsigned k = i; k < i + 500; k++) {
            len +=
                (size_t)snprintf(report + len, sizeof(report) - len,
                                 "%s\"channel%u\":{\"shard\":\"main-shard\",\"state\":\"joined\","
                                 "\"moderator\":0,\"vip\":1}",
                                 k == i ? "" : ",", k);
        }
        snprintf(report + len, sizeof(report) - len, "}}");
        STEP("renew", "n0 i0 100 run 999999999 %s - host 1 0 1000 bot", report);
    }
    /* Another process takes the node over: what the first one read is unread. */
    raw("ZADD shoal:{t}:nodes 1 n0");
    register_node("n0", "j0", "100", 90, "bot");
    STEP("draw", "n0 j0 bot join 1000");
    STEP("send_listen", "n0 j0 5 run %s", names("shoal:t:send:channel", 1000, 1000));
    STEP("publish", "n0 - 5 channel1000 line");
}

static void senders_and_sends(void)
{
    for (unsigned i = 1; i < 700; i += 100) {
        char pairs[1 << 14];
        size_t len = 0;
        for (unsigned k = i; k < i + 100; k++) {
            len += (size_t)snprintf(pairs + len, sizeof(pairs) - len, "shard-%u main-shard ", k);
        }
        STEP("senders", LEADER "%s", pairs);
    }
    for (unsigned i = 0; i < 1500; i++) {
        raw("XADD shoal:{t}:outbox * channel channel%u text hello id s%u", 1000 + i, i);
    }
    while (is_more(STEP("send_take", ""))) {
    }
    for (unsigned from = 0; is_more(STEP("send_list", "n0 j0 %u", from)); from += 500) {
    }
    STEP("send_accept", "n0 j0 channel1000 - hello - - - - 0 normal 0 p 1 0 -");
    for (unsigned i = 0; i < 2; i++) {
        char entry[64];
        snprintf(entry, sizeof(entry), "%s",
                 raw("XADD shoal:{t}:outbox * channel channel%u text hello", 18000 + i)->str);
        assert_string_equal(STEP("send_claim", "n0 j0 %s", entry)->element[0]->str, "claimed");
        if (i == 0) {
            STEP("send_later", "n0 j0 %s 100 msg_ratelimit", entry);
            STEP("send_part", "n0 j0 %s 1/2 0", entry);
            STEP("send_unclaim", "n0 j0 %s", entry);
        } else {
            STEP("send_done", "n0 j0 %s sent - - 0 - vip -", entry);
        }
    }
    STEP("restate", "n0 j0 1 0 {\"sends\":[],\"draws\":[]}");
}

/* As many as there can be, one of which sends for 700 shards, come and go. */
static void speakers(void)
{
    char pairs[1 << 14];

    STEP("set", LEADER "- - speaker bot");
    STEP("set", LEADER "- - speaker_shard_count 100");
    for (unsigned i = 0; i < 10; i++) {
        STEP("speakers", LEADER);
    }
    for (unsigned i = 1; i < 700; i += 100) {
        size_t len = 0;
        for (unsigned k = i; k < i + 100; k++) {
            len +=
                (size_t)snprintf(pairs + len, sizeof(pairs) - len, "shard-%u speaker-shard-1 ", k);
        }
        STEP("senders", LEADER "%s", pairs);
    }
    STEP("unset", LEADER "- - speaker");
    for (unsigned i = 0; raw("ZSCORE shoal:{t}:load speaker-shard-100")->str != NULL; i++) {
        assert_true(i < 50);
        STEP("speakers", LEADER);
    }
}

static void requests(void)
{
    for (unsigned i = 0; i < 300; i++) {
        raw("XADD shoal:{t}:requests * op join channels x%u", i);
    }
    STEP("requests", LEADER "0-0 0-0");
    STEP("part", LEADER "- - %s", names("channel", 1000, 1000));
    STEP("retry", LEADER "- - %s", names("channel", 2000, 1000));
    STEP("assign", LEADER "- - join - 1000 %s", names("other", 0, 1000));
    STEP("remove_channels", LEADER "main-shard %s", names("channel", 3000, 1000));
    STEP("shard_start", LEADER "shard-1");
    STEP("shard_stop", LEADER "shard-1");
    STEP("tell_error", LEADER "where test");
    STEP("refuse_op", LEADER "- - dance");
    STEP("refuse", LEADER "full 1-1 r1 join");
    STEP("stop", LEADER "- -");
    STEP("start", LEADER "- -");
    STEP("unset", LEADER "- - resume_delay_ms");
    STEP("abandon", LEADER "lease_ms");
    STEP("tell_lost", LEADER "1 1 foo");
    STEP("close_idle", LEADER "shard-1 shard-2");
}

/* Joins where a hundred users read: some that all nodes know and Twitch refuses on most, some that
 * no node with room knows. */
static void many_readers(void)
{
    char users[1 << 11] = "bot";
    size_t len = 3;

    for (unsigned i = 0; i < 100; i++) {
        len += (size_t)snprintf(users + len, sizeof(users) - len, ",u%u", i);
    }
    for (unsigned i = 0; i < NODES; i++) {
        raw("HSET shoal:{t}:node:n%u users %s,own%u", i, users, i);
    }
    for (unsigned i = 0; i < 1500; i++) {
        STEP("add_shard", LEADER "read-%u u%u", i, i % 100);
    }
    for (unsigned i = 0; i < 50; i++) {
        raw("HSET shoal:{t}:budget:u%u:refused wait 1 until 1", i);
        for (unsigned k = 0; k < 100; k++) {
            raw("HSET shoal:{t}:budget:u%u:refused node:n%u 1", i, k);
        }
    }
    raw("HSET shoal:{t}:config readers %s room_limit 100", users + 4);
    STEP("assign", LEADER "- - join - 1000 %s", names("read", 0, 1000));
    raw("HSET shoal:{t}:config readers all channels_per_shard 1");
    STEP("assign", LEADER "- - join - 300 %s", names("opens", 0, 300));
    for (unsigned i = 0; i < NODES; i++) {
        raw("HSET shoal:{t}:node:n%u users %s", i, i < 20 ? users : "bot");
    }
    for (unsigned i = 0; i < 20; i++) {
        raw("ZADD shoal:{t}:free 0 n%u", i);
    }
    raw("HSET shoal:{t}:config readers %s", users + 4);
    STEP("assign", LEADER "- - join - 1000 %s", names("none", 0, 1000));
}

static void accounts(void)
{
    for (unsigned i = 0; i < ACCOUNTS; i++) {
        STEP("account_put", LEADER "- - acc%u 1.0a1b2c3d.QUJD", i);
        raw("SADD shoal:{t}:rooms:acc%u a", i);
        raw("RPUSH shoal:{t}:budget:acc%u:message 1", i);
    }
    STEP("account_set", LEADER "- - acc0 say_by helix_app");
    STEP("account_set", LEADER "- - acc0 say_by irc");
    STEP("accounts_due", LEADER);
    for (char after[32] = "-"; is_more(STEP("accounts_look", LEADER "ffffffff %s", after));) {
        snprintf(after, sizeof(after), "%.30s", answer->element[1]->str);
    }
    for (const char *after = "-"; after != NULL;) {
        static char last[32];
        const redisReply *told = STEP("accounts", "n0 j0 %s", after);
        const redisReply *end = told->element[told->elements - 1];
        snprintf(last, sizeof(last), "%.30s",
                 end->type == REDIS_REPLY_ARRAY ? end->element[0]->str : "");
        after = end->type == REDIS_REPLY_ARRAY ? last : NULL;
    }
    assert_true(STEP("show_accounts", "-")->elements > 0);
    STEP("account_claim", LEADER "acc1 1 c1");
    STEP("account_keep", "acc1 c1 1000 usable - - 0 error -");
    STEP("account_refused", "n0 j0 acc1 1");
    STEP("account_state", LEADER "acc1");
    STEP("account_revoke", LEADER "- - acc1");
    STEP("account_remove", LEADER "- - acc1");
}

static void whoever_dies_is_replaced(void)
{
    /* The first node, with the shard that sends for 700 others. */
    raw("ZADD shoal:{t}:nodes 1 n0");
    raw("HDEL shoal:{t}:clock grace returned");
    while (is_more(STEP("expire", LEADER "n0 90"))) {
    }
    assert_string_equal(answer->element[0]->str, "expired");
    for (unsigned i = 1; i < 10; i++) {
        while (is_more(STEP("leave", "n%u i%u 1", i, i))) {
        }
    }
    STEP("place_homeless", LEADER);
    STEP("add_shard", LEADER "rare-shard rare");
    STEP("resign", "nobody");
    /* Redis's clock goes back. */
    raw("HSET shoal:{t}:clock seen 99999999999999");
    STEP("lead", "c1 inc 1 run host 1");
    STEP("lead", "c1 inc 1 run host 1");
}

static void compare(void)
{
    char cursor[160] = "1 0";
    const char *argv[] = {"FCALL", "shoal1_compare", "1", "shoal:{t}", "inc", "1", cursor};
    unsigned calls = 0;

    raw("HDEL shoal:{t}:shard:shard-5 user");
    raw("DEL shoal:{t}:open:bot");
    while (is_more(ask(ARRAY_LEN(argv), argv))) {
        const char *rest = strchr(answer->element[1]->str, ' ') + 1;
        snprintf(cursor, sizeof(cursor), "%.150s", rest);
        assert_true(++calls < 20000);
    }
    print_message("compare: %u calls\n", calls);
}

static void no_step_touches_more_than_it_may(void **state)
{
    unsigned steps = 0;

    (void)state;
    build();
    nodes_do_all_they_do();
    senders_and_sends();
    speakers();
    requests();
    accounts();
    compare();
    whoever_dies_is_replaced();
    compare();
    many_readers();
    const redisReply *counted = raw("HGETALL counted");
    for (size_t i = 0; i + 1 < counted->elements; i += 2) {
        const char *what = counted->element[i]->str;
        long n = strtol(counted->element[i + 1]->str, NULL, 10);

        steps += strstr(what, " keys") != NULL;
        if (n > (strstr(what, " keys") != NULL ? MOST_KEYS : MOST_ELEMENTS)) {
            print_error("%s: %ld\n", what, n);
            steps = 0;
        }
    }
    assert_int_equal(steps, STEPS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_step_touches_more_than_it_may),
    };
    return cmocka_run_group_tests(tests, begin, finish);
}
