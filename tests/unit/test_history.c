/* History: what is published is kept, in the same order and once, whatever happens to the link;
 * against a real Redis. */
#include "node/history.h"
#include "node/meters.h"
#include "node/publish.h"

#include "tests/lib/fanout_rig.h"
#include "tests/lib/link_probe.h"
#include "tests/lib/private_redis.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define INCARNATION "0123456789abcdef0123456789abcdef"
#define ANOTHER     "fedcba9876543210fedcba9876543210"

/* What is found in the streams. */
struct found {
    struct fanout_rig *rig;
    unsigned entries;
    unsigned lines;
    unsigned refused; /* answers that are errors */
    char told[1024];  /* the entries that are no lines */
    unsigned answers;
    char by[32];  /* of the newest entry of the stream, */
    uint64_t seq; /* and its number */
    long number;  /* of the newest line of the stream */
    bool disorder;
};

static const char *field(const struct redisReply *entry, const char *name)
{
    const struct redisReply *fields = entry->element[1];

    for (size_t i = 0; i + 1 < fields->elements; i += 2) {
        if (strcmp(fields->element[i]->str, name) == 0) {
            return fields->element[i + 1]->str;
        }
    }
    fail_msg("an entry without %s", name);
    return NULL;
}

static void look_at_entry(struct found *f, const struct redisReply *entry)
{
    const char *name = entry->element[1]->element[0]->str;
    unsigned lines = 0;

    if (strcmp(name, "by") != 0) {
        size_t len = strlen(f->told);
        snprintf(f->told + len, sizeof(f->told) - len, "%s %s\n", name, field(entry, name));
        return;
    }
    uint64_t seq = strtoull(field(entry, "seq"), NULL, 10);
    const char *line = field(entry, "lines");
    const char *by = field(entry, "by");
    assert_true(strcmp(by, "n1/01234567") == 0 || strcmp(by, "n1/fedcba98") == 0);
    f->disorder = f->disorder || (seq <= f->seq && strcmp(by, f->by) == 0);
    snprintf(f->by, sizeof(f->by), "%s", by);
    f->seq = seq;
    f->entries++;
    while (line != NULL) {
        long number = -1;
        assert_int_equal(sscanf(line, "line %ld ", &number), 1);
        f->disorder = f->disorder || number <= f->number;
        f->number = number;
        lines++;
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
    assert_in_range(lines, 1, HISTORY_LINES_MOST);
    f->lines += lines;
}

static void on_range(void *ctx, const struct redisReply *reply, const struct err *err)
{
    struct found *f = ctx;

    assert_null(err);
    f->answers++;
    f->seq = 0;
    f->number = -1;
    f->refused += reply->type == REDIS_REPLY_ERROR;
    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++) {
        look_at_entry(f, reply->element[i]);
    }
}

static struct found look(struct fanout_rig *rig, unsigned streams)
{
    struct found f = {.rig = rig};

    for (unsigned k = 0; k < streams; k++) {
        assert_int_equal(
            link_command(rig->link, on_range, &f, "XRANGE shoal:{main}:lines:%d - +", (int)k), 0);
    }
    wait_until(&rig->t, f.answers == streams);
    return f;
}

/* As with each renewal that is answered. */
static void keep_as(struct fanout_rig *f, unsigned streams, const char *incarnation)
{
    struct registry_settings settings = {.history_ms = streams != 0 ? 600000 : 0,
                                         .history_streams = streams};

    fanout_keep(f->fanout, &settings, incarnation, wall_now());
}

static void keep(struct fanout_rig *f, unsigned streams)
{
    keep_as(f, streams, INCARNATION);
}

static void begin(struct fanout_rig *f, unsigned streams)
{
    fanout_rig_begin(f, 64 << 20);
    keep(f, streams);
    fanout_rig_connect(f);
    wait_until(&f->t, f->attached == 1);
}

/* So many lines more, in ten channels. */
static void take(struct fanout_rig *f, unsigned *taken, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        char channel[16];
        snprintf(channel, sizeof(channel), "room%u", *taken % 10);
        fanout_rig_take(f, (*taken)++, 1, channel);
    }
}

static void all_left(struct fanout_rig *f, unsigned taken)
{
    wait_until(&f->t, fanout_is_drained(f->fanout) && f->got == taken);
    assert_false(f->out_of_order);
}

