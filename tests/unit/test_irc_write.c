/* The IRC formatter: what it writes, and that nothing can be slipped into it. */
#include "shared/irc/parse.h"
#include "shared/irc/write.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define NONE ((struct slice){"", 0})

static void assert_written(struct buf *out, const char *text)
{
    assert_string_equal(out->data == NULL ? "" : out->data, text);
    buf_clear(out);
}

static void assert_refused(int rc, const struct buf *out, struct err *err)
{
    assert_int_equal(rc, -ERR_PROTOCOL);
    assert_int_equal(out->len, 0);
    assert_true(strlen(err->text) > 0);
    *err = (struct err){0};
}

static void a_login_asks_for_tags_and_shows_the_token_before_the_name(void **state)
{
    struct buf out;
    struct err err = {0};

    (void)state;
    buf_init(&out, 8192);
    assert_int_equal(irc_write_login(&out, SLICE("shoalbot"), SLICE("abc123"), &err), 0);
    assert_written(&out, "CAP REQ :twitch.tv/tags twitch.tv/commands\r\n"
                         "PASS oauth:abc123\r\nNICK shoalbot\r\n");
    assert_int_equal(irc_write_login(&out, SLICE("justinfan42"), NONE, &err), 0);
    assert_written(&out, "CAP REQ :twitch.tv/tags twitch.tv/commands\r\nNICK justinfan42\r\n");

    assert_int_equal(irc_write_login(&out, SLICE("somebody"), NONE, &err), 0);
    assert_null(strstr(out.data, "PASS"));
    assert_non_null(strstr(out.data, "NICK justinfan"));
    assert_int_equal(strlen(strstr(out.data, "justinfan")), strlen("justinfan12345\r\n"));
    buf_finish(&out);
}

static void a_bad_token_is_refused_and_not_repeated(void **state)
{
    static const char *const bad[] = {"with space", "line\r\nQUIT", "tab\t", "\x7f", "caf\xc3\xa9"};
    struct buf out;
    struct err err = {0};
    char big[600];

    (void)state;
    buf_init(&out, 8192);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        int rc = irc_write_login(&out, SLICE("shoalbot"), slice_of(bad[i]), &err);

        assert_null(strstr(err.text, bad[i]));
        assert_refused(rc, &out, &err);
    }
    memset(big, 'x', sizeof(big));
    assert_refused(irc_write_login(&out, SLICE("shoalbot"), (struct slice){big, sizeof(big)}, &err),
                   &out, &err);
    assert_refused(irc_write_login(&out, SLICE("Shoalbot"), SLICE("abc"), &err), &out, &err);
    assert_refused(irc_write_login(&out, SLICE("a\r\nJOIN #x"), SLICE("abc"), &err), &out, &err);
    buf_finish(&out);
}

static void one_join_carries_as_many_channels_as_fit(void **state)
{
    struct slice few[] = {SLICE("a"), SLICE("bb"), SLICE("c_1")};
    struct slice many[300];
    struct buf out;
    struct err err = {0};
    size_t written;

    (void)state;
    buf_init(&out, 8192);
    assert_int_equal(irc_write_join(&out, few, 3, &written, &err), 0);
    assert_int_equal(written, 3);
    assert_written(&out, "JOIN #a,#bb,#c_1\r\n");

    for (size_t i = 0; i < ARRAY_LEN(many); i++) {
        many[i] = SLICE("abcdefghijklmnopqrstuvwxy");
    }
    assert_int_equal(irc_write_join(&out, many, ARRAY_LEN(many), &written, &err), 0);
    assert_int_equal(written, (4096 - 6) / 27);
    assert_true(out.len <= IRC_MAX_SENT_BYTES);
    assert_true(out.len > IRC_MAX_SENT_BYTES - 27);
    buf_clear(&out);

    few[1] = SLICE("b,#x");
    assert_refused(irc_write_join(&out, few, 3, &written, &err), &out, &err);
    assert_int_equal(written, 0);
    assert_refused(irc_write_join(&out, few, 0, &written, &err), &out, &err);
    buf_finish(&out);
}

