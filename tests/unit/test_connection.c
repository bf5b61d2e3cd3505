/* The WebSocket driver against servers of its own (wire.h). */
#include "node/connection.h"
#include "node/connection_private.h"

#include "tests/lib/wire.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static bool has_three_lines(struct wire *r)
{
    return r->lines >= 3;
}

static bool server_heard_two(struct wire *r)
{
    return r->heard_messages >= 2;
}

static void lines_come_out_however_they_are_framed(void **state)
{
    static const struct piece pieces[] = {
        {"PING :a\r\nPING ", true, true}, /* a line cut over two messages */
        {":b", true, false},              /* and a message cut over two frames */
        {"b\r\nPING :", false, false},
        {"c\r\n", false, true},
    };
    struct wire *r = wire_create(NULL, 0);

    (void)state;
    wire_start_server(r);
    r->say = pieces;
    r->say_n = ARRAY_LEN(pieces);
    wire_open(r, "ws", "127.0.0.1", r->port);
    wire_run_until(r, has_three_lines);
    assert_string_equal(r->log, "open|line PING :a|line PING :bb|line PING :c|");
    wire_destroy(r);
}

static void a_peer_that_ends_no_line_means_each_message_to_be_one(void **state)
{
    static const struct piece pieces[] = {{"PING :a", true, true},
                                          {"PING :b", true, true},
                                          {"PING ", true, false},
                                          {":c", false, true}};
    struct wire *r = wire_create(NULL, 0);

    (void)state;
    wire_start_server(r);
    r->say = pieces;
    r->say_n = ARRAY_LEN(pieces);
    wire_open(r, "ws", "127.0.0.1", r->port);
    wire_run_until(r, has_three_lines);
    assert_string_equal(r->log, "open|line PING :a|line PING :b|line PING :c|");
    wire_destroy(r);
}

static void a_line_of_many_frames_comes_whole(void **state)
{
    static char text[4000];
    struct piece pieces[17];
    struct wire *r = wire_create(NULL, 0);

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        pieces[i] = (struct piece){text, i == 0, false};
    }
    pieces[16] = (struct piece){"\r\na\r\nb\r\n", false, true};
    wire_start_server(r);
    r->say = pieces;
    r->say_n = ARRAY_LEN(pieces);
    wire_open(r, "ws", "127.0.0.1", r->port);
    wire_run_until(r, has_three_lines);
    assert_int_equal(r->longest, 16 * 3999);
    wire_destroy(r);
}

static void a_line_too_long_is_told_once_and_the_next_one_comes(void **state)
{
    static char text[4000];
    struct piece pieces[32];
    struct wire *r = wire_create(NULL, 0);

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        pieces[i] = (struct piece){text, i == 0, false};
    }
    pieces[31] = (struct piece){"\r\na\r\nb\r\nc\r\n", false, true};
    wire_start_server(r);
    r->say = pieces;
    r->say_n = ARRAY_LEN(pieces);
    wire_open(r, "ws", "127.0.0.1", r->port);
    wire_run_until(r, has_three_lines);
    wire_nap(r, 20);
    assert_string_equal(r->log, "open|long line|line a|line b|line c|");
    wire_destroy(r);
}

static void what_is_written_arrives_in_order(void **state)
{
    struct wire *r = wire_create(NULL, 0);
    struct slice big;
    char *text;

    (void)state;
    wire_start_server(r);
    wire_open(r, "ws", "127.0.0.1", r->port);
    assert_false(connection_write(r->c, SLICE("too early\r\n")));
    wire_run_until(r, wire_is_open);
    /* Too much for one turn: cut between two lines. */
    text = xmalloc(20000);
    for (size_t i = 0; i < 20000; i += 10) {
        memcpy(text + i, "012345 7\r\n", 10);
    }
    big = (struct slice){text, 20000};
    assert_true(connection_write(r->c, SLICE("PASS x\r\n")));
    assert_true(connection_write(r->c, big));
    assert_int_equal(r->c->queue.len, 20008);
    wire_run_until(r, server_heard_two);
    assert_int_equal(r->heard_messages, 2);
    assert_int_equal(r->heard_len, 20008);
    assert_memory_equal(r->heard, "PASS x\r\n012345 7\r\n", 18);
    assert_int_equal(r->c->queue.len, 0);
    free(text);
    wire_destroy(r);
}

