/* Input: what a command is given on standard input. */
#ifndef SHOAL_CTL_INPUT_H
#define SHOAL_CTL_INPUT_H

#include "coordinator/ctl/ctl.h"
#include "shared/buf.h"

#define INPUT_MAX_BYTES ((size_t)16 << 20)

/* All of it, up to its end, behind a blank. A person who types it can end it with Ctrl-C: the loop,
 * which sees that, turns meanwhile. `all` is made with INPUT_MAX_BYTES; the caller finishes it.
 * CTL_DONE, or the exit code after it was told why. */
MUST_USE int input_read(struct ctl *c, struct buf *all);

#endif
