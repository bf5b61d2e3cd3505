/* Registry limits: what is written down in Lua for C, and what C says by itself, is the same. */
#include "node/shard_private.h"
#include "shared/redis/registry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static bool is_among(const char *name, const char *const *known, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(known[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void the_steps_know_each_state_that_a_node_reports(void **state)
{
    static const char *const shards[] = {REGISTRY_SHARD_STATES};
    static const char *const channels[] = {REGISTRY_CHANNEL_STATES};

    (void)state;
    for (unsigned i = 0; i < SHARD_STATES; i++) {
        assert_true(is_among(shard_state_name(i), shards, ARRAY_LEN(shards)));
    }
    for (unsigned i = SHARD_CHANNEL_QUEUED; i <= SHARD_CHANNEL_FAILED; i++) {
        assert_true(is_among(shard_channel_state_name(i), channels, ARRAY_LEN(channels)));
    }
}

static void a_node_keeps_failed_channels_by_the_default_of_the_setting(void **state)
{
    static const struct shard_port port;
    struct shard_core *s = shard_create("main-shard", "bot", &port, NULL);

    (void)state;
    assert_int_equal(s->failed_retry_ms, SETTING_FAILED_RETRY_MS);
    shard_destroy(s);
    assert_int_equal(SETTING_CHANNELS_PER_SHARD, 25);
    assert_int_equal(SETTING_LEASE_MS, 3000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_steps_know_each_state_that_a_node_reports),
        cmocka_unit_test(a_node_keeps_failed_channels_by_the_default_of_the_setting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
