/* Text: what of a text may reach a terminal or a log, whatever its source: no control characters
 * and no secrets.
 *
 * A terminal obeys control characters: C0 (ESC begins its commands), DEL, and C1 (U+009B is ESC [
 * in one). It turns the order of a whole line round for the characters that override the direction
 * of writing (U+202A to U+202E, U+2066 to U+2069), and some break the line at U+2028 and U+2029.
 * None of these, and no byte that is not UTF-8, is *safe*. Whatever comes from Redis, Twitch, a
 * file or an argument passes through here before it is shown or logged. */
#ifndef SHOAL_TEXT_H
#define SHOAL_TEXT_H

#include "shared/buf.h"

/* Bytes of the character that `at` begins with, of at most `left` (1 or more); 1, and not safe, for
 * a byte that is not UTF-8. */
size_t text_char(const char *at, size_t left, bool *safe);
/* Append the text with a '?' for every character that is not safe. */
void text_append_safe(struct buf *out, struct slice text);
/* The same in place, for a NUL-terminated text: it never grows. */
void text_make_safe(char *text);
/* Append JSON that somebody else has written, with \uXXXX for every character that is not safe, and
 * U+FFFD for a byte that is not UTF-8: the same JSON. */
void text_append_json(struct buf *out, struct slice json);
/* Append the escape that has one letter, as JSON and C have it (\n), if `c` has one. */
bool text_append_short_escape(struct buf *out, char c);
/* The escape of one character of `len` bytes that is not safe, as JSON has it. */
void text_append_escape(struct buf *out, const char *at, size_t len);

/* Copy the text into `out` (of `size` bytes, NUL included), whole characters as far as they fit,
 * with "(secret)" for what is known as a secret by where it stands: a token behind `oauth:`, and in
 * a URL the password, or a user without one. False: not all of it fitted. For arguments, errors and
 * logs: what somebody put where it does not belong is not repeated. */
bool text_mask(const char *text, char *out, size_t size);
/* All of the text, masked and made safe; the caller frees it. */
char *text_shown(const char *text);

#endif