static void what_is_published_is_kept_once_and_in_order(void **state)
{
    static const unsigned streams[] = {1, 3, 16};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(streams); i++) {
        struct fanout_rig f;
        unsigned taken = 0;
        begin(&f, streams[i]);
        take(&f, &taken, 1);
        all_left(&f, taken);
        assert_int_equal(look(&f, streams[i]).lines, 1);
        for (unsigned round = 0; round < 50; round++) {
            take(&f, &taken, 100);
            test_loop_turn(&f.t);
        }
        all_left(&f, taken);

        struct found found = look(&f, streams[i]);
        assert_int_equal(found.lines, taken);
        assert_false(found.disorder);
        assert_true(found.entries < streams[i] * (taken / 32));
        assert_int_equal(link_command(f.link, NULL, NULL, "FLUSHALL"), 0);
        assert_int_equal(look(&f, streams[i]).entries, 0);
        fanout_rig_finish(&f);
    }
}

static void a_link_that_breaks_again_and_again_keeps_each_line_once(void **state)
{
    struct fanout_rig f;
    unsigned taken = 0;

    (void)state;
    begin(&f, 3);
    for (unsigned round = 0; round < 15; round++) {
        unsigned attached = f.attached;
        for (unsigned i = 0; i < 5 + round; i++) {
            take(&f, &taken, 300);
            test_loop_turn(&f.t);
        }
        if (link_is_up(f.link)) {
            link_reset(f.link, "the test breaks it");
            wait_until(&f.t, f.attached > attached);
        }
    }
    all_left(&f, taken);

    struct found found = look(&f, 3);
    assert_int_equal(found.lines, taken);
    assert_false(found.disorder);
    fanout_rig_finish(&f);
}

static void what_is_no_stream_there_is_counted_and_publishing_goes_on(void **state)
{
    struct fanout_rig f;
    unsigned taken = 0;
    uint64_t before = meters.history_broken_total;

    (void)state;
    begin(&f, 1);
    assert_int_equal(link_command(f.link, NULL, NULL, "SET shoal:{main}:lines:0 junk"), 0);
    take(&f, &taken, 100);
    all_left(&f, taken);
    assert_int_equal(meters.history_broken_total - before, 2); /* of 64 and of 36 lines */
    assert_int_equal(look(&f, 1).refused, 1);

    assert_int_equal(link_command(f.link, NULL, NULL, "DEL shoal:{main}:lines:0"), 0);
    take(&f, &taken, 10);
    all_left(&f, taken);
    assert_int_equal(look(&f, 1).lines, 10);
    assert_int_equal(f.attached, 1);
    fanout_rig_finish(&f);
}

static void nothing_is_kept_where_that_is_off(void **state)
{
    struct fanout_rig f;
    unsigned taken = 0;

    (void)state;
    begin(&f, 0);
    take(&f, &taken, 100);
    all_left(&f, taken);
    assert_int_equal(look(&f, 1).entries, 0);
    keep(&f, 1);
    take(&f, &taken, 5);
    all_left(&f, taken);
    assert_int_equal(look(&f, 1).lines, 5);
    fanout_rig_finish(&f);
}

static void take_blocks(struct fanout_rig *f, unsigned *taken, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        take(f, taken, 64);
        all_left(f, *taken);
    }
}

/* Redis forgets `n` of the blocks of 64 lines that it had answered, as a replica that was behind. */
static void rewind_redis(struct fanout_rig *f, unsigned taken, unsigned n)
{
    struct found before = look(f, 1);

    assert_int_equal(link_command(f->link, NULL, NULL, "EVAL %s 1 shoal:{main}:lines:0 %d",
                                  "for _, e in ipairs(redis.call('XREVRANGE', KEYS[1], '+', '-', "
                                  "'COUNT', ARGV[1])) do redis.call('XDEL', KEYS[1], e[1]) end",
                                  (int)n),
                     0);
    assert_int_equal(look(f, 1).lines, before.lines - n * 64);
    assert_int_equal(fanout_attach(f->fanout, f->link, taken - n * 64), n * 64);
}

