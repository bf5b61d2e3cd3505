/* Top: what is on the screen, and what keys change. */
#include "coordinator/ctl/top.h"

#include "shared/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define DOCUMENT                                                                                   \
    "{\"cluster\":\"main\",\"health\":\"degraded\",\"leader\":{\"id\":\"c1\",\"leads_ms\":5000},"  \
    "\"channels\":30,\"states\":{\"queued\":5,\"joined\":25},\"settings\":{\"channels_per_"        \
    "shard\":"                                                                                     \
    "\"20\"},\"joins\":[{\"user\":\"bot\",\"queued\":5,\"left_ms\":2750}],"                        \
    "\"problems\":[{\"problem\":\"channels_failed\",\"level\":\"note\",\"text\":\"a note\"},"      \
    "{\"problem\":\"node_blind\",\"level\":\"bad\",\"text\":\"node n2 is blind\"}],"               \
    "\"shards\":[{\"shard\":\"s1\",\"node\":\"n1\",\"user\":\"bot\",\"state\":\"ready\","          \
    "\"channels\":20,\"joined\":20,\"lines_s\":7,\"sender\":\"s3\"},"                              \
    "{\"shard\":\"s2\",\"node\":\"n2\",\"user\":\"bot\",\"state\":\"backoff\",\"channels\":10,"    \
    "\"joined\":5,\"lines_s\":0,\"error\":\"\\u001b[2J refused\"},"                                \
    "{\"shard\":\"s3\",\"node\":\"n1\",\"user\":\"bot\",\"state\":\"connecting\",\"channels\":0,"  \
    "\"lines_s\":9}],"                                                                             \
    "\"nodes\":[{\"node\":\"n1\",\"state\":\"active\",\"shards\":2,\"capacity\":4,\"lines_s\":16}" \
    ","                                                                                            \
    "{\"node\":\"n2\",\"state\":\"blind\",\"shards\":1,\"capacity\":4}],"                          \
    "\"accounts\":[{\"account\":\"bot\",\"state\":\"usable\",\"rooms\":30,\"room_limit\":100}]}"

static struct top t;
static cJSON *document;

struct seen {
    struct buf text;
    enum top_style style[200];
    size_t n;
};

static struct seen s;

static void on_line(void *ctx, enum top_style style, struct slice text)
{
    struct seen *seen = ctx;

    seen->style[seen->n++] = style;
    buf_append_slice(&seen->text, text);
    buf_append_char(&seen->text, '\n');
}

static const char *draw(size_t columns, size_t lines)
{
    buf_clear(&s.text);
    s.n = 0;
    top_draw(&t, columns, lines, on_line, &s);
    assert_int_equal(s.n, lines); /* whatever it is */
    return s.text.data;
}

/* The line that begins so, and its style. */
static bool shows(const char *begin, enum top_style style)
{
    const char *line = s.text.data;

    for (size_t i = 0; i < s.n; i++, line = strchr(line, '\n') + 1) {
        if (strncmp(line, begin, strlen(begin)) == 0) {
            return s.style[i] == style;
        }
    }
    return false;
}

/* Is the one shown above the other? */
static bool above(const char *one, const char *other)
{
    const char *a = strstr(s.text.data, one);
    const char *b = strstr(s.text.data, other);

    return a != NULL && b != NULL && a < b;
}

static void press(const char *keys)
{
    for (; *keys != '\0'; keys++) {
        top_press(&t, (uint32_t)*keys);
    }
}

static int begin(void **state)
{
    (void)state;
    top_init(&t);
    document = cJSON_Parse(DOCUMENT);
    assert_non_null(document);
    t.document = document;
    buf_init(&s.text, 100000);
    return 0;
}

static int finish(void **state)
{
    (void)state;
    buf_finish(&s.text);
    cJSON_Delete(document);
    return 0;
}

static void the_head_tells_how_it_is(void **state)
{
    (void)state;
    draw(100, 24);
    assert_true(shows("main  degraded  leader c1 for 5s", TOP_BAD));
    assert_true(shows("16 lines/s  30 channels: 5 queued, 25 joined", TOP_PLAIN));
    assert_true(shows("5 joins to go, in about 2s", TOP_WAITS));
    assert_true(shows("node n2 is blind (and 1 more: shoalctl status)", TOP_BAD));
    assert_true(shows("[shards 3]  nodes 2   accounts 1", TOP_PLAIN));
    assert_true(shows("q quit", TOP_FAINT));
    t.away = "the connection was closed";
    draw(100, 24);
    assert_true(shows("main  Redis does not answer: the connection was closed", TOP_BAD));
    t.away = NULL;
    cJSON_ReplaceItemInObject(document, "health", cJSON_CreateString("healthy"));
    draw(100, 24);
    assert_true(shows("main  healthy", TOP_GOOD));
}

static void rows_are_sorted_and_coloured_by_how_they_do(void **state)
{
    (void)state;
    draw(120, 24);
    assert_true(shows("SHARD", TOP_TITLES));
    assert_true(shows("s1     ready       [##########]", TOP_PLAIN));
    assert_true(shows("s2     backoff     [#####.....]", TOP_BAD));
    assert_true(shows("s3     connecting", TOP_WAITS));
    assert_true(above("\ns3", "\ns1") && above("\ns1", "\ns2")); /* by lines */
    press("r");
    draw(120, 24);
    assert_true(above("\ns2", "\ns1") && above("\ns1", "\ns3"));
    assert_non_null(strstr(s.text.data, "LINES/S^"));
    press("<<<<<"); /* by name */
    draw(120, 24);
    assert_non_null(strstr(s.text.data, "SHARDv"));
    assert_true(above("\ns1", "\ns2") && above("\ns2", "\ns3"));
    press("<"); /* round to the last one */
    draw(120, 24);
    assert_non_null(strstr(s.text.data, "ERRORv"));
    press(">");
    draw(120, 24);
    assert_non_null(strstr(s.text.data, "SHARDv"));
}

