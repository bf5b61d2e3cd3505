/* What the files of a held shard share: held.c (its life and its timer), held_port.c (what the core
 * asks and says), held_transport.c (between the core and the connection) and held_send.c. */
#ifndef SHOAL_NODE_HELD_PRIVATE_H
#define SHOAL_NODE_HELD_PRIVATE_H

#include "node/held.h"

/* In held.c. After each input of the core: when does it want to be looked at? */
void held_arm(struct held *held);

/* In held_port.c. The core's port; its ctx is the held. */
extern const struct shard_port held_port;

/* In held_transport.c: all that is done with the connection. What comes of it goes to the core. */
void transport_connect(void *ctx);
void transport_disconnect(void *ctx, const char *reason);
bool transport_log_in(void *held, struct err *err);
bool transport_write(void *held, enum shard_write_kind kind, struct slice bytes);
/* Throw away what was not yet written (keepalives aside): the lease is over. */
void transport_discard(struct held *held);
/* Close it, if there is one, and hear no more of it. */
void transport_end(struct held *held);

/* In held_send.c: the answer to a send; and nobody waits for the others any more. */
void held_on_send_result(void *ctx, const struct shard_send_result *result);
void held_forget_sends(struct held *held);

#endif
