/* Ask body: a table of members, and which op has which. */
#include "coordinator/web/ask_body.h"

#include "shared/irc/parse.h"
#include "shared/json.h"
#include "shared/redis/registry_limits.h"
#include "shared/utf8.h"

#include <cjson/cJSON.h>
#include <string.h>

#define NAME_CHARS 64

/* Members that an op has beside `op` and `by`. */
enum { CHANNELS = 1, USER = 2, NAME = 4, VALUE = 8 };
static const struct op {
    const char *name;
    enum ask_kind kind;
    unsigned needs;
    unsigned takes;
} ops[] = {
    {"join", ASK_REQUEST, CHANNELS, USER},
    {"part", ASK_REQUEST, CHANNELS, 0},
    {"retry", ASK_REQUEST, CHANNELS, 0},
    {"set", ASK_ADMIN, NAME | VALUE, 0},
    {"unset", ASK_ADMIN, NAME, 0},
    {"start", ASK_ADMIN, 0, 0},
    {"stop", ASK_ADMIN, 0, 0},
};

static const char *const kinds[] = {
    [ASK_REQUEST] = "join, part or retry", [ASK_ADMIN] = "set, unset, start or stop"};

/* Each takes the member into the field of its name, or says what is wrong. */
typedef int (*take_member)(struct ask_body *b, const cJSON *item, struct err *err);

static void add_field(struct ask_body *b, const char *name, const char *value)
{
    BUG_ON(b->n == ARRAY_LEN(b->fields));
    b->fields[b->n++] = (struct registry_pair){name, value};
}

static int take_channels(struct ask_body *b, const cJSON *item, struct err *err)
{
    const cJSON *each;
    size_t n = 0;

    if (!cJSON_IsArray(item) || item->child == NULL) {
        return err_set(
            err, ERR_USAGE,
            "channels: takes a list of names of channels, [\"forsen\"], of one at least");
    }
    cJSON_ArrayForEach(each, item)
    {
        char name[IRC_CHANNEL_CHARS];
        if (!cJSON_IsString(each)) {
            return err_set(err, ERR_USAGE, "channels: takes a list of names, and one is no string");
        }
        if (!irc_channel_normalise(slice_of(each->valuestring), name, sizeof(name))) {
            return err_set(err, ERR_USAGE,
                           "channels: \"%.60s\" is not a channel: 1 to 25 of a-z, 0-9 and _",
                           each->valuestring);
        }
        if (++n > REGISTRY_MAX_CHANNELS) {
            return err_set(err, ERR_USAGE,
                           "channels: a request names at most %d; make several requests",
                           REGISTRY_MAX_CHANNELS);
        }
        buf_append_str(&b->list, n > 1 ? "," : "");
        buf_append_str(&b->list, name);
    }
    add_field(b, "channels", b->list.data);
    return 0;
}

static int take_user(struct ask_body *b, const cJSON *item, struct err *err)
{
    if (!cJSON_IsString(item) || !irc_channel_valid(slice_of(item->valuestring))) {
        return err_set(err, ERR_USAGE,
                       "user: takes a Twitch login in lower case, or \"anonymous\"");
    }
    add_field(b, "user", item->valuestring);
    return 0;
}

static int take_name(struct ask_body *b, const cJSON *item, struct err *err)
{
    const char *name = cJSON_GetStringValue(item);

    if (name == NULL || !name[0] || strlen(name) > NAME_CHARS) {
        return err_set(err, ERR_USAGE, "name: takes the name of a setting (GET settings has them)");
    }
    add_field(b, "name", name);
    return 0;
}

static int take_value(struct ask_body *b, const cJSON *item, struct err *err)
{
    if (!cJSON_IsString(item)) {
        return err_set(err, ERR_USAGE, "value: takes a string, also where it is a number: \"20\"");
    }
    add_field(b, "value", item->valuestring);
    return 0;
}

