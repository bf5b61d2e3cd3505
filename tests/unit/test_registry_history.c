/* Registry: the streams that keep chat are begun, trimmed and ended, and say what is missing. */
#include "shared/redis/registry.h"

#include "tests/lib/registry_case.h"

#include <cjson/cJSON.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, finish)
#define TURNS      32 /* renewals of the lead in which each stream was looked at */

static const char ADD[] =
    "for i = 1, %u do redis.call('XADD', 'shoal:{t}:lines:' .. ARGV[1], '%s', 'lines', "
    "string.rep('x', %u)) end return 1";

static void lead(unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        world_ask(&w, "HDEL shoal:{t}:lines trimmed"); /* as if it were a while ago */
        assert_string_equal(world_lead(&w, &me), "leading");
    }
}

/* So many entries of so many bytes; `id` is "*", or a time in ms and "-*". */
static void add(unsigned n, const char *id, unsigned bytes, const char *stream)
{
    char script[256];

    snprintf(script, sizeof(script), ADD, n, id, bytes);
    world_eval(&w, script, stream);
}

static unsigned long long number(const char *command)
{
    return strtoull(world_ask(&w, "%s", command), NULL, 10);
}

/* Its fields, with a blank between. */
static const char *newest(const char *stream)
{
    return world_eval(&w,
                      "local e = redis.call('XREVRANGE', ARGV[1], '+', '-', 'COUNT', 1)[1] "
                      "return e and table.concat(e[2], ' ') or ''",
                      stream);
}

static unsigned events(const char *name)
{
    return (unsigned)strtoul(
        world_eval(&w,
                   "local n = 0 "
                   "for _, e in ipairs(redis.call('XRANGE', 'shoal:{t}:log', '-', '+')) do "
                   "n = n + (string.find(e[2][2], ARGV[1], 1, true) and 1 or 0) end return n",
                   name),
        NULL, 10);
}

static void they_are_begun_anew_where_their_number_changes(void **state)
{
    char first[64];

    (void)state;
    lead(1);
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:lines streams"), "1");
    assert_true(number("HGET shoal:{t}:lines since") > 0);
    snprintf(first, sizeof(first), "%s", world_ask(&w, "HGET shoal:{t}:lines epoch"));
    lead(2);
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:lines epoch"), first);

    set("history_streams,3");
    lead(1);
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:lines streams"), "3");
    assert_string_not_equal(world_ask(&w, "HGET shoal:{t}:lines epoch"), first);
}

static void nothing_is_left_where_nothing_is_kept(void **state)
{
    (void)state;
    set("history_streams,3");
    lead(1);
    add(10, "*", 10, "0");
    add(10, "*", 10, "2");
    set("history_streams,1");
    lead(TURNS);
    assert_int_equal(number("EXISTS shoal:{t}:lines:0"), 1);
    assert_int_equal(number("EXISTS shoal:{t}:lines:2"), 0);

    set("history_ms,off");
    assert_string_equal(world_renew(&w, &n1, ""), "current");
    assert_int_equal(n1.settings.history_ms, 0);
    lead(TURNS);
    assert_int_equal(number("EXISTS shoal:{t}:lines:0"), 0);
    assert_int_equal(number("EXISTS shoal:{t}:lines"), 0);
}

static void what_is_too_old_goes(void **state)
{
    (void)state;
    lead(1);
    add(1000, "5-*", 10, "0");
    add(100, "*", 10, "0");
    lead(1);
    assert_in_range(number("XLEN shoal:{t}:lines:0"), 100, 199);
    /* And where nobody leads, by a node that has something to tell. */
    world_ask(&w, "DEL shoal:{t}:lines:0");
    add(1000, "5-*", 10, "0");
    add(100, "*", 10, "0");
    assert_string_equal(world_renew(&w, &n1, ""), "current");
    assert_int_equal(number("XLEN shoal:{t}:lines:0"), 1100); /* somebody leads */
    test_loop_run_for(&w.probe.t, 1100);
    assert_string_equal(world_renew(&w, &n1, ""), "current");
    assert_in_range(number("XLEN shoal:{t}:lines:0"), 100, 199);
}

static void of_too_many_bytes_the_oldest_go_of_whatever_stream_has_most(void **state)
{
    (void)state;
    set("history_streams,2");
    set("history_bytes,1048576");
    lead(1);
    add(10, "*", 4000, "0");
    add(500, "*", 4000, "1");
    lead(TURNS);
    assert_int_equal(number("XLEN shoal:{t}:lines:0"), 10);
    assert_in_range(number("MEMORY USAGE shoal:{t}:lines:1"), 700000, 1048576);
}

