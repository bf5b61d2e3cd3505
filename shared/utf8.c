/* UTF-8. Well-formed is what utf8_length says; the check adds the ways round it: past ASCII, and
 * over the cut between two pieces. */
#include "shared/utf8.h"

#include <endian.h>
#include <string.h>

#define HIGH_BITS UINT64_C(0x8080808080808080)

/* Unicode, table 3-7: the second byte's range rules out overlong forms, surrogates and what is past
 * U+10FFFF. */
static bool may_begin(unsigned first, unsigned second)
{
    unsigned low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    unsigned high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;

    return first >= 0xc2 && first <= 0xf4 && second >= low && second <= high;
}

size_t utf8_length(const char *text, size_t left)
{
    const unsigned char *at = (const unsigned char *)text;

    if (left == 0 || at[0] < 0x80) {
        return left == 0 ? 0 : 1;
    }
    size_t len = at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
    if (left < len || !may_begin(at[0], at[1])) {
        return 0;
    }
    for (size_t i = 2; i < len; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return len;
}

static uint64_t word_at(const char *at)
{
    uint64_t word;

    memcpy(&word, at, sizeof(word));
    return word;
}

/* How many of the eight bytes at `at` are ASCII before the first that is not. */
static size_t ascii_in(const char *at)
{
    uint64_t high = le64toh(word_at(at)) & HIGH_BITS;

    return high == 0 ? 8 : (size_t)__builtin_ctzll(high) / 8;
}

/* Without a branch inside, so that it becomes vector instructions. */
static bool are_ascii(const char at[64])
{
    uint64_t all = 0;

    for (size_t i = 0; i < 64; i += 8) {
        all |= word_at(at + i);
    }
    return (all & HIGH_BITS) == 0;
}

/* The first byte that is not ASCII, or `end`. Where there was one there are others: long steps come
 * behind a short one. */
static const char *skip_ascii(const char *at, const char *end)
{
    while (end - at >= 8) {
        size_t n = ascii_in(at);

        at += n;
        if (n < 8) {
            return at;
        }
        while (end - at >= 64 && are_ascii(at)) {
            at += 64;
        }
    }
    while (at < end && (*at & 0x80) == 0) {
        at++;
    }
    return at;
}

/* Could more bytes make it well-formed, which it is not? The second byte decides, and each of its
 * ranges holds the lowest of all (80) or the highest (bf). */
static bool is_begun(const char *text, size_t len)
{
    char low[4] = "\x80\x80\x80\x80";
    char high[4] = "\xbf\xbf\xbf\xbf";

    if (len >= sizeof(low)) {
        return false;
    }
    memcpy(low, text, len);
    memcpy(high, text, len);
    return utf8_length(low, sizeof(low)) > 0 || utf8_length(high, sizeof(high)) > 0;
}

/* Go on with the sequence that is cut. */
static bool finish_begun(struct utf8_check *check, struct slice *piece)
{
    while (check->len > 0 && piece->len > 0) {
        check->begun[check->len++] = *piece->ptr++;
        piece->len--;
        if (utf8_length(check->begun, check->len) == check->len) {
            check->len = 0;
        } else if (!is_begun(check->begun, check->len)) {
            return false;
        }
    }
    return true;
}

bool utf8_check_piece(struct utf8_check *check, struct slice piece)
{
    if (check->len > 0 && !finish_begun(check, &piece)) {
        return false;
    }
    const char *at = piece.ptr;
    const char *end = at + piece.len;
    while ((at = skip_ascii(at, end)) < end) {
        size_t left = (size_t)(end - at);
        size_t len = utf8_length(at, left);

        if (len == 0) {
            if (!is_begun(at, left)) {
                return false;
            }
            memcpy(check->begun, at, left);
            check->len = (uint8_t)left;
            return true;
        }
        at += len;
    }
    return true;
}

bool utf8_check_is_whole(const struct utf8_check *check)
{
    return check->len == 0;
}