static void tables_take_turns(void **state)
{
    (void)state;
    top_press(&t, TOP_KEY_TAB);
    draw(100, 24);
    assert_true(shows("n2    blind", TOP_BAD));
    top_press(&t, TOP_KEY_TAB);
    draw(100, 24);
    assert_true(shows("bot       usable  [###.......]  30/100", TOP_PLAIN));
    top_press(&t, TOP_KEY_TAB);
    draw(100, 24);
    assert_non_null(strstr(s.text.data, "[shards 3]"));
    top_press(&t, TOP_KEY_BACK_TAB);
    draw(100, 24);
    assert_non_null(strstr(s.text.data, "[accounts 1]"));
    press("2");
    draw(100, 24);
    assert_non_null(strstr(s.text.data, "[nodes 2]"));
}

static void a_filter_leaves_rows_that_show_its_text(void **state)
{
    (void)state;
    press("/S3q");
    top_press(&t, TOP_KEY_BACKSPACE);
    draw(100, 24);
    assert_false(t.quits);
    assert_non_null(strstr(s.text.data, "/S3_"));
    assert_non_null(strstr(s.text.data, "\ns3"));
    assert_null(strstr(s.text.data, "\ns1")); /* it has it where nobody sees it */
    top_press(&t, TOP_KEY_ENTER);
    draw(100, 24);
    assert_non_null(strstr(s.text.data, "/S3: 1 of 3"));
    top_press(&t, TOP_KEY_ESCAPE);
    draw(100, 24);
    assert_non_null(strstr(s.text.data, "\ns1"));
    press("/");
    for (int i = 0; i < 100; i++) {
        press("x"); /* no more than it holds */
    }
    draw(100, 24);
    assert_null(strstr(s.text.data, "\ns1"));
    top_press(&t, TOP_KEY_ESCAPE);
    assert_string_equal(t.filter, "");
}

static void many_rows_are_scrolled_and_never_past_the_end(void **state)
{
    cJSON *shards = cJSON_GetObjectItem(document, "shards");

    (void)state;
    for (int i = 0; i < 100; i++) {
        char *text = xasprintf("{\"shard\":\"m%02d\",\"state\":\"ready\",\"lines_s\":1000}", i);
        cJSON_AddItemToArray(shards, cJSON_Parse(text));
        free(text);
    }
    draw(100, 24);
    assert_true(above("\nm00", "\nm16") && strstr(s.text.data, "\nm17") == NULL);
    top_press(&t, TOP_KEY_DOWN);
    press("j");
    draw(100, 24);
    assert_true(strstr(s.text.data, "\nm01") == NULL && above("\nm02", "\nm18"));
    top_press(&t, TOP_KEY_PAGE_DOWN);
    draw(100, 24);
    assert_non_null(strstr(s.text.data, "\nm19"));
    assert_null(strstr(s.text.data, "\nm18"));
    top_press(&t, TOP_KEY_END);
    top_press(&t, TOP_KEY_PAGE_DOWN);
    draw(100, 24);
    assert_non_null(strstr(s.text.data, "\ns2")); /* the last one, at the bottom */
    press("k");
    top_press(&t, TOP_KEY_PAGE_UP);
    draw(100, 24);
    assert_null(strstr(s.text.data, "\ns2"));
    top_press(&t, TOP_KEY_HOME);
    draw(100, 24);
    assert_non_null(strstr(s.text.data, "\nm00"));
}

static void any_size_will_do_and_no_text_is_obeyed(void **state)
{
    static const enum top_view views[] = {TOP_SHARDS, TOP_NODES, TOP_ACCOUNTS};

    (void)state;
    for (size_t columns = 1; columns < 140; columns += columns < 20 ? 1 : 7) {
        for (size_t lines = 1; lines < 30; lines++) {
            for (size_t i = 0; i < ARRAY_LEN(views); i++) {
                t.view = views[i];
                t.help = lines % 5 == 0;
                const char *text = draw(columns, lines);
                assert_null(strchr(text, '\x1b'));
                for (; *text != '\0'; text += strcspn(text, "\n") + 1) {
                    assert_true(strcspn(text, "\n") <= columns);
                }
            }
        }
    }
    t.document = NULL;
    draw(80, 24);
}

static void help_and_leaving(void **state)
{
    (void)state;
    press("?");
    draw(40, 24);
    assert_non_null(strstr(s.text.data, "shards, nodes, accounts"));
    press("x");
    assert_false(t.help || t.quits);
    press("hq");
    assert_true(t.quits);
    t.quits = false;
    top_press(&t, TOP_KEY_OTHER);
    assert_false(t.quits);
    press("q");
    assert_true(t.quits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_head_tells_how_it_is, begin, finish),
        cmocka_unit_test_setup_teardown(rows_are_sorted_and_coloured_by_how_they_do, begin, finish),
        cmocka_unit_test_setup_teardown(tables_take_turns, begin, finish),
        cmocka_unit_test_setup_teardown(a_filter_leaves_rows_that_show_its_text, begin, finish),
        cmocka_unit_test_setup_teardown(many_rows_are_scrolled_and_never_past_the_end, begin,
                                        finish),
        cmocka_unit_test_setup_teardown(any_size_will_do_and_no_text_is_obeyed, begin, finish),
        cmocka_unit_test_setup_teardown(help_and_leaving, begin, finish),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
