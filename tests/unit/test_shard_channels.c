/* The shard's channels: joins, parts, gaps, and which lines go out. */
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

static void joins_keep_to_the_slots_and_share_a_line(void **state)
{
    struct rig *r = rig_ready("");
    char names[1024] = "";

    (void)state;
    for (int i = 0; i < 25; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "c%02d ", i);
        strcat(names, name);
    }
    r->grants = false;
    rig_clear(r);
    rig_want(r, names);
    rig_expect(r, "draw join 20\n");
    rig_expect_not(r, "write");
    rig_clear(r);
    rig_grant_at(r, SHARD_DRAW_JOIN, 3, r->now);
    rig_expect(r, "write 1 JOIN #c00,#c01,#c02\n");
    rig_expect_not(r, "draw");
    rig_clear(r);
    rig_pass(r, 1000); /* it gave less than asked: a second until the next */
    rig_expect_log(r, "draw join 20\n");
    rig_grant_at(r, SHARD_DRAW_JOIN, 20, r->now + 5000);
    rig_expect_log(r, "draw join 2\n");
    rig_grant_at(r, SHARD_DRAW_JOIN, 2, r->now + 5001);
    rig_pass(r, 4999);
    rig_expect_log(r, "");
    rig_pass(r, 1);
    rig_expect(r, "write 1 JOIN #c03,#c04,");
    assert_int_equal(shard_channel_count(r->s, SHARD_CHANNEL_QUEUED), 2);
    rig_pass(r, 1);
    assert_int_equal(shard_channel_count(r->s, SHARD_CHANNEL_QUEUED), 0);
    assert_int_equal(shard_channel_count(r->s, SHARD_CHANNEL_JOINING) +
                         shard_channel_count(r->s, SHARD_CHANNEL_FAILED),
                     25);
    rig_destroy(r);
}

static void a_roomstate_or_the_own_join_is_the_answer(void **state)
{
    struct rig *r = rig_ready("a b");

    (void)state;
    rig_clear(r);
    rig_line(r, ":bot!bot@bot.tmi.twitch.tv JOIN #a");
    rig_expect_log(r, "#a joined\n");
    rig_line(r, ":other!other@other.tmi.twitch.tv JOIN #b");
    rig_expect_log(r, "line b #b\n");
    rig_line(r,
             "@emote-only=1;followers-only=10;r9k=1;room-id=77;slow=30;subs-only=1 :tmi.twitch.tv "
             "ROOMSTATE #b");
    rig_expect_log(r, "#b joined\n");

    const struct shard_channel *b = shard_channel(r->s, SLICE("b"));
    assert_true(b->known && b->room.emote_only && b->room.r9k && b->room.subs_only);
    assert_int_equal(b->room.followers_only, 10);
    assert_int_equal(b->room.slow_s, 30);
    assert_string_equal(b->room.id, "77");

    /* A change goes out to the room as well, and is kept. */
    rig_line(r, "@room-id=77;slow=0 :tmi.twitch.tv ROOMSTATE #b");
    rig_expect_log(r, "line b #b\n#b joined\n");
    assert_int_equal(b->room.slow_s, 0);
    assert_true(b->room.emote_only);
    rig_destroy(r);
}

static void no_answer_to_a_join_is_tried_once_more_then_failed_for_an_hour(void **state)
{
    struct rig *r = rig_ready("");
    uint64_t began;

    (void)state;
    rig_clear(r);
    rig_want(r, "a");
    rig_expect_log(r, "#a queued\ndraw join 1\nwrite 1 JOIN #a\n#a joining\n");
    rig_pass(r, 9999);
    rig_expect_not(r, "#a");
    rig_pass(r, 1);
    rig_expect(r, "#a queued\ndraw join 1\nwrite 1 JOIN #a\n#a joining\n");
    rig_clear(r);
    rig_pass(r, 10000);
    rig_expect(r, "#a failed no_answer\n");
    rig_clear(r);
    began = r->now;
    rig_pass(r, 3600 * 1000 - 1);
    rig_expect_not(r, "#a");
    rig_pass(r, 1);
    rig_expect(r, "#a queued\n");
    rig_expect(r, "JOIN #a\n");
    assert_int_equal(r->now - began, 3600 * 1000);
    rig_joined(r, "a");
    rig_destroy(r);
}

