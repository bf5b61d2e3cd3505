/* Shard manager: decides which shards there are, which of them takes a channel, and which one
 * sends.
 *
 * This is TwitchIO's BaseShardManager, over a cluster of many hosts. A manager is a table of
 * functions (struct shard_manager_ops) with data of its own; shoal-coordinator brings "distributed"
 * and "default" and loads others with --shard-manager FILE.so, where FILE.so exports the table as
 * `shoal_shard_manager`:
 *
 *     const struct shard_manager_ops shoal_shard_manager = {
 *         .abi = SHARD_MANAGER_ABI, .size = sizeof(shoal_shard_manager), .name = "mine",
 *         .create = ...};
 *
 *     cc -shared -fPIC $(pkg-config --cflags shoal) mine.c -o mine.so
 *
 * While a coordinator leads, it calls in this order: once for a new cluster `setup`, then
 * `assign_shard` for each initial channel; then `start`, which every later leader calls too; then
 * `assign_shard` for each channel that somebody asks for and `get_sender_shard` when shards change;
 * `stop` when the cluster is asked to stop, `start` when it is asked to start again. A manager
 * decides; it changes nothing by itself: the steps in Redis check every limit, so that one with a
 * bug is refused and breaks nothing.
 *
 * Nothing here blocks. Each call of the table gets a number (`shard_call`) and must be completed
 * with it, now or later, exactly once: one that is not completed within --manager-timeout is given
 * up and reported (`start` alone may take as long as the shards run, and ends when they have
 * exited), and completing it later does nothing. What is asked of the base calls back exactly once,
 * from the loop, never before it returned. A manager that blocks the loop for longer than a lease
 * loses the lead.
 *
 * Texts that are passed in are copied. A `struct shard *` is valid until the callback it was got in
 * returns; its id stays. All of it belongs to the loop's thread. */
#ifndef SHOAL_SHARD_MANAGER_H
#define SHOAL_SHARD_MANAGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SHARD_MANAGER_ABI 2 /* grows with every change that makes older objects unfit */

struct shard_manager; /* the base: what a manager works with */
struct shard;         /* one connection to Twitch chat, wherever it is */
struct cluster;       /* TwitchIO's client */
struct token_handler;
struct uv_loop_s;

/* A call of the table that must be completed; never 0. */
typedef uint64_t shard_call;

/* `--set manager.KEY=VALUE`, untouched, in the order given: TwitchIO's kwargs. They live as long as
 * the manager. */
struct shard_manager_option {
    const char *key;
    const char *value;
};
struct shard_manager_options {
    size_t n;
    const struct shard_manager_option *option;
};
/* The last value given for `key`, or NULL. */
const char *shard_manager_option(const struct shard_manager_options *options, const char *key);

/* What a manager is. All functions are there. */
struct shard_manager_ops {
    uint32_t abi;     /* SHARD_MANAGER_ABI */
    uint32_t size;    /* of this struct */
    const char *name; /* for logs and events */
    /* Settings of a cluster that this manager sets up, where --set does not give them: closed by a
     * NULL key; or NULL. */
    const struct shard_manager_option *settings;

    /* The manager's own data, handed to the others as `self`; called when the coordinator starts,
     * before Redis is reached. NULL: it cannot begin; *error (static text, or kept by the manager)
     * says why. */
    void *(*create)(struct shard_manager *m, const struct shard_manager_options *options,
                    const char **error);
    /* The end: nothing is under way any more, and no call follows. Handles on the loop must be
     * closed here. */
    void (*destroy)(void *self);

