/* Api: the JSON API and the live WebSocket of a coordinator, and the page that stands on them.
 *
 * What is read comes from the status document (coordinator/status), or, of channels and events,
 * from Redis, a page at a time. What is asked for goes into the streams that applications use, and
 * the leading coordinator answers: one that stands by serves all of this as well.
 *
 *   web -> route -> the document                    -> answer
 *                -> a look at Redis     -> on_read  -> answer
 *                -> an entry of a stream -> its reply -> answer
 *                -> live: a client       -> each new document, event and line
 *
 * Paths, parameters and bodies are in openapi.json, which is served and held by a test. Whatever
 * waits is bounded. Loop thread only. */
#ifndef SHOAL_COORDINATOR_API_H
#define SHOAL_COORDINATOR_API_H

#include "coordinator/status/status_watch.h"
#include "shared/web/web.h"

struct api;

struct api_options {
    uv_loop_t *loop;
    struct link_options link;   /* url, tls_ca, name and group: of the link that listens */
    struct status_watch *watch; /* borrowed; its registry is read through */
};

/* Handlers of routes, whose ctx is the coordinator's web (coordinator_web_api). */
void api_get_page(void *ctx, struct web_request *r);
void api_get_file(void *ctx, struct web_request *r);
void api_get_unknown(void *ctx, struct web_request *r);
void api_get_openapi(void *ctx, struct web_request *r);
void api_get_status(void *ctx, struct web_request *r);
void api_get_nodes(void *ctx, struct web_request *r);
void api_get_shards(void *ctx, struct web_request *r);
void api_get_shard(void *ctx, struct web_request *r);
void api_get_channels(void *ctx, struct web_request *r);
void api_get_channel(void *ctx, struct web_request *r);
void api_get_accounts(void *ctx, struct web_request *r);
void api_get_events(void *ctx, struct web_request *r);
void api_get_settings(void *ctx, struct web_request *r);
void api_post_request(void *ctx, struct web_request *r);
void api_post_admin(void *ctx, struct web_request *r);
extern const struct web_socket_ops api_live;

struct api *api_create(const struct api_options *o);
/* After the web server, so that nobody asks, and after the watch, so that every look at Redis has
 * called back; on_closed follows from the loop. NULL: at once. */
void api_close(struct api *a, void (*on_closed)(void *ctx), void *ctx);

#endif
