/* DistributedShardManager: how many initial shards there are to be. */
#include "coordinator/manager/built_in.h"
#include "shared/redis/registry_limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

_Static_assert(BUILT_IN_CREATE_MOST == REGISTRY_MAX_CHANNELS, "as many as the step takes");

static void as_many_shards_as_the_channels_need_and_were_asked_for(void **state)
{
    (void)state;
    static const struct {
        size_t channels;
        size_t each;
        size_t most;
        size_t initial;
        size_t shards;
    } cases[] = {
        {0, 25, 5, 1, 1},          {0, 25, 5, 5, 5},
        {25, 25, 5, 1, 1},         {26, 25, 5, 1, 2},
        {51, 25, 5, 2, 3},         {125, 25, 5, 1, 5},
        {125, 25, 5, 5, 5},        {1, 1, 1, 1, 1},
        {1000, SIZE_MAX, 5, 1, 1}, {1000, 1, SIZE_MAX, 1, 1000},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err err;
        size_t shards = 0;
        assert_int_equal(distributed_spread(cases[i].channels, cases[i].each, cases[i].most,
                                            cases[i].initial, &shards, &err),
                         0);
        assert_int_equal(shards, cases[i].shards);
    }
}

static void too_many_are_refused_with_both_settings_and_what_would_do(void **state)
{
    (void)state;
    struct err err;
    size_t shards;
    assert_int_equal(distributed_spread(126, 25, 5, 1, &shards, &err), -ERR_REFUSED);
    assert_non_null(strstr(err.text, "There are 126 channels; channels_per_shard is 25 and "
                                     "max_shard_count is 5."));
    assert_non_null(strstr(err.text, "--set max_shard_count=6 would do"));
    assert_int_equal(distributed_spread(0, 25, 2, 3, &shards, &err), -ERR_REFUSED);
    assert_non_null(strstr(err.text, "initial_shard_count is 3"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_many_shards_as_the_channels_need_and_were_asked_for),
        cmocka_unit_test(too_many_are_refused_with_both_settings_and_what_would_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
