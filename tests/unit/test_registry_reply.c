/* Registry replies: what a short or hostile answer comes to. */
#include "shared/redis/registry_reply.h"

#include "shared/redis/cluster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* RESP from a shorthand: words between spaces; "(" and ")" nest, a number is an integer, "nil", 'text. */
static redisReply *parse_list(char **save, int depth);

static redisReply *new_reply(int type)
{
    redisReply *r = xcalloc(1, sizeof(*r));
    r->type = type;
    return r;
}

static redisReply *new_text(const char *text)
{
    redisReply *r = new_reply(REDIS_REPLY_STRING);
    r->str = xstrdup(text);
    r->len = strlen(text);
    return r;
}

static redisReply *parse_word(const char *word, char **save, int depth)
{
    if (strcmp(word, "(") == 0) {
        return parse_list(save, depth + 1);
    }
    if (strcmp(word, "nil") == 0) {
        return new_reply(REDIS_REPLY_NIL);
    }
    if (word[0] == '\'') {
        return new_text(word + 1);
    }
    if (word[0] == '!') {
        redisReply *r = new_text(word + 1);
        for (char *at = r->str; *at != '\0'; at++) {
            *at = *at == '_' ? ' ' : *at;
        }
        r->type = REDIS_REPLY_ERROR;
        return r;
    }
    redisReply *r = new_reply(REDIS_REPLY_INTEGER);
    r->integer = strtoll(word, NULL, 10);
    return r;
}

static redisReply *parse_list(char **save, int depth)
{
    redisReply *r = new_reply(REDIS_REPLY_ARRAY);
    r->element = xcalloc(64, sizeof(*r->element));
    for (char *word = strtok_r(NULL, " ", save); word != NULL && strcmp(word, ")") != 0;
         word = strtok_r(NULL, " ", save)) {
        assert_true(r->elements < 64);
        r->element[r->elements++] = parse_word(word, save, depth);
    }
    return r;
}

static redisReply *reply_of(const char *text)
{
    char *copy = xstrdup(text);
    char *save = NULL;
    redisReply *r = parse_word(strtok_r(copy, " ", &save), &save, 0);
    free(copy);
    return r;
}

/* Each decoder once, on one reply: 0 where it took it. */
static int decode(const char *decoder, const redisReply *r, struct err *err)
{
    struct reply_memory memory = {0};
    struct registry_picture picture = {0};
    struct registry_holder holder = {0};
    struct registry_lead lead = {0};
    struct registry_claim claim = {0};
    struct registry_sends sends = {0};
    struct registry_listeners listeners = {0};
    const struct registry_entry *entries;
    const uint64_t *waits;
    struct slice a;
    struct slice b;
    uint64_t number;
    size_t n;
    int rc = 99;

    if (strcmp(decoder, "picture") == 0) {
        rc = reply_picture(r, 3, &picture, &a, &memory, err);
    } else if (strcmp(decoder, "portion") == 0) {
        rc = reply_portion(r, &picture, &a, &memory, err);
    } else if (strcmp(decoder, "holder") == 0) {
        rc = reply_holder(r, &holder, err);
    } else if (strcmp(decoder, "lead") == 0) {
        rc = reply_lead(r, &lead, &memory, err);
    } else if (strcmp(decoder, "claim") == 0) {
        rc = reply_claim(r, &claim, err);
    } else if (strcmp(decoder, "sends") == 0) {
        rc = reply_sends(r, &sends, &memory, err);
    } else if (strcmp(decoder, "listeners") == 0) {
        rc = reply_listeners(r, &listeners, &memory, err);
    } else if (strcmp(decoder, "waits") == 0) {
        rc = reply_waits(r, &waits, &n, &memory, err);
    } else if (strcmp(decoder, "range") == 0) {
        rc = reply_entries(r, &entries, &n, &memory, err);
    } else if (strcmp(decoder, "word") == 0) {
        rc = reply_word(r, &a, &b, err);
    } else if (strcmp(decoder, "outcome") == 0) {
        struct registry_outcome outcome = {0};
        rc = reply_outcome(r, &outcome, err);
        registry_outcome_finish(&outcome);
    } else if (strcmp(decoder, "compared") == 0) {
        struct registry_compared compared = {0};
        rc = reply_compared(r, &compared, err);
    } else if (strcmp(decoder, "hash") == 0) {
        struct figures_shard shard = {0};
        struct registry_hash hash = {0};
        rc = reply_hash(r, figures_of_shard, &shard, &hash, &memory, err);
    } else if (strcmp(decoder, "version") == 0) {
        rc = reply_version(r, &number, err);
    }
    reply_memory_finish(&memory);
    return rc;
}