static int take_by(struct ask_body *b, const cJSON *item, struct err *err)
{
    const char *by = cJSON_GetStringValue(item);

    if (by == NULL || !by[0] || strlen(by) > REGISTRY_MAX_ID) {
        return err_set(err, ERR_USAGE, "by: takes who asks, in 1 to %d bytes", REGISTRY_MAX_ID);
    }
    add_field(b, "by", by);
    return 0;
}

static const struct {
    const char *name;
    unsigned bit; /* 0: every op has it */
    take_member take;
} members[] = {
    {"channels", CHANNELS, take_channels}, {"user", USER, take_user}, {"name", NAME, take_name},
    {"value", VALUE, take_value},          {"by", 0, take_by},
};

static const struct op *find_op(const struct ask_body *b, enum ask_kind kind, struct err *err)
{
    const cJSON *op = cJSON_GetObjectItemCaseSensitive(b->tree, "op");

    for (size_t i = 0; i < ARRAY_LEN(ops) && cJSON_IsString(op); i++) {
        if (ops[i].kind == kind && strcmp(ops[i].name, op->valuestring) == 0) {
            return &ops[i];
        }
    }
    err_set(err, ERR_USAGE, "op: takes %s", kinds[kind]);
    return NULL;
}

/* A member beside `op`; *seen has those that came before. */
static int take(struct ask_body *b, const struct op *op, const cJSON *item, unsigned *seen,
                struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        unsigned bit = 1U << i;
        bool taken = members[i].bit == 0 || ((op->needs | op->takes) & members[i].bit) != 0;
        if (strcmp(members[i].name, item->string) == 0 && taken && (*seen & bit) == 0) {
            *seen |= bit;
            return members[i].take(b, item, err);
        }
    }
    return err_set(err, ERR_USAGE, "\"%.60s\" is not known, or is there twice; %s takes%s%s%s%s by",
                   item->string, op->name, op->needs & CHANNELS ? " channels," : "",
                   op->takes & USER ? " user," : "", op->needs & NAME ? " name," : "",
                   op->needs & VALUE ? " value," : "");
}

static int take_all(struct ask_body *b, const struct op *op, struct err *err)
{
    const cJSON *item;
    unsigned seen = 0;
    bool first = true;

    cJSON_ArrayForEach(item, b->tree)
    {
        bool is_op = strcmp(item->string, "op") == 0;
        if (is_op && first) {
            first = false;
        } else if (take(b, op, item, &seen, err) != 0) {
            return -ERR_USAGE;
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        if ((op->needs & members[i].bit) != 0 && (seen & 1U << i) == 0) {
            return err_set(err, ERR_USAGE, "%s: is missing; %s needs it", members[i].name,
                           op->name);
        }
    }
    if ((seen & 1U << (ARRAY_LEN(members) - 1)) == 0) {
        add_field(b, "by", "http");
    }
    return 0;
}

static bool is_text(struct slice s)
{
    for (size_t i = 0; i < s.len;) {
        size_t len = utf8_length(s.ptr + i, s.len - i);
        if (len == 0) {
            return false;
        }
        i += len;
    }
    /* cJSON ends a text at a NUL: what follows would be dropped without a word. */
    return memmem(s.ptr, s.len, "\\u0000", 6) == NULL;
}

int ask_body_parse(enum ask_kind kind, struct slice text, struct ask_body *out, struct err *err)
{
    const struct op *op;

    *out = (struct ask_body){0};
    buf_init(&out->list, REGISTRY_MAX_CHANNELS * (IRC_CHANNEL_CHARS + 1));
    out->tree = text.len > 0 && is_text(text) ? json_parse_object(text) : NULL;
    if (out->tree == NULL) {
        return err_set(err, ERR_USAGE,
                       "the body has to be one JSON object in UTF-8, without NUL, with \"op\": %s",
                       kinds[kind]);
    }
    op = find_op(out, kind, err);
    if (op == NULL) {
        return -ERR_USAGE;
    }
    out->op = op->name;
    add_field(out, "op", op->name);
    return take_all(out, op, err);
}

void ask_body_finish(struct ask_body *b)
{
    cJSON_Delete(b->tree);
    buf_finish(&b->list);
    *b = (struct ask_body){0};
}
