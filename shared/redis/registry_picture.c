/* Registry, pictures: register and renew, whose answer is what the node should hold and serve.
 *
 * A step tells a portion of it at most. Where there is more, the answer names a place: the step
 * `picture` is asked for what follows, until all is there, and the caller gets it as one. What was
 * told is copied, since an answer is valid only during its callback. */
#include "shared/redis/registry.h"
#include "shared/redis/registry_call.h"

#include <stdlib.h>
#include <string.h>

/* What was told so far. */
struct picture_parts {
    struct reply_memory texts;
    struct registry_picture head; /* of the first answer: all but its lists */
    struct slice *ids[2];         /* held, served */
    size_t nids[2];
    struct registry_shard *shards[2]; /* those that changed; their arrays are owned */
    size_t nshards[2];
};

static void shard_finish(struct registry_shard *s)
{
    free((void *)s->channels);
    free((void *)s->unread_ms);
    free((void *)s->retry_ms);
}

void picture_parts_destroy(struct picture_parts *p)
{
    if (p == NULL) {
        return;
    }
    for (size_t list = 0; list < 2; list++) {
        for (size_t i = 0; i < p->nshards[list]; i++) {
            shard_finish(&p->shards[list][i]);
        }
        free(p->shards[list]);
        free(p->ids[list]);
    }
    reply_memory_finish(&p->texts);
    free(p);
}

static void add_ids(struct picture_parts *p, size_t list, const struct slice *ids, size_t n)
{
    p->ids[list] = xrealloc(p->ids[list], (p->nids[list] + n + 1) * sizeof(*ids));
    for (size_t i = 0; i < n; i++) {
        p->ids[list][p->nids[list]++] = reply_memory_keep(&p->texts, ids[i]);
    }
}

/* The shard as it was told before, or a new one without channels. */
static struct registry_shard *shard_begun(struct picture_parts *p, size_t list,
                                          const struct registry_shard *told)
{
    struct registry_shard *s = p->shards[list];
    for (size_t n = p->nshards[list]; n > 0; n--) {
        if (slice_eq(s[n - 1].id, told->id)) {
            return &s[n - 1];
        }
    }
    p->shards[list] = xrealloc(s, (p->nshards[list] + 1) * sizeof(*s));
    s = &p->shards[list][p->nshards[list]++];
    *s = (struct registry_shard){.id = reply_memory_keep(&p->texts, told->id)};
    return s;
}

static void *longer(const void *array, size_t n, const void *more, size_t nmore, size_t size)
{
    char *all = xrealloc((void *)array, (n + nmore + 1) * size);
    if (nmore > 0) {
        memcpy(all + n * size, more, nmore * size);
    }
    return all;
}

static void add_shard(struct picture_parts *p, size_t list, const struct registry_shard *told)
{
    struct registry_shard *s = shard_begun(p, list, told);
    size_t n = told->adds ? s->nchannels : 0;
    struct slice *channels =
        longer(s->channels, n, told->channels, told->nchannels, sizeof(*channels));

    for (size_t i = n; i < n + told->nchannels; i++) {
        channels[i] = reply_memory_keep(&p->texts, channels[i]);
    }
    *s = (struct registry_shard){
        .id = s->id,
        .epoch = told->epoch,
        .rev = told->rev,
        .user = reply_memory_keep(&p->texts, told->user),
        .run = told->run,
        .sender = reply_memory_keep(&p->texts, told->sender),
        .nchannels = n + told->nchannels,
        .channels = channels,
        .unread_ms =
            longer(s->unread_ms, n, told->unread_ms, told->nchannels, sizeof(*told->unread_ms)),
        .retry_ms =
            longer(s->retry_ms, n, told->retry_ms, told->nchannels, sizeof(*told->retry_ms)),
        .more = told->more,
    };
}

static void add_portion(struct picture_parts *p, const struct registry_picture *told)
{
    add_ids(p, 0, told->held, told->nheld);
    add_ids(p, 1, told->served, told->nserved);
    for (size_t i = 0; i < told->nheld_changed; i++) {
        add_shard(p, 0, &told->held_changed[i]);
    }
    for (size_t i = 0; i < told->nserved_changed; i++) {
        add_shard(p, 1, &told->served_changed[i]);
    }
}

static struct picture_parts *parts_create(const struct registry_picture *first)
{
    struct picture_parts *p = xcalloc(1, sizeof(*p));
    p->head = *first;
    p->head.default_sender = reply_memory_keep(&p->texts, first->default_sender);
    p->head.registry = reply_memory_keep(&p->texts, first->registry);
    return p;
}

/* The whole picture. A shard that went before all of it was told is left out: the next picture
 * tells what became of it. */