/* "a" has failed since now. */
static struct rig *rig_failed(void)
{
    struct rig *r = rig_ready("");

    rig_want(r, "a");
    rig_pass(r, 10000);
    rig_pass(r, 10000);
    assert_int_equal(rig_state_of(r, "a"), SHARD_CHANNEL_FAILED);
    rig_clear(r);
    return r;
}

static void another_wait_of_the_failed_counts_for_those_that_failed_before(void **state)
{
    struct rig *r = rig_failed();

    (void)state;
    rig_pass(r, 1000);
    shard_set_failed_retry(r->s, 5000, r->now);
    rig_pass(r, 3999);
    rig_expect_not(r, "#a");
    rig_pass(r, 1);
    rig_expect(r, "JOIN #a\n");
    rig_destroy(r);

    r = rig_failed();
    rig_pass(r, 6000);
    shard_set_failed_retry(r->s, 5000, r->now);
    rig_pass(r, 1); /* it was due before */
    rig_expect(r, "JOIN #a\n");
    rig_destroy(r);
}

static void a_failed_channel_that_is_asked_for_again_is_joined_at_once_and_once(void **state)
{
    struct rig *r = rig_failed();
    struct shard_want want = {.name = SLICE("a"), .retry = 7};

    (void)state;
    shard_set_channels(r->s, &want, 1, r->now);
    rig_settle_draws(r);
    rig_expect(r, "JOIN #a\n");
    rig_pass(r, 10000);
    rig_pass(r, 10000);
    assert_int_equal(rig_state_of(r, "a"), SHARD_CHANNEL_FAILED);
    rig_clear(r);
    shard_set_channels(r->s, &want, 1, r->now);
    rig_pass(r, 1000);
    rig_expect_not(r, "#a");
    want.retry = 8;
    shard_set_channels(r->s, &want, 1, r->now);
    rig_settle_draws(r);
    rig_expect(r, "JOIN #a\n");
    rig_destroy(r);
}

static void a_refused_join_fails_with_what_twitch_said(void **state)
{
    static const char *const reasons[] = {"msg_channel_suspended", "msg_banned", "tos_ban",
                                          "msg_room_not_found"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
        struct rig *r = rig_ready("a b");
        char text[200];

        (void)snprintf(text, sizeof(text), "@msg-id=%s :tmi.twitch.tv NOTICE #a :No.", reasons[i]);
        rig_line(r, text);
        assert_int_equal(rig_state_of(r, "a"), SHARD_CHANNEL_FAILED);
        assert_string_equal(shard_channel(r->s, SLICE("a"))->reason, reasons[i]);
        assert_int_equal(shard_channel(r->s, SLICE("a"))->next_try_ms, r->now + 3600 * 1000);
        assert_int_equal(rig_state_of(r, "b"), SHARD_CHANNEL_JOINING);
        rig_joined(r, "b"); /* a channel that is joined is not thrown out by it */
        (void)snprintf(text, sizeof(text), "@msg-id=%s :tmi.twitch.tv NOTICE #b :No.", reasons[i]);
        rig_line(r, text);
        assert_int_equal(rig_state_of(r, "b"), SHARD_CHANNEL_JOINED);
        rig_want(r, "a b");
        assert_int_equal(rig_state_of(r, "a"), SHARD_CHANNEL_FAILED);
        rig_destroy(r);
    }
}

