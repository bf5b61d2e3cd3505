#include "shared/redis/registry_call.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void args_slice(struct args *a, struct slice s)
{
    if (a->n == a->cap) {
        a->cap = a->cap == 0 ? 16 : a->cap * 2;
        a->argv = xrealloc(a->argv, a->cap * sizeof(*a->argv));
        a->len = xrealloc(a->len, a->cap * sizeof(*a->len));
    }
    a->argv[a->n] = s.len > 0 ? s.ptr : "";
    a->len[a->n] = s.len;
    a->n++;
}

void args_text(struct args *a, const char *text)
{
    args_slice(a, slice_of(text));
}

void args_number(struct args *a, int64_t number)
{
    BUG_ON(a->nnumbers == ARRAY_LEN(a->numbers));
    char *out = a->numbers[a->nnumbers++];
    snprintf(out, sizeof(a->numbers[0]), "%" PRId64, number);
    args_text(a, out);
}

void args_words(struct args *a, const char *text)
{
    while (*text != '\0') {
        size_t len = strcspn(text, " ");

        args_slice(a, (struct slice){text, len});
        text += len + (text[len] == ' ');
    }
}

void args_fcall(struct args *a, const struct registry *r, const char *step)
{
    snprintf(a->function, sizeof(a->function), "shoal1_%s", step);
    args_text(a, "FCALL");
    args_text(a, a->function);
    args_text(a, "1");
    args_text(a, r->tag);
}

static void args_finish(struct args *a)
{
    free(a->argv);
    free(a->len);
    memset(a, 0, sizeof(*a));
}

int args_send(struct args *a, const struct registry *r, link_reply_cb cb, void *ctx)
{
    int rc = link_command_argv(r->link, (int)a->n, a->argv, a->len, cb, ctx);
    args_finish(a);
    return rc;
}

struct call *call_create(struct registry *r, call_answered answered, union call_cb cb, void *ctx)
{
    struct call *call = xcalloc(1, sizeof(*call));
    call->registry = r;
    call->answered = answered;
    call->cb = cb;
    call->ctx = ctx;
    return call;
}

static void call_free(struct call *call)
{
    picture_parts_destroy(call->parts);
    free(call->texts[0]);
    free(call->texts[1]);
    free(call);
}

static void on_link_reply(void *ctx, const struct redisReply *reply, const struct err *err)
{
    struct call *call = ctx;
    call->again = false;
    call->answered(call, reply, err);
    if (!call->again) {
        call_free(call);
    }
}

int call_send(struct call *call, struct args *a)
{
    int rc = args_send(a, call->registry, on_link_reply, call);
    if (rc != 0) {
        call_free(call);
    }
    return rc;
}

int call_ask(struct registry *r, struct args *a, call_answered answered, union call_cb cb,
             void *ctx)
{
    return call_send(call_create(r, answered, cb, ctx), a);
}

int call_send_raw(struct call *call, const struct slice *parts, size_t n)
{
    int rc = link_send_raw(call->registry->link, parts, n, 1, on_link_reply, call);
    if (rc != 0) {
        call_free(call);
    }
    return rc;
}

const struct err *call_send_again(struct call *call, struct args *a, struct err *space)
{
    call->again = args_send(a, call->registry, on_link_reply, call) == 0;
    if (call->again) {
        return NULL;
    }
    err_set(space, ERR_DOWN, "the link to Redis is down");
    return space;
}

const struct err *call_error(const struct redisReply *reply, const struct err *err,
                             struct err *space)
{
    return call_read(err, reply_check(reply, space), space);
}

const struct err *call_read(const struct err *err, int rc, const struct err *space)
{
    return err != NULL || rc == 0 ? err : space;
}

void call_done(struct call *call, const struct redisReply *reply, const struct err *err)
{
    struct err space;
    if (call->cb.done != NULL) {
        call->cb.done(call->ctx, call_error(reply, err, &space));
    }
}

int call_send_done(struct registry *r, struct args *a, registry_done_cb cb, void *ctx)
{
    return call_ask(r, a, call_done, (union call_cb){.done = cb}, ctx);
}

static void on_word(struct call *call, const struct redisReply *reply, const struct err *err)
{
    struct slice word = {0};
    struct slice rest = {0};
    struct err space;
    err = call_read(err, reply_word(reply, &word, &rest, &space), &space);
    call->cb.word(call->ctx, word, rest, err);
}

int call_send_word(struct registry *r, struct args *a, registry_word_cb cb, void *ctx)
{
    return call_ask(r, a, on_word, (union call_cb){.word = cb}, ctx);
}
