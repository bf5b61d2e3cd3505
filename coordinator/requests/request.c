/* Request: from the fields of an entry to the arguments of a step. */
#include "coordinator/requests/request.h"

#include "coordinator/options/initial_channels.h"
#include "shared/irc/parse.h"
#include "shared/seal.h"

#include <stdlib.h>
#include <string.h>

#define MAX_OP    32 /* bytes that go into the step, and into its words of refusal */
#define MAX_NAME  64 /* of a channel, a setting or an account */
#define MAX_VALUE (REGISTRY_READERS_MOST * IRC_CHANNEL_CHARS + 100) /* of a setting */
#define MAX_ARGS  3                                                 /* of an op of `admin` */

static struct slice cut(struct slice s, size_t most)
{
    return (struct slice){s.ptr, s.len < most ? s.len : most};
}

/* Copy `s` to *at and advance it. */
static struct slice keep(char **at, struct slice s)
{
    char *start = *at;
    if (s.len) {
        memcpy(start, s.ptr, s.len);
    }
    *at += s.len;
    return (struct slice){start, s.len};
}

/* A field of an entry that is an argument of its step, and how much of it goes into that. */
struct field {
    const char *name; /* NULL: there is none */
    size_t most;
};
#define ACCOUNT {"account", MAX_NAME}
#define NAME    {"name", MAX_NAME}
#define VALUE   {"value", MAX_VALUE}
#define SECRET  {"secret", SEAL_TEXT_MAX + 1}

/* The ops of both streams; a step has the name of its op. Any other op is refused. */
static const struct op {
    const char *name;
    bool is_admin;
    enum request_step step;
    struct field args[MAX_ARGS];
} ops[] = {
    {"join", false, REQUEST_ASSIGN, {{NULL, 0}}},
    {"part", false, REQUEST_PART, {{NULL, 0}}},
    {"retry", false, REQUEST_RETRY, {{NULL, 0}}},
    {"set", true, REQUEST_CONFIGURE, {NAME, VALUE}},
    {"unset", true, REQUEST_CONFIGURE, {NAME}},
    {"start", true, REQUEST_CONFIGURE, {{NULL, 0}}},
    {"stop", true, REQUEST_CONFIGURE, {{NULL, 0}}},
    {"account_put", true, REQUEST_CONFIGURE, {ACCOUNT, SECRET}},
    {"account_set", true, REQUEST_CONFIGURE, {ACCOUNT, NAME, VALUE}},
    {"account_remove", true, REQUEST_CONFIGURE, {ACCOUNT}},
    {"account_revoke", true, REQUEST_CONFIGURE, {ACCOUNT}},
};

static const struct op *op_of(struct slice name, bool is_admin)
{
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        if (ops[i].is_admin == is_admin && slice_is(name, ops[i].name)) {
            return &ops[i];
        }
    }
    return NULL;
}

struct request *request_create(const struct registry_entry *entry)
{
    static const char admin[] = "admin:";
    struct request *r = xcalloc(1, sizeof(*r));
    struct slice id = cut(registry_field(entry, "id"), REGISTRY_MAX_ID + 1);
    struct slice op = cut(registry_field(entry, "op"), MAX_OP);
    struct slice by = cut(registry_field(entry, "by"), REQUEST_MAX_BY);
    struct slice channels = registry_field(entry, "channels");
    struct slice user = cut(registry_field(entry, "user"), MAX_NAME);
    struct slice args[MAX_ARGS] = {0};

    r->is_admin =
        entry->id.len >= sizeof(admin) - 1 && memcmp(entry->id.ptr, admin, sizeof(admin) - 1) == 0;
    const struct op *known = op_of(op, r->is_admin);
    r->step = known != NULL ? known->step : REQUEST_CONFIGURE;
    r->step_name = known != NULL ? known->name : NULL;
    if (r->step == REQUEST_CONFIGURE) {
        channels = (struct slice){0};
    }
    user.len = r->step == REQUEST_ASSIGN ? user.len : 0;
    r->bytes = entry->id.len + id.len + op.len + by.len + channels.len + user.len + 1;
    while (known != NULL && r->nargs < MAX_ARGS && known->args[r->nargs].name != NULL) {
        const struct field *f = &known->args[r->nargs];
        args[r->nargs] = cut(registry_field(entry, f->name), f->most);
        r->bytes += args[r->nargs++].len;
    }
    r->text = xmalloc(r->bytes);
    char *at = r->text;
    r->entry = keep(&at, entry->id);
    r->id = id.len ? keep(&at, id) : r->entry;
    r->op = keep(&at, op);
    r->by = keep(&at, by);
    if (r->step == REQUEST_CONFIGURE) {
        r->args = xcalloc(MAX_ARGS, sizeof(*r->args));
        for (size_t i = 0; i < r->nargs; i++) {
            r->args[i] = keep(&at, args[i]);
        }
    } else {
        r->channels = keep(&at, channels);
        r->user = keep(&at, user);
    }
    return r;
}

void request_split(struct request *r)
{
    if (r->step == REQUEST_CONFIGURE || r->args != NULL) {
        return;
    }
    /* One more than allowed is enough for the step to refuse. */
    r->args = xcalloc(REGISTRY_MAX_CHANNELS + 1, sizeof(*r->args));
    r->nargs = channel_names_split(r->channels, r->args, REGISTRY_MAX_CHANNELS + 1);
    for (size_t i = 0; i < r->nargs; i++) {
        r->args[i] = cut(r->args[i], MAX_NAME);
    }
}

void request_destroy(struct request *r)
{
    free(r->args);
    free(r->text);
    free(r);
}

int request_send(const struct request *r, struct registry *registry,
                 const struct registry_leader *me, registry_outcome_cb cb, void *ctx)
{
    const struct registry_request request = {.entry = r->entry, .id = r->id};

    BUG_ON(r->step == REQUEST_ASSIGN);
    if (r->step_name == NULL) {
        return registry_carry_out(registry, me, &request, "refuse_op", &r->op, 1, cb, ctx);
    }
    return registry_carry_out(registry, me, &request, r->step_name, r->args, r->nargs, cb, ctx);
}
