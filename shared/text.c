/* Text: one place that knows which characters a terminal obeys. */
#include "shared/text.h"

#include "shared/utf8.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

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

bool text_append_short_escape(struct buf *out, char c)
{
    static const char meant[] = "\"\\\n\r\t";
    static const char letters[] = "\"\\nrt";
    const char *at = memchr(meant, c, sizeof(meant) - 1);

    if (at != NULL) {
        buf_printf(out, "\\%c", letters[at - meant]);
    }
    return at != NULL;
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
    size_t plain = 0; /* start of the run that is copied as it is */

    for (size_t i = 0; i < json.len;) {
        bool safe;
        size_t len = text_char(json.ptr + i, json.len - i, &safe);
        if (!safe) {
            buf_append(out, json.ptr + plain, i - plain);
            text_append_escape(out, json.ptr + i, len);
            plain = i + len;
        }
        i += len;
    }
    buf_append(out, json.ptr + plain, json.len - plain);
}

/* What stands behind the "://" of a URL: *from and *to are around its secret; false where there is
 * none. A URL may have been cut before its '@', so what follows a ':' and is no port counts as one
 * too. */
static bool find_url_secret(const char *url, const char **from, const char **to)
{
    size_t len = strcspn(url, " \t\r\n");
    const char *at = memrchr(url, '@', len);
    const char *colon = memchr(url, ':', at ? (size_t)(at - url) : len);

    if (at) {
        *from = colon ? colon + 1 : url;
        *to = at;
        return *from < *to && (colon || !memchr(url, '/', (size_t)(at - url)));
    }
    if (!colon || *url == '[') {
        return false;
    }
    size_t digits = strspn(colon + 1, "0123456789");
    *from = colon + 1;
    *to = url + len;
    return *from < *to && (digits == 0 || isalnum((unsigned char)colon[1 + digits]));
}

bool text_mask(const char *text, char *out, size_t size)
{
    static const char secret[] = "(secret)";
    const char *from = NULL; /* around the secret ahead */
    const char *to = NULL;
    size_t len = 0;

    BUG_ON(size == 0);
    while (*text) {
        if (strncasecmp(text, "oauth:", 6) == 0) {
            from = text;
            to = text + strcspn(text, " \t\r\n\"',;");
        } else if (strncmp(text, "://", 3) == 0) {
            from = find_url_secret(text + 3, &from, &to) ? from : NULL;
        }
        const char *piece = text == from ? secret : text;
        size_t bytes = utf8_length(text, strnlen(text, 4));
        size_t n = text == from ? sizeof(secret) - 1 : bytes > 0 ? bytes : 1;
        if (len + n + 1 > size) {
            break;
        }
        memcpy(out + len, piece, n);
        len += n;
        text = text == from ? to : text + n;
    }
    out[len] = '\0';
    return *text == '\0';
}

char *text_shown(const char *text)
{
    size_t size = 8 * strlen(text) + 1; /* "(secret)" for each character, at the worst */
    char *out = xmalloc(size);

    BUG_ON(!text_mask(text, out, size));
    text_make_safe(out);
    return out;
}