static void a_gap_is_told_in_the_stream_as_in_the_event(void **state)
{
    (void)state;
    lead(1);
    assert_string_equal(world_renew(&w, &n1,
                                    "{\"gaps\":[{\"channel\":\"forsen\",\"from_ms\":900,"
                                    "\"to_ms\":100,\"lines\":3,\"reason\":\"buffer_full\"}]}"),
                        "current");
    char told[512];
    snprintf(told, sizeof(told), "%s", newest("shoal:{t}:lines:0"));
    assert_non_null(strstr(told, "gap {"));
    assert_non_null(strstr(told, "\"channel\":\"forsen\""));
    assert_non_null(strstr(newest("shoal:{t}:log"), told + strlen("gap ")));

    set("history_streams,3"); /* a channel that is none finds its stream as well */
    assert_string_equal(world_renew(&w, &n1, "{\"gaps\":[{\"channel\":7}]}"), "current");
    set("history_ms,off");
    lead(TURNS);
    assert_string_equal(world_renew(&w, &n1, "{\"gaps\":[{\"channel\":\"a\"}]}"), "current");
    assert_int_equal(number("EXISTS shoal:{t}:lines:0"), 0);
}

static void history_gives_way_where_memory_is_short_which_is_told_once(void **state)
{
    (void)state;
    lead(1);
    add(2000, "*", 4000, "0");
    unsigned long long used = strtoull(
        world_eval(&w, "return string.match(redis.call('INFO', 'memory'), 'used_memory:(%d+)')",
                   ""),
        NULL, 10);
    set("history_bytes,1073741824");
    world_ask(&w, "CONFIG SET maxmemory %llu", used * 10 / 9);
    lead(4);
    wait_until(&w.probe.t, (lead(1), number("XLEN shoal:{t}:lines:0") < 1100));
    assert_in_range(number("XLEN shoal:{t}:lines:0"), 400, 1100);
    world_ask(&w, "CONFIG SET maxmemory 0");
    assert_int_equal(events("history.short"), 1);
}

static void a_group_that_was_too_slow_is_told_of_once_and_others_are_not(void **state)
{
    (void)state;
    lead(1);
    add(300, "5-*", 10, "0");
    world_ask(&w, "XGROUP CREATE shoal:{t}:lines:0 slow 5-7");
    world_ask(&w, "XGROUP CREATE shoal:{t}:lines:0 quick $");
    add(300, "*", 10, "0");
    lead(4);
    assert_int_equal(events("history.unread"), 1);
    const char *told = newest("shoal:{t}:log");
    assert_non_null(strstr(told, "\"group\":\"slow\""));
    assert_non_null(strstr(told, "\"from\":5"));
    assert_non_null(strstr(world_ask(&w, "HGET shoal:{t}:lines groups"), "\"cuts\":1"));
    lead(4);
    assert_int_equal(events("history.unread"), 1);
}

/* A member of the first group that was looked at. */
static unsigned long long of_group(const char *name)
{
    cJSON *groups = cJSON_Parse(world_ask(&w, "HGET shoal:{t}:lines groups"));
    double value = cJSON_GetNumberValue(cJSON_GetObjectItem(cJSON_GetArrayItem(groups, 0), name));

    cJSON_Delete(groups);
    return (unsigned long long)value;
}

static void what_a_group_missed_just_after_it_was_told_is_told_later(void **state)
{
    (void)state;
    set("history_ms,1000");
    lead(1);
    add(300, "5-*", 10, "0");
    world_ask(&w, "XGROUP CREATE shoal:{t}:lines:0 slow 5-7");
    lead(1);
    assert_int_equal(events("history.unread"), 1);
    unsigned long long told = of_group("told");
    unsigned long long begin = number("EVAL return(redis.call('TIME')[1]*1000) 0");
    for (unsigned long long cuts = 2; cuts < 4; cuts++) {
        add(300, "*", 10, "0");
        wait_until(&w.probe.t, (lead(1), of_group("cuts") == cuts));
    }
    assert_int_equal(events("history.unread"), 1);
    assert_int_equal(of_group("told"), told);
    unsigned long long from = of_group("from"), to = of_group("to");
    assert_in_range(from, begin, to - 500);
    world_eval(&w,
               "local lines = 'shoal:{t}:lines'\n"
               "local groups = cjson.decode(redis.call('HGET', lines, 'groups'))\n"
               "groups[1].told = groups[1].told - 10000\n"
               "return redis.call('HSET', lines, 'groups', cjson.encode(groups))",
               "");
    lead(1);
    assert_int_equal(events("history.unread"), 2);
    cJSON *event = cJSON_Parse(strchr(newest("shoal:{t}:log"), '{'));
    assert_float_equal(cJSON_GetNumberValue(cJSON_GetObjectItem(event, "from")), (double)from, 0.5);
    assert_float_equal(cJSON_GetNumberValue(cJSON_GetObjectItem(event, "to")), (double)to, 0.5);
    cJSON_Delete(event);
    assert_int_equal(of_group("to"), 0);
    lead(1);
    assert_int_equal(events("history.unread"), 2);
}

