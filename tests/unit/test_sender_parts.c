/* Sender: priorities, and texts that are said in parts, against a real Redis. */
#include "node/sender.h"

#include "tests/lib/sender_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void said(unsigned writes)
{
    wait_until(&w.probe.t, rig.writes == writes);
    answer(SEND_SENT, "");
}

static void all_said(unsigned writes)
{
    for (unsigned i = 1; i <= writes; i++) {
        said(i);
    }
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
}

static void what_has_a_higher_priority_is_said_first_but_not_before_what_is_under_way(void **state)
{
    (void)state;
    set("channel_message_ms,600"); /* time to hear the others */
    outbox_heard("channel foo text under-way priority low");
    wait_until(&w.probe.t, rig.writes == 1);
    outbox_heard("channel foo text n1");
    outbox_heard("channel foo text l1 priority low");
    outbox_heard("channel foo text n2 priority normal");
    outbox_heard("channel foo text h1 priority high");
    outbox_heard("channel foo text h2 priority high");
    all_said(6);
    assert_string_equal(rig.said, "foo:under-way foo:h1 foo:h2 foo:n1 foo:n2 foo:l1 ");
}

/* A hint, as Redis gives it when it took that. */
static void hint(const char *entry, const char *sign)
{
    char text[128];

    snprintf(text, sizeof(text), "sends foo %s%s", entry, sign);
    assert_true(sender_on_hint(rig.sender, slice_of(text)));
}

static void what_may_not_be_said_yet_goes_behind_what_came_while_that_was_asked(void **state)
{
    (void)state;
    set("channel_message_ms,900");
    outbox_heard("channel foo text first");
    said(1);
    const char *low = outbox("channel foo text low priority low");
    const char *normal = outbox("channel foo text normal");
    const char *high = outbox("channel foo text high priority high");
    world_ask(&w, "CLIENT PAUSE 200");
    hint(low, "l");
    test_loop_run_for(&w.probe.t, 50); /* its claim is on its way */
    hint(normal, "");
    hint(high, "h");
    for (unsigned writes = 2; writes <= 4; writes++) {
        said(writes);
    }
    assert_string_equal(rig.said, "foo:first foo:high foo:normal foo:low ");
}

static void of_several_channels_the_one_with_a_higher_priority_is_said_first(void **state)
{
    struct slice both[] = {SLICE("foo"), SLICE("bar")};
    struct registry_shard shard = {
        .id = SLICE("main-shard"), .sender = SLICE("main-shard"), .nchannels = 2, .channels = both};

    (void)state;
    world_assign(&w, &me, "", "", "join", "bar");
    sender_serve(rig.sender, &shard);
    set("message_limit,2"); /* a channel of several may use one of them */
    set("message_window_ms,800");
    set("channel_message_ms,off");
    rig.can_send = false;
    outbox_heard("channel foo text low priority low");
    outbox_heard("channel bar text normal");
    test_loop_run_for(&w.probe.t, 300);
    outbox_heard("channel foo text high priority high");
    test_loop_run_for(&w.probe.t, 300);
    rig.can_send = true;
    wait_until(&w.probe.t, rig.writes == 2);
    assert_string_equal(rig.said, "foo:high bar:normal ");
    sender_on_result(rig.sender, rig.entry, &(struct send_outcome){.status = SEND_SENT});
}

static void a_priority_that_is_none_is_refused(void **state)
{
    (void)state;
    outbox_heard("channel foo id x text hello priority urgent");
    outbox_heard("channel foo id y text hello split yes");
    outbox_heard("channel foo id z text hello split 1 command 1");
    wait_until(&w.probe.t, result("z", "status")[0] != '\0');
    assert_string_equal(result("x", "reason"), "bad_request");
    assert_string_equal(result("x", "text"), "priority: is high, normal or low.");
    assert_string_equal(result("y", "text"), "split: is 1 or 0.");
    assert_string_equal(result("z", "text"), "split: a command cannot be split.");
}

/* Three parts, of which the last is short: "xxx...yyy". */
static const char *long_send(const char *fields)
{
    static char line[2000];
    size_t len = (size_t)snprintf(line, sizeof(line), "channel foo id x split 1 %s text ", fields);

    memset(line + len, 'x', 500);
    memset(line + len + 500, 'y', 500);
    (void)snprintf(line + len + 1000, sizeof(line) - len - 1000, "end");
    return line;
}

