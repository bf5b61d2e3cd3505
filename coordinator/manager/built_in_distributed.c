/* DistributedShardManager: the initial shards are its own decision, everything after is left to the
 * step. */
#include "coordinator/manager/built_in.h"

#include "coordinator/manager/senders.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define MAX_UNDER_WAY 64  /* shards being added */
#define NOBODYS       "@" /* stands for a shard with the channels nobody joined */

/* Who sends for a shard, as chosen last. */
struct chosen {
    UT_hash_handle hh;
    char *sender;
    char shard[];
};

/* A reader, and how many rooms are left to it. */
struct reader {
    char *user;
    size_t rooms;
};

struct distributed {
    struct shard_manager *base;
    /* setup: */
    shard_call call; /* 0: none is under way */
    struct reader *readers;
    size_t nreaders;
    size_t turn; /* whose shard is next, as they are in turn */
    size_t nshards;
    size_t nchannels; /* of the initial channels, those that are spread */
    size_t next;      /* shard */
    size_t first;     /* channel of the next shard */
    size_t under_way;
    char *error; /* the first */
    /* get_sender_shard: */
    struct chosen *chosen;
    uint64_t chosen_round;
};

static void *create(struct shard_manager *m, const struct shard_manager_options *options,
                    const char **error)
{
    if (options->n > 0) {
        *error =
            "it takes no manager.KEY settings; its own are channels_per_shard, max_shard_count and "
            "initial_shard_count";
        return NULL;
    }
    struct distributed *d = xcalloc(1, sizeof(*d));
    d->base = m;
    d->chosen_round = UINT64_MAX;
    return d;
}

static void forget_chosen(struct distributed *d)
{
    struct chosen *c;
    struct chosen *tmp;

    HASH_ITER(hh, d->chosen, c, tmp)
    {
        HASH_DEL(d->chosen, c);
        free(c->sender);
        free(c);
    }
}

static void forget_readers(struct distributed *d)
{
    for (size_t i = 0; i < d->nreaders; i++) {
        free(d->readers[i].user);
    }
    free(d->readers);
    d->readers = NULL;
    d->nreaders = d->turn = 0;
}

static void destroy(void *self)
{
    struct distributed *d = self;

    forget_chosen(d);
    forget_readers(d);
    free(d->error);
    free(d);
}

/* Setup ---------------------------------------------------------------------------------------- */

int distributed_spread(size_t channels, size_t channels_per_shard, size_t max_shard_count,
                       size_t initial_shard_count, size_t *shards, struct err *err)
{
    size_t needed = channels / channels_per_shard + (channels % channels_per_shard != 0);

    if (needed > max_shard_count) { /* so neither of the two is off */
        return err_set(
            err, ERR_REFUSED,
            "More channels have been added to initial_channels than are allowed by the "
            "combination of channels_per_shard and max_shard_count. There are %zu channels; "
            "channels_per_shard is %zu and max_shard_count is %zu. Larger values allow more: "
            "--set max_shard_count=%zu would do.",
            channels, channels_per_shard, max_shard_count, needed);
    }
    if (initial_shard_count > max_shard_count) {
        return err_set(
            err, ERR_REFUSED,
            "initial_shard_count is %zu, more than max_shard_count, which is %zu. Lower the "
            "one or raise the other with --set.",
            initial_shard_count, max_shard_count);
    }
    *shards = needed > initial_shard_count ? needed : initial_shard_count;
    return 0;
}

static void add_shards(struct distributed *d);

static void on_added(void *ctx, struct shard *shard, const char *error)
{
    (void)shard;
    struct distributed *d = ctx;

    d->under_way--;
    if (error != NULL && d->error == NULL) {
        d->error = xstrdup(error);
    }
    add_shards(d);
}

/* The next reader in turn that has a room left, if one has. */
static struct reader *next_reader(struct distributed *d)
{
    size_t passed_over = 0;

    BUG_ON(d->nreaders == 0); /* setup has seen to it */
    while (passed_over < d->nreaders && d->readers[d->turn % d->nreaders].rooms == 0) {
        d->turn++;
        passed_over++;
    }
    return &d->readers[d->turn++ % d->nreaders];
}

/* The shards from the next one on, each with its slice of the channels. */
static void add_shards(struct distributed *d)
{
    size_t n;
    const char *const *channels = shard_manager_initial_channels(d->base, &n);

    while (d->next < d->nshards && d->under_way < MAX_UNDER_WAY && d->error == NULL) {
        struct reader *reader = next_reader(d);
        size_t even = d->nchannels / d->nshards + (d->next < d->nchannels % d->nshards);
        even = even < n - d->first ? even : n - d->first;
        size_t size = channels != NULL
                          ? built_in_fit(channels + d->first, even, reader->user, &reader->rooms)
                          : 0;
        size_t most = size < BUILT_IN_CREATE_MOST ? size : BUILT_IN_CREATE_MOST;
        char id[64];
        snprintf(id, sizeof(id), "initial-shard-%zu", d->next + 1);
        /* Where it is there, a leader that died had come so far. */
        if (shard_manager_shard(d->base, id) == NULL) {
            d->under_way++;
            shard_manager_add_shard(d->base, id, reader->user,
                                    channels != NULL ? channels + d->first : NULL, most, on_added,
                                    d);
        }
        d->first += size;
        d->next++;
    }
    if (d->under_way > 0) {
        return;
    }
    shard_call call = d->call;
    d->call = 0;
    if (d->error != NULL) {
        shard_call_fail(d->base, call, d->error);
    } else {
        shard_call_done(d->base, call);
    }
}