static void a_part_names_one_channel(void **state)
{
    struct buf out;
    struct err err = {0};

    (void)state;
    buf_init(&out, 8192);
    assert_int_equal(irc_write_part(&out, SLICE("dallas"), &err), 0);
    assert_written(&out, "PART #dallas\r\n");
    assert_refused(irc_write_part(&out, SLICE("#dallas"), &err), &out, &err);
    assert_refused(irc_write_part(&out, NONE, &err), &out, &err);
    buf_finish(&out);
}

static void a_message_carries_its_tags_and_a_command_is_quoted(void **state)
{
    static const struct {
        const char *text;
        const char *nonce;
        const char *reply_to;
        bool as_command;
        const char *line;
    } cases[] = {
        {"hi", "", "", false, "PRIVMSG #bar :hi\r\n"},
        {"hi", "n1", "", false, "@client-nonce=n1 PRIVMSG #bar :hi\r\n"},
        {"hi", "", "b34c-1", false, "@reply-parent-msg-id=b34c-1 PRIVMSG #bar :hi\r\n"},
        {"hi", "n1", "b34c-1", false,
         "@client-nonce=n1;reply-parent-msg-id=b34c-1 PRIVMSG #bar :hi\r\n"},
        {":) #x @a=b", "", "", false, "PRIVMSG #bar ::) #x @a=b\r\n"},
        {"/me waves", "", "", true, "PRIVMSG #bar :/me waves\r\n"},
        {"/ban ronni", "", "", false, "PRIVMSG #bar :\xe2\x80\x8b/ban ronni\r\n"},
        {".ban ronni", "", "", false, "PRIVMSG #bar :\xe2\x80\x8b.ban ronni\r\n"},
        {"  /ban ronni", "", "", false, "PRIVMSG #bar :\xe2\x80\x8b  /ban ronni\r\n"},
        {"\001ACTION waves\001", "", "", false, "PRIVMSG #bar :\001ACTION waves\001\r\n"},
        {"\xf0\x9f\x90\x9f caf\xc3\xa9", "", "", false,
         "PRIVMSG #bar :\xf0\x9f\x90\x9f caf\xc3\xa9\r\n"},
    };
    struct buf out;
    struct err err = {0};

    (void)state;
    buf_init(&out, 8192);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(irc_write_privmsg(&out, SLICE("bar"), slice_of(cases[i].text),
                                           slice_of(cases[i].nonce), slice_of(cases[i].reply_to),
                                           cases[i].as_command, &err),
                         0);
        assert_written(&out, cases[i].line);
    }
    buf_finish(&out);
}

static void what_others_read_is_an_action_or_quoted_as_it_was_written(void **state)
{
    static const struct {
        const char *text;
        bool as_command;
        const char *heard;
    } cases[] = {
        {"hello", false, "hello"},
        {"hello", true, "hello"},
        {"/me dances", true, "\001ACTION dances\001"},
        {".me dances", true, "\001ACTION dances\001"},
        {"/me dances", false, "\xe2\x80\x8b/me dances"},
        {"/ban ronni", false, "\xe2\x80\x8b/ban ronni"},
        {"  .ban ronni", false, "\xe2\x80\x8b  .ban ronni"},
        {"/me ", true, "/me "},
        {"/mean", true, "/mean"},
        {"\001ACTION dances\001", false, "\001ACTION dances\001"},
    };
    struct buf out;

    (void)state;
    buf_init(&out, 8192);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        irc_write_heard(&out, slice_of(cases[i].text), cases[i].as_command);
        assert_written(&out, cases[i].heard);
    }
    buf_finish(&out);
}

