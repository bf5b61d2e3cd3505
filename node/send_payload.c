/* Send payload: plain text or JSON. Hostile input: bounded before it is parsed. */
#include "node/send_payload.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define MAX_JSON_BYTES ((size_t)16 * 1024)
/* One more than the registry takes: it refuses them, and says why. */
#define MAX_TEXT_BYTES ((size_t)2001)
#define MAX_ID_BYTES   ((size_t)REGISTRY_MAX_ID + 1)

static struct slice member(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

    if (!cJSON_IsString(item)) {
        return (struct slice){NULL, 0};
    }
    return slice_of(item->valuestring);
}

static void parse_ttl(const cJSON *object, struct send_payload *out)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, "ttl_ms");

    if (cJSON_IsString(item)) {
        out->send.ttl_ms = slice_of(item->valuestring);
    } else if (cJSON_IsNumber(item)) {
        /* Out of range is left to the registry to refuse, as a number it can name. */
        double ms = item->valuedouble;
        if (!(ms >= 0 && ms < 1e15)) {
            ms = 1e15;
        }
        snprintf(out->ttl_ms, sizeof(out->ttl_ms), "%.0f", floor(ms));
        out->send.ttl_ms = slice_of(out->ttl_ms);
    }
}

static bool parse_json(struct slice payload, struct send_payload *out)
{
    if (payload.len < 2 || payload.len > MAX_JSON_BYTES || payload.ptr[0] != '{') {
        return false;
    }
    const char *end = NULL;
    cJSON *object = cJSON_ParseWithLengthOpts(payload.ptr, payload.len, &end, 0);
    while (object != NULL && end < payload.ptr + payload.len && strchr(" \t\r\n", *end) != NULL &&
           *end != '\0') {
        end++;
    }
    if (object != NULL && end != payload.ptr + payload.len) {
        cJSON_Delete(object);
        return false;
    }
    const cJSON *text = cJSON_GetObjectItemCaseSensitive(object, "text");
    if (!cJSON_IsObject(object) || !cJSON_IsString(text)) {
        cJSON_Delete(object);
        return false;
    }
    out->json = object;
    out->send.text = slice_of(text->valuestring);
    if (memmem(payload.ptr, payload.len, "\\u0000", 6) != NULL) {
        out->send.text = SLICE("\0"); /* cJSON ends the text there; the registry refuses the NUL */
    }
    out->send.id = member(object, "id");
    out->send.reply_to = member(object, "reply_to");
    out->send.user = member(object, "user");
    out->send.by = member(object, "by");
    out->send.as_command = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, "command"));
    parse_ttl(object, out);
    return true;
}

void send_payload_parse(struct slice payload, struct send_payload *out)
{
    *out = (struct send_payload){0};
    if (!parse_json(payload, out)) {
        out->send.text = payload;
    }
    if (out->send.text.len > MAX_TEXT_BYTES) {
        out->send.text.len = MAX_TEXT_BYTES;
    }
    if (out->send.id.len > MAX_ID_BYTES) {
        out->send.id.len = MAX_ID_BYTES;
    }
}

void send_payload_finish(struct send_payload *p)
{
    cJSON_Delete(p->json);
    p->json = NULL;
}
