/* Status history: points, those that are missing, and how many are kept. */
#include "coordinator/status/status_history.h"

#include "coordinator/status/records.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct status_history h;

static void add(uint64_t now_ms, const char *nodes)
{
    cJSON *list = nodes != NULL ? cJSON_Parse(nodes) : NULL;

    assert_true(status_history_is_due(&h, now_ms));
    status_history_add(&h, now_ms, list, (struct wall){1000000 + now_ms});
    cJSON_Delete(list);
}

static char *json(void)
{
    cJSON *tree = status_history_json(&h);
    char *text = cJSON_PrintUnformatted(tree);

    cJSON_Delete(tree);
    return text;
}

static void a_point_has_all_lines_and_the_worst_node(void **state)
{
    (void)state;
    h = (struct status_history){0};
    add(77, "[{\"lines_s\":10,\"latency_ms\":3,\"lag_ms\":50},{\"lines_s\":5,\"latency_ms\":4}]");
    assert_false(status_history_is_due(&h, 5076));
    add(5077, "[]");
    char *text = json();
    assert_string_equal(text, "{\"step_ms\":5000,\"at\":1005077,\"lines_s\":[15,0],"
                              "\"latency_ms\":[4,0],\"lag_ms\":[50,0]}");
    free(text);
}

static void what_could_not_be_read_is_null(void **state)
{
    (void)state;
    h = (struct status_history){0};
    add(1000, "[{\"lines_s\":1}]");
    add(6500, NULL);
    add(26000, "[{\"lines_s\":2}]"); /* at 11, 16 and 21 s nobody came */
    char *text = json();
    assert_non_null(strstr(text, "\"lines_s\":[1,null,null,null,null,2]"));
    assert_non_null(strstr(text, "\"at\":1026000"));
    free(text);
}

static void a_quarter_of_an_hour_is_kept(void **state)
{
    (void)state;
    h = (struct status_history){0};
    for (uint64_t i = 0; i < 200; i++) {
        char nodes[40];
        snprintf(nodes, sizeof(nodes), "[{\"lines_s\":%d}]", (int)i);
        add(i * STATUS_STEP_MS, nodes);
    }
    cJSON *tree = status_history_json(&h);
    const cJSON *lines = cJSON_GetObjectItem(tree, "lines_s");
    assert_int_equal(cJSON_GetArraySize(lines), 15 * 60 * 1000 / STATUS_STEP_MS);
    assert_int_equal(lines->child->valueint, 20);
    cJSON_Delete(tree);

    add(1000 * STATUS_STEP_MS, "[{\"lines_s\":7}]"); /* much later: nothing of it is left */
    char *text = json();
    assert_non_null(strstr(text, "null,7]"));
    assert_null(strstr(text, "199"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_point_has_all_lines_and_the_worst_node),
        cmocka_unit_test(what_could_not_be_read_is_null),
        cmocka_unit_test(a_quarter_of_an_hour_is_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
