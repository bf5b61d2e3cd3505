/* Assignment: a wish for each channel; the last answer of the manager sends the step. */
#include "coordinator/requests/assignment.h"

#include <stdlib.h>
#include <string.h>

/* One channel whose place is asked for. */
struct place {
    struct assignment *assignment;
    char *text; /* as it was asked for */
    char name[IRC_CHANNEL_CHARS];
    char *where; /* as registry_wish has it; NULL: "" */
};

struct assignment {
    struct assignment_request r;
    struct place *places;
    size_t undecided; /* and one more while they are asked for */
    bool out;         /* this coordinator leads no more */
};

static void end(struct assignment *a, const struct registry_outcome *outcome, const struct err *err)
{
    a->r.cb(a->r.ctx, outcome, err);
    for (size_t i = 0; i < a->r.n; i++) {
        free(a->places[i].text);
        free(a->places[i].where);
    }
    free(a->places);
    free(a);
}

static void on_step(void *ctx, const struct registry_outcome *outcome, const struct err *err)
{
    struct assignment *a = ctx;
    struct cluster_view *view = manager_view(a->r.manager);

    if (err == NULL) {
        cluster_view_on_outcome(view, outcome);
    }
    if (err != NULL || !outcome->names_channels || a->r.user.len > 0) {
        /* What was put there ahead is wrong; or what was refused may be on a shard. */
        cluster_view_doubt(view);
    }
    end(a, outcome, err);
}

static int send_step(struct assignment *a)
{
    struct leader *leader = manager_leader(a->r.manager);
    struct registry_wish *wishes = xcalloc(a->r.n + 1, sizeof(*wishes));

    for (size_t i = 0; i < a->r.n; i++) {
        const struct place *p = &a->places[i];
        wishes[i] = (struct registry_wish){slice_of(p->text), slice_of(p->where)};
    }
    int failed = registry_assign(leader_registry(leader), leader_identity(leader), &a->r.request,
                                 a->r.mode, wishes, a->r.n, on_step, a);
    free(wishes);
    return failed;
}

static void decided(struct assignment *a)
{
    if (--a->undecided > 0) {
        return;
    }
    if (!a->out && leader_may_act(manager_leader(a->r.manager)) && send_step(a) == 0) {
        if (a->r.on_sent != NULL) {
            a->r.on_sent(a->r.ctx);
        }
        return;
    }
    struct err err;
    err_set(&err, ERR_CANCELED, "it was not sent");
    end(a, NULL, &err);
}

static void on_place(void *ctx, enum manager_answer answer, const char *text)
{
    struct place *p = ctx;
    struct assignment *a = p->assignment;
    struct cluster_view *view = manager_view(a->r.manager);

    switch (answer) {
    case MANAGER_DONE:
        p->where = xstrdup("-");
        break;
    case MANAGER_SHARD:
        p->where = xasprintf("=%s", text);
        /* So that the manager's next decision counts it. */
        if (cluster_view_shard_of(view, p->name) == NULL) {
            cluster_view_put(view, slice_of(p->name), slice_of(text));
        }
        break;
    case MANAGER_LEAST_LOADED:
        p->where = text[0] ? xasprintf("@%s", text) : NULL;
        break;
    case MANAGER_FAILED:
    case MANAGER_LATE:
        p->where = xasprintf("!%s", text);
        break;
    case MANAGER_OUT:
        a->out = true;
        break;
    }
    decided(a);
}

/* Also while the cluster is being set up: the step knows that. What is no login, it refuses. */
static char *where_of_user(struct slice user)
{
    bool cut = memchr(user.ptr, '\0', user.len) != NULL;

    return xasprintf("+%.*s%s", (int)user.len, user.ptr, cut ? "?" : "");
}

void assignment_begin(const struct assignment_request *request)
{
    struct assignment *a = xcalloc(1, sizeof(*a));
    bool initial = strcmp(request->mode, "initial") == 0;

    a->r = *request;
    a->places = xcalloc(a->r.n + 1, sizeof(*a->places));
    a->undecided = a->r.n + 1;
    for (size_t i = 0; i < a->r.n; i++) {
        a->places[i].assignment = a;
        a->places[i].text = xstrndup(request->channels[i].ptr, request->channels[i].len);
    }
    for (size_t i = 0; i < request->n; i++) {
        struct place *p = &a->places[i];
        if (request->user.len > 0) {
            p->where = where_of_user(request->user);
            decided(a);
        } else if (!irc_channel_normalise(slice_of(p->text), p->name, sizeof(p->name))) {
            decided(a);
        } else if (request->not_yet != NULL) {
            p->where = xasprintf("?%s", request->not_yet);
            decided(a);
        } else {
            manager_ask(request->manager, MANAGER_ASSIGN, p->name, initial, on_place, p);
        }
    }
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): this is the one more that `undecided` counts */
    decided(a);
}
