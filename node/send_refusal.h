/* Send refusal: what Twitch refuses for now alone, as the words of its NOTICE say. Hostile input.
 * Pure. */
#ifndef SHOAL_NODE_SEND_REFUSAL_H
#define SHOAL_NODE_SEND_REFUSAL_H

#include "shared/base.h"

/* Is that msg-id one of a message that was not said, and may be later (shared/irc/twitch.md)?
 * `wait_ms`: when, as the text says it, and a little more; 0: it does not say. */
bool send_refusal_passes(struct slice msg_id, struct slice text, uint64_t *wait_ms);

#endif
