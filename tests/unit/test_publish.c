/* Publish: what is written is what Redis reads, and is read back. */
#include "node/publish.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void a_command_is_written_as_redis_reads_it(void **state)
{
    static const char expected[] =
        "*3\r\n$7\r\nPUBLISH\r\n$10\r\nchat:alice\r\n$10\r\n:x \0 $5\r\n!\r\n";
    struct slice line = {":x \0 $5\r\n!", 10};
    char out[128];

    (void)state;
    size_t len = publish_put(out, SLICE("chat:"), SLICE("alice"), line);

    assert_int_equal(len, sizeof(expected) - 1);
    assert_memory_equal(out, expected, len);
    assert_true(len <= publish_most(SLICE("chat:"), SLICE("alice"), line));
}

static void channels_are_read_back_whatever_the_lines_hold(void **state)
{
    static const char *const channels[] = {"alice", "b", "a_name_of_twenty_five_char"};
    static char line[100000];
    static char out[400000];
    size_t len = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(line); i++) {
        line[i] = "\r\n$*0123456789PUBLISH\0"[i % 22];
    }
    for (size_t i = 0; i < ARRAY_LEN(channels); i++) {
        for (size_t k = 0; k <= i; k++) {
            struct slice said = {line, k == 0 ? 0 : sizeof(line) / (k + 1)};
            len += publish_put(out + len, SLICE("p:"), slice_of(channels[i]), said);
        }
    }

    struct slice rest = {out, len};
    for (size_t i = 0; i < ARRAY_LEN(channels); i++) {
        for (size_t k = 0; k <= i; k++) {
            struct slice said;
            assert_true(slice_is(publish_take(&rest, SLICE("p:"), &said), channels[i]));
            assert_int_equal(said.len, k == 0 ? 0 : sizeof(line) / (k + 1));
            assert_memory_equal(said.ptr, line, said.len);
        }
    }
    assert_int_equal(rest.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command_is_written_as_redis_reads_it),
        cmocka_unit_test(channels_are_read_back_whatever_the_lines_hold),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
