/* IRC parser: one line of Twitch chat, taken apart without copying.
 *
 * Grammar: RFC 1459 section 2.3.1 with IRCv3 message tags, as Twitch documents it
 * (dev.twitch.tv/docs/irc): ['@' tags SP] [':' prefix SP] command *(SP param) [SP ':' trailing].
 * All slices borrow from the line. Loop thread only. */
#ifndef SHOAL_IRC_PARSE_H
#define SHOAL_IRC_PARSE_H

#include "shared/err.h"

#define IRC_MAX_PARAMS     15
#define IRC_MAX_LINE_BYTES (64 * 1024) /* of one received line, CRLF not counted */

struct irc_line {
    struct slice raw;     /* the whole line, no CRLF */
    struct slice tags;    /* without '@'; empty if there are none */
    struct slice prefix;  /* without ':' */
    struct slice nick;    /* of the prefix, up to '!' or '@' */
    struct slice command; /* "PRIVMSG", "001" */
    struct slice params[IRC_MAX_PARAMS];
    size_t nparams; /* the trailing one included, without ':' */
};

/* Parse one line without CR LF. Returns 0, or -ERR_PROTOCOL: empty, too long, no command, NUL, CR
 * or LF inside. Never reads outside `raw`. */
MUST_USE int irc_parse(struct slice raw, struct irc_line *out, struct err *err);
/* The escaped value of a tag; false if the line has no such tag. A tag without '=' is empty. The
 * last of several with the same key counts (IRCv3). */
MUST_USE bool irc_tag(const struct irc_line *line, const char *key, struct slice *value);
/* Unescape a tag value (\: \s \\ \r \n, IRCv3 message-tags) into `out`; returns the length. `out`
 * holds value.len bytes; no NUL is written. */
size_t irc_tag_unescape(struct slice value, char *out);
/* Walk over all tags: `*cursor` starts as line->tags; false at the end. */
MUST_USE bool irc_tag_next(struct slice *cursor, struct slice *key, struct slice *value);
/* The channel of the line without '#': the first parameter that begins with '#'; empty if none. A
 * trailing parameter (behind ':') is text and only looked at where it is the only one. */
struct slice irc_channel(const struct irc_line *line);

/* Is this a channel's login: 1 to 25 of a-z 0-9 _ after normalising? Twitch logins are at least 3
 * (older ones 1) and at most 25 characters. */
bool irc_channel_valid(struct slice name);
/* Normalise what a user wrote: one leading '#' dropped, ASCII lower case. Writes at most size - 1
 * bytes and a NUL; false if the result is not valid. */
MUST_USE bool irc_channel_normalise(struct slice name, char *out, size_t size);
#define IRC_CHANNEL_CHARS 26 /* the longest channel, and the NUL */

#endif