static void nothing_can_be_injected_into_a_message(void **state)
{
    const struct {
        struct slice channel, text, nonce, reply_to;
    } cases[] = {
        {SLICE("bar"), SLICE("a\r\nQUIT"), NONE, NONE},
        {SLICE("bar"), SLICE("a\nQUIT"), NONE, NONE},
        {SLICE("bar"), SLICE("a\rQUIT"), NONE, NONE},
        {SLICE("bar"), SLICE("a\0b"), NONE, NONE},
        {SLICE("bar"), SLICE(""), NONE, NONE},
        {SLICE("bar"), SLICE("   "), NONE, NONE},
        {SLICE("bar :x"), SLICE("a"), NONE, NONE},
        {SLICE("bar,#x"), SLICE("a"), NONE, NONE},
        {SLICE("bar\r\nQUIT"), SLICE("a"), NONE, NONE},
        {SLICE(""), SLICE("a"), NONE, NONE},
        {SLICE("bar"), SLICE("a"), SLICE("n PRIVMSG #x :y"), NONE},
        {SLICE("bar"), SLICE("a"), SLICE("n;reply-parent-msg-id=z"), NONE},
        {SLICE("bar"), SLICE("a"), SLICE("n\\s"), NONE},
        {SLICE("bar"), SLICE("a"), NONE, SLICE("z\r\n")},
        {SLICE("bar"), SLICE("a"), NONE, SLICE("z z")},
        {SLICE("bar"), SLICE("\xc3"), NONE, NONE},
        {SLICE("bar"), SLICE("\xc0\x8a"), NONE, NONE},         /* an overlong LF */
        {SLICE("bar"), SLICE("\xe0\x80\x8a"), NONE, NONE},     /* the same in three */
        {SLICE("bar"), SLICE("\xed\xa0\x80"), NONE, NONE},     /* a surrogate */
        {SLICE("bar"), SLICE("\xf4\x90\x80\x80"), NONE, NONE}, /* above U+10FFFF */
        {SLICE("bar"), SLICE("\xff"), NONE, NONE},
        {SLICE("bar"), SLICE("\x80"), NONE, NONE},
        {SLICE("bar"), SLICE("\xf0\x9f\x90"), NONE, NONE},
    };
    struct buf out;
    struct err err = {0};

    (void)state;
    buf_init(&out, 8192);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (int as_command = 0; as_command < 2; as_command++) {
            assert_refused(irc_write_privmsg(&out, cases[i].channel, cases[i].text, cases[i].nonce,
                                             cases[i].reply_to, as_command, &err),
                           &out, &err);
        }
    }
    buf_finish(&out);
}

static void every_byte_value_in_every_place_keeps_one_line_one_line(void **state)
{
    struct buf out;
    size_t written;

    (void)state;
    buf_init(&out, 8192);
    for (int byte = 0; byte < 256; byte++) {
        char text[] = {'a', (char)byte, 'b'};
        struct slice s = {text, sizeof(text)};

        for (int place = 0; place < 9; place++) {
            int rc = 0;
            size_t lines = 0;

            buf_clear(&out);
            switch (place) {
            case 0:
                rc = irc_write_privmsg(&out, s, SLICE("x"), NONE, NONE, false, NULL);
                break;
            case 1:
                rc = irc_write_privmsg(&out, SLICE("bar"), s, NONE, NONE, false, NULL);
                break;
            case 2:
                rc = irc_write_privmsg(&out, SLICE("bar"), SLICE("x"), s, NONE, false, NULL);
                break;
            case 3:
                rc = irc_write_privmsg(&out, SLICE("bar"), SLICE("x"), NONE, s, false, NULL);
                break;
            case 4:
                rc = irc_write_join(&out, &s, 1, &written, NULL);
                break;
            case 5:
                rc = irc_write_part(&out, s, NULL);
                break;
            case 6:
                rc = irc_write_ping(&out, s, NULL);
                break;
            case 7:
                rc = irc_write_pong(&out, s, NULL);
                break;
            default:
                rc = irc_write_login(&out, SLICE("bot"), s, NULL);
                break;
            }
            if (rc != 0) {
                assert_int_equal(out.len, 0);
                continue;
            }
            assert_true(out.len > 2 && memcmp(out.data + out.len - 2, "\r\n", 2) == 0);
            assert_null(memchr(out.data, '\0', out.len));
            for (size_t i = 0; i < out.len; i++) {
                lines += out.data[i] == '\n' ? 1 : 0;
            }
            assert_int_equal(lines, place == 8 ? 3 : 1);
        }
    }
    buf_finish(&out);
}

