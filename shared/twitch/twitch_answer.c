/* Twitch's answers: read field by field, by tables. What cannot be right is refused here, so that
 * nothing else has to look: what leaves this file fits a header, a key and a terminal. */
#include "shared/twitch/twitch_private.h"

#include "shared/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a field holds. Texts: which characters (strspn), and how many at most. */
enum type { TOKEN, ID, NUMBER_ID, LOGIN, WORD, SECONDS, TEXTS };

#define DIGITS "0123456789"
#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define UPPER  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define MARKS  "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"

static const struct {
    const char *characters;
    size_t most;
} texts[] = {
    [TOKEN] = {DIGITS LOWER UPPER MARKS, TWITCH_TOKEN_MAX},
    [ID] = {DIGITS LOWER UPPER "-_", 128},
    [NUMBER_ID] = {DIGITS, 20},
    [LOGIN] = {DIGITS LOWER "_", 25},
    [WORD] = {DIGITS LOWER "_:", 64},
};

struct field {
    const char *name;
    enum type type;
    size_t offset; /* in struct twitch_outcome */
    bool optional; /* it may be absent, or null */
};

#define AT(member) offsetof(struct twitch_outcome, member)

static const struct field validation[] = {
    {"login", LOGIN, AT(login), true},       {"user_id", NUMBER_ID, AT(user_id), true},
    {"client_id", ID, AT(client_id), false}, {"expires_in", SECONDS, AT(expires_in_s), false},
    {"scopes", TEXTS, AT(scopes), true},     {NULL, TOKEN, 0, false},
};
static const struct field tokens[] = {
    {"access_token", TOKEN, AT(access_token), false},
    {"refresh_token", TOKEN, AT(refresh_token), true},
    {"expires_in", SECONDS, AT(expires_in_s), false},
    {"scope", TEXTS, AT(scopes), true},
    {NULL, TOKEN, 0, false},
};
static const struct field device[] = {
    {"device_code", TOKEN, AT(device_code), false},
    {"user_code", ID, AT(user_code), false},
    {"verification_uri", TOKEN, AT(verification_uri), false},
    {"interval", SECONDS, AT(interval_s), false},
    {"expires_in", SECONDS, AT(expires_in_s), false},
    {NULL, TOKEN, 0, false},
};
static const struct field said[] = {
    {"message_id", ID, AT(message_id), true},
    {NULL, TOKEN, 0, false},
};
static const struct field drop[] = {
    {"code", WORD, AT(drop_code), false},
    {NULL, TOKEN, 0, false},
};

