/* As what a user stands in a channel: what its USERSTATE says. */
#include "shared/irc/standing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static void expect(const char *tags, const char *name)
{
    char text[256];
    struct irc_line line;
    struct err err;

    snprintf(text, sizeof(text), "%s:tmi.twitch.tv USERSTATE #a", tags);
    assert_int_equal(irc_parse(slice_of(text), &line, &err), 0);
    assert_string_equal(irc_standing_name(irc_standing(&line)), name);
}

static void it_is_the_tag_mod_and_the_badges(void **state)
{
    (void)state;
    expect("", "none");
    expect("@badges=;mod=0 ", "none");
    expect("@badges=subscriber/12,premium/1;mod=0 ", "none");
    expect("@badges=;mod=1 ", "moderator");
    expect("@badges=moderator/1;mod=0 ", "moderator");
    expect("@badges=subscriber/0,lead_moderator/1;mod=0 ", "moderator");
    expect("@badges=broadcaster/1,premium/1;mod=0 ", "moderator");
    expect("@badges=vip/1;mod=0 ", "vip");
    expect("@badges=subscriber/3,vip/1,moderator/1;mod=0 ", "moderator");
    expect("@badges=vip/1,,premium;mod= ", "vip");
}

static void a_badge_of_another_name_is_none_of_them(void **state)
{
    (void)state;
    expect("@badges=vipx/1,xvip/1,vip;mod=0 ", "none");
    expect("@badges=broadcasterx/1,xbroadcaster/1,moderator;mod=2 ", "none");
    expect("@badge-info=vip/1;badges=/vip/1 ", "none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_the_tag_mod_and_the_badges),
        cmocka_unit_test(a_badge_of_another_name_is_none_of_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
