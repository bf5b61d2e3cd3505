/* Service: what a service manager hears, on a datagram socket of the test's own. */
#include "shared/service.h"

#include "tests/lib/test_clock.h"
#include "tests/lib/test_loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static struct test_loop t;
static struct service_state service;
static int manager; /* its socket */
static char heard[65536];
static bool works;
static const char *says;

static bool look(void *ctx, char *status)
{
    (void)ctx;
    snprintf(status, SERVICE_STATUS_CHARS, "%s", says);
    return works;
}

static void set_u64(const char *name, uint64_t n)
{
    char text[32];

    snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
    setenv(name, text, 1);
}

/* An abstract socket: nothing of it stays. */
static int setup(void **state)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    char name[64];

    (void)state;
    snprintf(name, sizeof(name), "@shoal-test-service-%d", (int)getpid());
    memcpy(at.sun_path + 1, name + 1, strlen(name) - 1);
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_return_code(bind(manager, (struct sockaddr *)&at,
                            (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
                       0);
    setenv("NOTIFY_SOCKET", name, 1);
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    heard[0] = '\0';
    works = false;
    says = "waits";
    test_loop_init(&t);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    service_close(&service);
    service_close(&service); /* twice does no harm */
    close(manager);
    test_loop_finish(&t);
    return 0;
}

/* All that was told by now. */
static const char *listen_now(void)
{
    size_t len = strlen(heard);
    ssize_t n;

    while ((n = recv(manager, heard + len, sizeof(heard) - len - 2, 0)) > 0) {
        len += (size_t)n;
        heard[len++] = '|';
        heard[len] = '\0';
    }
    return heard;
}

static bool hears(const char *text)
{
    return strstr(listen_now(), text) != NULL;
}

static unsigned times(const char *text)
{
    unsigned n = 0;

    for (const char *at = listen_now(); (at = strstr(at, text)) != NULL; at++) {
        n++;
    }
    return n;
}

static void begin(void)
{
    service_begin(&service, &t.uv, look, NULL);
}

static void it_is_ready_when_it_does_its_work_and_asks_for_time_before(void **state)
{
    (void)state;
    begin();
    assert_true(hears("EXTEND_TIMEOUT_USEC=15000000\nSTATUS=waits\n"));
    test_loop_run_for(&t, 120);
    assert_false(hears("READY=1"));
    assert_int_equal(times("EXTEND_TIMEOUT_USEC"), 1); /* it has 15 s now */
    test_clock_forward(5000);
    wait_until(&t, times("EXTEND_TIMEOUT_USEC") == 2);
    works = true;
    says = "leads";
    wait_until(&t, hears("READY=1\nSTATUS=leads\n"));
    works = false; /* it stays ready */
    test_loop_run_for(&t, 120);
    assert_int_equal(times("READY=1"), 1);
    assert_int_equal(times("STATUS=waits"), 1);
}

static void a_status_is_told_again_when_it_has_changed(void **state)
{
    (void)state;
    works = true;
    begin();
    says = "holds 2 shards";
    wait_until(&t, hears("|STATUS=holds 2 shards\n|"));
    assert_int_equal(times("STATUS="), 2);
}

static void the_watchdog_is_answered_at_half_of_its_time_and_by_whom_it_is_meant_for(void **state)
{
    (void)state;
    works = true;
    set_u64("WATCHDOG_USEC", 100000);
    set_u64("WATCHDOG_PID", (uint64_t)getpid());
    begin();
    test_loop_run_for(&t, 500);
    assert_in_range(times("WATCHDOG=1"), 6, 14);
    service_close(&service);
    test_loop_run_for(&t, 10);

    setenv("NOTIFY_SOCKET", "/nowhere/else", 1);
    set_u64("WATCHDOG_USEC", 100000);
    set_u64("WATCHDOG_PID", (uint64_t)getpid() + 1);
    begin();
    assert_int_equal(service.watchdog_ms, 0);
}

static void a_reload_is_told_from_its_begin_to_its_end_once_it_is_ready(void **state)
{
    (void)state;
    begin();
    service_reloading(&service);
    service_reloaded(&service);
    assert_false(hears("RELOADING=1") || hears("READY=1"));
    works = true;
    wait_until(&t, hears("READY=1"));
    works = false; /* Redis is away just then */
    service_reloading(&service);
    assert_true(hears("RELOADING=1\nMONOTONIC_USEC="));
    assert_int_equal(times("READY=1"), 1);
    service_reloaded(&service);
    assert_int_equal(times("READY=1"), 2);
}

static void who_stops_says_so_once_and_asks_for_time_while_it_does(void **state)
{
    (void)state;
    works = true;
    begin();
    says = "leaves";
    service_stopping(&service);
    service_stopping(&service);
    assert_true(hears("STOPPING=1\nEXTEND_TIMEOUT_USEC=15000000\nSTATUS=leaves\n"));
    test_clock_forward(5000);
    wait_until(&t, times("EXTEND_TIMEOUT_USEC") == 2);
    assert_int_equal(times("STOPPING=1"), 1);
    service_reloading(&service);
    service_reloaded(&service);
    assert_false(hears("RELOADING=1"));
}

/* The manager does not read, until its socket is full. */
static void fill(void)
{
    while (!service.owes_ready) {
        says = says[0] == 'a' ? "b" : "a";
        service.owes_ready = true;
        service_reloaded(&service);
    }
    service.owes_ready = false;
}

static void a_manager_that_does_not_read_holds_nobody_up_and_hears_it_later(void **state)
{
    (void)state;
    works = true;
    begin();
    fill();
    service.owes_ready = true;
    service_reloaded(&service);
    assert_true(service.owes_ready);
    says = "still here";
    (void)listen_now();
    wait_until(&t, hears("READY=1\nSTATUS=still here\n"));
    assert_false(service.owes_ready);
}

static void a_reload_that_could_not_be_told_is_told_whole_later(void **state)
{
    (void)state;
    works = true;
    begin();
    fill();
    service_reloading(&service);
    service_reloaded(&service);
    (void)listen_now();
    heard[0] = '\0';
    wait_until(&t, hears("RELOADING=1\nMONOTONIC_USEC="));
    const char *usec = strstr(heard, "USEC=") + 5;
    assert_int_equal(strncmp(usec + strspn(usec, "0123456789"), "\nREADY=1\n", 9), 0);
    test_loop_run_for(&t, 1100);
    assert_int_equal(times("RELOADING=1"), 1);

    fill();
    service_reloading(&service);
    service_stopping(&service);
    (void)listen_now();
    heard[0] = '\0';
    wait_until(&t, hears("STOPPING=1\n"));
    assert_false(hears("RELOADING=1") || hears("READY=1"));
}

static void without_a_socket_nothing_is_begun(void **state)
{
    (void)state;
    const char *const names[] = {NULL, "", "@", "vsock:2:1234", "relative/notify"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        unsetenv("NOTIFY_SOCKET");
        if (names[i] != NULL) {
            setenv("NOTIFY_SOCKET", names[i], 1);
        }
        begin();
        assert_int_equal(service.fd, -1);
        service_reloading(&service);
        service_reloaded(&service);
        service_stopping(&service);
        service_close(&service);
    }
}

static void a_socket_that_is_gone_is_told_in_the_log_and_no_more(void **state)
{
    (void)state;
    setenv("NOTIFY_SOCKET", "/nowhere/notify", 1);
    works = true;
    begin();
    test_loop_run_for(&t, 120);
    assert_false(service.ready);
    assert_true(service.told_trouble);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(it_is_ready_when_it_does_its_work_and_asks_for_time_before),
        T(a_status_is_told_again_when_it_has_changed),
        T(the_watchdog_is_answered_at_half_of_its_time_and_by_whom_it_is_meant_for),
        T(a_reload_is_told_from_its_begin_to_its_end_once_it_is_ready),
        T(who_stops_says_so_once_and_asks_for_time_while_it_does),
        T(a_manager_that_does_not_read_holds_nobody_up_and_hears_it_later),
        T(a_reload_that_could_not_be_told_is_told_whole_later),
        T(without_a_socket_nothing_is_begun),
        T(a_socket_that_is_gone_is_told_in_the_log_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
