/* UTF-8: is a text well-formed, at once or as its pieces come? A sequence may be cut over pieces.
 *
 * ASCII costs next to nothing (64 bytes a step). Pure; never allocates. */
#ifndef SHOAL_UTF8_H
#define SHOAL_UTF8_H

#include "shared/base.h"

/* Bytes of the well-formed UTF-8 sequence `text` begins with, looking at no more than `left`; 0 if
 * it begins with none. */
size_t utf8_length(const char *text, size_t left);

/* A text that is zeroed has not begun. */
struct utf8_check {
    char begun[4]; /* the sequence that is cut: its first bytes */
    uint8_t len;   /* of them */
};

/* The next piece of the text. False as soon as nothing that follows could make it UTF-8; then the
 * check is over. */
MUST_USE bool utf8_check_piece(struct utf8_check *check, struct slice piece);
/* Does it end between two sequences? */
bool utf8_check_is_whole(const struct utf8_check *check);

#endif
