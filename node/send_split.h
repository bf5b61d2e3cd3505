/* Send split: a long text in parts, each of which is one message. Pure. */
#ifndef SHOAL_NODE_SEND_SPLIT_H
#define SHOAL_NODE_SEND_SPLIT_H

#include "shared/redis/registry_sends.h"

#define SEND_PART_CHARS 500 /* what Twitch takes in one message */
#define SEND_PARTS_MOST REGISTRY_PARTS_MOST

/* Part number `part` (from 0) of the text, and how many there are: each of at most SEND_PART_CHARS
 * characters, cut at the last blank of what fits, else between two grapheme clusters; blanks at a
 * cut are left out. A text that fits into one part is that part as it is. `out` points into `text`.
 * -ERR_PROTOCOL: it would be too many parts, or a single cluster does not fit; `err` says so as a
 * result does. */
MUST_USE int send_split(struct slice text, unsigned part, struct slice *out, unsigned *parts,
                        struct err *err);

#endif
