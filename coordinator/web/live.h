/* Live: the WebSockets of /api/v1/live, whose clients see the cluster as it changes.
 *
 *   client -> waits -> the whole document and the last events -> each change, each event, and lines
 *                                                                of channels it asks for
 *
 * What is told to all is made once. Events come from the log in Redis: that one was published is a
 * hint to read on, so that none is missing, and none comes twice. Chat is listened to while
 * somebody reads it. While there are no clients nothing is done.
 *
 * Bounded are the clients and what waits for each (shared/web): one that is too slow is closed, and
 * may come again; and of each the channels it reads and the lines a second. */
#ifndef SHOAL_COORDINATOR_LIVE_H
#define SHOAL_COORDINATOR_LIVE_H

#include "coordinator/status/status_watch.h"
#include "shared/redis/subscriber.h"
#include "shared/web/web.h"

struct live;

/* All borrowed; what is listened to on the subscriber is handed to live_hear_*. */
struct live *live_create(uv_loop_t *loop, struct status_watch *watch, struct subscriber *listens);
/* When there are no clients any more, and no questions to Redis under way. */
void live_close(struct live *l, void (*on_closed)(void *ctx), void *ctx);

/* There is another document. */
void live_on_document(struct live *l);
/* An event was published. */
void live_hear_event(struct live *l);
/* A line of a channel was. */
void live_hear_line(struct live *l, struct slice channel, struct slice line);

/* As web_socket_ops. */
void *live_client_open(struct live *l, struct web_socket *s);
void live_client_message(void *client, struct slice text);
void live_client_close(void *client);

#endif
