/* Send status: C and the steps know the same words. */
#include "shared/send_status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

extern const unsigned char shoal_lua[];
extern const size_t shoal_lua_len;

static void the_steps_take_each_status_and_no_other(void **state)
{
    static const char mark[] = "local SEND_STATUS = {";
    const char *at = memmem(shoal_lua, shoal_lua_len, mark, sizeof(mark) - 1);
    char table[200];

    (void)state;
    assert_non_null(at);
    at += sizeof(mark) - 1;
    snprintf(table, sizeof(table), ", %.*s,", (int)strcspn(at, "}"), at);
    for (int status = 0; status < SEND_STATUSES; status++) {
        char entry[40];
        int len = snprintf(entry, sizeof(entry), ", %s = true,", send_status_name(status));
        char *found = strstr(table, entry);
        if (found == NULL) {
            fail_msg("the steps do not know the status %s", send_status_name(status));
        }
        memmove(found, found + len - 1, strlen(found + len - 1) + 1);
    }
    assert_string_equal(table, ",");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_steps_take_each_status_and_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
