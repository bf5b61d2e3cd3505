/* Text: one place that knows which characters a terminal obeys. */
#include "shared/text.h"

#include <string.h>

/* The code point of a well-formed sequence of `len` bytes. */
static uint32_t code_point(const char *at, size_t len)
{
    static const unsigned char first_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t code = (unsigned char)at[0] & first_bits[len];

    for (size_t i = 1; i < len; i++) {
        code = code << 6 | ((unsigned char)at[i] & 0x3f);
    }
    return code;
}

static bool is_obeyed(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2066 && code <= 0x2069);
}

size_t text_char(const char *at, size_t left, bool *safe)
{
    size_t len = utf8_length(at, left);

    *safe = len > 0 && !is_obeyed(code_point(at, len));
    return len > 0 ? len : 1;
}

void text_append_safe(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.len;) {
        bool safe;
        size_t len = text_char(text.ptr + i, text.len - i, &safe);
        buf_append(out, safe ? text.ptr + i : "?", safe ? len : 1);
        i += len;
    }
}

void text_make_safe(char *text)
{
    size_t left = strlen(text);
    char *to = text;

    while (left > 0) {
        bool safe;
        size_t len = text_char(text, left, &safe);
        if (safe) {
            memmove(to, text, len);
            to += len;
        } else {
            *to++ = '?';
        }
        text += len;
        left -= len;
    }
    *to = '\0';
}

void text_append_escape(struct buf *out, const char *at, size_t len)
{
    if (utf8_length(at, len) == 0) {
        buf_append_str(out, "\xef\xbf\xbd"); /* U+FFFD */
    } else {
        buf_printf(out, "\\u%04x", (unsigned)code_point(at, len)); /* none is past U+FFFF */
    }
}

void text_append_json(struct buf *out, struct slice json)
{
    for (size_t i = 0; i < json.len;) {
        bool safe;
        size_t len = text_char(json.ptr + i, json.len - i, &safe);
        if (safe) {
            buf_append(out, json.ptr + i, len);
        } else {
            text_append_escape(out, json.ptr + i, len);
        }
        i += len;
    }
}