static void who_looks_sees_how_much_is_kept_and_how_far_groups_are(void **state)
{
    (void)state;
    lead(1);
    assert_int_equal(number("HGET shoal:{t}:lines entries"), 0);
    assert_int_equal(number("HGET shoal:{t}:lines oldest"), 0);
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:lines groups"), "[]");

    unsigned long long now_ms = number("EVAL return(redis.call('TIME')[1]*1000) 0");
    char id[32];
    snprintf(id, sizeof(id), "%llu-0", now_ms - 5000);
    add(1, id, 4000, "0");
    world_ask(&w, "XGROUP CREATE shoal:{t}:lines:0 reads $");
    world_ask(&w, "XGROUP CREATE shoal:{t}:lines:0 waits 0");
    world_ask(&w, "XREADGROUP GROUP waits me STREAMS shoal:{t}:lines:0 >");
    add(2, "*", 4000, "0");
    lead(1);
    assert_int_equal(number("HGET shoal:{t}:lines entries"), 3);
    assert_int_equal(number("HGET shoal:{t}:lines oldest"), now_ms - 5000);
    assert_in_range(number("HGET shoal:{t}:lines bytes"), 12000, 40000);
    cJSON *groups = cJSON_Parse(world_ask(&w, "HGET shoal:{t}:lines groups"));
    assert_int_equal(cJSON_GetArraySize(groups), 2);
    const cJSON *waits = cJSON_GetArrayItem(groups, 1);
    assert_string_equal(cJSON_GetObjectItem(waits, "group")->valuestring, "waits");
    assert_int_equal(cJSON_GetObjectItem(waits, "pending")->valueint, 1);
    assert_int_equal(cJSON_GetObjectItem(waits, "cuts")->valueint, 0);
    assert_in_range(cJSON_GetObjectItem(waits, "behind_ms")->valueint, 0, 4000);
    cJSON_Delete(groups);
}

static void what_somebody_wrote_in_place_of_the_groups_is_passed_over(void **state)
{
    static const char *const junk[] = {"{", "7", "[7,{},{\"group\":7},{\"group\":\"g\"}]", "null"};

    (void)state;
    lead(1);
    add(1, "*", 10, "0");
    world_ask(&w, "XGROUP CREATE shoal:{t}:lines:0 g $");
    for (size_t i = 0; i < ARRAY_LEN(junk); i++) {
        world_ask(&w, "HSET shoal:{t}:lines groups %s", junk[i]);
        lead(1);
        assert_non_null(strstr(world_ask(&w, "HGET shoal:{t}:lines groups"), "\"cuts\":0"));
    }
}

/* The id behind which everything is there. */
static const char *gone(void)
{
    return world_ask(&w, "HGET shoal:{t}:lines gone:0");
}

static void who_read_up_to_somewhere_sees_whether_something_went_behind_that(void **state)
{
    (void)state;
    set("history_ms,60000");
    lead(1);
    add(1, "5-3", 10, "0");
    lead(1);
    assert_string_equal(gone(), "5-3"); /* it went, and nothing else did */
    add(1, "7-0", 10, "0");
    lead(1);
    assert_string_equal(gone(), "7-0");

    unsigned long long now_ms = number("EVAL return(redis.call('TIME')[1]*1000) 0");
    char id[32];
    char before[48];
    snprintf(id, sizeof(id), "%llu-0", now_ms);
    snprintf(before, sizeof(before), "%llu-18446744073709551615", now_ms - 1);
    add(1, id, 10, "0");
    lead(1);
    assert_string_equal(gone(), before);
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:lines first:0"), id);
    snprintf(id, sizeof(id), "%llu-2", now_ms);
    snprintf(before, sizeof(before), "%llu-1", now_ms);
    add(1, id, 10, "0");
    world_ask(&w, "XTRIM shoal:{t}:lines:0 MAXLEN 1");
    lead(1);
    assert_string_equal(gone(), before);
}