/* Room 101 of an account: it says nothing about the channel, and everything about now. */
static void a_join_that_finds_no_room_is_tried_again_slower_and_slower(void **state)
{
    static const char full[] =
        "@msg-id=msg_concurrent_channel_limit_reached :tmi.twitch.tv NOTICE #a "
        ":You are connected to too many chat channels.";
    struct rig *r = rig_ready("a");
    uint64_t wait_ms = 60 * 1000;

    (void)state;
    for (int i = 0; i < 9; i++) {
        const struct shard_channel *a = shard_channel(r->s, SLICE("a"));

        rig_line(r, full);
        assert_int_equal(a->machine.state, SHARD_CHANNEL_FAILED);
        assert_string_equal(a->reason, "msg_concurrent_channel_limit_reached");
        assert_int_equal(a->next_try_ms, r->now + wait_ms);
        rig_clear(r);
        rig_pass(r, wait_ms + 1000);
        rig_expect(r, "JOIN #a");
        wait_ms = wait_ms * 2 < 3600 * 1000 ? wait_ms * 2 : 3600 * 1000;
    }
    rig_joined(r, "a");
    rig_line(r, ":bot!bot@bot PART #a");
    rig_pass(r, 1000);
    assert_int_equal(rig_state_of(r, "a"), SHARD_CHANNEL_JOINING);
    rig_line(r, full); /* it had a room meanwhile: soon again */
    assert_int_equal(shard_channel(r->s, SLICE("a"))->next_try_ms, r->now + 60 * 1000);
    rig_destroy(r);
}

static void rejoins_come_first_and_the_recently_active_before_the_others(void **state)
{
    struct rig *r = rig_ready("a b c");

    (void)state;
    rig_joined(r, "a");
    rig_joined(r, "b");
    rig_joined(r, "c");
    rig_pass(r, 10);
    rig_line(r, ":x!x@x PRIVMSG #c :one");
    rig_pass(r, 10);
    rig_line(r, ":x!x@x PRIVMSG #b :two");
    rig_want(r, "a b c d");
    r->grants = false;
    shard_on_disconnected(r->s, "reset", r->now, r->now);
    rig_grant_at(r, SHARD_DRAW_LOGIN, 1, r->now);
    shard_on_connected(r->s, r->now);
    rig_clear(r);
    rig_line(r, ":tmi.twitch.tv 001 bot :Welcome, GLHF!");
    rig_expect(r, "draw join 4\n");
    rig_grant_at(r, SHARD_DRAW_JOIN, 4, r->now);
    rig_expect(r, "JOIN #b,#c,#a,#d\n");
    rig_destroy(r);

    r = rig_ready("");
    rig_clear(r);
    struct shard_want wants[] = {{.name = SLICE("first")},
                                 {.name = SLICE("again"), .rejoin = true, .lost_at_ms = 5000},
                                 {.name = SLICE("no channel")}};
    shard_set_channels(r->s, wants, 3, r->now);
    rig_settle_draws(r);
    rig_expect(r, "JOIN #again,#first\n");
    rig_joined(r, "again");
    rig_expect(r, "gap again 5000-1000000\n");
    rig_destroy(r);
}

static void a_lost_connection_announces_a_gap_for_each_joined_channel(void **state)
{
    struct rig *r = rig_ready("a b");
    uint64_t last;
    char text[100];

    (void)state;
    rig_joined(r, "a");
    rig_pass(r, 1000);
    rig_line(r, ":x!x@x PRIVMSG #a :hi");
    last = r->now;
    rig_pass(r, 700);
    rig_clear(r);
    shard_on_disconnected(r->s, "reset by peer", r->now, r->now);
    rig_expect(r, "ready>backoff\n");
    rig_expect(r, "#a queued\n");
    rig_expect_not(r, "close"); /* it is gone already */
    assert_string_equal(shard_last_error(r->s), "reset by peer");
    rig_settle_draws(r);
    rig_pass(r, 50);
    shard_on_connected(r->s, r->now);
    rig_line(r, ":tmi.twitch.tv 001 bot :Welcome, GLHF!");
    assert_string_equal(shard_last_error(r->s), "");
    rig_clear(r);
    rig_pass(r, 50);
    rig_joined(r, "a");
    (void)snprintf(text, sizeof(text), "#a joined\ngap a %llu-%llu\n", (unsigned long long)last,
                   (unsigned long long)r->now);
    rig_expect(r, text);
    rig_clear(r);
    rig_joined(r, "b"); /* was never joined: nothing missed */
    rig_expect_log(r, "#b joined\n");
    rig_destroy(r);
}

