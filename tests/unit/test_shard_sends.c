/* The shard's sends: what Twitch says of them, and the end of a shard that has some under way. */
#include "node/shard.h"

#include "tests/lib/shard_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void a_send_is_answered_by_the_userstate_of_its_channel(void **state)
{
    struct rig *r = rig_ready("a");

    (void)state;
    rig_joined(r, "a");
    rig_line(r, "@mod=0 :tmi.twitch.tv USERSTATE #a"); /* the JOIN's */
    rig_clear(r);
    rig_send(r, 1, "a", "n1");
    rig_send(r, 2, "other", "n2"); /* a channel that is held elsewhere */
    rig_expect_log(r, "write 3 PRIVMSG #a :text 1\nwrite 3 PRIVMSG #other :text 2\n");
    rig_line(r, "@mod=0 :tmi.twitch.tv USERSTATE #stranger");
    rig_line(r, "@client-nonce=zzz;mod=0 :tmi.twitch.tv USERSTATE #a");
    rig_expect_log(r, "");
    rig_line(r, "@mod=0 :tmi.twitch.tv USERSTATE #a");
    rig_expect_log(r, "sent 1 #a held\n");
    rig_line(r, "@client-nonce=n2;id=2-3;mod=0 :tmi.twitch.tv USERSTATE #other");
    rig_expect_log(r, "sent 2 #other id=2-3\n");
    rig_pass(r, 11000);
    rig_expect_log(r, "");
    rig_destroy(r);
}

static void the_userstate_after_a_join_answers_no_send(void **state)
{
    struct rig *r = rig_ready("a b");

    (void)state;
    rig_joined(r, "a");
    rig_send(r, 1, "a", "");
    rig_clear(r);
    rig_line(r, "@mod=0 :tmi.twitch.tv USERSTATE #a"); /* the JOIN's: it was written before */
    rig_expect_log(r, "");
    rig_line(r, "@mod=0 :tmi.twitch.tv USERSTATE #a");
    rig_expect_log(r, "sent 1 #a held\n");

    /* Written before the JOIN: the first answer is the message's. */
    rig_send(r, 2, "c", "");
    rig_want(r, "a b c");
    rig_clear(r);
    rig_line(r, "@mod=0 :tmi.twitch.tv USERSTATE #c");
    rig_expect_log(r, "sent 2 #c held\n");
    rig_line(r, "@mod=0 :tmi.twitch.tv USERSTATE #c");
    rig_expect_log(r, "");
    rig_destroy(r);
}

static void a_refusal_is_told_with_its_reason(void **state)
{
    static const char *const reasons[] = {
        "msg_ratelimit",
        "msg_slowmode",
        "msg_duplicate",
        "msg_timedout",
        "msg_banned",
        "msg_suspended",
        "msg_channel_suspended",
        "msg_channel_blocked",
        "msg_emoteonly",
        "msg_followersonly",
        "msg_followersonly_followed",
        "msg_followersonly_zero",
        "msg_subsonly",
        "msg_r9k",
        "msg_verified_email",
        "msg_requires_verified_phone_number",
        "msg_bad_characters",
        "msg_rejected",
        "msg_rejected_mandatory",
        "no_permission",
        "unrecognized_cmd",
    };
    struct rig *r = rig_ready("a");

    (void)state;
    rig_joined(r, "a");
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
        char text[200];
        char told[100];

        rig_send(r, i, "a", "n");
        rig_clear(r);
        (void)snprintf(text, sizeof(text), "@msg-id=%s :tmi.twitch.tv NOTICE #a :No.", reasons[i]);
        (void)snprintf(told, sizeof(told), "rejected %d #a %s held%s\n", (int)i, reasons[i],
                       i < 2 || i == 3 ? " passes in 0" : "");
        rig_line(r, text);
        rig_expect_log(r, told);
    }
    rig_send(r, 50, "a", "n");
    rig_clear(r);
    rig_line(r, "@msg-id=slow_on :tmi.twitch.tv NOTICE #a :slow"); /* not about us */
    rig_line(r, "@msg-id=msg_r9k :tmi.twitch.tv NOTICE #b :not there");
    rig_expect_log(r, "line a slow\n");
    rig_destroy(r);
}

