/* HTTP fields: see http_field.h. */
#include "shared/net/http_field.h"

#include <string.h>
#include <strings.h>

/* RFC 9110, 5.6.2. */
static bool is_token(struct slice s)
{
    static const char chars[] =
        "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

    for (size_t i = 0; i < s.len; i++) {
        if (memchr(chars, s.ptr[i], sizeof(chars) - 1) == NULL) {
            return false;
        }
    }
    return s.len > 0;
}

bool http_field_is_text(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if ((c < ' ' && c != '\t') || c == 0x7f) {
            return false;
        }
    }
    return true;
}

bool http_field_parse(struct slice line, struct http_field *out)
{
    if (!slice_split(&line, ':', &out->name) || !is_token(out->name) || !http_field_is_text(line)) {
        return false;
    }
    out->value = slice_trim(line);
    return true;
}

bool http_field_is(struct slice text, const char *word)
{
    return text.len == strlen(word) && strncasecmp(text.ptr, word, text.len) == 0;
}

bool http_field_next(struct slice *list, struct slice *one)
{
    while (list->len > 0) {
        (void)slice_split(list, ',', one);
        *one = slice_trim(*one);
        if (one->len > 0) {
            return true;
        }
    }
    return false;
}

bool http_field_has(struct slice list, const char *word)
{
    struct slice one;

    while (http_field_next(&list, &one)) {
        if (http_field_is(one, word)) {
            return true;
        }
    }
    return false;
}
