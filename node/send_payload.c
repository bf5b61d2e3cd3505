/* Send payload: plain text or JSON. Hostile input: bounded before it is parsed. */
#include "node/send_payload.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* One more than the registry takes: it refuses them, and says why. */
#define MAX_TEXT_BYTES ((size_t)2001)
#define MAX_ID_BYTES   ((size_t)REGISTRY_MAX_ID + 1)

/* The first problem is the one that is told. */
static void problem(struct send_payload *out, const char *field, const char *what)
{
    if (out->problem[0] == '\0') {
        snprintf(out->problem, sizeof(out->problem), "%s: %s.", field, what);
    }
}

/* A member that is not there, or null, is empty. */
static struct slice member(const cJSON *object, const char *name, struct send_payload *out)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

    if (cJSON_IsString(item)) {
        return slice_of(item->valuestring);
    }
    if (item != NULL && !cJSON_IsNull(item)) {
        problem(out, name, "takes a string");
    }
    return (struct slice){NULL, 0};
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
    } else if (item != NULL && !cJSON_IsNull(item)) {
        problem(out, "ttl_ms", "takes a number of milliseconds");
    }
}

static void parse_command(const cJSON *object, struct send_payload *out)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, "command");

    out->send.as_command = cJSON_IsTrue(item);
    if (item != NULL && !cJSON_IsBool(item) && !cJSON_IsNull(item)) {
        problem(out, "command", "takes true or false");
    }
}

/* The object that is all of the payload, or NULL. */
static cJSON *object_of(struct slice payload)
{
    const char *end = NULL;
    cJSON *object = cJSON_ParseWithLengthOpts(payload.ptr, payload.len, &end, 0);

    while (object != NULL && end < payload.ptr + payload.len && strchr(" \t\r\n", *end) != NULL &&
           *end != '\0') {
        end++;
    }
    if (object != NULL && (end != payload.ptr + payload.len || !cJSON_IsObject(object))) {
        cJSON_Delete(object);
        return NULL;
    }
    return object;
}

static void parse_json(struct slice payload, struct send_payload *out)
{
    if (payload.len >= SEND_PAYLOAD_MOST) {
        problem(out, "text", "what begins with { is a JSON object of at most 16384 bytes");
        return;
    }
    out->json = object_of(payload);
    if (out->json == NULL) {
        problem(out, "text", "what begins with { is a JSON object, and this is none");
        return;
    }
    out->send.id = member(out->json, "id", out);
    if (cJSON_GetObjectItemCaseSensitive(out->json, "text") == NULL) {
        problem(out, "text", "is missing or empty");
    }
    out->send.text = member(out->json, "text", out);
    if (memmem(payload.ptr, payload.len, "\\u0000", 6) != NULL) {
        out->send.text = SLICE("\0"); /* cJSON ends the text there; the registry refuses the NUL */
    }
    out->send.reply_to = member(out->json, "reply_to", out);
    out->send.user = member(out->json, "user", out);
    out->send.by = member(out->json, "by", out);
    parse_command(out->json, out);
    parse_ttl(out->json, out);
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
