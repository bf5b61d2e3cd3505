/* Status watch: the status document, kept fresh while somebody looks at it.
 *
 *   nobody looks  -> every 5 s the nodes alone are read, for the history
 *   somebody does -> every second all of it, and once a minute Redis's own settings
 *   Redis is away -> the last document says so, and stays with its `at`
 *
 * Every coordinator that is asked over HTTP has one, whether it leads or stands by, and what they
 * say is the same: all of it is in Redis. It has a link of its own, so that whoever looks never
 * holds up who leads. One round at a time.
 *
 * Beside what status.h has, the document has `coordinator`, the id of the one that says so, and
 * `history`: {"step_ms", "at" (of the newest point, ms), "lines_s", "latency_ms", "lag_ms"}, lists
 * of the last 15 minutes, oldest first, null where it is not known: all lines that the nodes read,
 * and the worst of the nodes. Loop thread only. */
#ifndef SHOAL_COORDINATOR_STATUS_WATCH_H
#define SHOAL_COORDINATOR_STATUS_WATCH_H

#include "coordinator/status/status.h"
#include "shared/url.h"

#include <uv.h>

struct status_watch;

/* Borrowed for its life. */
struct status_watch_options {
    uv_loop_t *loop;
    const struct url *url;
    const char *tls_ca;       /* or NULL */
    struct link_group *group; /* of all links of this process, or NULL */
    const char *cluster;
    const char *id; /* of the coordinator, in the link's name */
};

struct status_watch *status_watch_create(const struct status_watch_options *options);
/* Who waits is told that it is over; then on_closed (may be NULL) from the loop. NULL: at once. */
void status_watch_close(struct status_watch *w, void (*on_closed)(void *ctx), void *ctx);

/* Somebody looks, and is taken to do so for 15 s. */
void status_watch_look(struct status_watch *w);
/* Something happened: where somebody looks, all is read again now, four times a second at most. */
void status_watch_soon(struct status_watch *w);
/* Called with each new document, and when Redis went out of reach; one at most. */
void status_watch_on_change(struct status_watch *w, void (*on_change)(void *ctx), void *ctx);
/* The newest; valid until the loop goes on. NULL: none was read yet. */
const cJSON *status_watch_document(const struct status_watch *w);

/* `document` is at most a second old, or says that Redis is out of reach. NULL: none was ever read,
 * and `why` says so. Valid during the call. */
typedef void (*status_watch_cb)(void *ctx, const cJSON *document, const struct err *why);
/* As status_watch_look, and `cb` is called once: now, or when the round is done, 2 s from now at
 * the latest. */
void status_watch_ask(struct status_watch *w, status_watch_cb cb, void *ctx);
/* Who asked with that ctx does not want it any more. */
void status_watch_forget(struct status_watch *w, const void *ctx);

/* For other questions about the cluster. */
struct registry *status_watch_registry(const struct status_watch *w);

#endif
