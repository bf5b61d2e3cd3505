/* What the two shard managers that come with Shoal have in common. */
#include "coordinator/manager/built_in.h"

#include <stdlib.h>
#include <string.h>

struct starting {
    struct shard_manager *manager;
    shard_call call;
};

static void on_started(void *ctx, const char *error)
{
    struct starting s = *(struct starting *)ctx;

    free(ctx);
    if (error != NULL) {
        shard_call_fail(s.manager, s.call, error);
    } else {
        shard_manager_wait_until_exit(s.manager, shard_call_complete,
                                      shard_call_ctx(s.manager, s.call));
    }
}

void built_in_start(struct shard_manager *m, shard_call call)
{
    struct starting *s = xmalloc(sizeof(*s));

    *s = (struct starting){m, call};
    shard_manager_start_all_shards(m, on_started, s);
}

size_t built_in_limit(const struct cluster *client, const char *name)
{
    const char *text = cluster_setting(client, name);
    uint64_t number = 0;

    return slice_to_u64(slice_of(text), &number) && number <= SIZE_MAX ? (size_t)number : SIZE_MAX;
}

size_t built_in_initial(struct shard_manager *m)
{
    const struct cluster *client = shard_manager_client(m);
    size_t n;
    const char *const *channels = shard_manager_initial_channels(m, &n);
    const char *user = cluster_setting(client, "user");
    size_t left = built_in_limit(client, "room_limit");

    if (user != NULL && strcmp(user, "anonymous") == 0) {
        return n; /* Twitch caps the rooms of named accounts only */
    }
    for (size_t i = 0; i < n; i++) {
        bool own = user != NULL && strcmp(channels[i], user) == 0;
        if (!own && left-- == 0) { /* the own room does not count */
            return i;
        }
    }
    return n;
}
