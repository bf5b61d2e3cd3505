/* JSON writer: the one place that knows JSON's commas and escapes. */
#include "shared/json.h"

#include "shared/text.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void json_init(struct json *j, struct buf *out)
{
    *j = (struct json){.out = out};
}

static void put_string(struct buf *out, struct slice s)
{
    const char *at = s.ptr;
    size_t plain = 0; /* start of the run that is copied as it is */
    size_t i = 0;

    buf_append_char(out, '"');
    while (i < s.len) {
        bool safe;
        size_t len = text_char(at + i, s.len - i, &safe);
        if (!safe || at[i] == '"' || at[i] == '\\') {
            buf_append(out, at + plain, i - plain);
            if (!text_append_short_escape(out, at[i])) {
                text_append_escape(out, at + i, len);
            }
            plain = i + len;
        }
        i += len;
    }
    buf_append(out, at + plain, i - plain);
    buf_append_char(out, '"');
}

/* What comes before a value: the comma, and the key where there is one. */
static void put_key(struct json *j, const char *key)
{
    if (j->need_comma) {
        buf_append_char(j->out, ',');
    }
    j->need_comma = true;
    if (key) {
        put_string(j->out, slice_of(key));
        buf_append_char(j->out, ':');
    }
}

static void put_bracket(struct json *j, char bracket, bool need_comma)
{
    buf_append_char(j->out, bracket);
    j->need_comma = need_comma;
}

void json_object_begin(struct json *j, const char *key)
{
    put_key(j, key);
    put_bracket(j, '{', false);
}

void json_object_end(struct json *j)
{
    put_bracket(j, '}', true);
}

void json_array_begin(struct json *j, const char *key)
{
    put_key(j, key);
    put_bracket(j, '[', false);
}

void json_array_end(struct json *j)
{
    put_bracket(j, ']', true);
}

void json_string(struct json *j, const char *key, const char *value)
{
    if (value) {
        json_slice(j, key, slice_of(value));
    } else {
        put_key(j, key);
        buf_append_str(j->out, "null");
    }
}

void json_slice(struct json *j, const char *key, struct slice value)
{
    put_key(j, key);
    put_string(j->out, value);
}

void json_number(struct json *j, const char *key, int64_t value)
{
    put_key(j, key);
    buf_printf(j->out, "%" PRId64, value);
}

void json_bool(struct json *j, const char *key, bool value)
{
    put_key(j, key);
    buf_append_str(j->out, value ? "true" : "false");
}

void json_raw(struct json *j, const char *key, struct slice value)
{
    put_key(j, key);
    buf_append_slice(j->out, value);
}

/* What cJSON reads and writes ------------------------------------------------------------------ */

struct cJSON *json_parse_object(struct slice text)
{
    const char *end = NULL;
    cJSON *object = text.len > 0 ? cJSON_ParseWithLengthOpts(text.ptr, text.len, &end, 0) : NULL;

    while (object != NULL && end < text.ptr + text.len && *end != '\0' &&
           strchr(" \t\r\n", *end) != NULL) {
        end++;
    }
    if (object != NULL && (end != text.ptr + text.len || !cJSON_IsObject(object))) {
        cJSON_Delete(object);
        return NULL;
    }
    return object;
}

void json_append_tree(struct buf *out, const struct cJSON *tree)
{
    char *text = cJSON_PrintUnformatted(tree); /* escapes C0 alone */

    BUG_ON(text == NULL);
    text_append_json(out, slice_of(text));
    free(text);
}
