/* Registry, pictures: register and renew, whose answer is what the node should hold and serve.
 *
 * A step tells a portion of it at most. Where there is more, the answer names a place: the step
 * `picture` is asked for what follows, until all is there, and the caller gets it as one. */
#include "shared/redis/registry.h"
#include "shared/redis/registry_call.h"

static void deliver(const struct call *call, const struct registry_picture *picture,
                    const struct err *err)
{
    if (call->is_register) {
        call->cb.registered(call->ctx, picture, NULL, err);
    } else {
        call->cb.renewed(call->ctx, picture, err);
    }
}

/* A shard that went before all of it was told is left out: the next picture tells what became of
 * it. */
static void drop_unfinished(const struct registry_shard *shards, size_t *n)
{
    struct registry_shard *s = (struct registry_shard *)shards;
    size_t whole = 0;
    for (size_t i = 0; i < *n; i++) {
        if (!s[i].more) {
            s[whole++] = s[i];
        }
    }
    *n = whole;
}

/* The picture or its first portion, then the others. */
static void on_picture(struct call *call, const struct redisReply *reply, const struct err *err)
{
    struct registry_picture *p = &call->picture;
    struct slice place = {0};
    int rc = call->begun ? reply_portion(reply, p, &place, &call->kept, &call->err)
                         : reply_picture(reply, call->seen, p, &place, &call->kept, &call->err);

    err = call_read(call, err, rc);
    if (err == NULL && place.len > 0) {
        struct args a = node_args(call->registry, "picture", call->texts[0], call->texts[1]);
        args_slice(&a, place);
        call->begun = true;
        call_again(call, a, on_picture);
        return;
    }
    drop_unfinished(p->held_changed, &p->nheld_changed);
    drop_unfinished(p->served_changed, &p->nserved_changed);
    deliver(call, err == NULL ? p : NULL, err);
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
