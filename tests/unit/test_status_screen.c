/* Status screen: whatever Redis holds, there is a document and a screen of it. */
#include "coordinator/ctl/status_screen.h"

#include "coordinator/status/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void show(const cJSON *document, size_t width, size_t height)
{
    char *text = NULL;
    size_t len = 0;
    struct status_screen screen = {.width = width, .height = height, .document = document};

    screen.out = open_memstream(&text, &len);
    status_screen(&screen);
    fclose(screen.out);
    assert_true(len > 100);
    assert_null(strchr(text, '\x1b'));
    free(text);
}

/* Numbers that are texts and the other way round, nothing at all, and what is far too large. */
static void what_is_odd_is_shown_as_far_as_it_goes(void **unused)
{
    static const char *const odd[] = {
        "[]",
        "[{}]",
        "[{\"node\":5,\"state\":{},\"buffer_limit\":\"x\",\"buffer_bytes\":-1,\"error\":7}]",
        "[{\"shard\":[],\"user\":\"\",\"channels\":1e300,\"joined\":\"many\",\"state\":\"ready\","
        "\"moved\":1e17,\"error\":\"\\u001b[31m\"}]",
        "[{\"account\":null,\"state\":3,\"ending\":\"1\",\"left_ms\":-1e300}]",
        "[{\"reader\":true,\"rooms\":1e18,\"limit\":1,\"name\":\"\\u001b[H\",\"value\":2}]"};

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        const struct cluster_state state = {
            .waiting = 1, .homeless = UINT64_MAX, .lost_at_ms = 1, .now = {1700000000000}};
        cJSON *list = cJSON_Parse(odd[i]);
        const struct records records = {.settings = list,
                                        .nodes = list,
                                        .shards = list,
                                        .accounts = list,
                                        .readers = list,
                                        .state = &state};
        cJSON *document = status_document(&(struct status_facts){&records, "main", NULL});
        show(document, 0, 0);
        show(document, 40, 10);
        cJSON_Delete(document);
        cJSON_Delete(list);
    }
}

static void many_problems_of_one_kind_are_told_by_the_first_and_counted(void **unused)
{
    char *text = NULL;
    size_t len = 0;
    cJSON *document =
        cJSON_Parse("{\"problems\":[],\"joins\":[{\"user\":\"bot\",\"queued\":3,"
                    "\"left_ms\":0},{\"user\":\"other\",\"left_ms\":65000}],"
                    "\"settings\":{\"history_bytes\":\"67108864\"},\"kept\":{"
                    "\"streams\":1,\"entries\":9,\"bytes\":1572864,\"age_ms\":125000,"
                    "\"groups\":[{\"group\":\"logger\",\"key\":\"lines:0\",\"behind_ms\":"
                    "2500,\"pending\":7,\"cuts\":1}]}}");
    cJSON *problems = cJSON_GetObjectItemCaseSensitive(document, "problems");
    struct status_screen screen = {.document = document};

    (void)unused;
    for (int i = 0; i < 8; i++) {
        cJSON *problem = cJSON_CreateObject();
        cJSON_AddStringToObject(problem, "problem", i < 7 ? "shard_error" : "room_limit");
        cJSON_AddStringToObject(problem, "level", "bad");
        cJSON_AddStringToObject(problem, "text", "login refused");
        cJSON_AddStringToObject(problem, "mend", "a token");
        cJSON_AddItemToArray(problems, problem);
    }
    screen.out = open_memstream(&text, &len);
    status_screen(&screen);
    fclose(screen.out);
    size_t told = 0;
    for (const char *at = text; (at = strstr(at, "problem   login refused")) != NULL; at++) {
        told++;
    }
    assert_int_equal(told, 6);
    assert_non_null(strstr(text, "and 2 more of that kind (shard_error): shoalctl status --json"));
    assert_non_null(
        strstr(text, "history   9 entries, 1.5 of at most 64.0 MiB, the oldest 2m old\n"));
    assert_non_null(strstr(text, "\nlogger  lines:0       2500        7     1\n"));
    assert_non_null(strstr(text, "bot: 0 joined, 3 to go\n"));
    assert_non_null(strstr(text, "other: 0 joined, 0 to go, in about 65s\n"));
    free(text);
    cJSON_Delete(document);
}

static size_t lines_at(const cJSON *document, size_t width, size_t height)
{
    char *text = NULL;
    size_t len = 0;
    size_t lines = 0;
    struct status_screen screen = {.width = width, .height = height, .document = document};

    screen.out = open_memstream(&text, &len);
    status_screen(&screen);
    fclose(screen.out);
    for (size_t i = 0; i < len; i++) {
        lines += text[i] == '\n';
    }
    free(text);
    return lines;
}

/* And the line behind the last one: where the cursor is, nothing is pushed out at the top. */
static void a_screen_is_no_higher_than_the_terminal_also_where_lines_are_broken(void **unused)
{
    cJSON *document = cJSON_Parse(
        "{\"shards\":[],\"budgets\":[{\"budget\":\"login\",\"limit\":200,\"window_ms\":11000},"
        "{\"budget\":\"join\",\"limit\":200,\"window_ms\":11000},{\"budget\":\"message\","
        "\"limit\":20,\"window_ms\":32000},{\"budget\":\"message_mod\",\"limit\":100,"
        "\"window_ms\":32000}],\"nodes\":[{\"node\":\"a\"},{\"node\":\"b\"},{\"node\":\"c\"}]}");

    (void)unused;
    for (int i = 0; i < 9; i++) {
        cJSON_AddItemToArray(cJSON_GetObjectItem(document, "shards"), cJSON_CreateObject());
    }
    for (size_t height = 24; height < 40; height++) {
        assert_true(lines_at(document, 40, height) < height);
        assert_true(lines_at(document, 120, height) < height);
    }
    assert_int_equal(lines_at(document, 120, 0), lines_at(document, 120, 100));
    cJSON_Delete(document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_odd_is_shown_as_far_as_it_goes),
        cmocka_unit_test(a_screen_is_no_higher_than_the_terminal_also_where_lines_are_broken),
        cmocka_unit_test(many_problems_of_one_kind_are_told_by_the_first_and_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
