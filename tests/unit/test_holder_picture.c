/* Holder: what pictures make of what is held, and what is reported of it, without a connection: the link that
 * slots are drawn on is down. */
#include "node/holder.h"

#include "tests/lib/link_probe.h"
#include "tests/lib/test_clock.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

static struct link_probe probe;
static struct registry *registry;
static struct report *r;
static struct sight sight;
static struct holder *h;
static int nobody; /* a port where nobody listens */
static unsigned changes;
static char told[1 << 18]; /* the newest */

static bool may_act(void *ctx)
{
    (void)ctx;
    return true;
}

static void on_send_result(void *ctx, const char *entry, const struct send_outcome *outcome)
{
    (void)ctx;
    (void)entry;
    (void)outcome;
    fail_msg("no send was accepted");
}

static void on_contact(void *ctx, uint64_t began_ms, const char *why)
{
    (void)ctx;
    (void)began_ms;
    (void)why;
}

static bool on_refused(void *ctx, struct slice user)
{
    (void)ctx;
    (void)user;
    return false;
}

static void on_change(void *ctx)
{
    (void)ctx;
    changes++;
}

static int begin(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);

    (void)state;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    nobody = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(nobody, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(nobody, (struct sockaddr *)&address, &size), 0);
    link_probe_init(&probe, ntohs(address.sin_port));
    link_probe_start(&probe);
    registry = registry_create(probe.link, "t");
    sight_init(&sight);
    r = report_create(on_change, NULL);
    h = holder_create(&(struct held_options){.loop = &probe.t.uv,
                                             .registry = registry,
                                             .report = r,
                                             .node = "n1",
                                             .incarnation = "1",
                                             .may_act = may_act,
                                             .on_send_result = on_send_result,
                                             .on_contact = on_contact,
                                             .on_refused = on_refused});
    changes = 0;
    return 0;
}

static int finish(void **state)
{
    (void)state;
    holder_destroy(h);
    report_destroy(r);
    link_probe_finish(&probe);
    registry_destroy(registry);
    close(nobody);
    return 0;
}

/* The picture has this shard with these channels (between spaces), all of them not read for `unread_ms`. */
static void hold_to(const char *id, uint64_t epoch, const char *names, int64_t unread_ms,
                    enum shard_run run)
{
    static struct slice channels[1000];
    static int64_t unread[1000];
    static const int64_t retry[1000];
    char *copy = xstrdup(names);
    size_t n = 0;

    for (char *name = strtok(copy, " "); name != NULL; name = strtok(NULL, " ")) {
        channels[n] = slice_of(name);
        unread[n++] = unread_ms;
    }
    struct registry_shard shard = {.id = slice_of(id),
                                   .epoch = epoch,
                                   .user = SLICE("anonymous"),
                                   .run = run,
                                   .nchannels = n,
                                   .channels = channels,
                                   .unread_ms = unread,
                                   .retry_ms = retry};
    holder_hold(h, &shard);
    free(copy);
    test_clock_forward(500); /* channels that are on their way for so long are told */
}

static void hold(const char *id, uint64_t epoch, const char *names, int64_t unread_ms)
{
    hold_to(id, epoch, names, unread_ms, SHARD_STARTED);
}

static void keep(const char *id)
{
    struct slice ids[] = {slice_of(id)};

    holder_keep(h, ids, id[0] == '\0' ? 0 : 1);
}

/* Take what is to be reported; false: nothing. */
static bool take(void)
{
    struct buf out;

    buf_init(&out, sizeof(told) - 1);
    report_write(r, &(struct report_node){.sight = &sight}, &out);
    bool any = out.len > 0;
    assert_false(out.overflow);
    snprintf(told, sizeof(told), "%.*s", (int)out.len, any ? out.data : "");
    buf_finish(&out);
    return any;
}

static size_t times(const char *text)
{
    size_t n = 0;

    for (const char *at = told; (at = strstr(at, text)) != NULL; at += strlen(text)) {
        n++;
    }
    return n;
}

static bool tells(const char *text)
{
    return strstr(told, text) != NULL;
}

