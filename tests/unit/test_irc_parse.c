/* The IRC parser and the splitter: lines as Twitch sends them, and lines as nobody should. */
#include "shared/irc/parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define PRIVMSG_TAGS                                                                               \
    "badge-info=subscriber/14;badges=subscriber/12,premium/1;client-nonce=7ee4;color=#FF69B4;"     \
    "display-name=Ronni;emotes=25:0-4,12-16/1902:6-10;first-msg=0;flags=;"                         \
    "id=b34ccfc7-4977-403a-8a94-33c6bac34fb8;mod=0;returning-chatter=0;room-id=1337;subscriber=1;" \
    "tmi-sent-ts=1507246572675;turbo=0;user-id=1337;user-type="

struct parse_case {
    const char *line;
    const char *command;
    const char *channel;
    const char *nick;
    size_t nparams;
    const char *last; /* the last parameter */
};

static const struct parse_case parse_cases[] = {
    {":tmi.twitch.tv CAP * ACK :twitch.tv/tags twitch.tv/commands", "CAP", "", "tmi.twitch.tv", 3,
     "twitch.tv/tags twitch.tv/commands"},
    {":tmi.twitch.tv 001 shoalbot :Welcome, GLHF!", "001", "", "tmi.twitch.tv", 2,
     "Welcome, GLHF!"},
    {":tmi.twitch.tv 372 shoalbot :You are in a maze of twisty passages.", "372", "",
     "tmi.twitch.tv", 2, "You are in a maze of twisty passages."},
    {"@" PRIVMSG_TAGS " :ronni!ronni@ronni.tmi.twitch.tv PRIVMSG #dallas :Kappa Keepo Kappa",
     "PRIVMSG", "dallas", "ronni", 2, "Kappa Keepo Kappa"},
    {"@" PRIVMSG_TAGS " :ronni!ronni@ronni.tmi.twitch.tv PRIVMSG #dallas ::) hi", "PRIVMSG",
     "dallas", "ronni", 2, ":) hi"},
    {"@" PRIVMSG_TAGS " :a!a@a.tmi.twitch.tv PRIVMSG #dallas :\001ACTION waves\001", "PRIVMSG",
     "dallas", "a", 2, "\001ACTION waves\001"},
    {":a!a@a.tmi.twitch.tv PRIVMSG #dallas :#other is better", "PRIVMSG", "dallas", "a", 2,
     "#other is better"},
    {"@badge-info=;badges=staff/1;login=ronni;msg-id=resub;msg-param-cumulative-months=6;"
     "room-id=1337;system-msg=ronni\\shas\\ssubscribed\\sfor\\s6\\smonths! :tmi.twitch.tv "
     "USERNOTICE #dallas :Great stream",
     "USERNOTICE", "dallas", "tmi.twitch.tv", 2, "Great stream"},
    {"@msg-id=raid;room-id=1 :tmi.twitch.tv USERNOTICE #dallas", "USERNOTICE", "dallas",
     "tmi.twitch.tv", 1, "#dallas"},
    {"@ban-duration=350;room-id=12345678;target-user-id=87654321;tmi-sent-ts=1642719320727 "
     ":tmi.twitch.tv CLEARCHAT #dallas :ronni",
     "CLEARCHAT", "dallas", "tmi.twitch.tv", 2, "ronni"},
    {":tmi.twitch.tv CLEARCHAT #dallas", "CLEARCHAT", "dallas", "tmi.twitch.tv", 1, "#dallas"},
    {"@login=foo;room-id=;target-msg-id=94e6c7ff;tmi-sent-ts=1 :tmi.twitch.tv CLEARMSG #bar "
     ":HeyGuys",
     "CLEARMSG", "bar", "tmi.twitch.tv", 2, "HeyGuys"},
    {"@emote-only=0;followers-only=-1;r9k=0;room-id=713936733;slow=0;subs-only=0 :tmi.twitch.tv "
     "ROOMSTATE #bar",
     "ROOMSTATE", "bar", "tmi.twitch.tv", 1, "#bar"},
    {"@room-id=713936733;slow=10 :tmi.twitch.tv ROOMSTATE #bar", "ROOMSTATE", "bar",
     "tmi.twitch.tv", 1, "#bar"},
    {"@badges=moderator/1;color=;display-name=b;emote-sets=0;mod=1;subscriber=0;user-type=mod "
     ":tmi.twitch.tv USERSTATE #bar",
     "USERSTATE", "bar", "tmi.twitch.tv", 1, "#bar"},
    {"@badges=;emote-sets=0,33;user-id=12345678;user-type= :tmi.twitch.tv GLOBALUSERSTATE",
     "GLOBALUSERSTATE", "", "tmi.twitch.tv", 0, NULL},
    {"@msg-id=slow_on :tmi.twitch.tv NOTICE #bar :This room is now in slow mode.", "NOTICE", "bar",
     "tmi.twitch.tv", 2, "This room is now in slow mode."},
    {":tmi.twitch.tv NOTICE * :Login authentication failed", "NOTICE", "", "tmi.twitch.tv", 2,
     "Login authentication failed"},
    {":tmi.twitch.tv NOTICE * :#bar looks like a channel", "NOTICE", "", "tmi.twitch.tv", 2,
     "#bar looks like a channel"},
    {":bot!bot@bot.tmi.twitch.tv JOIN #bar", "JOIN", "bar", "bot", 1, "#bar"},
    {":bot!bot@bot.tmi.twitch.tv JOIN :#bar", "JOIN", "bar", "bot", 1, "#bar"},
    {":bot!bot@bot.tmi.twitch.tv PART #bar", "PART", "bar", "bot", 1, "#bar"},
    {":bot.tmi.twitch.tv 353 bot = #bar :bot foo baz", "353", "bar", "bot.tmi.twitch.tv", 4,
     "bot foo baz"},
    {":bot.tmi.twitch.tv 366 bot #bar :End of /NAMES list", "366", "bar", "bot.tmi.twitch.tv", 3,
     "End of /NAMES list"},
    {"@badges=;message-id=306 :petsgomoo!petsgomoo@petsgomoo.tmi.twitch.tv WHISPER foo :#bar hello",
     "WHISPER", "", "petsgomoo", 2, "#bar hello"},
    {":tmi.twitch.tv HOSTTARGET #bar :xyz 10", "HOSTTARGET", "bar", "tmi.twitch.tv", 2, "xyz 10"},
    {"PING :tmi.twitch.tv", "PING", "", "", 1, "tmi.twitch.tv"},
    {":tmi.twitch.tv PONG tmi.twitch.tv :17", "PONG", "", "tmi.twitch.tv", 2, "17"},
    {":tmi.twitch.tv RECONNECT", "RECONNECT", "", "tmi.twitch.tv", 0, NULL},
    {"RECONNECT ", "RECONNECT", "", "", 0, NULL},
    {":nick@host  PRIVMSG   #bar   :two  spaces ", "PRIVMSG", "bar", "nick", 2, "two  spaces "},
    {"PRIVMSG #bar :", "PRIVMSG", "bar", "", 2, ""},
    {"@ : X", "X", "", "", 0, NULL},
    {"1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 :18", "1", "", "", 15, "16 17 :18"},
    {"1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 :16 17", "1", "", "", 15, "16 17"},
};

