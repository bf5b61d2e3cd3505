/* Reply reader: replies that are made, and replies that are passed over, however they are cut. */
#include "shared/redis/reply_reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* What a transaction of two PUBLISH answers, then one more reply. */
static const char transaction[] = "+OK\r\n+QUEUED\r\n$3\r\nabc\r\n-ERR no\r\n"
                                  "*3\r\n:1\r\n*2\r\n$-1\r\n$2\r\nhi\r\n:0\r\n"
                                  ":42\r\n";
#define TO_SKIP 5

/* Skip what is to be skipped, and take the last; true when it was there. */
static bool read_on(struct reply_reader *r, unsigned *skipped, long long *last)
{
    struct redisReply *reply = NULL;
    bool done = true;

    while (done && *skipped < TO_SKIP) {
        assert_int_equal(reply_reader_skip(r, &done, NULL), 0);
        *skipped += done;
    }
    if (*skipped < TO_SKIP) {
        return false;
    }
    assert_int_equal(reply_reader_next(r, &reply, NULL), 0);
    if (reply == NULL) {
        return false;
    }
    assert_int_equal(reply->type, REDIS_REPLY_INTEGER);
    *last = reply->integer;
    freeReplyObject(reply);
    return true;
}

static void skipped_replies_are_passed_over_wherever_the_bytes_are_cut(void **state)
{
    size_t len = sizeof(transaction) - 1;

    (void)state;
    for (size_t cut = 0; cut <= len; cut++) {
        struct reply_reader *r = reply_reader_create();
        unsigned skipped = 0;
        long long last = 0;

        assert_int_equal(reply_reader_feed(r, transaction, cut, NULL), 0);
        bool all = read_on(r, &skipped, &last);
        assert_int_equal(all, cut == len);
        if (!all) {
            assert_int_equal(reply_reader_feed(r, transaction + cut, len - cut, NULL), 0);
            assert_true(read_on(r, &skipped, &last));
        }
        assert_int_equal(last, 42);
        reply_reader_destroy(r);
    }
}

static void a_reply_that_was_begun_may_still_be_skipped(void **state)
{
    static const char begun[] = "*2\r\n$2\r\nhi\r\n";
    static const char rest[] = "$2\r\nho\r\n+next\r\n";
    struct reply_reader *r = reply_reader_create();
    struct redisReply *reply = NULL;
    bool done = false;

    (void)state;
    assert_int_equal(reply_reader_feed(r, begun, sizeof(begun) - 1, NULL), 0);
    assert_int_equal(reply_reader_next(r, &reply, NULL), 0);
    assert_null(reply);
    assert_int_equal(reply_reader_feed(r, rest, sizeof(rest) - 1, NULL), 0);
    assert_int_equal(reply_reader_skip(r, &done, NULL), 0);
    assert_true(done);
    assert_int_equal(reply_reader_next(r, &reply, NULL), 0);
    assert_string_equal(reply->str, "next");
    freeReplyObject(reply);
    reply_reader_destroy(r);
}

static void a_reader_may_go_in_the_middle_of_a_skipped_reply(void **state)
{
    struct reply_reader *r = reply_reader_create();
    bool done = true;

    (void)state;
    assert_int_equal(reply_reader_feed(r, "*2\r\n$2\r\nhi\r\n$1", 14, NULL), 0);
    assert_int_equal(reply_reader_skip(r, &done, NULL), 0);
    assert_false(done);
    reply_reader_destroy(r);
}

static void skipped_replies_are_bounded_and_checked_like_others(void **state)
{
    static const char *const bad[] = {"*99999999\r\n", "?what\r\n"};
    struct err err;
    bool done = true;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct reply_reader *r = reply_reader_create();
        int rc = reply_reader_feed(r, bad[i], strlen(bad[i]), &err);
        assert_int_equal(rc, 0);
        rc = reply_reader_skip(r, &done, &err);
        assert_int_equal(rc, -ERR_PROTOCOL);
        assert_false(done);
        reply_reader_destroy(r);
    }
}

static void arrays_are_nested_as_deep_as_they_may_and_no_deeper(void **state)
{
    struct err err;

    (void)state;
    for (unsigned depth = REPLY_DEPTH_MAX; depth <= REPLY_DEPTH_MAX + 1; depth++) {
        for (int skip = 0; skip <= 1; skip++) {
            struct reply_reader *r = reply_reader_create();
            struct redisReply *reply = NULL;
            bool done = false;
            int rc;

            for (unsigned i = 0; i < depth; i++) {
                assert_int_equal(reply_reader_feed(r, "*1\r\n", 4, NULL), 0);
            }
            assert_int_equal(reply_reader_feed(r, ":1\r\n", 4, NULL), 0);
            rc = skip ? reply_reader_skip(r, &done, &err) : reply_reader_next(r, &reply, &err);

            if (depth <= REPLY_DEPTH_MAX) {
                assert_int_equal(rc, 0);
                assert_true(skip ? done : reply != NULL);
            } else {
                assert_int_equal(rc, -ERR_PROTOCOL);
                assert_string_equal(err.text, "sent a reply of arrays more than 7 deep");
            }
            freeReplyObject(reply);
            reply_reader_destroy(r);
        }
    }
}