static void a_queue_is_bounded_and_can_be_thrown_away(void **state)
{
    struct wire *r = wire_create(NULL, 0);
    char *text = xcalloc(1, CONNECTION_QUEUE_BYTES + 1);

    (void)state;
    memset(text, 'x', CONNECTION_QUEUE_BYTES);
    r->deaf = true;
    wire_start_server(r);
    wire_open(r, "ws", "127.0.0.1", r->port);
    wire_run_until(r, wire_is_open);
    assert_false(connection_write(r->c, (struct slice){text, CONNECTION_QUEUE_BYTES + 1}));
    assert_true(connection_write(r->c, (struct slice){text, CONNECTION_QUEUE_BYTES - 1}));
    assert_false(connection_write(r->c, SLICE("ab")));
    assert_true(connection_write(r->c, SLICE("a")));
    connection_discard(r->c);
    assert_int_equal(r->c->queue.len, 0);
    wire_nap(r, 50);
    assert_int_equal(r->heard_len, 0);
    free(text);
    wire_destroy(r);
}

static void what_was_queued_before_a_fence_never_leaves_but_keepalives_do(void **state)
{
    struct wire *r = wire_create(NULL, 0);

    (void)state;
    wire_start_server(r);
    wire_open(r, "ws", "127.0.0.1", r->port);
    wire_run_until(r, wire_is_open);

    assert_true(connection_write(r->c, SLICE("PRIVMSG #a :b\r\n")));
    r->fenced = true;
    wire_nap(r, 50);
    assert_int_equal(r->heard_len, 0);
    assert_int_equal(r->c->queue.len, 0);

    assert_true(connection_write(r->c, SLICE("PRIVMSG #a :b\r\n")));
    assert_true(connection_write_keepalive(r->c, SLICE("PONG :x\r\n")));
    connection_discard(r->c);
    wire_nap(r, 50);
    assert_int_equal(r->heard_len, 9);
    assert_memory_equal(r->heard, "PONG :x\r\n", 9);
    wire_destroy(r);
}

static void a_refused_port_is_one_on_closed(void **state)
{
    struct wire *r = wire_create(NULL, 0);
    int port;

    (void)state;
    wire_start_tcp(r, NULL);
    port = r->tcp_port;
    uv_close((uv_handle_t *)&r->tcp, NULL);
    uv_run(&r->loop, UV_RUN_NOWAIT);
    wire_open(r, "ws", "127.0.0.1", port);
    wire_run_until(r, wire_is_closed);
    wire_nap(r, 50);
    wire_assert_unreachable(r, "127.0.0.1", port, "connection refused");
    wire_destroy(r);

    r = wire_create(NULL, 0); /* a name with several addresses: each is tried */
    wire_open(r, "ws", "localhost", port);
    wire_run_until(r, wire_is_closed);
    wire_assert_unreachable(r, "localhost", port, "connection refused");
    wire_destroy(r);
}

static void a_name_that_does_not_resolve_is_one_on_closed(void **state)
{
    struct wire *r = wire_create(NULL, 2000);

    (void)state;
    wire_open(r, "ws", "no-such-name.invalid", 80);
    wire_run_until(r, wire_is_closed);
    assert_non_null(
        strstr(r->log, "closed ws://no-such-name.invalid:80 cannot be reached: the name "));
    assert_non_null(strstr(r->log, "; check the host in twitch_url|"));
    wire_destroy(r);
}

static void a_peer_that_never_answers_is_given_up(void **state)
{
    struct wire *r = wire_create(NULL, 200);

    (void)state;
    wire_start_tcp(r, NULL);
    wire_open(r, "ws", "127.0.0.1", r->tcp_port);
    wire_run_until(r, wire_is_closed);
    wire_assert_unreachable(r, "127.0.0.1", r->tcp_port, "no answer within 200 ms");
    wire_nap(r, 50);
    wire_destroy(r);
}

static void a_server_that_closes_is_one_on_closed_with_its_words(void **state)
{
    static const char expected[] = "open|line PING :a|closed closed by the server: 4000 bye|";
    struct wire *r = wire_create(NULL, 0);

    (void)state;
    r->tcp_frames = "\x81\x09PING :a\r\n\x88\x05\x0f\xa0"
                    "bye";
    wire_start_tcp(r, NULL);
    wire_open(r, "ws", "127.0.0.1", r->tcp_port);
    r->reopen = true; /* and a new one may be opened from within */
    wire_run_until(r, wire_is_closed);
    assert_string_equal(r->log, expected);
    r->log[0] = '\0';
    wire_run_until(r, wire_is_closed);
    assert_string_equal(r->log, expected);
    wire_destroy(r);
}