static void assert_slice(struct slice s, const char *text)
{
    if (s.len != strlen(text) || memcmp(s.ptr, text, s.len) != 0) {
        fail_msg("'%.*s' is not '%s'", (int)s.len, s.ptr, text);
    }
}

/* Parse out of memory of exactly that size, so that ASan sees a byte read too many. */
static char *exact(const char *text, struct slice *out)
{
    size_t len = strlen(text);
    char *copy = malloc(len == 0 ? 1 : len);

    memcpy(copy, text, len);
    *out = (struct slice){copy, len};
    return copy;
}

static void every_kind_of_line_is_taken_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(parse_cases); i++) {
        const struct parse_case *c = &parse_cases[i];
        struct irc_line line;
        struct slice raw;
        char *copy = exact(c->line, &raw);

        assert_int_equal(irc_parse(raw, &line, NULL), 0);
        assert_slice(line.raw, c->line);
        assert_slice(line.command, c->command);
        assert_slice(irc_channel(&line), c->channel);
        assert_slice(line.nick, c->nick);
        assert_int_equal(line.nparams, c->nparams);
        if (c->last != NULL) {
            assert_slice(line.params[line.nparams - 1], c->last);
        }
        free(copy);
    }
}

static void what_is_no_line_is_refused_with_a_reason(void **state)
{
    static const struct slice bad[] = {
        {"", 0},           {"@a=b", 4},           {"@a=b ", 5}, {":prefix", 7},
        {":prefix ", 8},   {"@a=b :prefix ", 13}, {" ", 1},     {"PING\0x", 6},
        {"PING :a\rb", 9}, {"PING :a\nb", 9},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct irc_line line;
        struct err err = {0};

        assert_int_equal(irc_parse(bad[i], &line, &err), -ERR_PROTOCOL);
        assert_int_equal(err.code, ERR_PROTOCOL);
        assert_true(strlen(err.text) > 0);
    }
}

