/* JSON writer: read back by cJSON, an independent reader. */
#include "shared/json.h"
#include "shared/utf8.h"

#include <cJSON.h>
#include <float.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static struct buf out;
static struct json j;

static int setup(void **state)
{
    (void)state;
    buf_init(&out, 1 << 20);
    json_init(&j, &out);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    buf_finish(&out);
    return 0;
}

static void commas_stand_between_and_nowhere_else(void **state)
{
    (void)state;
    json_object_begin(&j, NULL);
    json_string(&j, "channel", "twitch");
    json_number(&j, "count", -3);
    json_array_begin(&j, "list");
    json_number(&j, NULL, INT64_MIN);
    json_object_begin(&j, NULL);
    json_object_end(&j);
    json_array_begin(&j, NULL);
    json_array_end(&j);
    json_bool(&j, NULL, true);
    json_array_end(&j);
    json_object_begin(&j, "k\"ey");
    json_string(&j, "a", "b");
    json_object_end(&j);
    json_bool(&j, "no", false);
    json_string(&j, "none", NULL);
    json_object_end(&j);

    assert_string_equal(out.data,
                        "{\"channel\":\"twitch\",\"count\":-3,\"list\":[-9223372036854775808,{},[],"
                        "true],\"k\\\"ey\":{\"a\":\"b\"},\"no\":false,\"none\":null}");
}

static void every_byte_survives_or_becomes_the_replacement_character(void **state)
{
    (void)state;
    for (int c = 1; c < 256; c++) {
        char text[] = {'a', (char)c, 'z', '\0'};
        buf_clear(&out);
        json_init(&j, &out);
        json_string(&j, NULL, text);

        cJSON *read = cJSON_Parse(out.data);
        assert_non_null(read);
        assert_string_equal(read->valuestring, c < 0x80 ? text : "a\xef\xbf\xbdz");
        assert_int_equal(utf8_length(out.data + 2, 4) > 0, 1);
        cJSON_Delete(read);
    }
}

static void utf8_passes_and_broken_utf8_is_replaced(void **state)
{
    (void)state;
    json_array_begin(&j, NULL);
    json_string(&j, NULL, "K\xc3\xa4se \xf0\x9f\xa7\x80");
    json_slice(&j, NULL, (struct slice){"\xf0\x9f\xa7\x80", 3}); /* cut */
    json_slice(&j, NULL, SLICE("a\0b"));
    json_slice(&j, NULL, (struct slice){NULL, 0});
    json_array_end(&j);

    assert_string_equal(out.data, "[\"K\xc3\xa4se \xf0\x9f\xa7\x80\","
                                  "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\",\"a\\u0000b\",\"\"]");
}

static void overflow_is_told_by_the_buf(void **state)
{
    (void)state;
    struct buf small;
    buf_init(&small, 10);
    json_init(&j, &small);
    json_string(&j, NULL, "more than ten bytes");
    assert_true(small.overflow);
    buf_finish(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(commas_stand_between_and_nowhere_else, setup, teardown),
        cmocka_unit_test_setup_teardown(every_byte_survives_or_becomes_the_replacement_character,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(utf8_passes_and_broken_utf8_is_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(overflow_is_told_by_the_buf, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
