/* Splitter: WebSocket messages into lines: several may share a message, one may be cut over pieces
 * and messages.
 *
 * Owns the line that is begun, nothing else: a line that is whole in one piece is handed out from
 * there, without a copy. Loop thread only. */
#ifndef SHOAL_IRC_SPLITTER_H
#define SHOAL_IRC_SPLITTER_H

#include "shared/irc/parse.h"

struct irc_splitter {
    char *pending; /* the begun line; NULL until one is cut */
    size_t len;
    size_t cap;
    bool skipping;     /* the line was too long: skip to its end */
    bool newlines;     /* the peer ends its lines */
    uint64_t too_long; /* lines skipped */
};

/* A line, valid during the call. False to stop (the connection is being closed): the rest of the
 * bytes is dropped, and the splitter may have been finished meanwhile. */
typedef bool (*irc_line_cb)(void *ctx, struct slice line);

void irc_splitter_init(struct irc_splitter *s);
void irc_splitter_finish(struct irc_splitter *s);
/* A piece of a message; `last`: the message ends with it. on_line is called for each whole
 * non-empty line (CR LF, or LF alone, taken off). A line of over IRC_MAX_LINE_BYTES is skipped
 * whole and counted. Twitch ends each line; of a peer that never did, the end of a message is the
 * end of a line. False: on_line stopped. */
bool irc_splitter_piece(struct irc_splitter *s, struct slice bytes, bool last, irc_line_cb on_line,
                        void *ctx);

#endif