static void a_line_of_100_kb_is_refused_and_one_of_64_kib_is_not(void **state)
{
    char *big = malloc(100 * 1000);
    struct irc_line line;

    (void)state;
    memset(big, 'x', 100 * 1000);
    memcpy(big, "PRIVMSG #a :", 12);
    assert_int_equal(irc_parse((struct slice){big, 100 * 1000}, &line, NULL), -ERR_PROTOCOL);
    assert_int_equal(irc_parse((struct slice){big, IRC_MAX_LINE_BYTES + 1}, &line, NULL),
                     -ERR_PROTOCOL);
    assert_int_equal(irc_parse((struct slice){big, IRC_MAX_LINE_BYTES}, &line, NULL), 0);
    assert_int_equal(line.params[1].len, IRC_MAX_LINE_BYTES - 12);
    free(big);
}

static void every_byte_value_is_taken_as_text_but_nul_cr_and_lf(void **state)
{
    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        char text[] = "PRIVMSG #bar :a?b";
        struct irc_line line;
        bool bad = byte == 0 || byte == '\r' || byte == '\n';

        text[15] = (char)byte;
        assert_int_equal(irc_parse((struct slice){text, 17}, &line, NULL), bad ? -ERR_PROTOCOL : 0);
        if (!bad) {
            assert_int_equal(line.params[1].len, 3);
            assert_int_equal((unsigned char)line.params[1].ptr[1], byte);
        }
    }
}

static void tags_are_found_and_the_last_of_a_key_counts(void **state)
{
    struct irc_line line;
    struct slice value;

    (void)state;
    assert_int_equal(irc_parse(SLICE("@a=1;bb=2;flag;empty=;a=3;eq=x=y;;+v/k=z PING"), &line, NULL),
                     0);
    assert_true(irc_tag(&line, "a", &value));
    assert_slice(value, "3");
    assert_true(irc_tag(&line, "bb", &value));
    assert_slice(value, "2");
    assert_true(irc_tag(&line, "flag", &value));
    assert_slice(value, "");
    assert_true(irc_tag(&line, "empty", &value));
    assert_slice(value, "");
    assert_true(irc_tag(&line, "eq", &value));
    assert_slice(value, "x=y");
    assert_true(irc_tag(&line, "+v/k", &value));
    assert_slice(value, "z");
    assert_false(irc_tag(&line, "b", &value));
    assert_false(irc_tag(&line, "", &value));

    assert_int_equal(irc_parse(SLICE("PING"), &line, NULL), 0);
    assert_false(irc_tag(&line, "a", &value));
}