static void what_somebody_else_took_off_a_stream_is_told_once_and_marked(void **state)
{
    (void)state;
    lead(1);
    add(3, "*", 10, "0");
    lead(2);
    assert_int_equal(events("history.removed"), 0);
    unsigned long long first = strtoull(world_ask(&w, "HGET shoal:{t}:lines first:0"), NULL, 10);

    world_ask(&w, "XTRIM shoal:{t}:lines:0 MAXLEN 1");
    lead(2);
    assert_int_equal(events("history.removed"), 1);
    char from[48];
    snprintf(from, sizeof(from), "\"from\":%llu", first);
    assert_non_null(strstr(newest("shoal:{t}:lines:0"), from));
    assert_non_null(strstr(newest("shoal:{t}:lines:0"), "\"reason\":\"removed\""));

    world_ask(&w, "DEL shoal:{t}:lines:0");
    lead(2);
    assert_int_equal(events("history.removed"), 2);
    assert_non_null(strstr(newest("shoal:{t}:lines:0"), "\"reason\":\"removed\""));

    set("history_streams,3"); /* they are others then */
    lead(1);
    set("history_streams,1");
    lead(2);
    assert_int_equal(events("history.removed"), 2);
}

/* Redis may forget that, too: the count comes again then. */
static void that_redis_forgot_some_is_seen_though_it_forgot_an_earlier_time(void **state)
{
    char first[64];

    (void)state;
    lead(1);
    world_ask(&w, "FCALL shoal1_rewound 1 shoal:{t} n1 5 9 7 0");
    snprintf(first, sizeof(first), "%s", world_ask(&w, "HGET shoal:{t}:lines rewound"));
    assert_string_not_equal(first, "");
    world_ask(&w, "HSET shoal:{t}:lines rewinds 0");
    world_ask(&w, "FCALL shoal1_rewound 1 shoal:{t} n1 5 9 7 0");
    assert_int_equal(number("HGET shoal:{t}:lines rewinds"), 1);
    assert_string_not_equal(world_ask(&w, "HGET shoal:{t}:lines rewound"), first);
}

static void what_was_not_kept_while_redis_was_full_is_a_gap_of_all_channels(void **state)
{
    (void)state;
    set("history_streams,2");
    lead(1);
    world_ask(&w, "HSET shoal:{t}:fan:n1 seq 6");
    world_ask(&w, "FCALL shoal1_publish 1 shoal:{t} n1 6 7 forsen hello");
    unsigned long long from = number("HGET shoal:{t}:lines missed_from");
    assert_true(from > 0);
    lead(1);
    assert_string_equal(newest("shoal:{t}:lines:0"), ""); /* it may go on */

    world_ask(&w, "HSET shoal:{t}:lines missed_to %llu", from - 10000);
    lead(1);
    char told[64];
    snprintf(told, sizeof(told), "\"from\":%llu", from);
    for (unsigned k = 0; k < 2; k++) {
        const char *gap = newest(k == 0 ? "shoal:{t}:lines:0" : "shoal:{t}:lines:1");
        assert_non_null(strstr(gap, told));
        assert_non_null(strstr(gap, "\"reason\":\"not_kept\""));
    }
    assert_int_equal(number("HEXISTS shoal:{t}:lines missed_from"), 0);
}

/* The gaps of that reason in a stream: from, a blank, to; each with a blank behind. */
static const char *gaps_in(const char *stream)
{
    return world_eval(&w,
                      "local t = '' for _, e in ipairs(redis.call('XRANGE', ARGV[1], '-', '+')) do "
                      "if e[2][1] == 'gap' then local g = cjson.decode(e[2][2]) "
                      "assert(g.reason == 'emptied' and g.channel == '') "
                      "t = t .. string.format('%d %d ', g.from, g.to) end end return t",
                      stream);
}

static void that_redis_was_emptied_is_told_once_by_whoever_finds_it_out_first(void **state)
{
    (void)state;
    set("history_streams,2");
    world_ask(&w, "FCALL shoal1_emptied 1 shoal:{t} 1000 5000 7000");
    assert_string_equal(gaps_in("shoal:{t}:lines:0"), "1000 7000 ");
    assert_string_equal(gaps_in("shoal:{t}:lines:1"), "1000 7000 ");
    assert_int_equal(events("history.emptied"), 1);
    assert_true(number("HGET shoal:{t}:lines since") > 0); /* begun, before anybody leads */
    world_ask(&w, "FCALL shoal1_emptied 1 shoal:{t} 900 5000 7200");
    world_ask(&w, "FCALL shoal1_emptied 1 shoal:{t} 900 7000 7200");
    assert_int_equal(events("history.emptied"), 1);
    world_ask(&w, "FCALL shoal1_emptied 1 shoal:{t} 900 7100 7200"); /* it lacks more */
    assert_string_equal(gaps_in("shoal:{t}:lines:0"), "1000 7000 7000 7100 ");

    /* Another time: the streams are begun anew, and have something already. */
    world_ask(&w, "DEL shoal:{t}:lines shoal:{t}:lines:0 shoal:{t}:lines:1");
    add(1, "8000-0", 10, "1");
    add(1, "8500-0", 10, "0");
    world_ask(&w, "FCALL shoal1_emptied 1 shoal:{t} 1000 5000 9000");
    world_ask(&w, "FCALL shoal1_emptied 1 shoal:{t} 1000 9000 9000");
    assert_string_equal(gaps_in("shoal:{t}:lines:0"), "1000 8000 ");

    set("history_ms,off");
    world_ask(&w, "DEL shoal:{t}:lines shoal:{t}:lines:0 shoal:{t}:lines:1");
    world_ask(&w, "FCALL shoal1_emptied 1 shoal:{t} 1000 5000 9000");
    assert_int_equal(number("EXISTS shoal:{t}:lines shoal:{t}:lines:0"), 0);
}