/* The first character of each text that was said. */
static const char *initials(void)
{
    static char out[16];
    size_t n = 0;

    for (const char *at = rig.said; (at = strstr(at, "foo:")) != NULL && n < sizeof(out) - 1;) {
        at += 4;
        out[n++] = *at;
    }
    out[n] = '\0';
    return out;
}

static void a_long_text_is_said_in_parts_with_one_result(void **state)
{
    (void)state;
    set("channel_message_ms,100");
    outbox_heard(long_send("reply_to r"));
    outbox_heard("channel foo text 2nd id y");
    said(1);
    wait_until(&w.probe.t, rig.writes == 2);
    assert_true(is_claimed("foo"));
    outbox_heard("channel foo text 1st priority high");
    answer(SEND_SENT, "");
    said(3);
    wait_until(&w.probe.t, result("x", "status")[0] != '\0');
    assert_string_equal(result("x", "status"), "sent");
    assert_string_equal(result("x", "parts"), "3/3");
    assert_string_equal(result("x", "message_id"), "id-of-it");
    said(4);
    said(5);
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
    assert_string_equal(initials(), "xye12");
    assert_string_equal(result("y", "parts"), "");
}

static void what_is_refused_after_a_part_tells_how_many_were_said(void **state)
{
    (void)state;
    set("channel_message_ms,off");
    outbox_heard(long_send(""));
    said(1);
    wait_until(&w.probe.t, rig.writes == 2);
    refuse_for_now("msg_slowmode", 100);
    wait_until(&w.probe.t, rig.writes == 3);
    answer(SEND_REJECTED, "msg_banned");
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
    assert_string_equal(initials(), "xyy");
    assert_string_equal(result("x", "status"), "rejected");
    assert_string_equal(result("x", "parts"), "1/3");
}

static void a_part_whose_word_was_lost_is_not_said_again(void **state)
{
    (void)state;
    set("channel_message_ms,off");
    outbox_heard(long_send(""));
    wait_until(&w.probe.t, rig.writes == 1);
    private_redis_pause(redis);
    answer(SEND_SENT, "");
    test_loop_run_for(&w.probe.t, 50);
    link_reset(rig.link, "the test wants it"); /* Redis carries it out, and nobody hears of it */
    test_loop_run_for(&w.probe.t, 50);
    private_redis_resume(redis);
    said(2);
    said(3);
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
    assert_string_equal(initials(), "xye");
    assert_string_equal(result("x", "parts"), "3/3");
}

static void a_text_that_fits_no_parts_is_refused(void **state)
{
    static char line[4000];
    size_t len = (size_t)snprintf(line, sizeof(line), "channel foo id x split 1 text ");

    (void)state;
    memset(line + len, 'x', 2501);
    outbox_heard(line);
    wait_until(&w.probe.t, result("x", "status")[0] != '\0');
    assert_string_equal(result("x", "text"), "text: is longer than 2500 characters.");
    (void)snprintf(line, sizeof(line), "channel foo id y split 1 text e");
    for (unsigned i = 0; i < 600; i++) {
        strncat(line, "\xcc\x81", sizeof(line) - strlen(line) - 1);
    }
    outbox_heard(line);
    wait_until(&w.probe.t, result("y", "status")[0] != '\0');
    assert_string_equal(result("y", "reason"), "bad_request");
    assert_non_null(strstr(result("y", "text"), "a single character in it is longer"));
    assert_int_equal(rig.writes, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_sender, finish_sender)
    const struct CMUnitTest tests[] = {
        TEST(what_has_a_higher_priority_is_said_first_but_not_before_what_is_under_way),
        TEST(what_may_not_be_said_yet_goes_behind_what_came_while_that_was_asked),
        TEST(of_several_channels_the_one_with_a_higher_priority_is_said_first),
        TEST(a_priority_that_is_none_is_refused),
        TEST(a_long_text_is_said_in_parts_with_one_result),
        TEST(what_is_refused_after_a_part_tells_how_many_were_said),
        TEST(a_part_whose_word_was_lost_is_not_said_again),
        TEST(a_text_that_fits_no_parts_is_refused),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