static void a_server_that_vanishes_is_one_on_closed(void **state)
{
    static const char *const frames[] = {"\x81\x09PING :a\r\n", "\x81\x7fnonsense", "\x8f\x05hello",
                                         "\x81\x85mask!"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(frames); i++) {
        struct wire *r = wire_create(NULL, 0);

        r->tcp_frames = frames[i];
        wire_start_tcp(r, NULL);
        wire_open(r, "ws", "127.0.0.1", r->tcp_port);
        wire_run_until(r, wire_is_open);
        wire_nap(r, 20);
        wire_stop_tcp(r);
        wire_run_until(r, wire_is_closed);
        wire_nap(r, 20);
        assert_null(strstr(strstr(r->log, "closed ") + 1, "|closed"));
        wire_destroy(r);
    }
}

/* What stands behind the broken frame is lost, and is older than the moment at which the line
 * before it is read. */
static void what_broke_while_the_process_stood_still_was_caught_up_with_before(void **state)
{
    struct wire *r = wire_create(NULL, 0);

    (void)state;
    r->tcp_frames = "";
    r->tcp_says = "\x81\x09PING :a\r\n\x8f\x05hello";
    r->tcp_stun_ms = 50;
    wire_start_tcp(r, r->tcp_says);
    wire_open(r, "ws", "127.0.0.1", r->tcp_port);
    wire_run_until(r, wire_is_open);
    assert_true(connection_write(r->c, SLICE("NICK a\r\n")));
    wire_run_until(r, wire_is_closed);
    assert_non_null(strstr(r->log, "open|line PING :a|closed "));
    assert_in_range(r->caught_up_ms, 1, r->tcp_said_ms);
    wire_destroy(r);
}

/* The same of what came while it was not read: it is older than the turn that reads it. */
static void what_broke_behind_a_pause_was_caught_up_with_before_it(void **state)
{
    struct wire *r = wire_create(NULL, 0);

    (void)state;
    r->tcp_frames = "";
    r->tcp_says = "\x81\x09PING :a\r\n\x8f\x05hello";
    r->tcp_stays = true;
    wire_start_tcp(r, r->tcp_says);
    wire_open(r, "ws", "127.0.0.1", r->tcp_port);
    wire_run_until(r, wire_is_open);
    connections_pause(r->pool, true);
    assert_true(connection_write(r->c, SLICE("NICK a\r\n")));
    wire_nap(r, 50);
    uint64_t said_ms = r->tcp_said_ms;
    assert_in_range(said_ms, 1, mono_ms() - 20);
    assert_string_equal(r->log, "open|"); /* it waits */
    connections_pause(r->pool, false);
    wire_run_until(r, wire_is_closed);
    assert_non_null(strstr(r->log, "open|line PING :a|closed "));
    assert_in_range(r->caught_up_ms, 1, said_ms);
    wire_destroy(r);
}

static void after_a_pause_it_has_caught_up_again(void **state)
{
    struct wire *r = wire_create(NULL, 0);

    (void)state;
    r->tcp_frames = "";
    r->tcp_says = "\x81\x09PING :a\r\n";
    r->tcp_stays = true;
    wire_start_tcp(r, r->tcp_says);
    wire_open(r, "ws", "127.0.0.1", r->tcp_port);
    wire_run_until(r, wire_is_open);
    connections_pause(r->pool, true);
    assert_true(connection_write(r->c, SLICE("NICK a\r\n")));
    wire_nap(r, 20);
    connections_pause(r->pool, false);
    wire_nap(r, 50);
    assert_string_equal(r->log, "open|line PING :a|");
    wire_stop_tcp(r);
    wire_run_until(r, wire_is_closed);
    assert_in_range(r->caught_up_ms, r->tcp_said_ms + 20, mono_ms());
    wire_destroy(r);
}

