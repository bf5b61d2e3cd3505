/* Coordinator: the rooms of this process, and what leads from one to another.
 *
 *   leader: won   -> the view is read; compare, setup, manager_run and redis_look begin
 *           facts -> view, sweep, setup, manager_run, compare and intake go on
 *           out   -> intake and the shard manager end what is under way
 *   view:   fresh -> intake begins; the shard manager goes on; sender_sync asks it
 *
 * Decides nothing itself. At the end the leader closes first: every step under way calls back then;
 * the rooms that used it close after. Loop thread only. */
#ifndef SHOAL_COORDINATOR_COORDINATOR_H
#define SHOAL_COORDINATOR_COORDINATOR_H

#include "coordinator/manager/shard_manager.h"
#include "coordinator/options/cluster_settings.h"
#include "coordinator/options/initial_channels.h"
#include "coordinator/options/twitch_settings.h"
#include "shared/web/web_settings.h"
#include "shared/seal.h"
#include "shared/url.h"

#include <uv.h>

struct coordinator;

/* All is borrowed for the coordinator's life. */
struct coordinator_options {
    const struct url *redis;  /* read anew for each connection */
    const char *redis_tls_ca; /* or NULL */
    const char *cluster;
    const char *id;
    const struct shard_manager_ops *manager;
    const struct cluster_settings *settings;
    const struct initial_channels *channels;
    uint64_t manager_timeout_ms;          /* the shard manager answers within this */
    uint64_t connect_ms;                  /* Redis must be reached for the first time within this */
    const struct seal_keys *account_keys; /* NULL: it opens no account */
    const struct twitch_settings *twitch;
    const struct web_settings *web; /* NULL: no HTTP */
    /* It is gone, and every handle of it is closing: ERR_OK where it was stopped, else why it
     * ended. */
    void (*on_gone)(void *ctx, const struct err *why);
    void *ctx;
};

/* Start; on_gone tells where it cannot. */
struct coordinator *coordinator_create(uv_loop_t *loop, const struct coordinator_options *options);
/* `account_keys` holds others since now. */
void coordinator_on_keys(struct coordinator *c);
/* Certificate and token of HTTP are those of `web` from now on; on an error nothing has changed. */
MUST_USE int coordinator_on_web(struct coordinator *c, const struct web_settings *web,
                                struct err *err);
/* Let another one lead, and end: on_gone follows. A second call does not wait for Redis. */
void coordinator_stop(struct coordinator *c);
/* How it is, in one line into `out`. True: it leads, or stands by. */
bool coordinator_describe(const struct coordinator *c, char *out, size_t size);
/* After the loop has returned: frees what is left. */
void coordinator_free(struct coordinator *c);

#endif
