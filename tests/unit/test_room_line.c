/* Which lines are fanned out, and which are not. */
#include "shared/irc/room_line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static const char *const room_lines[] = {
    "@id=1;room-id=1 :ronni!ronni@ronni.tmi.twitch.tv PRIVMSG #dallas :hi",
    "PRIVMSG #dallas :hi",
    "@msg-id=resub;room-id=1 :tmi.twitch.tv USERNOTICE #dallas :Great stream",
    "@msg-id=raid :tmi.twitch.tv USERNOTICE #dallas",
    "@room-id=1 :tmi.twitch.tv CLEARCHAT #dallas",
    "@ban-duration=1 :tmi.twitch.tv CLEARCHAT #dallas :ronni",
    "@target-msg-id=1 :tmi.twitch.tv CLEARMSG #dallas :HeyGuys",
    "@room-id=1;slow=10 :tmi.twitch.tv ROOMSTATE #dallas",
    "@followers-only=-1;room-id=1 :tmi.twitch.tv ROOMSTATE #dallas",
    "@msg-id=slow_on :tmi.twitch.tv NOTICE #dallas :This room is now in slow mode.",
    "@msg-id=slow_off :tmi.twitch.tv NOTICE #dallas :x",
    "@msg-id=subs_on :tmi.twitch.tv NOTICE #dallas :x",
    "@msg-id=subs_off :tmi.twitch.tv NOTICE #dallas :x",
    "@msg-id=emote_only_on :tmi.twitch.tv NOTICE #dallas :x",
    "@msg-id=emote_only_off :tmi.twitch.tv NOTICE #dallas :x",
    "@msg-id=followers_on :tmi.twitch.tv NOTICE #dallas :x",
    "@msg-id=followers_on_zero :tmi.twitch.tv NOTICE #dallas :x",
    "@msg-id=followers_onzero :tmi.twitch.tv NOTICE #dallas :x",
    "@msg-id=followers_off :tmi.twitch.tv NOTICE #dallas :x",
    "@msg-id=r9k_on :tmi.twitch.tv NOTICE #dallas :x",
    "@msg-id=r9k_off :tmi.twitch.tv NOTICE #dallas :x",
    ":other!other@other.tmi.twitch.tv JOIN #dallas",
    ":other!other@other.tmi.twitch.tv PART #dallas",
    ":tmi.twitch.tv HOSTTARGET #dallas :xyz 10",
    ":tmi.twitch.tv NEWTHING #dallas",
    ":jtv MODE #dallas +o ronni",
};

static const char *const connection_lines[] = {
    ":tmi.twitch.tv 001 bot :Welcome, GLHF!",
    ":bot.tmi.twitch.tv 353 bot = #dallas :bot other",
    ":bot.tmi.twitch.tv 366 bot #dallas :End of /NAMES list",
    ":tmi.twitch.tv 421 bot WHO :Unknown command",
    ":bot!bot@bot.tmi.twitch.tv JOIN #dallas",
    ":bot!bot@bot.tmi.twitch.tv PART #dallas",
    "JOIN #dallas",
    "@mod=0 :tmi.twitch.tv USERSTATE #dallas",
    "@user-id=1 :tmi.twitch.tv GLOBALUSERSTATE",
    "@emote-only=0;followers-only=-1;r9k=0;room-id=1;slow=0;subs-only=0 :t.tv ROOMSTATE #dallas",
    "@room-id=1 :tmi.twitch.tv ROOMSTATE #dallas",
    "@r9k=0;slow=0 :tmi.twitch.tv ROOMSTATE #dallas",
    "@slow=0 :tmi.twitch.tv ROOMSTATE #dallas",
    ":tmi.twitch.tv ROOMSTATE #dallas",
    "@msg-id=msg_banned :tmi.twitch.tv NOTICE #dallas :You are permanently banned",
    "@msg-id=msg_ratelimit :tmi.twitch.tv NOTICE #dallas :x",
    "@msg-id=slow_onn :tmi.twitch.tv NOTICE #dallas :x",
    ":tmi.twitch.tv NOTICE #dallas :no id",
    ":tmi.twitch.tv NOTICE * :Login authentication failed",
    "@msg-id=slow_on :tmi.twitch.tv NOTICE * :x",
    "@message-id=306 :a!a@a.tmi.twitch.tv WHISPER bot :#dallas hello",
    "PING :tmi.twitch.tv",
    "PING #dallas",
    ":tmi.twitch.tv PONG tmi.twitch.tv :17",
    ":tmi.twitch.tv RECONNECT",
    ":tmi.twitch.tv RECONNECT #dallas",
    ":tmi.twitch.tv CAP * ACK :twitch.tv/tags",
    ":a!a@a PRIVMSG bot :#dallas hi",
    ":a!a@a PRIVMSG #Dallas :upper case is no channel",
    ":a!a@a PRIVMSG #dallas,#b :two",
    ":a!a@a PRIVMSG # :none",
    ":tmi.twitch.tv NEWTHING",
    ":tmi.twitch.tv NEWTHING bot :#dallas in a text",
};

static void check(const char *text, enum irc_kind kind)
{
    struct irc_line line;

    assert_int_equal(irc_parse(slice_of(text), &line, NULL), 0);
    if (irc_classify(&line, SLICE("bot")) != kind) {
        fail_msg("wrong: %s", text);
    }
}

static void lines_every_member_sees_are_room_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(room_lines); i++) {
        check(room_lines[i], IRC_ROOM_LINE);
    }
}

static void everything_else_is_a_connection_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(connection_lines); i++) {
        check(connection_lines[i], IRC_CONNECTION_LINE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_every_member_sees_are_room_lines),
        cmocka_unit_test(everything_else_is_a_connection_line),
    };

    return cmocka_run_group_tests_name("room_line", tests, NULL, NULL);
}