    /* Creates the shards of a new cluster, without starting them. A failure ends the coordinator,
     * with its text; but it is called again where Redis failed a step of it, or what it was refused
     * passes by itself (no node is up, or none that has a token for a user). It may also be called
     * again by a successor where a leader died in the middle: what there is, is there. */
    void (*setup)(void *self, const struct shard_manager_options *options, shard_call call);
    /* Where does this channel (lower case, without '#') go? Not asked where the application named
     * the user that is to read it: that decides. Completed with shard_call_shard,
     * shard_call_least_loaded or shard_call_fail; with shard_call_done where it is an initial
     * channel that is on a shard already. The assignment is made in one step together with the
     * reply to the application that asked. */
    void (*assign_shard)(void *self, const char *channel_name, bool is_initial_channel,
                         shard_call call);
    /* Which shard sends to this channel? "": to a channel that nobody joined. Asked with one
     * channel of each shard, since what goes to the channels of a shard is sent by one, and written
     * down for the nodes, so that no send passes through here. It must be a shard of the same user,
     * or of the setting `speaker`: where that is set, all is said as that account, and what another
     * shard is named for goes to its default sender.
     * Completed with shard_call_shard or shard_call_fail (then it stays as it is). */
    void (*get_sender_shard)(void *self, const char *channel_name, shard_call call);
    /* Start the shards; completed when they have exited (or at once, as TwitchIO's need not).
     * Called by every new leader, so it must leave alone what runs. */
    void (*start)(void *self, shard_call call);
    /* Stop the shards; completed when they are closed at Twitch. */
    void (*stop)(void *self, shard_call call);
};

/* What a shared object exports. */
extern const struct shard_manager_ops shoal_shard_manager;

/* Completing a call ---------------------------------------------------------------------------- */

/* It is done: setup, start, stop; assign_shard of an initial channel that has its shard. */
void shard_call_done(struct shard_manager *m, shard_call call);
/* It failed: one line that says why and how to mend it. */
void shard_call_fail(struct shard_manager *m, shard_call call, const char *error);
/* That shard: assign_shard, get_sender_shard. */
void shard_call_shard(struct shard_manager *m, shard_call call, const struct shard *shard);
/* The open shard of the user (NULL: of all readers of the cluster that have a room left) that has
 * the fewest channels when the step is made, or, where all are full, a new `extended-shard-N`,
 * which closes when it has no channels any more: assign_shard. */
void shard_call_least_loaded(struct shard_manager *m, shard_call call, const char *user);

/* The call as the ctx of shard_call_complete, which is a shard_cb: it completes the call with what
 * it is told, done or failed. `shard_stop(s, shard_call_complete, shard_call_ctx(m, call))`. */
void *shard_call_ctx(struct shard_manager *m, shard_call call);
void shard_call_complete(void *ctx, const char *error);

/* Attributes ----------------------------------------------------------------------------------- */

/* The shard of that id, or NULL. */
struct shard *shard_manager_shard(const struct shard_manager *m, const char *shard_id);
/* All shards, in no order: NULL gives the first, the last one gives NULL. */
struct shard *shard_manager_next_shard(const struct shard_manager *m, const struct shard *shard);
/* The shard that a channel (a login) is on, or NULL. */
struct shard *shard_manager_shard_of(const struct shard_manager *m, const char *channel_name);
/* --initial-channels: lower case, each once; *n of them. NULL where the option was not given, which
 * differs from a list with nothing in it. */
const char *const *shard_manager_initial_channels(const struct shard_manager *m, size_t *n);
/* Grows each time the shards were read anew: what was made of all of them stands as long as it is
 * the same. */
uint64_t shard_manager_round(const struct shard_manager *m);
struct token_handler *shard_manager_token_handler(struct shard_manager *m);
struct cluster *shard_manager_client(struct shard_manager *m);

/* Whether a token can be used; never what it is. `error`: why it is not usable, or NULL. */
typedef void (*token_handler_cb)(void *ctx, const char *login, bool usable, const char *error);
/* The token of a user, in a tokens file or of an account: a live node has it, and Twitch did not
 * refuse it there. `user` NULL: the user of the cluster ("" while it is not chosen). */
void token_handler_get_user_token(struct token_handler *t, const char *user, token_handler_cb cb,
                                  void *ctx);
/* The token of the application, which is kept while an account says by it (`say_by` is helix_app);
 * its login is "@app". */