static void only_lines_of_held_channels_go_out(void **state)
{
    struct rig *r = rig_ready("a b");

    (void)state;
    rig_joined(r, "a");
    rig_clear(r);
    rig_line(r, ":x!x@x PRIVMSG #a :one");
    rig_line(r, ":x!x@x PRIVMSG #b :two"); /* joining */
    rig_line(r, ":x!x@x PRIVMSG #stranger :three");
    rig_line(r, "@msg-id=slow_on :tmi.twitch.tv NOTICE #a :four");
    rig_line(r, ":tmi.twitch.tv CLEARCHAT #a :five");
    rig_expect_log(r, "line a one\nline b two\nline a four\nline a five\n");
    rig_want(r, "b");
    rig_clear(r);
    rig_line(r, ":x!x@x PRIVMSG #a :parting");
    rig_expect_log(r, "");
    assert_int_equal(shard_stats(r->s)->room_lines, 4);
    rig_destroy(r);
}

static void the_difference_is_joined_and_parted(void **state)
{
    struct rig *r = rig_ready("a b c");

    (void)state;
    rig_joined(r, "a");
    rig_joined(r, "b");
    rig_line(r, "@msg-id=msg_banned :tmi.twitch.tv NOTICE #c :No.");
    rig_clear(r);
    rig_want(r, "b d");
    rig_expect(r, "#a parting\n");
    rig_expect(r, "write 2 PART #a\n");
    rig_expect(r, "#c gone\n");
    rig_expect(r, "#d queued\n");
    rig_expect(r, "JOIN #d\n");
    rig_expect_not(r, "#b");
    assert_int_equal(rig_state_of(r, "c"), SHARD_CHANNEL_GONE);
    rig_clear(r);
    rig_line(r, ":bot!bot@bot.tmi.twitch.tv PART #a");
    rig_expect_log(r, "#a gone\n");
    assert_null(shard_channel(r->s, SLICE("a")));
    rig_want(r, "b d");
    rig_expect_log(r, "");
    rig_destroy(r);
}

static void a_part_while_joining_and_a_join_while_parting_end_well(void **state)
{
    struct rig *r = rig_ready("a");

    (void)state;
    rig_clear(r);
    rig_want(r, "");
    rig_expect_log(r, "#a parting\nwrite 2 PART #a\n");
    rig_line(r, "@room-id=1 :tmi.twitch.tv ROOMSTATE #a"); /* the JOIN's, late */
    rig_line(r, ":bot!bot@bot.tmi.twitch.tv JOIN #a");
    rig_expect_log(r, "");
    rig_want(r, "a");
    rig_expect_log(r, "");
    rig_line(r, ":bot!bot@bot.tmi.twitch.tv PART #a");
    rig_expect_log(r, "#a queued\ndraw join 1\nwrite 1 JOIN #a\n#a joining\n");
    rig_want(r, "");
    rig_clear(r);
    rig_pass(r, 4999);
    rig_expect_log(r, "");
    rig_pass(r, 1); /* no answer: gone all the same */
    rig_expect_log(r, "#a gone\n");

    rig_want(r, "b");
    rig_want(r, "");
    rig_want(r, "b");
    rig_want(r, "");
    shard_on_disconnected(r->s, "reset", r->now, r->now);
    assert_null(shard_channel(r->s, SLICE("b")));
    rig_destroy(r);
}

static void a_channel_that_twitch_takes_away_is_joined_again_with_a_gap(void **state)
{
    struct rig *r = rig_ready("a");

    (void)state;
    rig_joined(r, "a");
    rig_clear(r);
    rig_pass(r, 100);
    rig_line(r, ":bot!bot@bot.tmi.twitch.tv PART #a");
    rig_expect(r, "#a queued\n");
    rig_expect(r, "JOIN #a\n");
    rig_joined(r, "a");
    rig_expect(r, "gap a ");
    rig_destroy(r);
}

