/* Requests and sends as they come out of a stream: what is made of hostile and of ordinary entries. */
#include "coordinator/requests/request.h"

#include "coordinator/view/cluster_view.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ENTRY "1700000000000-3"

static struct request *make_of(struct slice id, const struct slice *fields, size_t npairs)
{
    struct registry_entry entry = {id, npairs, fields};
    struct request *r = request_create(&entry);
    request_split(r);
    return r;
}

static struct request *make(const struct slice *fields, size_t npairs)
{
    return make_of(SLICE(ENTRY), fields, npairs);
}

static struct request *make_admin(const struct slice *fields, size_t npairs)
{
    return make_of(SLICE("admin:" ENTRY), fields, npairs);
}

static void a_join_names_its_channels_with_commas_and_spaces(void **state)
{
    (void)state;
    const struct slice fields[] = {SLICE("id"),   SLICE("r1"),       SLICE("op"),
                                   SLICE("join"), SLICE("channels"), SLICE("a, #B c,,d\n")};
    struct request *r = make(fields, 3);
    assert_int_equal(r->step, REQUEST_ASSIGN);
    assert_true(slice_is(r->entry, ENTRY));
    assert_true(slice_is(r->id, "r1"));
    assert_int_equal(r->nargs, 4);
    assert_true(slice_is(r->args[1], "#B"));
    assert_true(slice_is(r->args[3], "d"));
    request_destroy(r);
}

static void a_join_may_name_whom_its_channels_are_read_as(void **state)
{
    (void)state;
    const struct slice fields[] = {SLICE("op"),  SLICE("join"),     SLICE("user"),
                                   SLICE("bot"), SLICE("channels"), SLICE("a")};
    struct request *r = make(fields, 3);
    assert_true(slice_is(r->user, "bot"));
    request_destroy(r);
    const struct slice part[] = {SLICE("op"),  SLICE("part"),     SLICE("user"),
                                 SLICE("bot"), SLICE("channels"), SLICE("a")};
    r = make(part, 3);
    assert_int_equal(r->user.len, 0);
    request_destroy(r);
}

static void a_request_without_id_is_known_by_its_entry(void **state)
{
    (void)state;
    const struct slice fields[] = {SLICE("op"), SLICE("part"), SLICE("channels"), SLICE("a")};
    struct request *r = make(fields, 2);
    assert_int_equal(r->step, REQUEST_PART);
    assert_true(slice_is(r->id, ENTRY));
    request_destroy(r);
}

static void settings_take_name_and_value(void **state)
{
    (void)state;
    const struct slice fields[] = {SLICE("value"), SLICE("25"),
                                   SLICE("name"),  SLICE("channels_per_shard"),
                                   SLICE("op"),    SLICE("set")};
    struct request *r = make_admin(fields, 3);
    assert_int_equal(r->step, REQUEST_CONFIGURE);
    assert_int_equal(r->nargs, 2);
    assert_true(slice_is(r->args[0], "channels_per_shard"));
    assert_true(slice_is(r->args[1], "25"));
    request_destroy(r);
}

static void an_entry_with_no_op_or_an_unknown_one_still_goes_to_a_step_that_refuses_it(void **state)
{
    (void)state;
    const struct slice fields[] = {SLICE("op"), SLICE("dance"), SLICE("channels"), SLICE("a")};
    struct request *r = make(fields, 2);
    assert_int_equal(r->step, REQUEST_CONFIGURE);
    assert_true(slice_is(r->op, "dance"));
    assert_int_equal(r->nargs, 0);
    request_destroy(r);

    r = make(NULL, 0);
    assert_int_equal(r->step, REQUEST_CONFIGURE);
    assert_int_equal(r->op.len, 0);
    request_destroy(r);
}

static void more_channels_than_allowed_stay_just_too_many(void **state)
{
    (void)state;
    size_t len = 200000;
    char *text = malloc(len);
    memset(text, 'a', len);
    for (size_t i = 1; i < len; i += 2) {
        text[i] = ',';
    }
    const struct slice fields[] = {SLICE("op"), SLICE("join"), SLICE("channels"), {text, len}};
    struct request *r = make(fields, 2);
    assert_int_equal(r->nargs, REGISTRY_MAX_CHANNELS + 1);
    request_destroy(r);
    free(text);
}

static void long_texts_are_cut_but_stay_too_long_for_the_step(void **state)
{
    (void)state;
    size_t len = 100000;
    char *text = malloc(len);
    memset(text, 'a', len);
    struct slice all = {text, len};
    const struct slice join[] = {SLICE("op"), SLICE("join"),     SLICE("id"),
                                 all,         SLICE("channels"), all};
    struct request *r = make(join, 3);
    assert_int_equal(r->id.len, REGISTRY_MAX_ID + 1);
    assert_int_equal(r->nargs, 1);
    assert_in_range(r->args[0].len, 26, 100);
    request_destroy(r);

    const struct slice set[] = {SLICE("op"), SLICE("set"), SLICE("name"), all, SLICE("value"), all};
    r = make_admin(set, 3);
    assert_in_range(r->args[0].len, 26, 100);
    assert_in_range(r->args[1].len, REGISTRY_READERS_MOST * 26, 4000);
    request_destroy(r);
    free(text);
}

static void a_user_is_found_among_others_and_no_part_of_a_name(void **state)
{
    (void)state;
    assert_true(users_have("bob", "bob"));
    assert_true(users_have("alice,bob", "bob"));
    assert_true(users_have("alice,bob,eve", "bob"));
    assert_false(users_have("alice,bobby", "bob"));
    assert_false(users_have("bob", "bobby"));
    assert_false(users_have("", "bob"));
    assert_false(users_have(",", "bob"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_join_names_its_channels_with_commas_and_spaces),
        cmocka_unit_test(a_join_may_name_whom_its_channels_are_read_as),
        cmocka_unit_test(a_request_without_id_is_known_by_its_entry),
        cmocka_unit_test(settings_take_name_and_value),
        cmocka_unit_test(
            an_entry_with_no_op_or_an_unknown_one_still_goes_to_a_step_that_refuses_it),
        cmocka_unit_test(more_channels_than_allowed_stay_just_too_many),
        cmocka_unit_test(long_texts_are_cut_but_stay_too_long_for_the_step),
        cmocka_unit_test(a_user_is_found_among_others_and_no_part_of_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