static void
what_is_refused_for_now_may_be_said_later_where_the_answer_is_surely_its_own(void **state)
{
    static const char notice[] = "@msg-id=msg_slowmode :tmi.twitch.tv NOTICE #a :In 5 seconds.";
    struct rig *r = rig_ready("a");

    (void)state;
    rig_joined(r, "a");
    rig_send(r, 1, "a", "n1");
    rig_clear(r);
    rig_line(r, notice);
    rig_expect_log(r, "rejected 1 #a msg_slowmode held passes in 5500\n");
    rig_send(r, 2, "a", "n2");
    rig_clear(r);
    rig_pass(r, 11000);
    rig_expect_log(r, "unknown 2 #a no_answer held\n");
    rig_send(r, 3, "a", "n3"); /* that of the second may still come */
    rig_clear(r);
    rig_line(r, notice);
    rig_expect_log(r, "rejected 3 #a msg_slowmode held\n");
    for (int i = 0; i < 60; i++) {
        rig_pass(r, 1000);
        rig_line(r, "PING");
    }
    rig_send(r, 4, "a", "n4");
    rig_clear(r);
    rig_line(r, notice);
    rig_expect_log(r, "rejected 4 #a msg_slowmode held passes in 5500\n");
    rig_destroy(r);
}

static void a_notice_that_answers_no_send_leaves_sends_alone(void **state)
{
    static const char *const ids[] = {
        "msg_concurrent_channel_limit_reached",
        "slow_off",
        "color_changed",
        "usage_help",
        "unavailable_command",
        "host_on",
        "bad_ban_self",
        "ban_success",
        "",
    };
    struct rig *r = rig_ready("a b");

    (void)state;
    rig_joined(r, "a");
    rig_send(r, 1, "a", "n1");
    rig_send(r, 2, "b", "n2"); /* which is joining */
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        char text[200];

        (void)snprintf(text, sizeof(text), "@msg-id=%s :tmi.twitch.tv NOTICE #a :No.", ids[i]);
        rig_line(r, text);
        (void)snprintf(text, sizeof(text), "@msg-id=%s :tmi.twitch.tv NOTICE #b :No.", ids[i]);
        rig_line(r, text);
    }
    rig_expect_not(r, "rejected");
    rig_expect_not(r, "sent");
    rig_clear(r);
    rig_line(r, "@client-nonce=n1;mod=0 :tmi.twitch.tv USERSTATE #a");
    rig_line(r, "@client-nonce=n2;mod=0 :tmi.twitch.tv USERSTATE #b");
    rig_expect_log(r, "sent 1 #a held\nsent 2 #b\n");
    rig_destroy(r);
}

static void the_notice_that_answers_a_command_settles_it(void **state)
{
    static const struct {
        const char *id;
        const char *status;
    } cases[] = {
        {"usage_timeout", "rejected"},
        {"unavailable_command", "rejected"},
        {"no_help", "rejected"},
        {"invalid_user", "rejected"},
        {"whisper_restricted", "rejected"},
        {"bad_ban_self", "rejected"},
        {"already_banned", "rejected"},
        {"unrecognized_cmd", "rejected"},
        {"turbo_only_color", "rejected"},
        {"msg_banned", "rejected"},
        {"anything_new", "rejected"},
        {"color_changed", "sent"},
        {"ban_success", "sent"},
        {"host_success_viewers", "sent"},
        {"cmds_available", "sent"},
        {"room_mods", "sent"},
        {"no_mods", "sent"},
        {"vips_success", "sent"},
        {"no_vips", "sent"},
    };
    struct rig *r = rig_ready("a");

    (void)state;
    rig_joined(r, "a");
    r->command = true;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[200];
        char told[100];

        rig_send(r, i, "a", "n");
        rig_clear(r);
        rig_line(r, "@msg-id=slow_on :tmi.twitch.tv NOTICE #a :slow"); /* somebody else's doing */
        rig_line(r, "@msg-id=msg_concurrent_channel_limit_reached :tmi.twitch.tv NOTICE #a :No.");
        rig_line(r, "@msg-id=ban_success :tmi.twitch.tv NOTICE #b :not there");
        rig_expect_log(r, "line a slow\n");
        (void)snprintf(text, sizeof(text), "@msg-id=%s :tmi.twitch.tv NOTICE #a :So.", cases[i].id);
        (void)snprintf(told, sizeof(told), "%s %d #a %s held\n", cases[i].status, (int)i,
                       cases[i].id);
        rig_line(r, text);
        rig_expect_log(r, told);
    }
    rig_send(r, 50, "a", "n");
    rig_clear(r);
    rig_line(r, "@client-nonce=n;mod=0 :tmi.twitch.tv USERSTATE #a"); /* or as ever */
    rig_expect_log(r, "sent 50 #a held\n");
    rig_destroy(r);
}

