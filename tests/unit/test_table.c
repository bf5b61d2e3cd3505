/* Table: aligned columns, safe text, ages and bars. */
#include "coordinator/ctl/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void columns_are_as_wide_as_their_widest_text(void **state)
{
    static const struct table_column columns[] = {
        {"NAME", "name", false}, {"N", "n", true}, {"WHY", "why", false}};
    cJSON *records = cJSON_Parse("[{\"name\":\"a\",\"n\":5},"
                                 "{\"name\":\"longer\",\"n\":12.5,\"why\":\"\xc3\xa4 b\"}]");
    char *text = NULL;
    size_t size = 0;

    (void)state;
    FILE *out = open_memstream(&text, &size);
    table_print(out, 0, columns, ARRAY_LEN(columns), records);
    fclose(out);

    assert_string_equal(text, "NAME       N  WHY\n"
                              "a          5  -\n"
                              "longer  12.5  \xc3\xa4 b\n");
    free(text);
    cJSON_Delete(records);
}

static void widths_are_those_of_a_terminal(void **state)
{
    static const struct table_column columns[] = {{"WHO", "who", false}, {"N", "n", true}};
    cJSON *records =
        cJSON_Parse("[{\"who\":\"\xe6\xbc\xa2\xe5\xad\x97\",\"n\":1}," /* two wide ones */
                    "{\"who\":\"e\xcc\x81\",\"n\":2},"                 /* an accent of its own */
                    "{\"who\":\"abcd\",\"n\":3}]");
    char *text = NULL;
    size_t size = 0;

    (void)state;
    FILE *out = open_memstream(&text, &size);
    table_print(out, 0, columns, ARRAY_LEN(columns), records);
    fclose(out);

    assert_string_equal(text, "WHO   N\n"
                              "\xe6\xbc\xa2\xe5\xad\x97  1\n"
                              "e\xcc\x81     2\n"
                              "abcd  3\n");
    free(text);
    cJSON_Delete(records);
}

static char *printed(size_t width, const cJSON *records)
{
    static const struct table_column columns[] = {
        {"WHO", "who", false}, {"N", "n", true}, {"WHERE", "where", false}};
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    table_print(out, width, columns, ARRAY_LEN(columns), records);
    fclose(out);
    return text;
}

static void a_table_fits_a_terminal_and_says_what_is_cut(void **state)
{
    cJSON *records =
        cJSON_Parse("[{\"who\":\"a name of some length\",\"n\":12345,\"where\":\"here\"},"
                    "{\"who\":\"\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2\xe5\xad\x97"
                    "\xe6\xbc\xa2\xe5\xad\x97\",\"n\":1,\"where\":\"b\"}]");
    char *text = printed(24, records);

    (void)state;
    assert_string_equal(text, "WHO             N  WHERE\n"
                              "a name of~  12345  here\n"
                              "\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2\xe5\xad\x97~       1  b\n");
    free(text);
    text = printed(14, records); /* the last column has no room at all */
    assert_string_equal(text, "WHO         N\n"
                              "a nam~  12345\n"
                              "\xe6\xbc\xa2\xe5\xad\x97~       1\n");
    free(text);
    cJSON_Delete(records);
}

static void a_text_goes_on_below_itself(void **state)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    table_text(out, 20, "problem", "one two three four-and-more-than-fits \x1b[31m");
    table_text(out, 0, "note", "one two three four five six seven");
    fclose(out);
    assert_string_equal(text, "problem   one two\n"
                              "          three\n"
                              "          four-and-more-than-fits\n"
                              "          ?[31m\n"
                              "note      one two three four five six seven\n");
    free(text);
}

static void a_text_of_any_length_is_cut_at_once_and_never_within_a_character(void **state)
{
    static const struct {
        const char *text;
        size_t width;
        size_t bytes;
    } cases[] = {
        {"", 5, 0},
        {"abc", 0, 0},
        {"abc", 3, 3},
        {"abc", 2, 2},
        {"\xe6\xbc\xa2\xe5\xad\x97", 3, 3}, /* two wide ones */
        {"e\xcc\x81z", 1, 3},               /* an accent of its own belongs to what it is over */
        {"\xcc\x81", 0, 2},
        {"a\xff\x80z", 2, 3}, /* no UTF-8 */
    };
    size_t size = (size_t)1 << 20;
    char *text = xmalloc(size);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(table_cut(slice_of(cases[i].text), cases[i].width).len, cases[i].bytes);
    }
    memset(text, 'x', size);
    assert_int_equal(table_cut((struct slice){text, size}, 80).len, 80);
    free(text);
}

static void ages_are_in_the_largest_unit_that_still_says_something(void **state)
{
    static const struct {
        uint64_t ms;
        const char *text;
    } cases[] = {{0, "0s"},        {999, "0s"},        {59999, "59s"},
                 {119999, "119s"}, {120000, "2m"},     {7199999, "119m"},
                 {7200000, "2h"},  {172799999, "47h"}, {172800000, "2d"}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[24];
        table_age(cases[i].ms, text, sizeof(text));
        assert_string_equal(text, cases[i].text);
    }
}

static void a_bar_is_full_only_at_the_limit_and_empty_only_at_nothing(void **state)
{
    static const struct {
        uint64_t used;
        uint64_t most;
        const char *bar;
    } cases[] = {{0, 100, "[..........]"},  {1, 100, "[#.........]"},   {50, 100, "[#####.....]"},
                 {99, 100, "[#########.]"}, {100, 100, "[##########]"}, {700, 100, "[##########]"},
                 {5, 0, "[..........]"}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char bar[13];
        table_bar(cases[i].used, cases[i].most, 10, bar);
        assert_string_equal(bar, cases[i].bar);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_as_wide_as_their_widest_text),
        cmocka_unit_test(widths_are_those_of_a_terminal),
        cmocka_unit_test(a_table_fits_a_terminal_and_says_what_is_cut),
        cmocka_unit_test(a_text_goes_on_below_itself),
        cmocka_unit_test(a_text_of_any_length_is_cut_at_once_and_never_within_a_character),
        cmocka_unit_test(ages_are_in_the_largest_unit_that_still_says_something),
        cmocka_unit_test(a_bar_is_full_only_at_the_limit_and_empty_only_at_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
