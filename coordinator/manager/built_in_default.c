/* DefaultShardManager: one shard, so nothing is left to decide. */
#include "coordinator/manager/built_in.h"

#include <string.h>

#define MAIN_SHARD "main-shard"
#define ANOTHER    "There is no main-shard: another shard manager has set this cluster up."

/* Its data is the base itself. */
static void *create(struct shard_manager *m, const struct shard_manager_options *options,
                    const char **error)
{
    if (options->n > 0) {
        *error = "it takes no manager.KEY settings";
        return NULL;
    }
    return m;
}

static void destroy(void *self)
{
    (void)self;
}

static struct shard *main_shard(const struct shard_manager *m)
{
    return shard_manager_shard(m, MAIN_SHARD);
}

static void on_added(void *ctx, struct shard *shard, const char *error)
{
    (void)shard;
    shard_call_complete(ctx, error);
}

static void setup(void *self, const struct shard_manager_options *options, shard_call call)
{
    (void)options;
    struct shard_manager *m = self;
    size_t n;
    const char *const *channels = shard_manager_initial_channels(m, &n);

    if (main_shard(m) != NULL) {
        shard_call_done(m, call); /* a leader that died had come so far */
        return;
    }
    const struct cluster *client = shard_manager_client(m);
    const char *user = cluster_setting(client, "user");
    size_t rooms = built_in_rooms(client, user != NULL ? user : "");
    n = built_in_fit(channels, n, user != NULL ? user : "", &rooms);
    n = n < BUILT_IN_CREATE_MOST ? n : BUILT_IN_CREATE_MOST;
    shard_manager_add_shard(m, MAIN_SHARD, NULL, channels, n, on_added, shard_call_ctx(m, call));
}

static void answer(struct shard_manager *m, const struct shard *shard, shard_call call)
{
    if (shard != NULL) {
        shard_call_shard(m, call, shard);
    } else {
        shard_call_fail(m, call, ANOTHER);
    }
}

/* A speaker shard, if there is one, one that is ready before others. */
static void get_sender_shard(void *self, const char *channel_name, shard_call call)
{
    (void)channel_name;
    const struct shard *best = NULL;

    for (const struct shard *s = shard_manager_next_shard(self, NULL); s != NULL;
         s = shard_manager_next_shard(self, s)) {
        bool better =
            best == NULL || shard_ready(s) > shard_ready(best) ||
            (shard_ready(s) == shard_ready(best) && strcmp(shard_id(s), shard_id(best)) < 0);
        if (built_in_speaks(s) && better) {
            best = s;
        }
    }
    answer(self, best != NULL ? best : main_shard(self), call);
}

static void assign_shard(void *self, const char *channel_name, bool is_initial_channel,
                         shard_call call)
{
    if (is_initial_channel && shard_manager_shard_of(self, channel_name) != NULL) {
        shard_call_done(self, call);
    } else {
        answer(self, main_shard(self), call); /* there is but one */
    }
}

static void start(void *self, shard_call call)
{
    built_in_start(self, call);
}

static void stop(void *self, shard_call call)
{
    shard_manager_stop_all_shards(self, shard_call_complete, shard_call_ctx(self, call));
}

static const struct shard_manager_option settings[] = {
    {"channels_per_shard", "none"},
    {"max_shard_count", "1"},
    {0},
};

const struct shard_manager_ops built_in_default = {
    .abi = SHARD_MANAGER_ABI,
    .size = sizeof(built_in_default),
    .name = "default",
    .settings = settings,
    .create = create,
    .destroy = destroy,
    .setup = setup,
    .assign_shard = assign_shard,
    .get_sender_shard = get_sender_shard,
    .start = start,
    .stop = stop,
};
