/* A server whose name has several addresses, some of them dead. */
#include "node/connection.h"

#include "tests/lib/names.h"
#include "tests/lib/wire.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static uint64_t open_ms(struct wire *r, int port)
{
    uint64_t begun = mono_ms();

    connection_close(r->c);
    r->log[0] = '\0';
    wire_open(r, "ws", NAMES_NAME, port);
    wire_run_until(r, wire_is_open);
    return mono_ms() - begun;
}

static void a_dead_address_costs_two_seconds_once_for_all_connections(void **state)
{
    struct wire *r = wire_create(NULL, 0);
    struct dead_port *dead;
    uint64_t most = 0;

    (void)state;
    wire_start_server(r);
    dead = dead_port_open("127.0.0.2", r->port);
    names_set("127.0.0.2 127.0.0.1");
    /* The turn goes round: both orders, whichever was first. */
    for (int i = 0; i < 2; i++) {
        uint64_t ms = open_ms(r, r->port);
        most = ms > most ? ms : most;
    }
    assert_in_range(most, 1000, 2000);
    for (int i = 0; i < 6; i++) {
        assert_in_range(open_ms(r, r->port), 0, 500);
    }
    dead_port_close(dead);
    wire_destroy(r);
}

static void an_address_that_accepts_and_says_nothing_is_dead_as_well(void **state)
{
    struct wire *r = wire_create(NULL, 0);
    uint64_t most = 0;

    (void)state;
    wire_start_server(r);
    wire_start_tcp_at(r, "127.0.0.2", r->port, NULL);
    names_set("127.0.0.2 127.0.0.1");
    for (int i = 0; i < 2; i++) {
        uint64_t ms = open_ms(r, r->port);
        most = ms > most ? ms : most;
    }
    assert_in_range(most, 1000, 2000);
    for (int i = 0; i < 6; i++) {
        assert_in_range(open_ms(r, r->port), 0, 500);
    }
    wire_nap(r, 50); /* what was given up says nothing any more */
    assert_string_equal(r->log, "open|");
    wire_destroy(r);
}

static void where_all_addresses_are_dead_it_is_one_on_closed(void **state)
{
    struct wire *r = wire_create(NULL, 400);
    struct dead_port *dead[2];

    (void)state;
    wire_start_server(r); /* for its port */
    dead[0] = dead_port_open("127.0.0.2", r->port);
    dead[1] = dead_port_open("127.0.0.3", r->port);
    names_set("127.0.0.2 127.0.0.3");
    for (int i = 0; i < 3; i++) {
        r->log[0] = '\0';
        wire_open(r, "ws", NAMES_NAME, r->port);
        wire_run_until(r, wire_is_closed);
        wire_nap(r, 50);
        wire_assert_unreachable(r, NAMES_NAME, r->port, "no answer within 400 ms");
    }
    dead_port_close(dead[0]);
    dead_port_close(dead[1]);
    wire_destroy(r);
}

static void one_that_refuses_is_passed_over_at_once(void **state)
{
    struct wire *r = wire_create(NULL, 0);

    (void)state;
    wire_start_server(r);
    names_set("127.0.0.2 ::1 127.0.0.1");
    for (int i = 0; i < 4; i++) {
        assert_in_range(open_ms(r, r->port), 0, 500);
    }
    wire_destroy(r);
}

static void a_server_that_answers_by_http_is_asked_at_one_address_only(void **state)
{
    struct wire *r = wire_create(NULL, 2000);

    (void)state;
    wire_start_tcp(r, "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n");
    names_set("127.0.0.1 127.0.0.1");
    wire_open(r, "ws", NAMES_NAME, r->tcp_port);
    wire_run_until(r, wire_is_closed);
    assert_int_equal(r->tcp_accepted, 1);
    wire_destroy(r);
}

static void what_a_redirect_names_is_not_looked_up(void **state)
{
    struct wire *r = wire_create(NULL, 2000);
    unsigned before = names_looked_up();

    (void)state;
    wire_start_tcp(r, "HTTP/1.1 301 Moved\r\nLocation: ws://no-such-name.invalid/\r\n\r\n");
    wire_open(r, "ws", "127.0.0.1", r->tcp_port);
    wire_run_until(r, wire_is_closed);
    wire_nap(r, 50);
    assert_int_equal(names_looked_up(), before);
    wire_destroy(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dead_address_costs_two_seconds_once_for_all_connections),
        cmocka_unit_test(an_address_that_accepts_and_says_nothing_is_dead_as_well),
        cmocka_unit_test(where_all_addresses_are_dead_it_is_one_on_closed),
        cmocka_unit_test(one_that_refuses_is_passed_over_at_once),
        cmocka_unit_test(a_server_that_answers_by_http_is_asked_at_one_address_only),
        cmocka_unit_test(what_a_redirect_names_is_not_looked_up),
    };

    return cmocka_run_group_tests_name("connection_addresses", tests, wire_set_up, wire_tear_down);
}