/* There is an entry that says so; members of JSON have no order. */
static void assert_told(const char *told, unsigned from, unsigned to, bool kept)
{
    char members[3][32];

    snprintf(members[0], sizeof(members[0]), "\"from\":%u", from);
    snprintf(members[1], sizeof(members[1]), "\"to\":%u", to);
    snprintf(members[2], sizeof(members[2]), "\"kept\":%s", kept ? "true" : "false");
    for (const char *line = told; line != NULL && *line != '\0'; line = strchr(line, '\n') + 1) {
        char one[256];
        snprintf(one, sizeof(one), "%.*s", (int)strcspn(line, "\n"), line);
        if (strstr(one, members[0]) != NULL && strstr(one, members[1]) != NULL &&
            strstr(one, members[2]) != NULL && strstr(one, "\"node\":\"n1\"") != NULL) {
            return;
        }
    }
    fail_msg("%u to %u is not told: %s", from, to, told);
}

static void what_redis_forgot_is_kept_again_and_not_said_again(void **state)
{
    struct fanout_rig f;
    unsigned taken = 0;

    (void)state;
    begin(&f, 1);
    struct registry *r = fanout_rig_functions(&f);
    for (unsigned round = 0; round < 3; round++) {
        take_blocks(&f, &taken, 5);
        rewind_redis(&f, taken, 2);
        take(&f, &taken, 64);
        all_left(&f, taken);
        struct found found = look(&f, 1);
        assert_int_equal(found.lines, taken);
        assert_false(found.disorder);
        assert_int_equal(fanout_attach(f.fanout, f.link, taken), 0);
    }
    assert_told(look(&f, 1).told, 193, 320, true);
    assert_told(look(&f, 1).told, 961, 1088, true);

    /* What was answered too long ago is not there any more. */
    test_loop_run_for(&f.t, 2100);
    keep(&f, 1);
    take(&f, &taken, 64);
    all_left(&f, taken);
    rewind_redis(&f, taken, 2);
    take(&f, &taken, 1);
    all_left(&f, taken);
    struct found found = look(&f, 1);
    assert_int_equal(found.lines, taken - 64);
    assert_false(found.disorder);
    assert_told(found.told, 1089, 1152, false);
    assert_told(found.told, 1153, 1216, true);
    registry_destroy(r);
    fanout_rig_finish(&f);
}

static void what_is_kept_again_does_not_wait_for_subscribers_to_be_back(void **state)
{
    struct fanout_rig f;
    unsigned taken = 0;

    (void)state;
    begin(&f, 1);
    struct registry *r = fanout_rig_functions(&f);
    take_blocks(&f, &taken, 3);
    fanout_hold(f.fanout, true);
    rewind_redis(&f, taken, 2);
    take(&f, &taken, 64);
    wait_until(&f.t, look(&f, 1).lines == taken - 64);
    test_loop_run_for(&f.t, 50);
    assert_int_equal(look(&f, 1).lines, taken - 64);
    assert_int_equal(f.got, taken - 64);

    fanout_hold(f.fanout, false);
    all_left(&f, taken);
    struct found found = look(&f, 1);
    assert_int_equal(found.lines, taken);
    assert_false(found.disorder);
    registry_destroy(r);
    fanout_rig_finish(&f);
}

/* As a node finds it out that Redis was emptied: it registers anew, and is attached again where the
 * new Redis has come so far. */
static void find_out(struct fanout_rig *f, uint64_t seq)
{
    fanout_emptied(f->fanout);
    keep_as(f, 1, ANOTHER);
    assert_int_equal(fanout_attach(f->fanout, f->link, seq), 0);
}

static void empty_redis(struct fanout_rig *f)
{
    assert_int_equal(link_command(f->link, NULL, NULL, "FLUSHALL"), 0);
    /* As registering does. */
    assert_int_equal(link_command(f->link, NULL, NULL, "ZADD shoal:{main}:nodes 1 n1"), 0);
}