static const cJSON *member(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

static bool text_of(const cJSON *item, enum type type, const char **out)
{
    const char *text = cJSON_GetStringValue(item);
    size_t len = text != NULL ? strlen(text) : 0;

    if (len == 0 || len > texts[type].most || strspn(text, texts[type].characters) != len) {
        return false;
    }
    *out = text;
    return true;
}

static bool seconds_of(const cJSON *item, uint64_t *out)
{
    double value = cJSON_IsNumber(item) ? item->valuedouble : -1;

    if (!(value >= 0 && value <= UINT32_MAX)) { /* NaN, too */
        return false;
    }
    *out = (uint64_t)value;
    return true;
}

static bool add_text(const cJSON *item, enum type type, struct twitch_texts *list)
{
    if (list->n == ARRAY_LEN(list->item) || !text_of(item, type, &list->item[list->n])) {
        return false;
    }
    list->n++;
    return true;
}

static bool texts_of(const cJSON *array, struct twitch_texts *out)
{
    const cJSON *item;

    if (!cJSON_IsArray(array)) {
        return false;
    }
    cJSON_ArrayForEach(item, array)
    {
        if (!add_text(item, WORD, out)) {
            return false;
        }
    }
    return true;
}

/* All fields of the table; false: the answer is none. */
static bool read_fields(const cJSON *object, const struct field *fields, struct twitch_outcome *out)
{
    for (const struct field *f = fields; f->name != NULL; f++) {
        const cJSON *item = member(object, f->name);
        void *to = (char *)out + f->offset;
        bool right = f->type == SECONDS ? seconds_of(item, to)
                     : f->type == TEXTS ? texts_of(item, to)
                                        : text_of(item, f->type, to);
        bool absent = item == NULL || cJSON_IsNull(item) ||
                      (cJSON_IsString(item) && item->valuestring[0] == '\0');
        if (!right && !(f->optional && absent)) {
            return false;
        }
    }
    return true;
}

static bool read_users(const cJSON *data, struct twitch_outcome *out)
{
    const cJSON *user;

    cJSON_ArrayForEach(user, data)
    {
        if (!add_text(member(user, "login"), LOGIN, &out->logins) ||
            !add_text(member(user, "id"), NUMBER_ID, &out->user_ids)) {
            return false;
        }
    }
    return cJSON_IsArray(data);
}

static void take_message(struct twitch_answer *a, const char *text)
{
    err_set(&a->err, ERR_REFUSED, "%s", text);
}

/* One message, and why it was dropped. */
static bool read_said(struct twitch_answer *a, const cJSON *data)
{
    const cJSON *first = cJSON_GetArrayItem(data, 0);
    const cJSON *is_sent = member(first, "is_sent");
    const cJSON *reason = member(first, "drop_reason");
    const char *why = cJSON_GetStringValue(member(reason, "message"));

    a->outcome.is_sent = cJSON_IsTrue(is_sent);
    if (why != NULL) {
        take_message(a, why);
    }
    return cJSON_IsBool(is_sent) && read_fields(first, said, &a->outcome) &&
           (a->outcome.is_sent || read_fields(reason, drop, &a->outcome));
}

static bool read_kind(struct twitch_answer *a, enum twitch_kind kind)
{
    const cJSON *data = member(a->root, "data");

    switch (kind) {
    case TWITCH_VALIDATION: /* an application has neither login nor user_id */
        return read_fields(a->root, validation, &a->outcome) &&
               (a->outcome.login == NULL) == (a->outcome.user_id == NULL);
    case TWITCH_TOKENS:
        return read_fields(a->root, tokens, &a->outcome);
    case TWITCH_DEVICE:
        return read_fields(a->root, device, &a->outcome);
    case TWITCH_USERS:
        return read_users(data, &a->outcome);
    case TWITCH_SAID:
        return read_said(a, data);
    case TWITCH_NOTHING:
        break;
    }
    return true;
}

/* An answer other than 2xx. Only Twitch's own refusal, which says what it is in JSON, is one: a
 * proxy's page is none. */
static enum twitch_verdict read_refusal(struct twitch_answer *a, unsigned status, bool may_be_twice)
{
    const char *message = cJSON_GetStringValue(member(a->root, "message"));

    if (message != NULL && message[0] != '\0') {
        take_message(a, message);
    } else {
        err_set(&a->err, ERR_REFUSED, "HTTP status %u", status);
    }
    if (status >= 500) {
        return may_be_twice ? TWITCH_LATER : TWITCH_UNKNOWN;
    }
    bool passes = status == 408 || status == 425 || status == 429;
    return status >= 400 && message != NULL && !passes ? TWITCH_REFUSED : TWITCH_LATER;
}

void twitch_answer_read(enum twitch_kind kind, bool may_be_twice, const struct http_answer *answer,
                        const struct err *err, struct twitch_answer *out)
{
    *out = (struct twitch_answer){.err.code = ERR_OK};
    out->root = cJSON_ParseWithLength(answer->body.ptr, answer->body.len);
    struct twitch_outcome *o = &out->outcome;
    o->status = answer->status;
    o->wait_ms = answer->wait_ms;
    if (err != NULL) {
        out->err = *err;
        o->verdict = answer->sent && !may_be_twice ? TWITCH_UNKNOWN : TWITCH_LATER;
    } else if (answer->status / 100 != 2) {
        o->verdict = read_refusal(out, answer->status, may_be_twice);
    } else if (read_kind(out, kind)) {
        o->verdict = TWITCH_OK;
    } else { /* it was carried out, and what came of it cannot be used */
        *o = (struct twitch_outcome){.verdict = TWITCH_UNKNOWN, .status = answer->status};
        take_message(out, "the answer lacks what it should have");
    }
    o->message = out->err.text;
}

static void wipe(cJSON *item)
{
    for (; item != NULL; item = item->next) {
        if (cJSON_IsString(item)) {
            explicit_bzero(item->valuestring, strlen(item->valuestring));
        }
        wipe(item->child);
    }
}

void twitch_answer_finish(struct twitch_answer *a)
{
    wipe(a->root);
    cJSON_Delete(a->root);
    a->root = NULL;
}