static void a_join_that_cannot_be_written_waits_for_its_slot_and_then_for_another(void **state)
{
    struct rig *r = rig_ready("");

    (void)state;
    r->write_ok = false;
    r->grants = false;
    rig_want(r, "a");
    rig_grant_at(r, SHARD_DRAW_JOIN, 1, r->now);
    assert_int_equal(rig_state_of(r, "a"), SHARD_CHANNEL_QUEUED);
    rig_clear(r);
    rig_pass(r, 300);
    r->write_ok = true;
    rig_pass(r, 100);
    rig_expect(r, "JOIN #a\n");

    rig_want(r, "a b");
    r->write_ok = false;
    rig_grant_at(r, SHARD_DRAW_JOIN, 1, r->now);
    rig_clear(r);
    rig_pass(r, 600);
    rig_expect(r, "draw join 1\n");
    assert_int_equal(shard_stats(r->s)->slots_lost, 1);
    rig_destroy(r);
}

static void a_slot_counts_from_when_it_was_asked_for(void **state)
{
    struct rig *r = rig_ready("");

    (void)state;
    r->grants = false;
    rig_want(r, "a");
    rig_clear(r);
    r->now += 501; /* the process stood still, or Redis did: when the slot was is not known */
    rig_grant_at(r, SHARD_DRAW_JOIN, 1, r->now);
    rig_expect_log(r, "draw join 1\n");
    assert_int_equal(shard_stats(r->s)->slots_lost, 1);

    r->now += 300;
    r->write_ok = false;
    rig_grant_at(r, SHARD_DRAW_JOIN, 1, r->now + 1000);
    rig_pass(r, 1200);
    assert_int_equal(shard_stats(r->s)->slots_lost, 1);
    rig_pass(r, 1);
    assert_int_equal(shard_stats(r->s)->slots_lost, 2);
    rig_destroy(r);
}

static void how_the_account_stands_follows_the_userstate(void **state)
{
    struct rig *r = rig_ready("a");

    (void)state;
    rig_joined(r, "a");
    rig_clear(r);
    rig_line(r, "@badges=;mod=0 :tmi.twitch.tv USERSTATE #a");
    rig_expect_log(r, "");
    rig_line(r, "@badges=subscriber/0,moderator/1;mod=1 :tmi.twitch.tv USERSTATE #a");
    rig_expect_log(r, "#a joined mod\n");
    rig_line(r, "@badges=subscriber/0;mod=0 :tmi.twitch.tv USERSTATE #a");
    rig_expect_log(r, "#a joined\n");
    rig_line(r, "@badges=vip/1;mod=0 :tmi.twitch.tv USERSTATE #a");
    rig_expect_log(r, "#a joined vip\n");
    rig_destroy(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joins_keep_to_the_slots_and_share_a_line),
        cmocka_unit_test(a_roomstate_or_the_own_join_is_the_answer),
        cmocka_unit_test(no_answer_to_a_join_is_tried_once_more_then_failed_for_an_hour),
        cmocka_unit_test(another_wait_of_the_failed_counts_for_those_that_failed_before),
        cmocka_unit_test(a_failed_channel_that_is_asked_for_again_is_joined_at_once_and_once),
        cmocka_unit_test(a_refused_join_fails_with_what_twitch_said),
        cmocka_unit_test(a_join_that_finds_no_room_is_tried_again_slower_and_slower),
        cmocka_unit_test(rejoins_come_first_and_the_recently_active_before_the_others),
        cmocka_unit_test(a_lost_connection_announces_a_gap_for_each_joined_channel),
        cmocka_unit_test(only_lines_of_held_channels_go_out),
        cmocka_unit_test(the_difference_is_joined_and_parted),
        cmocka_unit_test(a_part_while_joining_and_a_join_while_parting_end_well),
        cmocka_unit_test(a_channel_that_twitch_takes_away_is_joined_again_with_a_gap),
        cmocka_unit_test(a_join_that_cannot_be_written_waits_for_its_slot_and_then_for_another),
        cmocka_unit_test(a_slot_counts_from_when_it_was_asked_for),
        cmocka_unit_test(how_the_account_stands_follows_the_userstate),
    };

    return cmocka_run_group_tests_name("shard channels", tests, NULL, NULL);
}