static const struct registry_picture *parts_whole(struct picture_parts *p)
{
    for (size_t list = 0; list < 2; list++) {
        size_t whole = 0;
        for (size_t i = 0; i < p->nshards[list]; i++) {
            if (p->shards[list][i].more) {
                shard_finish(&p->shards[list][i]);
            } else {
                p->shards[list][whole++] = p->shards[list][i];
            }
        }
        p->nshards[list] = whole;
    }
    p->head.held = p->ids[0];
    p->head.nheld = p->nids[0];
    p->head.served = p->ids[1];
    p->head.nserved = p->nids[1];
    p->head.held_changed = p->shards[0];
    p->head.nheld_changed = p->nshards[0];
    p->head.served_changed = p->shards[1];
    p->head.nserved_changed = p->nshards[1];
    return &p->head;
}

/* Answers -------------------------------------------------------------------------------------- */

static void deliver(const struct call *call, const struct registry_picture *picture,
                    const struct err *err)
{
    if (call->is_register) {
        call->cb.registered(call->ctx, picture, NULL, err);
    } else {
        call->cb.renewed(call->ctx, picture, err);
    }
}

/* The picture or its first portion, then the others. */
static void on_picture(struct call *call, const struct redisReply *reply, const struct err *err)
{
    struct registry_picture told = {0};
    struct slice place = {0};
    int rc = call->parts == NULL
                 ? reply_picture(reply, call->seen, &told, &place, &call->memory, &call->err)
                 : reply_portion(reply, &told, &place, &call->memory, &call->err);

    err = call_read(call, err, rc);
    if (err != NULL) {
        deliver(call, NULL, err);
        return;
    }
    if (call->parts == NULL) {
        call->parts = parts_create(&told);
    }
    add_portion(call->parts, &told);
    if (place.len > 0) {
        struct args a = node_args(call->registry, "picture", call->texts[0], call->texts[1]);
        args_slice(&a, place);
        call_again(call, a, on_picture);
    } else {
        deliver(call, parts_whole(call->parts), NULL);
    }
}

static void on_register(struct call *call, const struct redisReply *reply, const struct err *err)
{
    struct registry_holder holder = {0};
    struct slice word;
    struct slice rest;
    bool answered = reply != NULL && reply_word(reply, &word, &rest, &call->err) == 0;

    if (answered && slice_is(word, "held")) {
        err = call_read(call, NULL, reply_holder(reply, &holder, &call->err));
        call->cb.registered(call->ctx, NULL, err == NULL ? &holder : NULL, err);
    } else if (answered && slice_is(word, "more")) {
        call->cb.registered(call->ctx, NULL, NULL, NULL);
    } else {
        on_picture(call, reply, err);
    }
}

/* Asking --------------------------------------------------------------------------------------- */

static struct call *picture_call(struct registry *r, const struct registry_node *n, int64_t seen,
                                 call_answered answered, union call_cb cb, void *ctx)
{
    struct call *call = call_create(r, answered, cb, ctx);
    call->texts[0] = xstrdup(n->node);
    call->texts[1] = xstrdup(n->incarnation);
    call->seen = seen;
    call->is_register = answered == on_register;
    return call;
}

int registry_register(struct registry *r, const struct registry_node *n, registry_register_cb cb,
                      void *ctx)
{
    struct args a = node_args(r, "register", n->node, n->incarnation);
    args_number(&a, (int64_t)n->link_id);
    args_text(&a, n->run_id);
    args_text(&a, n->host);
    args_text(&a, n->pid);
    args_text(&a, n->version);
    args_number(&a, (int64_t)n->capacity);
    args_text(&a, n->users);
    if (n->takeover != 0) {
        args_number(&a, (int64_t)n->takeover);
    } else {
        args_text(&a, "");
    }
    args_text(&a, n->state);
    union call_cb registered = {.registered = cb};
    return call_send(picture_call(r, n, -1, on_register, registered, ctx), a);
}

int registry_renew(struct registry *r, const struct registry_node *n, int64_t seen_rev,
                   struct slice report, registry_renew_cb cb, void *ctx)
{
    struct args a = node_args(r, "renew", n->node, n->incarnation);
    args_number(&a, (int64_t)n->link_id);
    args_text(&a, n->run_id);
    args_number(&a, seen_rev);
    args_slice(&a, report);
    args_text(&a, n->registry != NULL ? n->registry : "");
    args_text(&a, n->host);
    args_text(&a, n->pid);
    args_text(&a, n->version);
    args_number(&a, (int64_t)n->capacity);
    args_text(&a, n->users);
    union call_cb renewed = {.renewed = cb};
    return call_send(picture_call(r, n, seen_rev, on_picture, renewed, ctx), a);
}
