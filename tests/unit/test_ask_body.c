/* Ask body: what may be asked over HTTP, and what is said of everything else. */
#include "coordinator/web/ask_body.h"

#include <stdio.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* "name=value" of each field, with blanks between; or the error. */
static const char *parsed(enum ask_kind kind, struct slice text)
{
    static char out[2000];
    struct ask_body body;
    struct err err = {0};
    int rc = ask_body_parse(kind, text, &body, &err);

    assert_int_equal(rc, -(int)err.code);
    snprintf(out, sizeof(out), "%s", err.text);
    for (size_t i = 0; rc == 0 && i < body.n; i++) {
        snprintf(out + strlen(out), sizeof(out) - strlen(out), "%s%s=%s", i > 0 ? " " : "",
                 body.fields[i].name, body.fields[i].value);
    }
    if (rc == 0) {
        assert_string_equal(body.op, body.fields[0].value);
    }
    ask_body_finish(&body);
    return out;
}

static void what_is_asked_becomes_the_fields_of_an_entry(void **state)
{
    (void)state;
    static const struct {
        enum ask_kind kind;
        const char *text;
        const char *fields;
    } cases[] = {
        {ASK_REQUEST, "{\"op\":\"join\",\"channels\":[\"#Forsen\",\"xqc\"]}",
         "op=join channels=forsen,xqc by=http"},
        {ASK_REQUEST, " {\"user\":\"bot\",\"by\":\"me\",\"channels\":[\"a\"],\"op\":\"join\"}\n",
         "op=join user=bot by=me channels=a"},
        {ASK_REQUEST, "{\"op\":\"part\",\"channels\":[\"a\"]}", "op=part channels=a by=http"},
        {ASK_REQUEST, "{\"op\":\"retry\",\"channels\":[\"a\"]}", "op=retry channels=a by=http"},
        {ASK_ADMIN, "{\"op\":\"set\",\"name\":\"user\",\"value\":\"\"}",
         "op=set name=user value= by=http"},
        {ASK_ADMIN, "{\"op\":\"unset\",\"name\":\"user\"}", "op=unset name=user by=http"},
        {ASK_ADMIN, "{\"op\":\"start\"}", "op=start by=http"},
        {ASK_ADMIN, "{\"op\":\"stop\",\"by\":\"me\"}", "op=stop by=me"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_string_equal(parsed(cases[i].kind, slice_of(cases[i].text)), cases[i].fields);
    }
}

static void everything_else_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        enum ask_kind kind;
        const char *text;
        const char *says;
    } cases[] = {
        {ASK_REQUEST, "", "one JSON object"},
        {ASK_REQUEST, "[]", "one JSON object"},
        {ASK_REQUEST, "{\"op\":\"stop\"} x", "one JSON object"},
        {ASK_REQUEST, "{\"op\":\"part\",\"channels\":[\"\xff\"]}", "UTF-8"},
        {ASK_REQUEST, "{\"op\":\"part\",\"channels\":[\"a\\u0000b\"]}", "without NUL"},
        {ASK_REQUEST, "{}", "op: takes join, part or retry"},
        {ASK_REQUEST, "{\"op\":\"start\"}", "op: takes join, part or retry"},
        {ASK_REQUEST, "{\"op\":7}", "op: takes join, part or retry"},
        {ASK_ADMIN, "{\"op\":\"join\",\"channels\":[\"a\"]}",
         "op: takes set, unset, start or stop"},
        {ASK_ADMIN, "{\"op\":\"account_put\",\"name\":\"a\"}",
         "op: takes set, unset, start or stop"},
        {ASK_REQUEST, "{\"op\":\"join\"}", "channels: is missing; join needs it"},
        {ASK_REQUEST, "{\"op\":\"join\",\"channels\":[]}", "channels: takes a list"},
        {ASK_REQUEST, "{\"op\":\"join\",\"channels\":\"a\"}", "channels: takes a list"},
        {ASK_REQUEST, "{\"op\":\"join\",\"channels\":[1]}", "one is no string"},
        {ASK_REQUEST, "{\"op\":\"join\",\"channels\":[\"a,b\"]}", "\"a,b\" is not a channel"},
        {ASK_REQUEST, "{\"op\":\"join\",\"channels\":[\"a\"],\"user\":\"a b\"}", "user: takes"},
        {ASK_REQUEST, "{\"op\":\"part\",\"channels\":[\"a\"],\"user\":\"a\"}",
         "\"user\" is not known, or is there twice; part takes channels, by"},
        {ASK_REQUEST, "{\"op\":\"part\",\"channels\":[\"a\"],\"channels\":[\"a\"]}",
         "\"channels\" is not known, or is there twice"},
        {ASK_REQUEST, "{\"op\":\"part\",\"op\":\"join\",\"channels\":[\"a\"]}",
         "\"op\" is not known, or is there twice"},
        {ASK_REQUEST, "{\"op\":\"part\",\"channels\":[\"a\"],\"by\":\"\"}", "by: takes who asks"},
        {ASK_ADMIN, "{\"op\":\"set\",\"name\":\"user\"}", "value: is missing; set needs it"},
        {ASK_ADMIN, "{\"op\":\"set\",\"name\":\"user\",\"value\":5}", "value: takes a string"},
        {ASK_ADMIN, "{\"op\":\"set\",\"name\":\"\",\"value\":\"5\"}", "name: takes the name"},
        {ASK_ADMIN, "{\"op\":\"unset\",\"name\":\"a\",\"value\":\"5\"}", "\"value\" is not known"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *says = parsed(cases[i].kind, slice_of(cases[i].text));
        if (strstr(says, cases[i].says) == NULL) {
            fail_msg("%s: %s", cases[i].text, says);
        }
    }
}

static void a_request_names_a_thousand_channels_and_not_one_more(void **state)
{
    (void)state;
    struct ask_body body;
    struct err err;
    struct buf text;

    for (int n = 1000; n <= 1001; n++) {
        buf_init(&text, 1 << 20);
        buf_append_str(&text, "{\"op\":\"join\",\"channels\":[");
        for (int i = 0; i < n; i++) {
            buf_printf(&text, "%s\"a_name_of_25_characters%02d\"", i > 0 ? "," : "", i % 100);
        }
        buf_append_str(&text, "]}");
        int rc = ask_body_parse(ASK_REQUEST, buf_slice(&text), &body, &err);
        assert_int_equal(rc, n > 1000 ? -ERR_USAGE : 0);
        assert_false(body.list.overflow);
        ask_body_finish(&body);
        buf_finish(&text);
    }
    assert_non_null(strstr(err.text, "at most 1000; make several requests"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_asked_becomes_the_fields_of_an_entry),
        cmocka_unit_test(everything_else_is_refused_by_name),
        cmocka_unit_test(a_request_names_a_thousand_channels_and_not_one_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