/* Also where Redis was away for long: what was answered before that is not older by it. */
static void what_was_answered_lately_goes_to_the_new_streams_where_redis_was_emptied(void **state)
{
    struct fanout_rig f;
    unsigned taken = 0;

    (void)state;
    begin(&f, 1);
    struct registry *r = fanout_rig_functions(&f);
    take_blocks(&f, &taken, 3);
    test_loop_run_for(&f.t, 2100);
    keep(&f, 1); /* these were answered too long ago */
    take_blocks(&f, &taken, 5);
    empty_redis(&f);
    fanout_detach(f.fanout);
    test_loop_run_for(&f.t, 2100);
    find_out(&f, 0);
    take_blocks(&f, &taken, 2);
    struct found found = look(&f, 1);
    assert_int_equal(found.lines, 7 * 64);
    assert_int_equal(found.number, taken - 1);
    assert_false(found.disorder);
    assert_string_equal(found.by, "n1/fedcba98");
    assert_non_null(strstr(found.told, "\"reason\":\"emptied\""));
    assert_null(strchr(strchr(found.told, '\n') + 1, '\n')); /* one */

    /* Twice in a row, before the first was dealt with. */
    empty_redis(&f);
    find_out(&f, 0);
    empty_redis(&f);
    find_out(&f, 0);
    take_blocks(&f, &taken, 1);
    found = look(&f, 1);
    assert_int_equal(found.lines, 8 * 64);
    assert_false(found.disorder);
    registry_destroy(r);
    fanout_rig_finish(&f);
}

static void what_the_new_streams_have_already_is_not_followed_by_what_was_before(void **state)
{
    struct fanout_rig f;
    unsigned taken = 0;

    (void)state;
    begin(&f, 1);
    struct registry *r = fanout_rig_functions(&f);
    take_blocks(&f, &taken, 5);
    empty_redis(&f);
    take_blocks(&f, &taken, 2);
    find_out(&f, taken);
    take_blocks(&f, &taken, 1);
    struct found found = look(&f, 1);
    assert_int_equal(found.lines, 3 * 64);
    assert_false(found.disorder);
    assert_non_null(strstr(found.told, "\"reason\":\"emptied\""));
    registry_destroy(r);
    fanout_rig_finish(&f);
}

/* As clients find it: Python's zlib.crc32(b"forsen") % 16. */
static void a_channel_has_one_stream_by_its_crc(void **state)
{
    static char commands[400];
    struct registry *names = registry_create(NULL, "main");
    struct history h;
    struct buf out;

    (void)state;
    history_keep(&h, names, "n1", INCARNATION, 1000); /* more than there may be */
    buf_init(&out, 10000);
    size_t len = publish_put(commands, SLICE("shoal:main:chat:"), SLICE("forsen"), SLICE("hi"));
    assert_int_equal(history_put(&h, &out, (struct slice){commands, len}, SLICE("shoal:main:chat:"),
                                 "01234567", 7),
                     1);
    static const char expected[] =
        "*9\r\n$4\r\nXADD\r\n$21\r\nshoal:{main}:lines:11\r\n$1\r\n*\r\n$2\r\nby\r\n"
        "$11\r\nn1/01234567\r\n$3\r\nseq\r\n$1\r\n7\r\n$5\r\nlines\r\n$2\r\nhi\r\n";
    assert_string_equal(out.data, expected);
    buf_finish(&out);
    registry_destroy(names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_published_is_kept_once_and_in_order, start_redis,
                                        stop_redis),
        cmocka_unit_test_setup_teardown(a_link_that_breaks_again_and_again_keeps_each_line_once,
                                        start_redis, stop_redis),
        cmocka_unit_test_setup_teardown(what_is_no_stream_there_is_counted_and_publishing_goes_on,
                                        start_redis, stop_redis),
        cmocka_unit_test_setup_teardown(what_redis_forgot_is_kept_again_and_not_said_again,
                                        start_redis, stop_redis),
        cmocka_unit_test_setup_teardown(what_is_kept_again_does_not_wait_for_subscribers_to_be_back,
                                        start_redis, stop_redis),
        cmocka_unit_test_setup_teardown(
            what_was_answered_lately_goes_to_the_new_streams_where_redis_was_emptied, start_redis,
            stop_redis),
        cmocka_unit_test_setup_teardown(
            what_the_new_streams_have_already_is_not_followed_by_what_was_before, start_redis,
            stop_redis),
        cmocka_unit_test_setup_teardown(nothing_is_kept_where_that_is_off, start_redis, stop_redis),
        cmocka_unit_test(a_channel_has_one_stream_by_its_crc),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
