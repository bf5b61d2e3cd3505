/* A worked example of a shard manager: channels of different users on shards of those users.
 *
 *     shoal-coordinator --shard-manager ./by_user.so \
 *         --set manager.alice=forsen,xqc --set manager.bob=sodapoppin
 *
 * Each user gets a shard when the cluster is set up, and more when that is full. A channel is read,
 * and sent to, as the user it is listed for; one that is listed for nobody is refused. Build it
 * against the installed header:
 *
 *     cc -shared -fPIC $(pkg-config --cflags shoal) by_user.c -o by_user.so */
#include <shoal/shard_manager.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct by_user {
    struct shard_manager *base;
    struct shard_manager_options users; /* key: the user, value: its channels; they outlive us */
    shard_call setup;
    size_t next; /* user whose shard is to be created */
};

static void *create(struct shard_manager *m, const struct shard_manager_options *options,
                    const char **error)
{
    struct by_user *b = calloc(1, sizeof(*b));

    if (options->n == 0) {
        *error = "it needs the channels of a user: --set manager.LOGIN=CHANNEL,CHANNEL";
    }
    if (!b || options->n == 0) {
        free(b);
        return NULL;
    }
    b->base = m;
    b->users = *options;
    return b;
}

static void destroy(void *self)
{
    free(self);
}

/* Is `name` one of "a,b,c"? */
static bool lists(const char *names, const char *name)
{
    size_t len = strlen(name);

    for (const char *at = names; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, name, len) == 0 && (at[len] == ',' || at[len] == '\0')) {
            return true;
        }
    }
    return false;
}

/* The user a channel is listed for, or NULL. */
static const char *user_of(const struct by_user *b, const char *channel)
{
    for (size_t i = 0; i < b->users.n; i++) {
        if (lists(b->users.option[i].value, channel)) {
            return b->users.option[i].key;
        }
    }
    return NULL;
}

static void add_next(struct by_user *b);

static void on_added(void *ctx, struct shard *shard, const char *error)
{
    struct by_user *b = ctx;

    (void)shard;
    if (error) {
        shard_call_fail(b->base, b->setup, error);
        return;
    }
    b->next++;
    add_next(b);
}

/* One after the other; what there is already a leader that died had made. */
static void add_next(struct by_user *b)
{
    char id[64];

    for (; b->next < b->users.n; b->next++) {
        const char *user = b->users.option[b->next].key;
        snprintf(id, sizeof(id), "shard-%s", user);
        if (!shard_manager_shard(b->base, id)) {
            shard_manager_add_shard(b->base, id, user, NULL, 0, on_added, b);
            return;
        }
    }
    shard_call_done(b->base, b->setup);
}

static void setup(void *self, const struct shard_manager_options *options, shard_call call)
{
    struct by_user *b = self;

    (void)options; /* those that create got */
    b->setup = call;
    b->next = 0;
    add_next(b);
}

static void assign_shard(void *self, const char *channel_name, bool is_initial_channel,
                         shard_call call)
{
    struct by_user *b = self;
    const char *user = user_of(b, channel_name);

    (void)is_initial_channel;
    if (user) {
        shard_call_least_loaded(b->base, call, user);
    } else {
        shard_call_fail(b->base, call, "No user is named for this channel.");
    }
}

/* Another shard of the same user, so that the one that reads the channel hears what was said; else
 * that one. */
static void get_sender_shard(void *self, const char *channel_name, shard_call call)
{
    struct by_user *b = self;
    struct shard *holder = shard_manager_shard_of(b->base, channel_name);
    struct shard *sender = holder;

    if (!holder) {
        shard_call_fail(b->base, call, "Nobody sends to a channel that is not joined.");
        return;
    }
    for (struct shard *s = shard_manager_next_shard(b->base, NULL); s;
         s = shard_manager_next_shard(b->base, s)) {
        if (s != holder && shard_ready(s) && strcmp(shard_user(s), shard_user(holder)) == 0) {
            sender = s;
        }
    }
    shard_call_shard(b->base, call, sender);
}

static void start(void *self, shard_call call)
{
    struct by_user *b = self;
    shard_manager_start_all_shards(b->base, shard_call_complete, shard_call_ctx(b->base, call));
}

static void stop(void *self, shard_call call)
{
    struct by_user *b = self;
    shard_manager_stop_all_shards(b->base, shard_call_complete, shard_call_ctx(b->base, call));
}

const struct shard_manager_ops shoal_shard_manager = {
    .abi = SHARD_MANAGER_ABI,
    .size = sizeof(shoal_shard_manager),
    .name = "by-user",
    .create = create,
    .destroy = destroy,
    .setup = setup,
    .assign_shard = assign_shard,
    .get_sender_shard = get_sender_shard,
    .start = start,
    .stop = stop,
};
