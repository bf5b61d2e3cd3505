/* UTF-8. Well-formed is what utf8_length says of a sequence; the check says it of each byte, by the
 * three before it, without a branch: so the compiler makes vector instructions of it, and text that
 * is not ASCII costs no mispredicted ones. */
#include "shared/utf8.h"

#include <string.h>

#define HIGH_BITS UINT64_C(0x8080808080808080)
#define WORD      sizeof(uint64_t)
#define STEP      64 /* bytes looked at at once */
#define LOOK_BACK sizeof(((struct utf8_check *)NULL)->last)

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

/* Signed, as vector instructions compare: this is one of them each. */
static inline unsigned char is_above(unsigned char c, unsigned char than)
{
    return (signed char)(c ^ 0x80) > (signed char)(than ^ 0x80);
}

/* Is one of `len` bytes wrong, behind the LOOK_BACK before them? The same table, by bytes: one that
 * goes on with a sequence stands where a first one calls for it, and nowhere else. */
static inline bool is_wrong(const unsigned char *at, size_t len)
{
    unsigned char wrong = 0; /* a bool would not become a vector */

    for (size_t i = 0; i < len; i++) {
        const unsigned char *now = at + i;
        unsigned char c = now[0];
        unsigned char before = now[-1];
        unsigned char called =
            is_above(before, 0xbf) | is_above(now[-2], 0xdf) | is_above(now[-3], 0xef);
        unsigned char goes_on = (signed char)c < (signed char)0xc0;
        unsigned char low = (signed char)c < (signed char)0xa0;
        unsigned char lowest = (signed char)c < (signed char)0x90;

        wrong |= (called ^ goes_on) | is_above(c, 0xf4) | ((c & 0xfe) == 0xc0) |
                 ((before == 0xe0) & low) | ((before == 0xed) & (low ^ 1)) |
                 ((before == 0xf0) & lowest) | ((before == 0xf4) & (lowest ^ 1));
    }
    return wrong != 0;
}

/* Of STEP bytes and those of a word before them. */
static bool are_ascii(const unsigned char *at)
{
    uint64_t all = 0;

    for (size_t i = 0; i < STEP + WORD; i += WORD) {
        uint64_t word;
        memcpy(&word, at + i - WORD, WORD);
        all |= word;
    }
    return (all & HIGH_BITS) == 0;
}

/* The same, before which a word may be looked at. */
static bool step_is_wrong(const unsigned char *at)
{
    return !are_ascii(at) && is_wrong(at, STEP);
}

bool utf8_check_piece(struct utf8_check *check, struct slice piece)
{
    unsigned char first[WORD + STEP + WORD] = {0}; /* what came before it is elsewhere */
    unsigned char *at = first + WORD;
    size_t len = piece.len < STEP + WORD ? piece.len : STEP;

    if (len == 0) {
        return true;
    }
    memcpy(at - LOOK_BACK, check->last, LOOK_BACK);
    memcpy(at, piece.ptr, len);
    if (len == STEP ? step_is_wrong(at) : is_wrong(at, len)) {
        return false;
    }
    memcpy(check->last, at + len - LOOK_BACK, LOOK_BACK);
    while (len < piece.len) {
        /* The last step looks at some bytes again. */
        len = len + STEP < piece.len ? len + STEP : piece.len;
        if (step_is_wrong((const unsigned char *)piece.ptr + len - STEP)) {
            return false;
        }
        memcpy(check->last, piece.ptr + len - LOOK_BACK, LOOK_BACK);
    }
    return true;
}

bool utf8_check_is_whole(const struct utf8_check *check)
{
    return check->last[0] < 0xf0 && check->last[1] < 0xe0 && check->last[2] < 0xc0;
}