/* Each costs Redis 85 bytes, and MEMORY USAGE says 550: they would count more than all chat. */
static void a_group_that_acknowledges_nothing_costs_the_others_no_chat(void **state)
{
    (void)state;
    lead(1);
    world_ask(&w, "XGROUP CREATE shoal:{t}:lines:0 none 0 MKSTREAM");
    for (unsigned i = 0; i < 25; i++) {
        add(1000, "*", 10, "0");
        world_ask(&w, "XREADGROUP GROUP none me COUNT 1000 STREAMS shoal:{t}:lines:0 >");
    }
    world_ask(&w, "XTRIM shoal:{t}:lines:0 MAXLEN 2000");
    lead(20);
    assert_int_equal(
        strtoull(
            world_eval(&w, "return redis.call('XPENDING', 'shoal:{t}:lines:0', 'none')[1]", ""),
            NULL, 10),
        10000);
    assert_int_equal(number("XLEN shoal:{t}:lines:0"), 2000);
    assert_int_equal(events("history.unread"), 1);
}

static void they_are_begun_with_a_node(void **state)
{
    (void)state;
    world_ask(&w, "DEL shoal:{t}:lines");
    world_ask(&w, "RENAME shoal:{t}:nodes shoal:{t}:kept");
    lead(1);
    assert_int_equal(number("EXISTS shoal:{t}:lines"), 0);
    world_ask(&w, "RENAME shoal:{t}:kept shoal:{t}:nodes");
    lead(1);
    assert_int_equal(number("HEXISTS shoal:{t}:lines epoch"), 1);
}

static void what_is_nothing_of_shoals_is_removed(void **state)
{
    (void)state;
    lead(1);
    world_ask(&w, "SET shoal:{t}:lines:0 junk");
    lead(1);
    assert_int_equal(number("EXISTS shoal:{t}:lines:0"), 0);
    assert_non_null(strstr(newest("shoal:{t}:log"), "registry.repaired"));
    world_ask(&w, "SET shoal:{t}:lines junk");
    lead(1);
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:lines streams"), "1");
    world_ask(&w, "HSET shoal:{t}:lines streams many missed_to never");
    lead(1);
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:lines streams"), "1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(they_are_begun_anew_where_their_number_changes),
        TEST(nothing_is_left_where_nothing_is_kept),
        TEST(what_is_too_old_goes),
        TEST(of_too_many_bytes_the_oldest_go_of_whatever_stream_has_most),
        TEST(a_gap_is_told_in_the_stream_as_in_the_event),
        TEST(history_gives_way_where_memory_is_short_which_is_told_once),
        TEST(a_group_that_was_too_slow_is_told_of_once_and_others_are_not),
        TEST(what_a_group_missed_just_after_it_was_told_is_told_later),
        TEST(who_looks_sees_how_much_is_kept_and_how_far_groups_are),
        TEST(what_somebody_wrote_in_place_of_the_groups_is_passed_over),
        TEST(who_read_up_to_somewhere_sees_whether_something_went_behind_that),
        TEST(what_somebody_else_took_off_a_stream_is_told_once_and_marked),
        TEST(that_redis_forgot_some_is_seen_though_it_forgot_an_earlier_time),
        TEST(what_was_not_kept_while_redis_was_full_is_a_gap_of_all_channels),
        TEST(that_redis_was_emptied_is_told_once_by_whoever_finds_it_out_first),
        TEST(a_group_that_acknowledges_nothing_costs_the_others_no_chat),
        TEST(they_are_begun_with_a_node),
        TEST(what_is_nothing_of_shoals_is_removed),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