static void the_first_error_among_skipped_replies_is_kept(void **state)
{
    static const char refused[] = "-NOPERM no multi\r\n+QUEUED\r\n-OOM no\r\n:1\r\n";

    (void)state;
    for (size_t cut = 0; cut < sizeof(refused) - 1; cut++) {
        struct reply_reader *r = reply_reader_create();
        unsigned skipped = 0;

        for (int part = 0; part < 2; part++) {
            const char *from = part == 0 ? refused : refused + cut;
            bool done = true;
            assert_int_equal(
                reply_reader_feed(r, from, part == 0 ? cut : sizeof(refused) - 1 - cut, NULL), 0);
            while (done && skipped < 4) {
                assert_int_equal(reply_reader_skip(r, &done, NULL), 0);
                skipped += done;
            }
        }
        assert_string_equal(reply_reader_skipped_error(r)->str, "NOPERM no multi");
        reply_reader_forget(r);
        assert_null(reply_reader_skipped_error(r));
        reply_reader_destroy(r);
    }
}

static void of_a_brief_array_the_last_element_and_errors_are_made(void **state)
{
    static const char exec[] =
        "*5\r\n:1\r\n*3\r\n$-1\r\n-ERR in it\r\n*1\r\n$2\r\nhi\r\n-ERR no\r\n$-1\r\n*1\r\n+last\r\n"
        "+next\r\n";
    size_t len = sizeof(exec) - 1;

    (void)state;
    for (size_t cut = 0; cut <= len; cut++) {
        struct reply_reader *r = reply_reader_create();
        struct redisReply *reply = NULL;

        assert_int_equal(reply_reader_feed(r, exec, cut, NULL), 0);
        assert_int_equal(reply_reader_next_brief(r, &reply, NULL), 0);
        assert_int_equal(reply_reader_feed(r, exec + cut, len - cut, NULL), 0);
        if (reply == NULL) {
            assert_int_equal(reply_reader_next_brief(r, &reply, NULL), 0);
        }
        assert_int_equal(reply->elements, 5);
        for (size_t i = 0; i < 4; i++) {
            assert_true((reply->element[i] == NULL) == (i != 2));
        }
        assert_string_equal(reply->element[2]->str, "ERR no");
        assert_string_equal(reply->element[4]->element[0]->str, "last");
        freeReplyObject(reply);
        assert_int_equal(reply_reader_next_brief(r, &reply, NULL), 0);
        assert_string_equal(reply->str, "next");
        freeReplyObject(reply);
        reply_reader_destroy(r);
    }
}

static void a_line_without_an_end_is_given_up(void **state)
{
    static const char kinds[] = "+-:$*";
    char much[1024];
    struct err err;

    (void)state;
    memset(much, '1', sizeof(much));
    for (size_t i = 0; i < sizeof(kinds) - 1; i++) {
        struct reply_reader *r = reply_reader_create();
        struct redisReply *reply = NULL;
        size_t fed = 1;
        int rc = reply_reader_feed(r, kinds + i, 1, &err);

        while (rc == 0 && fed < (size_t)1024 * 1024) {
            rc = reply_reader_feed(r, much, sizeof(much), &err);
            fed += sizeof(much);
            rc = rc == 0 ? reply_reader_next(r, &reply, &err) : rc;
            assert_null(reply);
        }
        assert_int_equal(rc, -ERR_PROTOCOL);
        assert_true(fed <= REPLY_LINE_MAX + 2 * sizeof(much));
        assert_string_equal(err.text, "sent a line of more than 65536 bytes");
        reply_reader_destroy(r);
    }
}

/* A long bulk string has no end of a line in it either. */
static void a_long_string_is_no_line(void **state)
{
    struct reply_reader *r = reply_reader_create();
    struct redisReply *reply = NULL;
    char much[1000];

    (void)state;
    memset(much, 'x', sizeof(much));
    assert_int_equal(reply_reader_feed(r, "*1\r\n$1000000\r\n", 15, NULL), 0);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(reply_reader_feed(r, much, sizeof(much), NULL), 0);
        assert_int_equal(reply_reader_next(r, &reply, NULL), 0);
        assert_null(reply);
    }
    assert_int_equal(reply_reader_feed(r, "\r\n", 2, NULL), 0);
    assert_int_equal(reply_reader_next(r, &reply, NULL), 0);
    assert_int_equal(reply->element[0]->len, 1000000);
    freeReplyObject(reply);
    reply_reader_destroy(r);
}

/* Arrays in arrays, none of which is large. */
static void elements_are_counted_over_all_of_a_reply(void **state)
{
    struct reply_reader *r = reply_reader_create();
    struct redisReply *reply = NULL;
    struct err err;
    int rc = reply_reader_feed(r, "*1024\r\n", 7, &err);

    (void)state;
    for (int i = 0; i < 1024 && rc == 0; i++) {
        rc = reply_reader_feed(r, "*1024\r\n", 7, &err);
        for (int k = 0; k < 1024 && rc == 0; k++) {
            rc = reply_reader_feed(r, "$-1\r\n", 5, &err);
        }
        rc = rc == 0 ? reply_reader_next(r, &reply, &err) : rc;
    }
    assert_int_equal(rc, -ERR_PROTOCOL);
    assert_string_equal(err.text, "sent a reply of more than 1048576 elements");
    reply_reader_destroy(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(skipped_replies_are_passed_over_wherever_the_bytes_are_cut),
        cmocka_unit_test(a_reply_that_was_begun_may_still_be_skipped),
        cmocka_unit_test(a_reader_may_go_in_the_middle_of_a_skipped_reply),
        cmocka_unit_test(skipped_replies_are_bounded_and_checked_like_others),
        cmocka_unit_test(arrays_are_nested_as_deep_as_they_may_and_no_deeper),
        cmocka_unit_test(the_first_error_among_skipped_replies_is_kept),
        cmocka_unit_test(of_a_brief_array_the_last_element_and_errors_are_made),
        cmocka_unit_test(a_line_without_an_end_is_given_up),
        cmocka_unit_test(a_long_string_is_no_line),
        cmocka_unit_test(elements_are_counted_over_all_of_a_reply),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
