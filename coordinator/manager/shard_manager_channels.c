/* Shard manager: channels that come to shards and leave them, and shards that are added. What a
 * step did is put into the view at once, so that a manager sees what it did in its next
 * decision. */
#include "coordinator/manager/manager_errand.h"

#include "shared/buf.h"

#include <stdlib.h>
#include <string.h>

#define REFUSED_BYTES 1000

/* Channels ------------------------------------------------------------------------------------- */

/* Add "x: why y: why" of channels that were refused, with `shard` of those that are on another one
 * and stay there. How many did not fit. */
static size_t add_refused(struct buf *text, const struct registry_list *channels, const char *shard)
{
    size_t left_out = 0;

    for (size_t i = 0; i < channels->n; i++) {
        const struct registry_told *each = &channels->item[i];
        if (shard == NULL || strcmp(each->text, shard) != 0) {
            buf_printf(text, "%s%s: %s%s%s", text->len ? " " : "", each->name,
                       shard != NULL ? "It is on shard " : "", each->text,
                       shard != NULL ? " already." : "");
            left_out += text->overflow;
        }
    }
    return left_out;
}

static void on_channels(void *ctx, const struct registry_outcome *outcome, const struct err *err)
{
    struct errand *e = ctx;

    if (errand_stepped(e, "channels", err)) {
        struct buf text;
        buf_init(&text, REFUSED_BYTES);
        buf_append_str(&text, ""); /* nothing is a text, too */
        size_t left_out = add_refused(&text, &outcome->refused, NULL) +
                          add_refused(&text, &outcome->waiting, NULL) +
                          add_refused(&text, &outcome->assigned, e->shard);
        e->manager->passes = e->manager->passes || outcome->waiting.n > 0;
        cluster_view_on_outcome(e->manager->options.view, outcome);
        if (outcome->error != NULL) {
            errand_note(e, xstrdup(outcome->error));
        } else if (left_out > 0) {
            errand_note(e, xasprintf("%s And %zu more.", text.data, left_out));
        } else if (text.len > 0) {
            errand_note(e, xstrdup(text.data));
        }
        buf_finish(&text);
    }
    errand_settle(e);
}

void shard_add_channels(struct shard *s, const char *const *channel_names, size_t n, shard_cb cb,
                        void *ctx)
{
    const struct leader *leader = s->manager->options.leader;
    struct errand *e = errand_create(s->manager, s->id, cb, ctx);

    if (!errand_may_act(e)) {
        return;
    }
    char *where = xasprintf("=%s", s->id);
    struct registry_wish *wishes = xcalloc(n + 1, sizeof(*wishes));
    for (size_t i = 0; i < n; i++) {
        wishes[i] = (struct registry_wish){slice_of(channel_names[i]), slice_of(where)};
    }
    if (n > 0) {
        errand_step(e, registry_assign(leader_registry(leader), leader_identity(leader),
                                       &(struct registry_request){0}, "join", wishes, n,
                                       on_channels, e));
    }
    free(wishes);
    free(where);
    errand_settle(e);
}

void shard_remove_channels(struct shard *s, const char *const *channel_names, size_t n, shard_cb cb,
                           void *ctx)
{
    struct errand *e = errand_create(s->manager, s->id, cb, ctx);

    if (!errand_may_act(e)) {
        return;
    }
    struct slice *names = xcalloc(n + 1, sizeof(*names));
    names[0] = slice_of(s->id);
    for (size_t i = 0; i < n; i++) {
        names[i + 1] = slice_of(channel_names[i]);
    }
    if (n > 0) {
        errand_step(e, leader_do(s->manager->options.leader, "remove_channels", names, n + 1,
                                 on_channels, e));
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
            errand_note(e, xasprintf("There is a shard %s already.", e->shard));
        } else {
            e->manager->passes = e->manager->passes || slice_is(word, "later");
            errand_note(e, xstrndup(why.ptr != NULL ? why.ptr : "", why.len));
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
    const struct leader *leader = m->options.leader;
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
        errand_note(
            e, xstrdup("A shard is created with 1000 channels at most; add the others to it."));
        errand_settle(e);
        return;
    }
    struct slice *names = xcalloc(n + 1, sizeof(*names));
    a->names = xcalloc(n + 1, sizeof(*a->names));
    for (size_t i = 0; i < n; i++) {
        names[i] = slice_of(initial_channels[i]);
        a->nnames += irc_channel_normalise(names[i], a->names[a->nnames], IRC_CHANNEL_CHARS);
    }
    errand_step(e, registry_add_shard(leader_registry(leader), leader_identity(leader), shard_id,
                                      slice_of(a->user), names, n, on_added, a));
    free(names);
    errand_settle(e);
}