static const struct {
    const char *decoder;
    const char *text;
} good[] = {
    {"picture", "( 'current ( 'lease_ms '3000 ) 4 0 ' ( 's1 ) ( ( 's1 '1 '2 'bot 0 0 'a 'b ) ) ( "
                "'s2 ) ( ( 's2 "
                "'s1 0 'c ) ) 'r1 0 ( 5 0 0 ) ' )"},
    {"picture", "( 'current ( 'lease_ms '3000 ) 4 0 ' ( 's1 ) ( ( 's1 '1 '2 'bot 1 2 'a 1500 'b 'c "
                "-1 ) ) ( ) ( "
                ") 'r1 0 ( 5 0 0 ) 'place )"},
    {"portion", "( ( 's1 ) ( ( 's1 '1 '2 'bot 0 3 'a 5 ) ) ( 's2 ) ( ( 's2 's1 1 'c ) ) ' )"},
    {"picture", "( 'current ( 'lease_ms '3000 ) 4 0 nil ( ) ( ) ( ) ( ) 'r1 0 ( 5 0 0 ) nil )"},
    {"holder", "( 'held 'host '12 '7 -40 3000 'run )"},
    {"lead", "( 'standby 'c1 100 'r1 )"},
    {"lead", "( 'leading '1 3000 0 -1 1 0 0 1 0 'bot ( 'n1 '7 'run 'n2 ' nil ) ( 's1 ) 'r1 0 0 1 "
             "9 )"},
    {"claim", "( 'gone )"},
    {"claim", "( 'later 100 'plain 'bot )"},
    {"sends", "( 'done 30000 )"},
    {"sends", "( 'more 30000 'foo '1-1 'bar '2-1 )"},
    {"listeners", "( 4500 ( 0 1 ) ( '17 ) )"},
    {"claim", "( 'claimed 0 'foo 's1 'id 'text ' ' 30000 1200 -1 'bot 'irc ' )"},
    {"claim", "( 'claimed 0 'foo 's1 'id 'text ' ' 30000 1200 -1 'bot 'helix_app '42 )"},
    {"waits", "( )"},
    {"waits", "( 0 1 2 )"},
    {"range", "( ( '1-1 ( 'a 'b ) ) ( '1-2 nil ) )"},
    {"word", "( 'done 'x )"},
    {"version", "( '1 2 )"},
    {"outcome", "( 'gone )"},
    {"compared", "( 'done '3 )"},
    {"hash", "( 'state 'ready 'lag_ms '7 )"},
};

static void whole_answers_are_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        redisReply *r = reply_of(good[i].text);
        struct err err;
        assert_int_equal(decode(good[i].decoder, r, &err), 0);
        freeReplyObject(r);
    }
}

static void settings_that_are_not_told_keep_their_defaults(void **state)
{
    redisReply *r = reply_of("( 'current ( 'blind_ms '0 'yet_unknown 'x 'lease_ms '700 ) 4 0 ' ( ) "
                             "( ) ( ) ( ) 'r1 0 ( 5 0 0 ) ' )");
    struct registry_picture picture = {0};
    struct reply_memory memory = {0};
    struct slice place;
    struct err err;

    (void)state;
    assert_int_equal(reply_picture(r, 3, &picture, &place, &memory, &err), 0);
    assert_int_equal(picture.settings.lease_ms, 700);
    assert_int_equal(picture.settings.blind_ms, 0);
    assert_int_equal(picture.settings.compare_ms, SETTING_COMPARE_MS);
    assert_int_equal(picture.settings.failed_retry_ms, SETTING_FAILED_RETRY_MS);
    reply_memory_finish(&memory);
    freeReplyObject(r);
}