void token_handler_get_client_credentials(struct token_handler *t, token_handler_cb cb, void *ctx);

/* Its name, as in shoal:{NAME}:load. */
const char *cluster_name(const struct cluster *c);
/* The coordinator's libuv loop (uv_loop_t), for timers and sockets of the manager. */
struct uv_loop_s *cluster_loop(const struct cluster *c);
/* The shard that sends to channels nobody joined, as the setting `speaker` or else as the user of
 * the cluster, as it was read last; NULL: there is none. */
struct shard *cluster_sender(const struct cluster *c);
/* A setting in force ("25", "none"); NULL: there is no such setting. */
const char *cluster_setting(const struct cluster *c, const char *name);
/* The users that channels are read as where nobody says which (the setting `readers`), as far as
 * they take channels now, by name: NULL gives the first, the last one gives NULL. Valid until the
 * callback it was got in returns. That there is none passes by itself: a setup that fails for it is
 * called again. */
const char *cluster_next_reader(const struct cluster *c, const char *reader);
/* Tell an error, as an `error` event and in the log: TwitchIO's event_error. `channel` may be
 * NULL. */
void cluster_error(struct cluster *c, const char *where, const char *channel, const char *error);

/* Shards --------------------------------------------------------------------------------------- */

const char *shard_id(const struct shard *s);
/* The user it is logged in as. */
const char *shard_user(const struct shard *s);
/* The node that holds it; "" while none does. */
const char *shard_node(const struct shard *s);
/* The shard that sends to its channels, as it was written down last (first it sends to them
 * itself); NULL: that one is gone. */
struct shard *shard_sender(const struct shard *s);
/* Its channels, *n of them, in no order; valid as long as the shard, until its channels change. */
const char *const *shard_channels(const struct shard *s, size_t *n);
/* Is it logged in and taking channels? */
bool shard_ready(const struct shard *s);
/* Was it asked to stop (and not started since)? */
bool shard_closing(const struct shard *s);

/* `error` NULL: done. */
typedef void (*shard_cb)(void *ctx, const char *error);
/* Connect it. `wait`: call back when it has exited, not when it is started. Starting one twice is
 * an error. */
void shard_start(struct shard *s, bool wait, shard_cb cb, void *ctx);
/* Disconnect it; calls back when the connection is closed. Its channels stay on it. Stopping one
 * that was not started is an error. */
void shard_stop(struct shard *s, shard_cb cb, void *ctx);
/* Channels that no other shard has come to it, and are wanted from now on, or leave it and are not.
 * The error names those that were refused, and those that wait since no node is up; the others are
 * done. */
void shard_add_channels(struct shard *s, const char *const *channel_names, size_t n, shard_cb cb,
                        void *ctx);
void shard_remove_channels(struct shard *s, const char *const *channel_names, size_t n, shard_cb cb,
                           void *ctx);

/* The shard, not started; or NULL and the error, and nothing was created: an id there is already, a
 * user that no node has a token for, the shard limit, more channels than channels_per_shard, a
 * channel that is on another shard, the room limit. Where no node has room for it, it is created
 * and waits for one. */
typedef void (*shard_added_cb)(void *ctx, struct shard *shard, const char *error);
/* `authorized_user` NULL: the user of the cluster. */
void shard_manager_add_shard(struct shard_manager *m, const char *shard_id,
                             const char *authorized_user, const char *const *initial_channels,
                             size_t n, shard_added_cb cb, void *ctx);
/* Those not started yet are. */
void shard_manager_start_all_shards(struct shard_manager *m, shard_cb cb, void *ctx);
/* Those started are stopped; calls back when they are closed. */
void shard_manager_stop_all_shards(struct shard_manager *m, shard_cb cb, void *ctx);
/* Calls back when every shard has exited, also those added meanwhile; at once where there is
 * none. */
void shard_manager_wait_until_exit(struct shard_manager *m, shard_cb cb, void *ctx);

#ifdef __cplusplus
}
#endif

#endif
