/* Coordinator's web: its HTTP server, for monitoring, people and programs.
 *
 * Each coordinator has one, leading or not, and says the same as the others. With metrics_only
 * nothing is served but what monitoring asks. Loop thread only. */
#ifndef SHOAL_COORDINATOR_COORDINATOR_WEB_H
#define SHOAL_COORDINATOR_COORDINATOR_WEB_H

#include "coordinator/lead/leader.h"
#include "coordinator/status/status_watch.h"
#include "shared/web/web_settings.h"

struct coordinator_web;
struct api;

struct coordinator_web_options {
    uv_loop_t *loop;
    const struct web_settings *settings; /* its listen is not NULL; borrowed for the call alone */
    const struct leader *leader;         /* borrowed until coordinator_web_close */
    struct status_watch_options watch;
};

/* NULL with err filled where it cannot listen. */
struct coordinator_web *coordinator_web_create(const struct coordinator_web_options *o,
                                               struct err *err);
/* Certificate and token are those of `settings` from now on. On an error nothing has changed. NULL
 * `w` is fine. */
MUST_USE int coordinator_web_reload(struct coordinator_web *w, const struct web_settings *settings,
                                    struct err *err);
/* No requests any more; on_closed follows, for NULL at once. What handlers use is needed until
 * then. */
void coordinator_web_close(struct coordinator_web *w, void (*on_closed)(void *ctx), void *ctx);

/* The API, of what routes have as ctx. */
struct api *coordinator_web_api(void *web);

#endif
