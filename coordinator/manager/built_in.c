/* What the two shard managers that come with Shoal have in common. */
#include "coordinator/manager/built_in.h"

#include "shared/figures.h"

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

bool built_in_speaks(const struct shard *s)
{
    return figures_speaks(shard_id(s));
}

size_t built_in_limit(const struct cluster *client, const char *name)
{
    const char *text = cluster_setting(client, name);
    uint64_t number = 0;

    return slice_to_u64(slice_of(text), &number) && number <= SIZE_MAX ? (size_t)number : SIZE_MAX;
}

size_t built_in_rooms(const struct cluster *client, const char *user)
{
    /* Twitch caps the rooms of named accounts only. */
    return strcmp(user, "anonymous") == 0 ? SIZE_MAX : built_in_limit(client, "room_limit");
}

size_t built_in_fit(const char *const *channels, size_t n, const char *user, size_t *rooms_left)
{
    for (size_t i = 0; i < n; i++) {
        bool counts = strcmp(channels[i], user) != 0; /* the own room does not */
        if (counts && *rooms_left == 0) {
            return i;
        }
        *rooms_left -= counts && *rooms_left != SIZE_MAX;
    }
    return n;
}
