/* Initial channels: what --initial-channels says: `a,b,c`, `@FILE` (a regular file) with one or
 * several a line, or `!COMMAND`, a program that prints them the same way (TwitchIO takes a
 * callable).
 *
 * Names are separated by commas and spaces; in a file, or what a program prints, a `#` that begins
 * a line or follows a space opens a comment up to the end of the line, unless a name stands right
 * behind it: `#forsen` is a channel, `# some text` is not. Names are lower-cased, a leading `#` is
 * taken off, a byte order mark at the start is passed over, and what comes twice is kept once, in
 * the order of first mention. */
#ifndef SHOAL_COORDINATOR_INITIAL_CHANNELS_H
#define SHOAL_COORDINATOR_INITIAL_CHANNELS_H

#include "shared/err.h"

struct initial_channels {
    size_t n;
    struct slice *names; /* point into `text` */
    char *text;
};

/* Parse the option's value; NULL gives none, and no `names`. -ERR_USAGE with the names (and
 * FILE:LINE) that are no channels, the first of them where there are many, -ERR_IO where the file
 * cannot be read, or the program fails. initial_channels_finish it on success. */
MUST_USE int initial_channels_parse(const char *value, struct initial_channels *out,
                                    struct err *err);
/* The same of what a file would hold: `text` (NUL-terminated, taken) came from `name` ("@-"), for
 * messages. */
MUST_USE int initial_channels_parse_lines(const char *name, char *text,
                                          struct initial_channels *out, struct err *err);
void initial_channels_finish(struct initial_channels *c);
/* Split text at commas, spaces, tabs and line ends; at most `max` names into `out`, which point
 * into the text. Returns how many were found, `max` where there are more. */
size_t channel_names_split(struct slice text, struct slice *out, size_t max);
/* The same as an option check, but that no program is run. */
int initial_channels_check(const char *value, struct err *err);

#endif
