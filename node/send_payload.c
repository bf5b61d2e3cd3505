/* Send payload: plain text or JSON. Hostile input: bounded before it is parsed. */
#include "node/send_payload.h"

#include "shared/json.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* One more than the registry takes: it refuses them, and says why. */
#define MAX_TEXT_BYTES ((size_t)8193)
#define MAX_ID_BYTES   ((size_t)REGISTRY_MAX_ID + 1)

/* The first problem is the one that is told. */
static void problem(struct send_payload *out, const char *field, const char *what)
{
    if (out->problem[0] == '\0') {
        snprintf(out->problem, sizeof(out->problem), "%s: %s.", field, what);
    }
}

/* A member of that kind. NULL: it is not there, or null, or of another kind, which is a problem. */
static const cJSON *member(struct send_payload *out, const char *name,
                           cJSON_bool (*is)(const cJSON *item), const char *takes)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(out->json, name);

    if (item == NULL || cJSON_IsNull(item)) {
        return NULL;
    }
    if (!is(item)) {
        problem(out, name, takes);
        return NULL;
    }
    return item;
}

static struct slice text_member(struct send_payload *out, const char *name)
{
    const cJSON *item = member(out, name, cJSON_IsString, "takes a string");

    return slice_of(item != NULL ? item->valuestring : NULL);
}

static struct slice ttl_member(struct send_payload *out)
{
    const cJSON *text = cJSON_GetObjectItemCaseSensitive(out->json, "ttl_ms");

    if (cJSON_IsString(text)) {
        return slice_of(text->valuestring);
    }
    const cJSON *number = member(out, "ttl_ms", cJSON_IsNumber, "takes a number of milliseconds");
    if (number != NULL) {
        /* Out of range is left to the registry to refuse, as a number it can name. */
        double ms = number->valuedouble;
        bool in_range = ms >= 0 && ms < 1e15;
        snprintf(out->ttl_ms, sizeof(out->ttl_ms), "%.0f", in_range ? floor(ms) : 1e15);
    }
    return slice_of(out->ttl_ms);
}

static void parse_json(struct slice payload, struct send_payload *out)
{
    if (payload.len >= SEND_PAYLOAD_MOST) {
        problem(out, "text", "what begins with { is a JSON object of at most 16384 bytes");
        return;
    }
    out->json = json_parse_object(payload);
    if (out->json == NULL) {
        problem(out, "text", "what begins with { is a JSON object, and this is none");
        return;
    }
    out->send.id = text_member(out, "id");
    if (cJSON_GetObjectItemCaseSensitive(out->json, "text") == NULL) {
        problem(out, "text", "is missing or empty");
    }
    out->send.text = text_member(out, "text");
    if (memmem(payload.ptr, payload.len, "\\u0000", 6) != NULL) {
        out->send.text = SLICE("\0"); /* cJSON ends the text there; the registry refuses the NUL */
    }
    out->send.reply_to = text_member(out, "reply_to");
    out->send.user = text_member(out, "user");
    out->send.by = text_member(out, "by");
    out->send.priority = text_member(out, "priority");
    out->send.as_command =
        cJSON_IsTrue(member(out, "command", cJSON_IsBool, "takes true or false"));
    out->send.split = cJSON_IsTrue(member(out, "split", cJSON_IsBool, "takes true or false"));
    out->send.ttl_ms = ttl_member(out);
}

void send_payload_parse(struct slice payload, struct send_payload *out)
{
    *out = (struct send_payload){0};
    if (payload.len > 0 && payload.ptr[0] == '{') {
        parse_json(payload, out);
    } else {
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