static void a_message_that_automod_holds_is_rejected_in_words_that_say_so(void **state)
{
    struct rig *r = rig_ready("a");

    (void)state;
    rig_send(r, 1, "a", "n");
    rig_clear(r);
    rig_line(r, "@msg-id=msg_rejected :tmi.twitch.tv NOTICE #a :Your message is being checked.");
    rig_expect_log(r, "rejected 1 #a msg_rejected held\n");
    assert_non_null(strstr(r->said, "a moderator may still let it be said"));
    rig_send(r, 2, "a", "n");
    rig_line(r, "@msg-id=msg_rejected_mandatory :tmi.twitch.tv NOTICE #a :No.");
    assert_string_equal(r->said, "No.");
    rig_destroy(r);
}

static void a_ban_answers_the_older_of_a_message_and_a_join(void **state)
{
    struct rig *r = rig_ready("");

    (void)state;
    rig_send(r, 1, "a", "n1");
    rig_want(r, "a");
    rig_clear(r);
    rig_line(r, "@msg-id=msg_banned :tmi.twitch.tv NOTICE #a :No.");
    rig_expect_log(r, "rejected 1 #a msg_banned held\n");
    rig_line(r, "@msg-id=msg_banned :tmi.twitch.tv NOTICE #a :No.");
    rig_expect_log(r, "#a failed msg_banned\n");

    rig_want(r, "a b");
    rig_send(r, 2, "b", "n2");
    rig_clear(r);
    rig_line(r, "@msg-id=msg_banned :tmi.twitch.tv NOTICE #b :No.");
    rig_expect_log(r, "#b failed msg_banned\n");
    rig_line(r, "@msg-id=msg_banned :tmi.twitch.tv NOTICE #b :No.");
    rig_expect_log(r, "rejected 2 #b msg_banned\n");
    rig_destroy(r);
}

static void what_is_not_answered_becomes_unknown(void **state)
{
    struct rig *r = rig_ready("a");

    (void)state;
    rig_joined(r, "a");
    rig_line(r, "@mod=0 :tmi.twitch.tv USERSTATE #a");
    rig_send(r, 1, "a", "n1");
    rig_clear(r);
    rig_pass(r, 9999);
    rig_expect_not(r, "unknown");
    rig_pass(r, 1);
    rig_expect(r, "unknown 1 #a no_answer held\n");

    rig_send(r, 2, "a", "n2"); /* a later answer proves that an earlier one will not come */
    rig_send(r, 3, "b", "n3");
    rig_send(r, 4, "c", "n4");
    rig_clear(r);
    rig_line(r, "@mod=0 :tmi.twitch.tv USERSTATE #b");
    rig_expect_log(r, "unknown 2 #a overtaken held\nsent 3 #b\n");

    shard_on_disconnected(r->s, "reset", r->now, r->now);
    rig_expect(r, "unknown 4 #c connection_lost\n");
    assert_false(shard_can_send(r->s));
    rig_destroy(r);
}

static void the_next_send_may_be_made_from_within_a_result(void **state)
{
    struct rig *r = rig_ready("a");

    (void)state;
    rig_joined(r, "a");
    rig_line(r, "@mod=0 :tmi.twitch.tv USERSTATE #a");
    rig_send(r, 1, "b", "n1");
    rig_send(r, 2, "a", "n2");
    r->send_again = true;
    rig_clear(r);
    rig_line(r, "@client-nonce=n2 :tmi.twitch.tv USERSTATE #a");
    rig_expect_log(r, "unknown 1 #b overtaken\nwrite 3 PRIVMSG #a :again\nsent 2 #a held\n");
    assert_int_equal(r->again_rc, 0);
    rig_line(r, "@client-nonce=n99 :tmi.twitch.tv USERSTATE #a");
    rig_expect_log(r, "sent 99 #a held\n");

    rig_send(r, 3, "a", "n3"); /* but not on a connection that is lost */
    r->send_again = true;
    shard_on_disconnected(r->s, "reset", r->now, r->now);
    assert_int_equal(r->again_rc, -ERR_DOWN);
    rig_destroy(r);
}