static void a_message_has_at_most_500_characters_however_many_bytes(void **state)
{
    struct buf out;
    struct buf text;
    struct err err = {0};

    (void)state;
    buf_init(&out, 8192);
    buf_init(&text, 8192);
    for (int i = 0; i < 500; i++) {
        buf_append_str(&text, "\xf0\x9f\x90\x9f");
    }
    assert_int_equal(
        irc_write_privmsg(&out, SLICE("bar"), buf_slice(&text), NONE, NONE, false, &err), 0);
    buf_clear(&out);
    buf_append_str(&text, "x");
    assert_refused(irc_write_privmsg(&out, SLICE("bar"), buf_slice(&text), NONE, NONE, false, &err),
                   &out, &err);

    /* Counted as it is given: the character that quotes a command does not count. */
    buf_clear(&text);
    buf_append_char(&text, '/');
    for (int i = 0; i < 499; i++) {
        buf_append_char(&text, 'x');
    }
    assert_int_equal(
        irc_write_privmsg(&out, SLICE("bar"), buf_slice(&text), NONE, NONE, false, &err), 0);
    buf_clear(&out);
    assert_int_equal(
        irc_write_privmsg(&out, SLICE("bar"), buf_slice(&text), NONE, NONE, true, &err), 0);
    buf_clear(&out);
    buf_append_char(&text, 'x');
    assert_refused(irc_write_privmsg(&out, SLICE("bar"), buf_slice(&text), NONE, NONE, false, &err),
                   &out, &err);
    buf_finish(&text);
    buf_finish(&out);
}

static void pings_and_pongs_carry_their_token(void **state)
{
    struct buf out;
    struct err err = {0};
    char big[5000];

    (void)state;
    buf_init(&out, 8192);
    assert_int_equal(irc_write_ping(&out, SLICE("shoal 17"), &err), 0);
    assert_written(&out, "PING :shoal 17\r\n");
    assert_int_equal(irc_write_pong(&out, SLICE("tmi.twitch.tv"), &err), 0);
    assert_written(&out, "PONG :tmi.twitch.tv\r\n");
    assert_int_equal(irc_write_pong(&out, NONE, &err), 0);
    assert_written(&out, "PONG :\r\n");
    memset(big, 'x', sizeof(big));
    assert_refused(irc_write_pong(&out, (struct slice){big, sizeof(big)}, &err), &out, &err);
    buf_finish(&out);
}

static void a_full_buffer_gets_no_part_of_a_line(void **state)
{
    struct buf out;
    struct err err = {0};

    (void)state;
    buf_init(&out, 10);
    assert_int_equal(irc_write_part(&out, SLICE("dallas"), &err), -ERR_FULL);
    assert_int_equal(out.len, 0);
    buf_finish(&out);
}

static void a_command_is_what_begins_with_a_slash_or_dot_and_is_not_me(void **state)
{
    static const char *const commands[] = {"/ban x", ".ban x", "  /ban x", "/", "/me", "/mean x"};
    static const char *const others[] = {"", "  ", "hello", "a/b", "/me dances", ".me dances"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        assert_true(irc_is_command(slice_of(commands[i])));
    }
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        assert_false(irc_is_command(slice_of(others[i])));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_login_asks_for_tags_and_shows_the_token_before_the_name),
        cmocka_unit_test(a_bad_token_is_refused_and_not_repeated),
        cmocka_unit_test(one_join_carries_as_many_channels_as_fit),
        cmocka_unit_test(a_part_names_one_channel),
        cmocka_unit_test(a_message_carries_its_tags_and_a_command_is_quoted),
        cmocka_unit_test(what_others_read_is_an_action_or_quoted_as_it_was_written),
        cmocka_unit_test(nothing_can_be_injected_into_a_message),
        cmocka_unit_test(every_byte_value_in_every_place_keeps_one_line_one_line),
        cmocka_unit_test(a_message_has_at_most_500_characters_however_many_bytes),
        cmocka_unit_test(pings_and_pongs_carry_their_token),
        cmocka_unit_test(a_full_buffer_gets_no_part_of_a_line),
        cmocka_unit_test(a_command_is_what_begins_with_a_slash_or_dot_and_is_not_me),
    };

    return cmocka_run_group_tests_name("irc_write", tests, NULL, NULL);
}
