/* Chat line: what tail prints for the lines that Twitch sends. */
#include "coordinator/ctl/chat_line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

static void lines_are_told_in_words(void **state)
{
    static const struct {
        const char *line;
        const char *text;
    } cases[] = {
        {"@display-name=Eve;tmi-sent-ts=3723000 :eve!eve@x PRIVMSG #room :hi: there",
         "01:02:03 #room Eve: hi: there"},
        {":eve!eve@x PRIVMSG #room :no tags", "00:00:01 #room eve: no tags"},
        {"@display-name= :eve!eve@x PRIVMSG #room :x", "00:00:01 #room eve: x"},
        {"@display-name=E\\sve :eve!eve@x PRIVMSG #room :\001ACTION waves\001",
         "00:00:01 #room * E ve waves"},
        {":eve!eve@x PRIVMSG #room :\001ACTION ", "00:00:01 #room eve: ?ACTION "},
        {"@tmi-sent-ts=soon :eve!eve@x PRIVMSG #room :x", "00:00:01 #room eve: x"},
        {"@ban-duration=5 :tmi CLEARCHAT #room :eve", "00:00:01 #room * eve was timed out for 5 s"},
        {":tmi CLEARCHAT #room :eve", "00:00:01 #room * eve was banned"},
        {":tmi CLEARCHAT #room", "00:00:01 #room * the chat was cleared"},
        {"@system-msg=Eve\\ssubscribed! :tmi USERNOTICE #room :yay",
         "00:00:01 #room * Eve subscribed! yay"},
        {"@login=eve :tmi CLEARMSG #room :bad", "00:00:01 #room * a message was deleted: bad"},
        {"@slow=5 :tmi ROOMSTATE #room", "00:00:01 #room * ROOMSTATE"},
        {"\x1b[2J", "00:00:01 # * ?[2J"},
        {"", ""},
    };

    (void)state;
    setenv("TZ", "UTC", 1);
    tzset();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out;
        buf_init(&out, 4096);
        buf_append_str(&out, "");
        chat_line_append(&out, slice_of(cases[i].line), (struct wall){1000});
        assert_string_equal(out.data ? out.data : "", cases[i].text);
        buf_finish(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lines_are_told_in_words)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
