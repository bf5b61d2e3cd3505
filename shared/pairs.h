/* Pairs: a text of lines `key = value`, as configuration and tokens files have them.
 *
 * `;` and `#` begin comments, at the beginning of a line or behind a blank (so no value may hold `
 * ;`). An indent has no meaning, sections do not exist, a line has at most 197 bytes (inih's
 * bound). The text is UTF-8 without control characters. */
#ifndef SHOAL_PAIRS_H
#define SHOAL_PAIRS_H

#include "shared/err.h"

/* Called for each pair, in order; a negative answer (with `err` filled) ends the parsing and is its
 * result. */
typedef int pairs_cb(void *ctx, const char *key, const char *value, size_t line, struct err *err);
/* Parse `content`; `path` and `form` ("key = value") are for messages, which name path, line
 * and form and repeat neither key nor value. 0, -ERR_USAGE, or what
 * `on_pair` said. */
MUST_USE int pairs_parse(struct slice content, const char *path, const char *form,
                         pairs_cb *on_pair, void *ctx, struct err *err);

#endif
