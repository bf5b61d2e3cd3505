/* Transfer: what an operator moves from one cluster to another, or puts back: wanted channels and
 * settings, as a text that can be kept and compared (shoalctl export and import).
 *
 *     # a comment
 *     set max_shard_count 100
 *     channel forsen
 *     channel xqc user mybot
 *
 * A line each, in any order; blanks part the words, and a line that begins with # says nothing.
 * Tokens are no part of it. Pure. */
#ifndef SHOAL_CTL_TRANSFER_H
#define SHOAL_CTL_TRANSFER_H

#include "shared/buf.h"

/* A setting and its value, or a channel and whom it is to be read as ("": whoever reads). */
struct transfer_pair {
    const char *name;
    const char *value;
};

struct transfer {
    size_t nsettings;
    struct transfer_pair *settings; /* in the order of the text */
    size_t nchannels;
    struct transfer_pair *channels; /* by user and name, each once */
};

/* A line (from 1) that is none of these, and why. */
typedef void (*transfer_wrong_cb)(void *ctx, size_t line, const char *why);

/* Read the text, which is changed and borrowed. transfer_finish it. */
void transfer_parse(struct transfer *t, char *text, transfer_wrong_cb on_wrong, void *ctx);
void transfer_finish(struct transfer *t);

/* Lines of such a text. What cannot stand in one (a name with blanks, or with what a terminal
 * obeys) is left out: false. */
bool transfer_append_setting(struct buf *out, const char *name, const char *value);
/* `user` "" says of nobody that it is read as that. */
bool transfer_append_channel(struct buf *out, struct slice channel, const char *user);

#endif