static void what_a_picture_does_not_name_is_let_go(void **state)
{
    (void)state;
    hold("a", 1, "foo", -1);
    hold("b", 1, "bar", -1);
    hold("c", 1, "", -1);
    assert_int_equal(HASH_COUNT(h->shards), 3);

    keep("b");

    assert_int_equal(HASH_COUNT(h->shards), 1);
    assert_non_null(held_find(h, SLICE("b")));
    assert_null(held_find(h, SLICE("a")));
    assert_true(take());
    assert_true(tells("\"b\":{\"epoch\":1") && tells("\"bar\":{\"shard\":\"b\""));
    assert_false(tells("foo") || tells("\"a\"") || tells("\"c\""));
    keep("stranger");
    assert_int_equal(HASH_COUNT(h->shards), 0);
}

static void what_changed_is_told_once(void **state)
{
    (void)state;
    assert_false(report_is_due(r));
    hold("a", 7, "foo bar", -1);
    assert_true(changes > 0);
    assert_true(report_is_due(r));

    assert_true(take());

    assert_true(tells("\"a\":{\"epoch\":7"));
    assert_int_equal(times("\"shard\":\"a\",\"state\":\"queued\""), 2);
    assert_false(report_is_due(r));
    assert_false(take());
    report_again(r);
    assert_true(take());
    assert_int_equal(times("\"shard\":\"a\",\"state\":\"queued\""), 2);
}

static void a_shard_connects_when_it_is_started_and_says_when_it_is_closed(void **state)
{
    (void)state;
    hold_to("a", 1, "foo", -1, SHARD_NEW);
    assert_true(take() && tells("\"state\":\"idle\""));
    hold_to("a", 1, "foo", -1, SHARD_STARTED); /* it waits for a slot to log in */
    assert_true(take() && !tells("\"state\":\"closed\""));
    hold_to("a", 1, "foo", -1, SHARD_STOPPED);
    assert_true(take() && tells("\"state\":\"closed\""));
    assert_false(take());
    /* It is closed already, and whoever asked this time waits for the word all the same. */
    hold_to("a", 1, "foo", -1, SHARD_STOPPED);
    assert_true(take() && tells("\"state\":\"closed\""));
    hold_to("a", 1, "foo", -1, SHARD_STARTED);
    assert_true(take() && !tells("\"state\":\"closed\""));
    hold_to("b", 1, "", -1, SHARD_STOPPED);
    assert_true(take() && tells("\"b\":{\"epoch\":1,\"state\":\"closed\""));
}

static void channels_follow_the_picture(void **state)
{
    (void)state;
    hold("a", 1, "foo bar", -1);
    (void)take();

    hold("a", 1, "bar baz", -1);

    assert_int_equal(HASH_COUNT(h->shards), 1);
    assert_true(take());
    assert_true(tells("\"baz\":{\"shard\":\"a\""));
    assert_false(tells("foo") || tells("bar"));
    report_again(r);
    assert_true(take());
    assert_false(tells("foo"));
    assert_true(tells("bar") && tells("baz"));
}

static void what_the_registry_takes_for_read_and_is_not_is_told_again(void **state)
{
    (void)state;
    hold("a", 1, "foo", -1);
    (void)take();
    hold("a", 1, "foo", -1);
    (void)take();
    assert_false(tells("foo"));

    hold("a", 1, "foo", 0);

    assert_true(take());
    assert_true(tells("\"foo\":{\"shard\":\"a\",\"state\":\"queued\""));
}

static void since_when_a_channel_is_not_read_comes_from_the_picture(void **state)
{
    (void)state;
    hold("a", 1, "foo", 5000000);
    hold("b", 1, "bar", -1);

    assert_true(take());

    const char *unread = strstr(told, "\"unread_ms\":");
    assert_non_null(unread);
    assert_in_range(strtoul(unread + strlen("\"unread_ms\":"), NULL, 10), 5000000, 5020000);
    assert_int_equal(times("unread_ms"), 1);
}

static void another_epoch_begins_anew(void **state)
{
    (void)state;
    hold("a", 1, "foo bar", -1);
    (void)take();

    hold("a", 3, "bar", -1);

    assert_int_equal(HASH_COUNT(h->shards), 1);
    assert_true(take());
    assert_true(tells("\"a\":{\"epoch\":3") && tells("bar"));
    assert_false(tells("foo"));
}

