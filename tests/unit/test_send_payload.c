/* Send payload: text or JSON, whatever is published. */
#include "node/send_payload.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void plain_payloads_are_said_as_they_are(void **state)
{
    static const char *const payloads[] = {
        "hello", "", "[\"text\"]", "\"text\"", "  {not json}", "a {\"text\":\"x\"}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(payloads); i++) {
        struct send_payload p;
        send_payload_parse(slice_of(payloads[i]), &p);
        assert_null(p.json);
        assert_true(slice_is(p.send.text, payloads[i]));
        assert_int_equal(p.send.id.len, 0);
        assert_string_equal(p.problem, "");
        send_payload_finish(&p);
    }
}

static void what_begins_with_a_brace_and_is_no_send_is_refused_by_the_name_of_a_field(void **state)
{
    static const struct {
        const char *payload;
        const char *field;
    } cases[] = {
        {"{", "text:"},
        {"{}", "text:"},
        {"{\"txt\":\"oops\"}", "text:"},
        {"{\"text\":5}", "text:"},
        {"{\"text\":\"x\"} trailing", "text:"},
        {"{\"text\":\"no brace\"", "text:"},
        {"{\"text\":\"x\"}{}", "text:"},
        {"{\"text\":\"x\",\"id\":5}", "id:"},
        {"{\"text\":\"x\",\"command\":\"true\"}", "command:"},
        {"{\"text\":\"x\",\"command\":1}", "command:"},
        {"{\"text\":\"x\",\"reply_to\":{}}", "reply_to:"},
        {"{\"text\":\"x\",\"user\":[]}", "user:"},
        {"{\"text\":\"x\",\"by\":true}", "by:"},
        {"{\"text\":\"x\",\"priority\":1}", "priority:"},
        {"{\"text\":\"x\",\"split\":1}", "split:"},
        {"{\"text\":\"x\",\"ttl_ms\":true}", "ttl_ms:"},
        {"{not json}", "text:"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct send_payload p;
        send_payload_parse(slice_of(cases[i].payload), &p);
        if (strncmp(p.problem, cases[i].field, strlen(cases[i].field)) != 0) {
            fail_msg("%s: %s", cases[i].payload, p.problem);
        }
        send_payload_finish(&p);
    }
}

static void null_and_unknown_members_are_as_if_they_were_not_there(void **state)
{
    struct send_payload p;

    (void)state;
    send_payload_parse(SLICE("{\"text\":\"x\",\"id\":null,\"command\":null,\"later\":1}"), &p);
    assert_string_equal(p.problem, "");
    assert_true(slice_is(p.send.text, "x"));
    send_payload_finish(&p);
}

static void an_object_that_is_too_long_is_refused(void **state)
{
    struct send_payload p;
    char *huge = xmalloc(100000);

    (void)state;
    memset(huge, ' ', 100000);
    memcpy(huge, "{\"text\":\"x\"}", 12);
    huge[99999] = '}';
    send_payload_parse((struct slice){huge, 100000}, &p);
    assert_non_null(strstr(p.problem, "16384"));
    send_payload_finish(&p);
    free(huge);
}

static void an_object_with_a_text_is_a_send_with_its_fields(void **state)
{
    struct send_payload p;

    (void)state;
    send_payload_parse(
        SLICE("{\"text\":\"h\\u00e9llo\",\"id\":\"a1\",\"reply_to\":\"r\",\"user\":\"bot\","
              "\"ttl_ms\":1500,\"by\":\"app\",\"command\":true}"),
        &p);

    assert_non_null(p.json);
    assert_true(slice_is(p.send.text, "h\xc3\xa9llo"));
    assert_true(slice_is(p.send.id, "a1"));
    assert_true(slice_is(p.send.reply_to, "r"));
    assert_true(slice_is(p.send.user, "bot"));
    assert_true(slice_is(p.send.ttl_ms, "1500"));
    assert_true(slice_is(p.send.by, "app"));
    assert_true(p.send.as_command);
    send_payload_finish(&p);
}

static void strange_ttls_stay_numbers_the_registry_can_refuse(void **state)
{
    static const struct {
        const char *payload;
        const char *ttl;
    } cases[] = {
        {"{\"text\":\"x\",\"ttl_ms\":-5}", "1000000000000000"},
        {"{\"text\":\"x\",\"ttl_ms\":1e300}", "1000000000000000"},
        {"{\"text\":\"x\",\"ttl_ms\":0.9}", "0"},
        {"{\"text\":\"x\",\"ttl_ms\":\"12x\"}", "12x"},
        {"{\"text\":\"x\",\"ttl_ms\":null}", ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct send_payload p;
        send_payload_parse(slice_of(cases[i].payload), &p);
        assert_true(slice_is(p.send.ttl_ms, cases[i].ttl));
        send_payload_finish(&p);
    }
}

static void a_text_is_cut_where_the_registry_calls_it_too_long(void **state)
{
    struct send_payload p;
    char *huge = xmalloc(100000);

    (void)state;
    memset(huge, 'x', 100000);
    send_payload_parse((struct slice){huge, 100000}, &p);
    assert_int_equal(p.send.text.len, 8193);
    send_payload_finish(&p);
    free(huge);
}

static void an_id_is_cut_where_the_registry_calls_it_too_long(void **state)
{
    struct send_payload p;
    char payload[512];

    (void)state;
    snprintf(payload, sizeof(payload), "{\"text\":\"x\",\"id\":\"%0200d\"}", 1);
    send_payload_parse(slice_of(payload), &p);
    assert_int_equal(p.send.id.len, REGISTRY_MAX_ID + 1);
    assert_true(slice_is(p.send.text, "x"));
    send_payload_finish(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_payloads_are_said_as_they_are),
        cmocka_unit_test(what_begins_with_a_brace_and_is_no_send_is_refused_by_the_name_of_a_field),
        cmocka_unit_test(null_and_unknown_members_are_as_if_they_were_not_there),
        cmocka_unit_test(an_object_that_is_too_long_is_refused),
        cmocka_unit_test(an_object_with_a_text_is_a_send_with_its_fields),
        cmocka_unit_test(strange_ttls_stay_numbers_the_registry_can_refuse),
        cmocka_unit_test(a_text_is_cut_where_the_registry_calls_it_too_long),
        cmocka_unit_test(an_id_is_cut_where_the_registry_calls_it_too_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
