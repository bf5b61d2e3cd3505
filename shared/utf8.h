/* UTF-8: is a text well-formed, at once or as its pieces come? A sequence may be cut over pieces.
 *
 * 64 bytes are looked at in one step. Pure; never allocates. */
#ifndef SHOAL_UTF8_H
#define SHOAL_UTF8_H

#include "shared/base.h"

/* Bytes of the well-formed UTF-8 sequence `text` begins with, looking at no more than `left`; 0 if
 * it begins with none. */
size_t utf8_length(const char *text, size_t left);

/* Of a text that has not begun it is zeroed; so it is behind one that is whole, in effect. */
struct utf8_check {
    unsigned char last[3]; /* bytes of the text, so far */
};

/* The next piece of the text. False as soon as nothing that follows could make it UTF-8; then the
 * check is over. */
MUST_USE bool utf8_check_piece(struct utf8_check *check, struct slice piece);
/* Does it end between two sequences? */
bool utf8_check_is_whole(const struct utf8_check *check);

#endif