static void a_lost_lease_lets_go_of_all_but_the_gaps(void **state)
{
    (void)state;
    hold("a", 1, "foo", -1);
    hold("b", 1, "bar", -1);
    uint64_t now = mono_ms();
    report_gap(r, SLICE("baz"), now - 2000000, now - 1000000, 3, "buffer_full");

    holder_drop(h);

    assert_int_equal(HASH_COUNT(h->shards), 0);
    assert_true(holder_is_closed(h));
    assert_true(take());
    assert_true(tells("\"shards\":{},\"channels\":{}"));
    /* How long ago it was, whatever this host's clock says. */
    assert_true(tells("{\"channel\":\"baz\",\"from_ms\":2000") && tells("\"to_ms\":1000"));
    assert_true(tells("\"lines\":3,\"reason\":\"buffer_full\"}"));
}

static void a_gap_is_told_until_it_has_arrived(void **state)
{
    (void)state;
    report_gap(r, SLICE("foo"), 1, 2, 3, "buffer_full");
    assert_true(take());
    assert_false(report_is_due(r)); /* it is under way */
    report_again(r);                /* and lost */
    report_gap(r, SLICE("bar"), 1, 2, 3, "buffer_full");
    assert_true(take());
    assert_true(tells("foo") && tells("bar"));
    report_gap(r, SLICE("baz"), 1, 2, 3, "buffer_full"); /* after it left */

    report_arrived(r, &sight);

    assert_true(take());
    assert_false(tells("foo") || tells("bar"));
    assert_true(tells("baz"));
    report_arrived(r, &sight);
    assert_false(take());
}

static void more_gaps_than_fit_are_dropped_not_held(void **state)
{
    (void)state;
    for (int i = 0; i < 1100; i++) {
        report_gap(r, SLICE("foo"), 1, 2, 3, "buffer_full");
    }
    assert_true(take());
    assert_int_equal(times("\"channel\":\"foo\""), 1000);
    report_arrived(r, &sight);
    assert_false(report_is_due(r));
}

static void a_report_has_room_for_500_channels_and_the_next_one_for_the_rest(void **state)
{
    char names[8000] = "";

    (void)state;
    for (size_t i = 0, at = 0; i < 700; i++) {
        at += (size_t)snprintf(names + at, sizeof(names) - at, "c%zu ", i);
    }
    hold("a", 1, names, -1);

    assert_true(take());
    assert_int_equal(times("\"shard\":\"a\""), 500);
    assert_true(report_is_due(r));
    assert_true(take());
    assert_int_equal(times("\"shard\":\"a\""), 200);
    assert_false(report_is_due(r));
}

static void a_send_is_refused_where_there_is_no_shard_or_no_connection(void **state)
{
    struct registry_send send = {.channel = SLICE("foo"), .text = SLICE("hello")};
    struct err err = {0};

    (void)state;
    hold("a", 1, "foo", -1);
    assert_false(holder_can_send(h, SLICE("a")));
    assert_int_equal(holder_send(h, SLICE("a"), &send, "1-1", &err), -ERR_DOWN);
    assert_false(holder_can_send(h, SLICE("b")));
    assert_int_equal(holder_send(h, SLICE("b"), &send, "1-1", &err), -ERR_DOWN);
    assert_string_equal(err.text, "shard b is not here");
    keep(""); /* nobody waits for an answer */
}

#define T(name) cmocka_unit_test_setup_teardown(name, begin, finish)

static void a_channel_without_a_name_is_survived(void **state)
{
    static const struct slice channels[] = {{NULL, 0}};
    static const int64_t unread[] = {0};
    const struct registry_shard shard = {.id = SLICE("s1"),
                                         .epoch = 1,
                                         .user = SLICE("anonymous"),
                                         .run = SHARD_STARTED,
                                         .nchannels = 1,
                                         .channels = channels,
                                         .unread_ms = unread,
                                         .retry_ms = unread};

    (void)state;
    holder_hold(h, &shard);
    assert_non_null(held_find(h, SLICE("s1")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_channel_without_a_name_is_survived),
        T(what_a_picture_does_not_name_is_let_go),
        T(what_changed_is_told_once),
        T(a_shard_connects_when_it_is_started_and_says_when_it_is_closed),
        T(channels_follow_the_picture),
        T(what_the_registry_takes_for_read_and_is_not_is_told_again),
        T(since_when_a_channel_is_not_read_comes_from_the_picture),
        T(another_epoch_begins_anew),
        T(a_lost_lease_lets_go_of_all_but_the_gaps),
        T(a_gap_is_told_until_it_has_arrived),
        T(more_gaps_than_fit_are_dropped_not_held),
        T(a_report_has_room_for_500_channels_and_the_next_one_for_the_rest),
        T(a_send_is_refused_where_there_is_no_shard_or_no_connection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