static void broken_answers_are_errors(void **state)
{
    (void)state;
    static const struct {
        const char *decoder;
        const char *text;
    } bad[] = {
        {"compared", "( 'done 'x )"},
        {"compared", "( 'more '3 )"},
        {"outcome", "( )"},
        {"hash", "( 'state )"},
        {"hash", "( 'state 7 )"},
        {"hash", "7"},
        {"picture", "nil"},
        {"picture", "( 'current ( 'lease_ms '3000 ) 4 0 )"},
        {"picture", "( 'current ( 'lease_ms '-1 ) 4 0 ' ( ) ( ) ( ) ( ) 'r1 0 ( 5 0 0 ) ' )"},
        {"picture", "( 'current ( 'lease_ms '0 ) 4 0 ' ( ) ( ) ( ) ( ) 'r1 0 ( 5 0 0 ) ' )"},
        {"picture", "( 'current ( 'lease_ms '3000 ) 4 0 ' ( ) ( 's1 ) ( ) ( ) 'r1 0 ( 5 0 0 ) ' )"},
        {"picture", "( 'current ( 'lease_ms '3000 ) 4 0 ' ( ) ( ( ) ) ( ) ( ) 'r1 0 ( 5 0 0 ) ' )"},
        {"picture",
         "( 'current ( 'lease_ms '3000 ) 4 0 ' ( ) ( ( 's1 '1 ) ) ( ) ( ) 'r1 0 ( 5 0 0 ) ' )"},
        {"picture",
         "( 'current ( 'lease_ms '3000 ) 4 0 ' ( 's1 ) ( ( 's1 '1 '2 'bot 1 0 1500 'a ) ) ( ) ( ) "
         "'r1 0 ( 5 0 0 ) ' )"},
        {"picture", "( 'current ( 'lease_ms '3000 ) 4 0 ' ( 1 ) ( ) ( ) ( ) 'r1 0 ( 5 0 0 ) ' )"},
        {"picture", "( 'current ( 'lease_ms '3000 ) 4 0 ' ( ) ( ) ( ) ( ) 'r1 0 ( 5 0 0 ) )"},
        {"picture", "( 'current 3000 4 0 ' ( ) ( ) ( ) ( ) 'r1 0 ( 5 0 0 ) ' )"},
        {"picture", "( 'current ( 'lease_ms ) 4 0 ' ( ) ( ) ( ) ( ) 'r1 0 ( 5 0 0 ) ' )"},
        {"picture", "( 'current ( 'blind_ms 'off ) 4 0 ' ( ) ( ) ( ) ( ) 'r1 0 ( 5 0 0 ) ' )"},
        {"portion", "( ( ) ( ) ( ) ( ) )"},
        {"portion", "( ( ) ( ( 's1 '1 '2 'bot 0 'a ) ) ( ) ( ) ' )"},
        {"picture", "( 'held ( 'lease_ms '3000 ) 4 0 ' ( ) ( ) ( ) ( ) 'r1 0 ( 5 0 0 ) ' )"},
        {"picture", "( 'current ( 'lease_ms '90000000 ) 4 0 ' ( ) ( ) ( ) ( ) 'r1 0 ( 5 0 0 ) ' )"},
        {"picture", "( 'current ( 'lease_ms '3000 'resume_delay_ms '9000000000000000000 ) 4 0 ' ( "
                    ") ( ) ( ) ( ) 'r1 0 "
                    "( 5 0 0 ) ' )"},
        {"picture", "( 'current ( 'lease_ms '3000 ) 9223372036854775807 0 ' ( ) ( ) ( ) ( ) 'r1 0 "
                    "( 5 0 0 ) ' )"},
        {"picture", "( 'current ( 'lease_ms '3000 ) 4 0 ' ( ) ( ) ( ) ( ) "
                    "'an_id_that_is_longer_than_any_of_ours_is 0 ( 5 0 0 ) ' )"},
        {"holder", "( 'held 'host '12 '7 -9223372036854775807 3000 'run )"},
        {"holder", "( 'held 'host '12 '7 -40 9223372036854775807 'run )"},
        {"waits", "( 0 9223372036854775807 )"},
        {"lead", "( 'standby 'c1 9223372036854775807 )"},
        {"lead", "( 'leading '1 3000 0 9223372036854775807 1 0 0 1 0 'bot ( ) ( ) 'r1 0 0 0 9 )"},
        {"holder", "( 'held 'host )"},
        {"holder", "( 'held 'host '12 'seven 1 1 )"},
        {"lead", "( 'standby )"},
        {"lead", "( 'leading )"},
        {"lead", "( 'leading '1 3000 0 -1 1 0 0 1 0 'bot ( 'n1 '7 ) ( ) 'r1 0 0 0 9 )"},
        {"lead", "( 'leading '1 3000 0 -1 1 0 0 1 0 'bot ( 'n1 'x 'run ) ( ) 'r1 0 0 0 9 )"},
        {"lead", "( 'leading '123456789012345678901234 3000 0 -1 1 0 0 1 0 'bot ( ) ( ) 'r1 0 0 0 "
                 "9 )"},
        {"claim", "( )"},
        {"claim", "( 'eaten )"},
        {"claim", "( 'later )"},
        {"claim", "( 'later 100 'beer 'bot )"},
        {"sends", "( 'done )"},
        {"sends", "( 'done 30000 ( ) )"},
        {"listeners", "( 4500 ( -1 ) ( ) )"},
        {"listeners", "( 4500 0 ( ) )"},
        {"listeners", "( 4500 ( ) )"},
        {"claim", "( 'claimed 0 'foo )"},
        {"claim", "( 'claimed 0 'foo 's1 'id 'text ' ' )"},
        {"claim", "( 'claimed 0 'foo 's1 'id 'text ' ' 30000 1200 'bot 'shout ' )"},
        {"claim", "( 'claimed 0 ' 's1 'id 'text ' ' 30000 1200 'bot 'irc ' )"},
        {"waits", "( 1 -2 )"},
        {"waits", "7"},
        {"range", "nil"},
        {"range", "( 1 )"},
        {"range", "( ( ) )"},
        {"range", "( ( '1-1 ) )"},
        {"range", "( ( '1-1 'x ) )"},
        {"word", "( )"},
        {"word", "( 1 )"},
        {"word", "'done"},
        {"version", "( '1 )"},
        {"version", "( '1 'x )"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        redisReply *r = reply_of(bad[i].text);
        struct err err;
        if (decode(bad[i].decoder, r, &err) != -ERR_STRANGE) {
            fail_msg("%s took %s", bad[i].decoder, bad[i].text);
        }
        assert_int_equal(err.code, ERR_STRANGE);
        freeReplyObject(r);
    }
}

static void errors_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum err_code code;
    } cases[] = {
        {"!LOST_the_lease", ERR_LOST},
        {"!LOSTX_the_lease", ERR_REPLY},
        {"!OOM_command_not_allowed", ERR_MEMORY},
        {"!WRONGTYPE_Operation", ERR_REPLY},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        redisReply *r = reply_of(cases[i].text);
        struct err err;
        assert_int_equal(reply_check(r, &err), -(int)cases[i].code);
        freeReplyObject(r);
    }
}