/* Those that take channels now, with all their rooms: the cluster is new. */
static void take_readers(struct distributed *d)
{
    const struct cluster *client = shard_manager_client(d->base);

    forget_readers(d);
    for (const char *user = cluster_next_reader(client, NULL); user != NULL;
         user = cluster_next_reader(client, user)) {
        d->readers = xrealloc(d->readers, (d->nreaders + 1) * sizeof(*d->readers));
        d->readers[d->nreaders++] = (struct reader){xstrdup(user), built_in_rooms(client, user)};
    }
}

/* How many of the initial channels, from the first on, the readers may be in all together. */
static size_t fit(const struct distributed *d)
{
    size_t n;
    const char *const *channels = shard_manager_initial_channels(d->base, &n);
    size_t at = 0;

    for (size_t i = 0; i < d->nreaders && at < n; i++) {
        size_t rooms = d->readers[i].rooms;
        at += built_in_fit(channels + at, n - at, d->readers[i].user, &rooms);
    }
    return at;
}

static void setup(void *self, const struct shard_manager_options *options, shard_call call)
{
    (void)options;
    struct distributed *d = self;
    struct cluster *client = shard_manager_client(d->base);
    size_t n;
    struct err err;

    if (d->call) {
        shard_call_fail(d->base, call, "An earlier setup is still under way.");
        return;
    }
    (void)shard_manager_initial_channels(d->base, &n);
    if (distributed_spread(n, built_in_limit(client, "channels_per_shard"),
                           built_in_limit(client, "max_shard_count"),
                           built_in_limit(client, "initial_shard_count"), &d->nshards, &err) != 0) {
        shard_call_fail(d->base, call, err.text);
        return;
    }
    take_readers(d);
    if (d->nreaders == 0) {
        char text[200];
        snprintf(text, sizeof(text),
                 "No reader takes channels now: shoalctl status says why. (readers is %.60s)",
                 cluster_setting(client, "readers"));
        shard_call_fail(d->base, call, text);
        return;
    }
    d->call = call;
    d->nchannels = fit(d);
    d->next = d->first = 0;
    free(d->error);
    d->error = NULL;
    add_shards(d);
}

/* Decisions ------------------------------------------------------------------------------------ */

static void assign_shard(void *self, const char *channel_name, bool is_initial_channel,
                         shard_call call)
{
    struct distributed *d = self;

    if (is_initial_channel && shard_manager_shard_of(d->base, channel_name) != NULL) {
        shard_call_done(d->base, call);
    } else {
        shard_call_least_loaded(d->base, call, NULL);
    }
}

static void keep_chosen(struct distributed *d, const char *shard, const char *sender)
{
    size_t len = strlen(shard);
    struct chosen *c = xcalloc(1, sizeof(*c) + len + 1);

    memcpy(c->shard, shard, len);
    c->sender = xstrdup(sender);
    HASH_ADD_KEYPTR(hh, d->chosen, c->shard, len, c);
}

static const char *id_of(const struct shard *s)
{
    return s != NULL ? shard_id(s) : "";
}

/* All senders at once, since they are spread evenly: once for each time the shards were read. */
static void choose(struct distributed *d)
{
    const struct cluster *client = shard_manager_client(d->base);
    const char *user = cluster_setting(client, "user");
    const char *speaker = cluster_setting(client, "speaker");
    const char *nobodys = id_of(cluster_sender(client));
    struct sender_shard *shards = NULL;
    size_t n = 0;

    forget_chosen(d);
    d->chosen_round = shard_manager_round(d->base);
    for (const struct shard *s = shard_manager_next_shard(d->base, NULL); s != NULL;
         s = shard_manager_next_shard(d->base, s)) {
        shards = xrealloc(shards, (n + 1) * sizeof(*shards));
        shards[n++] = (struct sender_shard){.id = shard_id(s),
                                            .user = shard_user(s),
                                            .ready = shard_ready(s),
                                            .speaks = built_in_speaks(s),
                                            .sender = id_of(shard_sender(s))};
    }
    senders_compute(shards, n, user != NULL ? user : "", speaker != NULL ? speaker : "", &nobodys);
    for (size_t i = 0; i < n; i++) {
        keep_chosen(d, shards[i].id, shards[i].sender);
    }
    keep_chosen(d, NOBODYS, nobodys);
    free(shards);
}

static void get_sender_shard(void *self, const char *channel_name, shard_call call)
{
    struct distributed *d = self;
    const struct shard *holder = shard_manager_shard_of(d->base, channel_name);
    struct chosen *c;

    if (d->chosen_round != shard_manager_round(d->base)) {
        choose(d);
    }
    const char *key = holder != NULL ? shard_id(holder) : NOBODYS;
    HASH_FIND_STR(d->chosen, key, c);
    const struct shard *sender = c != NULL ? shard_manager_shard(d->base, c->sender) : NULL;
    if (sender != NULL) {
        shard_call_shard(d->base, call, sender);
    } else {
        shard_call_fail(d->base, call, "There is no shard that could send.");
    }
}

/* Life ----------------------------------------------------------------------------------------- */

static void start(void *self, shard_call call)
{
    struct distributed *d = self;
    built_in_start(d->base, call);
}

static void stop(void *self, shard_call call)
{
    struct distributed *d = self;
    shard_manager_stop_all_shards(d->base, shard_call_complete, shard_call_ctx(d->base, call));
}

const struct shard_manager_ops built_in_distributed = {
    .abi = SHARD_MANAGER_ABI,
    .size = sizeof(built_in_distributed),
    .name = "distributed",
    .create = create,
    .destroy = destroy,
    .setup = setup,
    .assign_shard = assign_shard,
    .get_sender_shard = get_sender_shard,
    .start = start,
    .stop = stop,
};
