/* Transfer: channels and settings as text, and back. */
#include "coordinator/ctl/transfer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

/* "LINE: WHY\n" of each wrong line. */
static void on_wrong(void *ctx, size_t line, const char *why)
{
    buf_printf(ctx, "%zu: %s\n", line, why);
}

static void a_text_is_read_whatever_its_order_and_blanks_are(void **state)
{
    char text[] = "# a comment of more words than a line has\n\n"
                  "  channel  Xqc\tuser mybot \r\n"
                  "set readers all\n"
                  "channel #forsen\n"
                  "channel forsen\n"
                  "channel forsen user mybot\n"
                  "set max_shard_count none";
    struct transfer t;
    struct buf wrong;

    (void)state;
    buf_init(&wrong, 1000);
    transfer_parse(&t, text, on_wrong, &wrong);
    assert_int_equal(wrong.len, 0);
    assert_int_equal(t.nsettings, 2);
    assert_string_equal(t.settings[0].name, "readers");
    assert_string_equal(t.settings[1].value, "none");
    assert_int_equal(t.nchannels, 3); /* one came twice */
    assert_string_equal(t.channels[0].name, "forsen");
    assert_string_equal(t.channels[0].value, "");
    assert_string_equal(t.channels[1].name, "forsen");
    assert_string_equal(t.channels[1].value, "mybot");
    assert_string_equal(t.channels[2].name, "xqc");
    transfer_finish(&t);
    buf_finish(&wrong);
}

static void lines_that_are_none_are_told_with_their_number(void **state)
{
    char text[] = "channel\nchannel a b\nchannel a user\nchannel a user b c\nchannel a!\n"
                  "channel aaaaaaaaaaaaaaaaaaaaaaaaaa\nchannel a user B\nset a\nset a b c\n"
                  "forsen\nsetx a b\nchannel fine\n";
    struct transfer t;
    struct buf wrong;

    (void)state;
    buf_init(&wrong, 4000);
    transfer_parse(&t, text, on_wrong, &wrong);
    assert_string_equal(wrong.data, "1: it is \"channel NAME\" or \"channel NAME user LOGIN\"\n"
                                    "2: it is \"channel NAME\" or \"channel NAME user LOGIN\"\n"
                                    "3: it is \"channel NAME\" or \"channel NAME user LOGIN\"\n"
                                    "4: it is \"channel NAME\" or \"channel NAME user LOGIN\"\n"
                                    "5: that is no channel: 1 to 25 of a-z, 0-9 and _\n"
                                    "6: that is no channel: 1 to 25 of a-z, 0-9 and _\n"
                                    "7: that user is no Twitch login in lower case\n"
                                    "8: it is \"set NAME VALUE\"\n"
                                    "9: it is \"set NAME VALUE\"\n"
                                    "10: a line begins with \"channel\", \"set\" or #\n"
                                    "11: a line begins with \"channel\", \"set\" or #\n");
    assert_int_equal(t.nchannels, 1);
    transfer_finish(&t);
    buf_finish(&wrong);
}

static void what_is_written_is_read_again(void **state)
{
    struct transfer t;
    struct buf text;

    (void)state;
    buf_init(&text, 4000);
    assert_true(transfer_append_setting(&text, "readers", "a,b"));
    assert_true(transfer_append_channel(&text, SLICE("forsen"), ""));
    assert_true(transfer_append_channel(&text, SLICE("xqc"), "mybot"));
    assert_false(transfer_append_setting(&text, "evil", "a\nchannel b"));
    assert_false(transfer_append_setting(&text, "evil", "\x1b[2J"));
    assert_false(transfer_append_setting(&text, "none", ""));
    assert_false(transfer_append_channel(&text, SLICE("a b"), ""));
    assert_false(transfer_append_channel(&text, SLICE("a"), "b\nset x y"));
    assert_string_equal(text.data, "set readers a,b\nchannel forsen\nchannel xqc user mybot\n");
    transfer_parse(&t, text.data, on_wrong, NULL);
    assert_int_equal(t.nsettings, 1);
    assert_int_equal(t.nchannels, 2);
    transfer_finish(&t);
    buf_finish(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_is_read_whatever_its_order_and_blanks_are),
        cmocka_unit_test(lines_that_are_none_are_told_with_their_number),
        cmocka_unit_test(what_is_written_is_read_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
