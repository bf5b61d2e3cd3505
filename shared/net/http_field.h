/* HTTP fields: the lines of a head, as RFC 9110 (5) writes them, whoever sends it: a client of ours
 * (shared/web/web_head.h), or a server we asked (websocket.h).
 *
 * No field is folded, and no name has a blank behind it: where two readers could read two things,
 * nothing is read. Pure; slices point into what was parsed. */
#ifndef SHOAL_NET_HTTP_FIELD_H
#define SHOAL_NET_HTTP_FIELD_H

#include "shared/base.h"

struct http_field {
    struct slice name;
    struct slice value; /* without blanks around it */
};

/* Take a line apart, its CR LF taken off before; false: it is no field. */
MUST_USE bool http_field_parse(struct slice line, struct http_field *out);
/* The same word, in any case? */
bool http_field_is(struct slice text, const char *word);
/* The next of a comma-separated list that is not empty, taken off its front; false: there is none
 * (5.6.1). */
bool http_field_next(struct slice *list, struct slice *one);
/* Is the word one of the list, in any case? */
bool http_field_has(struct slice list, const char *word);
/* No control character but a tab? */
bool http_field_is_text(struct slice text);

#endif