static void a_send_that_was_not_written_has_no_result(void **state)
{
    struct rig *r = rig_ready("a");
    struct err err = {0};

    (void)state;
    r->write_ok = false;
    assert_int_equal(
        shard_send(r->s, 1, SLICE("a"), SLICE("PRIVMSG #a :x\r\n"), SLICE(""), false, r->now, &err),
        -ERR_DOWN);
    shard_on_disconnected(r->s, "reset", r->now, r->now);
    rig_expect_not(r, "unknown");
    rig_destroy(r);

    r = rig_create();
    assert_int_equal(
        shard_send(r->s, 1, SLICE("a"), SLICE("PRIVMSG #a :x\r\n"), SLICE(""), false, r->now, &err),
        -ERR_DOWN);
    assert_non_null(strstr(err.text, "idle"));
    rig_destroy(r);
}

static void draining_waits_for_answers_and_then_closes(void **state)
{
    struct rig *r = rig_ready("a");

    (void)state;
    rig_joined(r, "a");
    rig_line(r, "@mod=0 :tmi.twitch.tv USERSTATE #a");
    rig_send(r, 1, "a", "n1");
    rig_clear(r);
    shard_stop(r->s, r->now);
    rig_expect_log(r, "ready>draining\n");
    assert_false(shard_can_send(r->s));
    rig_line(r, ":x!x@x PRIVMSG #a :still read");
    rig_expect_log(r, "line a still read\n");
    rig_line(r, "@mod=0 :tmi.twitch.tv USERSTATE #a");
    (void)shard_tick(r->s, r->now);
    /* Whose channel it was wants to know from when on it is not read. */
    rig_expect_log(r, "sent 1 #a held\ndraining>closed\nclose drained\n#a queued\n");
    assert_int_equal(shard_channel(r->s, SLICE("a"))->lost_at_ms, r->now);
    assert_int_equal(shard_deadline(r->s), UINT64_MAX);
    shard_on_disconnected(r->s, "late", r->now, r->now);
    rig_line(r, ":x!x@x PRIVMSG #a :late");
    rig_want(r, "b");
    rig_pass(r, 100000);
    rig_expect_log(r, "#b queued\n#a gone\n");
    rig_destroy(r);
}

static void draining_ends_though_no_answer_comes_or_the_connection_goes(void **state)
{
    struct rig *r = rig_ready("a");

    (void)state;
    rig_send(r, 1, "a", "n1");
    shard_stop(r->s, r->now);
    rig_clear(r);
    rig_pass(r, 10000);
    rig_expect(r, "unknown 1 #a no_answer held\ndraining>closed\n");
    rig_destroy(r);

    r = rig_ready("a");
    rig_send(r, 1, "a", "n1");
    shard_stop(r->s, r->now);
    shard_stop(r->s, r->now);
    rig_clear(r);
    shard_on_disconnected(r->s, "reset", r->now, r->now);
    rig_expect(r, "draining>closed\nunknown 1 #a connection_lost");
    rig_destroy(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_send_is_answered_by_the_userstate_of_its_channel),
        cmocka_unit_test(the_userstate_after_a_join_answers_no_send),
        cmocka_unit_test(a_refusal_is_told_with_its_reason),
        cmocka_unit_test(
            what_is_refused_for_now_may_be_said_later_where_the_answer_is_surely_its_own),
        cmocka_unit_test(a_notice_that_answers_no_send_leaves_sends_alone),
        cmocka_unit_test(the_notice_that_answers_a_command_settles_it),
        cmocka_unit_test(a_message_that_automod_holds_is_rejected_in_words_that_say_so),
        cmocka_unit_test(a_ban_answers_the_older_of_a_message_and_a_join),
        cmocka_unit_test(what_is_not_answered_becomes_unknown),
        cmocka_unit_test(the_next_send_may_be_made_from_within_a_result),
        cmocka_unit_test(a_send_that_was_not_written_has_no_result),
        cmocka_unit_test(draining_waits_for_answers_and_then_closes),
        cmocka_unit_test(draining_ends_though_no_answer_comes_or_the_connection_goes),
    };

    return cmocka_run_group_tests_name("shard sends", tests, NULL, NULL);
}