static void a_walk_over_the_tags_meets_each_once(void **state)
{
    struct slice cursor = SLICE(";a=1;;b;=3;");
    struct slice key;
    struct slice value;

    (void)state;
    assert_true(irc_tag_next(&cursor, &key, &value));
    assert_slice(key, "a");
    assert_slice(value, "1");
    assert_true(irc_tag_next(&cursor, &key, &value));
    assert_slice(key, "b");
    assert_slice(value, "");
    assert_true(irc_tag_next(&cursor, &key, &value));
    assert_slice(key, "");
    assert_slice(value, "3");
    assert_false(irc_tag_next(&cursor, &key, &value));
    assert_false(irc_tag_next(&cursor, &key, &value));
}

static void tag_values_are_unescaped(void **state)
{
    static const char *const cases[][2] = {
        {"", ""},
        {"plain", "plain"},
        {"ronni\\shas\\ssubscribed", "ronni has subscribed"},
        {"a\\:b\\\\s\\r\\n", "a;b\\s\r\n"},
        {"\\", ""},
        {"x\\", "x"},
        {"\\\\\\", "\\"},
        {"\\b", "b"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice value;
        char *copy = exact(cases[i][0], &value);
        char *out = malloc(value.len == 0 ? 1 : value.len);
        size_t len = irc_tag_unescape(value, out);

        assert_slice((struct slice){out, len}, cases[i][1]);
        free(out);
        free(copy);
    }
}

static void channels_are_normalised_or_refused(void **state)
{
    static const struct {
        const char *in;
        const char *out; /* NULL: refused */
    } cases[] = {
        {"dallas", "dallas"},
        {"#Dallas", "dallas"},
        {"RONNI_99", "ronni_99"},
        {"x", "x"},
        {"abcdefghijklmnopqrstuvwxy", "abcdefghijklmnopqrstuvwxy"},
        {"#abcdefghijklmnopqrstuvwxy", "abcdefghijklmnopqrstuvwxy"},
        {"abcdefghijklmnopqrstuvwxyz", NULL},
        {"", NULL},
        {"#", NULL},
        {"##a", NULL},
        {"a b", NULL},
        {"a,b", NULL},
        {"a\r\nQUIT", NULL},
        {"caf\xc3\xa9", NULL},
        {"a-b", NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char out[IRC_CHANNEL_CHARS];
        bool ok = irc_channel_normalise(slice_of(cases[i].in), out, sizeof(out));

        assert_int_equal(ok, cases[i].out != NULL);
        if (ok) {
            assert_string_equal(out, cases[i].out);
        }
    }
    assert_true(irc_channel_valid(SLICE("dallas")));
    assert_false(irc_channel_valid(SLICE("Dallas")));
    assert_false(irc_channel_valid(SLICE("#dallas")));
    for (int byte = 0; byte < 256; byte++) {
        char c = (char)byte;
        bool good = byte != 0 && strchr("abcdefghijklmnopqrstuvwxyz0123456789_", byte) != NULL;

        assert_int_equal(irc_channel_valid((struct slice){&c, 1}), good);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_line_is_taken_apart),
        cmocka_unit_test(what_is_no_line_is_refused_with_a_reason),
        cmocka_unit_test(a_line_of_100_kb_is_refused_and_one_of_64_kib_is_not),
        cmocka_unit_test(every_byte_value_is_taken_as_text_but_nul_cr_and_lf),
        cmocka_unit_test(tags_are_found_and_the_last_of_a_key_counts),
        cmocka_unit_test(a_walk_over_the_tags_meets_each_once),
        cmocka_unit_test(tag_values_are_unescaped),
        cmocka_unit_test(channels_are_normalised_or_refused),
    };

    return cmocka_run_group_tests_name("irc_parse", tests, NULL, NULL);
}
