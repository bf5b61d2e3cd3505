/* Lines of every bad kind: survived, counted and told. */
#include "node/shard_private.h"

#include "tests/lib/shard_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void hostile_lines_do_no_harm(void **state)
{
    static const char *const lines[] = {
        "",
        " ",
        "@",
        ":",
        "@ : ",
        "JOIN",
        "PART",
        "PING",
        "PONG",
        "CAP",
        "001",
        "NOTICE",
        "USERSTATE",
        "ROOMSTATE",
        "PRIVMSG",
        "NOTICE * :#a",
        "NOTICE *",
        "NOTICE * :Login unsuccessfu",
        "NOTICE bot :Login authentication failed",
        "@msg-id NOTICE #a :x",
        "@msg-id= NOTICE #a",
        "@msg-id=msg_ NOTICE #a",
        ":bot PART #a,#b",
        ":bot!bot@bot PART #",
        ":x!x@x PRIVMSG #aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa :x",
        "@slow=99999999999999999999;followers-only=-5;emote-only=x;room-id=1 ROOMSTATE #a",
        "@room-id=123456789012345678901234567890 ROOMSTATE #a",
        "001 :not a login at all",
        ":tmi.twitch.tv 001 someoneelse :Welcome",
        "\xff\xfe\xfd",
        ":tmi.twitch.tv PONG tmi.twitch.tv :-1",
        "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17",
    };
    struct rig *r = rig_ready("a");
    char text[4096];

    (void)state;
    rig_joined(r, "a");
    rig_clear(r);
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        rig_line(r, lines[i]);
    }
    memset(text, 'x', sizeof(text));
    memcpy(text, "PING :", 6);
    text[sizeof(text) - 1] = '\0';
    rig_line(r, text); /* its PONG would not fit: none */
    rig_expect_not(r, "JOIN");
    rig_expect_not(r, "backoff");
    assert_int_equal(rig_state_of(r, "a"), SHARD_CHANNEL_JOINED);
    assert_int_equal(shard_channel(r->s, SLICE("a"))->room.slow_s, 0);
    assert_int_equal(shard_channel(r->s, SLICE("a"))->room.followers_only, -1);
    assert_true(shard_stats(r->s)->figures.bad_lines >= 4);
    rig_line(r, ":bot!bot@bot PART #a"); /* the name did not change */
    assert_int_not_equal(rig_state_of(r, "a"), SHARD_CHANNEL_JOINED);
    rig_destroy(r);
}

static void what_is_no_line_is_counted_and_told_with_the_reason(void **state)
{
    struct rig *r = rig_ready("a");

    (void)state;
    rig_clear(r);
    rig_line(r, ":prefix-only");
    rig_line(r, "PRIVMSG #a :a\rb");
    shard_on_long_line(r->s, r->now);
    rig_expect_log(r, "bad 12: a line without a command\n"
                      "bad 15: NUL, CR or LF inside a line\n"
                      "bad 0: longer than 65536 bytes\n");
    assert_int_equal(shard_stats(r->s)->figures.bad_lines, 3);
    assert_int_equal(shard_last_line_ms(r->s), r->now);
    shard_on_disconnected(r->s, "gone", r->now, r->now);
    rig_clear(r);
    shard_on_long_line(r->s, r->now); /* nothing of a connection that is gone */
    rig_expect_log(r, "");
    rig_destroy(r);
}

static void a_line_that_names_no_channel_is_counted_and_told(void **state)
{
    static const char *const lines[] = {
        ":tmi.twitch.tv CLEARCHAT a",
        ":tmi.twitch.tv CLEARCHAT",
        "@login=x :tmi.twitch.tv CLEARMSG a :x",
        ":x!x@x PRIVMSG a :x",
        ":x!x@x PRIVMSG #A :x",
        ":tmi.twitch.tv USERNOTICE #A",
        "@room-id=1;slow=3 :tmi.twitch.tv ROOMSTATE a",
        "@room-id=1;slow=3 :tmi.twitch.tv ROOMSTATE #A",
        "@mod=1 :tmi.twitch.tv USERSTATE #A",
        "@msg-id=slow_on :tmi.twitch.tv NOTICE #A :x",
        "@msg-id=msg_banned :tmi.twitch.tv NOTICE a :x",
        ":bot!bot@bot JOIN a",
        ":bot!bot@bot PART #A",
        "@a=b :tmi.twitch.tv NEWTHING #A :x",
    };
    static const char *const fine[] = {
        ":tmi.twitch.tv NOTICE * :Hello",
        "@msg-id=x :tmi.twitch.tv NOTICE * :Hello",
        ":tmi.twitch.tv GLOBALUSERSTATE",
        ":tmi.twitch.tv CAP * ACK :twitch.tv/tags",
        ":tmi.twitch.tv 376 bot :>",
        ":bot.tmi.twitch.tv 353 bot = #a :bot",
        "PING :#A b",
        ":tmi.twitch.tv NEWTHING :x",
        ":tmi.twitch.tv WHISPER bot :#A",
        ":x!x@x PRIVMSG #elsewhere :x",
        "@mod=0 :tmi.twitch.tv USERSTATE #elsewhere",
    };
    struct rig *r = rig_ready("a");

    (void)state;
    rig_joined(r, "a");
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        rig_clear(r);
        rig_line(r, lines[i]);
        rig_expect(r, "names no channel");
        assert_int_equal(shard_stats(r->s)->figures.bad_lines, i + 1);
    }
    rig_clear(r);
    for (size_t i = 0; i < ARRAY_LEN(fine); i++) {
        rig_line(r, fine[i]);
    }
    rig_expect_not(r, "bad ");
    rig_expect(r, "PONG :#A b");
    assert_int_equal(rig_state_of(r, "a"), SHARD_CHANNEL_JOINED);
    rig_destroy(r);
}

static void a_gap_begins_where_all_that_had_come_was_read(void **state)
{
    struct rig *r = rig_ready("a");
    uint64_t caught_up = r->now + 10;
    char text[100];

    (void)state;
    rig_joined(r, "a");
    rig_pass(r, 1200); /* it stood still */
    rig_line(r, ":x!x@x PRIVMSG #a :hi");
    shard_on_disconnected(r->s, "broken frame", caught_up, r->now);
    rig_settle_draws(r);
    shard_on_connected(r->s, r->now);
    rig_line(r, ":tmi.twitch.tv 001 bot :Welcome, GLHF!");
    rig_settle_draws(r);
    rig_clear(r);
    rig_joined(r, "a");
    (void)snprintf(text, sizeof(text), "gap a %llu-%llu\n", (unsigned long long)caught_up,
                   (unsigned long long)r->now);
    rig_expect(r, text);
    rig_destroy(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_lines_do_no_harm),
        cmocka_unit_test(what_is_no_line_is_counted_and_told_with_the_reason),
        cmocka_unit_test(a_line_that_names_no_channel_is_counted_and_told),
        cmocka_unit_test(a_gap_begins_where_all_that_had_come_was_read),
    };

    return cmocka_run_group_tests_name("shard_lines", tests, NULL, NULL);
}
