/* Records: what is read of a cluster, as objects. */
#include "coordinator/status/records.h"

#include "tests/lib/registry_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

struct end {
    unsigned done;
    struct err err;
};

static void on_done(void *ctx, const struct err *err)
{
    struct end *e = ctx;

    e->done++;
    e->err = err != NULL ? *err : (struct err){0};
}

static void read_all(struct records *r, unsigned what)
{
    struct end end = {0};

    records_init(
        r, &(struct records_options){
               .registry = w.r, .read_only = true, .what = what, .on_done = on_done, .ctx = &end});
    records_resume(r);
    wait_until(&w.probe.t, end.done > 0);
    assert_int_equal(end.err.code, ERR_OK);
    assert_int_equal(end.done, 1);
}

static void what_is_asked_for_is_read_and_nothing_else(void **state)
{
    struct records r;

    (void)state;
    read_all(&r, RECORDS_NODES);
    assert_int_equal(cJSON_GetArraySize(r.nodes), 1);
    assert_non_null(records_find(r.nodes, "node", "n1"));
    assert_int_equal(cJSON_GetArraySize(r.shards), 0);
    assert_int_equal(cJSON_GetArraySize(r.settings), 0);
    records_finish(&r);

    read_all(&r, RECORDS_WHOLE | RECORDS_SHARDS);
    assert_int_equal(cJSON_GetArraySize(r.nodes), 0);
    assert_string_equal(records_text(records_find(r.shards, "shard", "main-shard"), "user"), "bot");
    assert_int_equal(records_number(records_find(r.shards, "shard", "main-shard"), "channels"), 1);
    assert_string_equal(records_setting(&r, "user"), "bot");
    assert_true(r.state->leader.id.len > 0);
    assert_int_equal(r.state->rooms, 1);
    records_finish(&r);
}

static void no_record_holds_what_would_let_a_reader_act_as_a_node(void **state)
{
    struct records r;

    (void)state;
    read_all(&r, RECORDS_NODES);
    assert_null(cJSON_GetObjectItemCaseSensitive(r.nodes->child, "incarnation"));
    records_finish(&r);
}

/* Where Redis lost it in between, a node's figures are there alone, and no state. */
static void a_node_past_its_lease_is_silent_also_where_no_state_is_known(void **state)
{
    struct records r;

    (void)state;
    world_ask(&w, "ZADD shoal:{t}:nodes 1 n1 1 n2");
    world_ask(&w, "HSET shoal:{t}:node:n2 renewed 1");
    read_all(&r, RECORDS_NODES);
    assert_int_equal(cJSON_GetArraySize(r.nodes), 2);
    assert_string_equal(records_text(records_find(r.nodes, "node", "n1"), "state"), "silent");
    assert_string_equal(records_text(records_find(r.nodes, "node", "n2"), "state"), "silent");
    records_finish(&r);
    world_ask(&w, "ZREM shoal:{t}:nodes n2");
    world_ask(&w, "DEL shoal:{t}:node:n2");
}

static void a_round_whose_link_fails_goes_on_when_it_is_back(void **state)
{
    struct records r;
    struct end end = {0};
    unsigned ups = w.probe.ups;

    (void)state;
    records_init(&r, &(struct records_options){.registry = w.r,
                                               .read_only = true,
                                               .what = RECORDS_NODES | RECORDS_SHARDS,
                                               .on_done = on_done,
                                               .ctx = &end});
    records_resume(&r);
    link_reset(w.probe.link, "a test");
    wait_until(&w.probe.t, end.done == 1);
    assert_int_equal(end.err.code, ERR_DOWN);

    wait_until(&w.probe.t, w.probe.ups > ups);
    records_resume(&r);
    wait_until(&w.probe.t, end.done == 2);
    assert_int_equal(end.err.code, ERR_OK);
    assert_int_equal(cJSON_GetArraySize(r.nodes), 1);
    assert_int_equal(cJSON_GetArraySize(r.shards), 1);
    records_finish(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_asked_for_is_read_and_nothing_else, begin_sending,
                                        finish),
        cmocka_unit_test_setup_teardown(no_record_holds_what_would_let_a_reader_act_as_a_node,
                                        begin_sending, finish),
        cmocka_unit_test_setup_teardown(
            a_node_past_its_lease_is_silent_also_where_no_state_is_known, begin_sending, finish),
        cmocka_unit_test_setup_teardown(a_round_whose_link_fails_goes_on_when_it_is_back,
                                        begin_sending, finish),
    };

    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
