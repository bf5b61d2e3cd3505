/* UTF-8 check. Well-formed is what utf8_length says; here are only the ways round it: past ASCII,
 * and over the cut between two pieces. */
#include "shared/utf8_check.h"

#include <string.h>

#define HIGH_BITS UINT64_C(0x8080808080808080)

static uint64_t word_at(const char *at)
{
    uint64_t word;

    memcpy(&word, at, sizeof(word));
    return word;
}

/* The first byte that is not ASCII, or `end`. */
static const char *skip_ascii(const char *at, const char *end)
{
    while (end - at >= 64) { /* without a branch inside, so that it becomes vector instructions */
        uint64_t all = 0;

        for (size_t i = 0; i < 64; i += 8) {
            all |= word_at(at + i);
        }
        if ((all & HIGH_BITS) != 0) {
            break;
        }
        at += 64;
    }
    while (end - at >= 8 && (word_at(at) & HIGH_BITS) == 0) {
        at += 8;
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
