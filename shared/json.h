/* JSON writer: appends JSON to a buf, commas and escapes included. (Reading JSON is cJSON's; what
 * this adds to it is at the end.)
 *
 *     struct json j;
 *     json_init(&j, &buf);
 *     json_object_begin(&j, NULL);
 *     json_string(&j, "channel", channel);
 *     json_number(&j, "count", 3);
 *     json_object_end(&j);
 *
 * `key` is NULL inside arrays and at the top. Bytes that are not UTF-8 become U+FFFD, so that the
 * output is always valid JSON, and what a terminal would obey (text.h) is escaped. Overflow is the
 * buf's. */
#ifndef SHOAL_JSON_H
#define SHOAL_JSON_H

#include "shared/buf.h"

struct json {
    struct buf *out;
    bool need_comma;
};

void json_init(struct json *j, struct buf *out);
void json_object_begin(struct json *j, const char *key);
void json_object_end(struct json *j);
void json_array_begin(struct json *j, const char *key);
void json_array_end(struct json *j);
/* A string member; NULL gives null. */
void json_string(struct json *j, const char *key, const char *value);
void json_slice(struct json *j, const char *key, struct slice value);
void json_number(struct json *j, const char *key, int64_t value);
void json_bool(struct json *j, const char *key, bool value);
/* A value that is JSON already, as it stands. */
void json_raw(struct json *j, const char *key, struct slice value);

struct cJSON;
/* The object that is all of the text, for cJSON_Delete; NULL: it is none, or more follows. What it
 * nests is bounded by cJSON, its bytes by the caller. */
struct cJSON *json_parse_object(struct slice text);
/* Append what cJSON has as one line, and nothing in it that is not safe (text.h). */
void json_append_tree(struct buf *out, const struct cJSON *tree);

#endif
