/* Shard manager: channels that come to shards and leave them, and shards that are added. What a
 * step did is put into the view at once, so that a manager sees what it did in its next
 * decision. */
#include "coordinator/manager/manager_errand.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Channels ------------------------------------------------------------------------------------- */

/* "x: why y: why" of channels that were refused; how many more there are where they do not fit. */
struct refusals {
    char text[1000];
    size_t len;
    size_t left_out;
};

static void refusals_add(struct refusals *r, const char *channel, const char *why)
{
    size_t room = sizeof(r->text) - r->len;
    int more = snprintf(r->text + r->len, room, "%s%s: %s", r->len ? " " : "", channel, why);

    if (more < 0 || (size_t)more >= room) {
        r->text[r->len] = '\0';
        r->left_out++;
    } else {
        r->len += (size_t)more;
    }
}

static void refusals_add_all(struct refusals *r, const struct registry_list *channels)
{
    for (size_t i = 0; i < channels->n; i++) {
        refusals_add(r, channels->item[i].name, channels->item[i].text);
    }
}

/* A channel that is on another shard stays there: a call that wants it on this one is refused. */
static void refusals_add_elsewhere(struct refusals *r, const struct registry_list *assigned,
                                   const char *shard)
{
    for (size_t i = 0; i < assigned->n; i++) {
        if (strcmp(assigned->item[i].text, shard) != 0) {
            char why[128];
            snprintf(why, sizeof(why), "It is on shard %.64s already.", assigned->item[i].text);
            refusals_add(r, assigned->item[i].name, why);
        }
    }
}

static void note_refusals(struct errand *e, const struct refusals *r)
{
    if (r->left_out > 0) {
        char *text = xasprintf("%s And %zu more.", r->text, r->left_out);
        errand_note(e, text);
        free(text);
    } else if (r->len > 0) {
        errand_note(e, r->text);
    }
}

static void on_channels(void *ctx, const struct registry_outcome *outcome, const struct err *err)
{
    struct errand *e = ctx;

    if (errand_stepped(e, "channels", err)) {
        struct refusals refused = {0};
        cluster_view_on_outcome(e->manager->options.view, outcome);
        if (outcome->error != NULL) {
            errand_note(e, outcome->error);
        }
        refusals_add_all(&refused, &outcome->refused);
        refusals_add_all(&refused, &outcome->waiting);
        e->manager->passes = e->manager->passes || outcome->waiting.n > 0;
        refusals_add_elsewhere(&refused, &outcome->assigned, e->shard);
        note_refusals(e, &refused);
    }
    errand_settle(e);
}

void shard_add_channels(struct shard *s, const char *const *channel_names, size_t n, shard_cb cb,
                        void *ctx)
{
    struct shard_manager *m = s->manager;
    struct errand *e = errand_create(m, s->id, cb, ctx);

    if (!errand_may_act(e)) {
        return;
    }
    char *where = xasprintf("=%s", s->id);
    struct registry_wish *wishes = xcalloc(n + 1, sizeof(*wishes));
    for (size_t i = 0; i < n; i++) {
        wishes[i] = (struct registry_wish){slice_of(channel_names[i]), slice_of(where)};
    }
    if (n > 0) {
        errand_step(e,
                    registry_assign(errand_registry(e), errand_me(e), &(struct registry_request){0},
                                    "join", wishes, n, on_channels, e));
    }
    free(wishes);
    free(where);
    errand_settle(e);
}

void shard_remove_channels(struct shard *s, const char *const *channel_names, size_t n, shard_cb cb,
                           void *ctx)
{
    struct shard_manager *m = s->manager;
    struct errand *e = errand_create(m, s->id, cb, ctx);

    if (!errand_may_act(e)) {
        return;
    }
    struct slice *names = xcalloc(n + 1, sizeof(*names));
    names[0] = slice_of(s->id);
    for (size_t i = 0; i < n; i++) {
        names[i + 1] = slice_of(channel_names[i]);
    }
    if (n > 0) {
        errand_step(e, registry_do(errand_registry(e), errand_me(e), "remove_channels", names,
                                   n + 1, on_channels, e));
    }
    free(names);
    errand_settle(e);
}

/* Adding a shard ------------------------------------------------------------------------------- */

struct adding {
    struct errand errand;
    shard_added_cb cb;
    char *user;
    char (*names)[IRC_CHANNEL_CHARS]; /* its channels */
    size_t nnames;
};

static void tell_added(struct owed *o, bool silently)
{
    struct adding *a = (struct adding *)o;
    struct errand *e = &a->errand;

    if (!silently) {
        struct shard *s = e->text != NULL ? NULL : shard_manager_shard(e->manager, e->shard);
        const char *gone = s != NULL ? NULL : "The shard is gone again.";
        a->cb(e->ctx, s, e->text != NULL ? e->text : gone);
    }
    free(a->user);
    free(a->names);
    errand_finish(e);
    free(a);
}

static void on_added(void *ctx, struct slice word, struct slice why, const struct err *err)
{
    struct adding *a = ctx;
    struct errand *e = &a->errand;

    if (errand_stepped(e, "add_shard", err)) {
        if (slice_is(word, "added")) {
            cluster_view_add(e->manager->options.view, e->shard, a->user);
            for (size_t i = 0; i < a->nnames; i++) {
                cluster_view_put(e->manager->options.view, slice_of(a->names[i]),
                                 slice_of(e->shard));
            }
        } else if (slice_is(word, "exists")) {
            char *text = xasprintf("There is a shard %s already.", e->shard);
            errand_note(e, text);
            free(text);
        } else {
            char *text = xstrndup(why.ptr != NULL ? why.ptr : "", why.len);
            e->manager->passes = e->manager->passes || slice_is(word, "later");
            errand_note(e, text);
            free(text);
        }
    }
    errand_settle(e);
}

void shard_manager_add_shard(struct shard_manager *m, const char *shard_id,
                             const char *authorized_user, const char *const *initial_channels,
                             size_t n, shard_added_cb cb, void *ctx)
{
    struct adding *a = xcalloc(1, sizeof(*a));
    struct errand *e = &a->errand;
    const char *own = cluster_view_setting(m->options.view, "user");
    const char *user = authorized_user != NULL ? authorized_user : own;

    errand_begin(e, m, shard_id, tell_added);
    e->ctx = ctx;
    a->cb = cb;
    a->user = xstrdup(user != NULL ? user : "");
    if (!errand_may_act(e)) {
        return;
    }
    _Static_assert(REGISTRY_MAX_CHANNELS == 1000, "the text says so");
    if (n > REGISTRY_MAX_CHANNELS) {
        errand_note(e, "A shard is created with 1000 channels at most; add the others to it.");
        errand_settle(e);
        return;
    }
    struct slice *names = xcalloc(n + 1, sizeof(*names));
    a->names = xcalloc(n + 1, sizeof(*a->names));
    for (size_t i = 0; i < n; i++) {
        names[i] = slice_of(initial_channels[i]);
        a->nnames += irc_channel_normalise(names[i], a->names[a->nnames], IRC_CHANNEL_CHARS);
    }
    errand_step(e, registry_add_shard(errand_registry(e), errand_me(e), shard_id, slice_of(a->user),
                                      names, n, on_added, a));
    free(names);
    errand_settle(e);
}