static void closing_from_within_a_line_ends_it_there(void **state)
{
    static const struct piece pieces[] = {{"PING :a\r\nPING :b\r\n", true, true},
                                          {"PING :c\r\n", true, true}};
    struct wire *r = wire_create(NULL, 0);

    (void)state;
    r->close_in_line = true;
    r->say = pieces;
    r->say_n = ARRAY_LEN(pieces);
    wire_start_server(r);
    wire_open(r, "ws", "127.0.0.1", r->port);
    wire_run_until(r, wire_is_open);
    wire_run_until(r, wire_nobody_is_served);
    wire_nap(r, 20);
    assert_string_equal(r->log, "open|line PING :a|");
    wire_destroy(r);
}

static void a_closed_connection_calls_nothing_back(void **state)
{
    (void)state;
    for (int when = 0; when < 4; when++) {
        struct wire *r = wire_create(NULL, 0);

        wire_start_server(r);
        wire_open(r, "ws", "127.0.0.1", r->port);
        for (int i = 0; i < when; i++) {
            wire_nap(r, 1);
        }
        if (when == 3) {
            wire_run_until(r, wire_is_open);
            assert_true(connection_write(r->c, SLICE("never\r\n")));
        }
        r->log[0] = '\0';
        connection_close(r->c);
        wire_run_until(r, wire_nobody_is_served);
        wire_nap(r, 20);
        assert_string_equal(r->log, "");
        assert_int_equal(r->heard_len, 0);
        wire_destroy(r);
    }
    connection_close(NULL);
}

static void destroying_the_pool_takes_every_connection_along(void **state)
{
    struct wire *r = wire_create(NULL, 0);

    (void)state;
    wire_start_server(r);
    wire_start_tcp(r, NULL);
    wire_open(r, "ws", "127.0.0.1", r->port);
    wire_run_until(r, wire_is_open);
    r->log[0] = '\0';
    wire_open(r, "ws", "127.0.0.1", r->tcp_port);
    wire_nap(r, 20);
    wire_open(r, "ws", "no-such-name.invalid", 80);
    wire_destroy(r);
}

static void wrong_settings_are_refused_with_a_reason(void **state)
{
    struct wire *r = wire_create(NULL, 0);
    struct err err = {0};

    (void)state;
    assert_null(connection_open(r->pool, "http://example.org", &wire_callbacks, r, &err));
    assert_int_equal(err.code, ERR_USAGE);
    assert_null(connections_create(&r->loop, "/nonexistent/ca.pem", CONNECTION_MS, &err));
    assert_non_null(strstr(err.text, "/nonexistent/ca.pem"));
    assert_null(connections_create(&r->loop, wire_key, CONNECTION_MS, &err));
    assert_non_null(strstr(err.text, "cannot read CA certificates"));
    wire_destroy(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_come_out_however_they_are_framed),
        cmocka_unit_test(a_peer_that_ends_no_line_means_each_message_to_be_one),
        cmocka_unit_test(a_line_of_many_frames_comes_whole),
        cmocka_unit_test(a_line_too_long_is_told_once_and_the_next_one_comes),
        cmocka_unit_test(what_is_written_arrives_in_order),
        cmocka_unit_test(a_queue_is_bounded_and_can_be_thrown_away),
        cmocka_unit_test(what_was_queued_before_a_fence_never_leaves_but_keepalives_do),
        cmocka_unit_test(a_refused_port_is_one_on_closed),
        cmocka_unit_test(a_name_that_does_not_resolve_is_one_on_closed),
        cmocka_unit_test(a_peer_that_never_answers_is_given_up),
        cmocka_unit_test(a_server_that_closes_is_one_on_closed_with_its_words),
        cmocka_unit_test(a_server_that_vanishes_is_one_on_closed),
        cmocka_unit_test(what_broke_while_the_process_stood_still_was_caught_up_with_before),
        cmocka_unit_test(what_broke_behind_a_pause_was_caught_up_with_before_it),
        cmocka_unit_test(after_a_pause_it_has_caught_up_again),
        cmocka_unit_test(closing_from_within_a_line_ends_it_there),
        cmocka_unit_test(a_closed_connection_calls_nothing_back),
        cmocka_unit_test(destroying_the_pool_takes_every_connection_along),
        cmocka_unit_test(wrong_settings_are_refused_with_a_reason),
    };

    return cmocka_run_group_tests_name("connection", tests, wire_set_up, wire_tear_down);
}