static void every_decoder_survives_every_others_answer(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        for (size_t k = 0; k < ARRAY_LEN(good); k++) {
            redisReply *r = reply_of(good[k].text);
            struct err err;
            int rc = decode(good[i].decoder, r, &err);
            assert_true(rc == 0 || rc == -ERR_STRANGE);
            freeReplyObject(r);
        }
    }
}

static void an_answer_cut_anywhere_is_survived(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        char text[256];
        snprintf(text, sizeof(text), "%s", good[i].text);
        for (char *at = strrchr(text, ' '); at != NULL; at = strrchr(text, ' ')) {
            *at = '\0';
            redisReply *r = reply_of(text);
            struct err err;
            int rc = decode(good[i].decoder, r, &err);
            assert_true(rc == 0 || rc == -ERR_STRANGE);
            freeReplyObject(r);
        }
    }
}

static void the_server_is_read_from_info(void **state)
{
    (void)state;
    struct registry_greeting g = {0};
    struct err err;
    redisReply *r = new_text("# Server\r\nredis_version:7.0.15\r\nrun_id:"
                             "0123456789012345678901234567890123456789\r\n");
    assert_int_equal(reply_info(r, &g, &err), 0);
    assert_string_equal(g.redis_version, "7.0.15");
    assert_string_equal(g.run_id, "0123456789012345678901234567890123456789");
    freeReplyObject(r);
    static const char *const bad[] = {
        "", "redis_version:7.0.15\r\n", "run_id:\r\nredis_version:7\r\n",
        "redis_version:7\r\nrun_id:01234567890123456789012345678901234567890\r\n", "run_id"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        r = new_text(bad[i]);
        assert_int_equal(reply_info(r, &g, &err), -ERR_STRANGE);
        freeReplyObject(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_answers_are_taken),
        cmocka_unit_test(settings_that_are_not_told_keep_their_defaults),
        cmocka_unit_test(broken_answers_are_errors),
        cmocka_unit_test(errors_are_told_apart),
        cmocka_unit_test(every_decoder_survives_every_others_answer),
        cmocka_unit_test(an_answer_cut_anywhere_is_survived),
        cmocka_unit_test(the_server_is_read_from_info),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
