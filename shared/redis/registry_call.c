#include "shared/redis/registry_call.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void args_slice(struct args *a, struct slice s)
{
    if (a->n == a->cap) {
        a->cap = a->cap == 0 ? 16 : a->cap * 2;
        a->word = xrealloc(a->word, a->cap * sizeof(*a->word));
        a->len = xrealloc(a->len, a->cap * sizeof(*a->len));
    }
    a->word[a->n] = xstrndup(s.ptr, s.len);
    a->len[a->n++] = s.len;
}

void args_slices(struct args *a, const struct slice *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        args_slice(a, s[i]);
    }
}

void args_text(struct args *a, const char *text)
{
    args_slice(a, slice_of(text));
}

void args_number(struct args *a, int64_t number)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRId64, number);
    args_text(a, text);
}

void args_words(struct args *a, const char *words)
{
    while (*words != '\0') {
        size_t len = strcspn(words, " ");

        args_slice(a, (struct slice){words, len});
        words += len + (words[len] == ' ');
    }
}

void args_key(struct args *a, const struct registry *r, const char *fmt, ...)
{
    char key[512]; /* always suffice for valid names */
    int tag = snprintf(key, sizeof(key), "%s:", r->tag);
    va_list names;

    va_start(names, fmt);
    vsnprintf(key + tag, sizeof(key) - (size_t)tag, fmt, names);
    va_end(names);
    args_text(a, key);
}

struct args args_of(const char *words)
{
    struct args a = {0};

    args_words(&a, words);
    return a;
}

struct args args_of_read(size_t most, uint64_t block_ms)
{
    struct args a = args_of("XREAD COUNT");

    args_number(&a, (int64_t)most);
    if (block_ms > 0) {
        args_text(&a, "BLOCK");
        args_number(&a, (int64_t)block_ms);
    }
    args_text(&a, "STREAMS");
    return a;
}

struct args step_args(const struct registry *r, const char *step)
{
    struct args a = args_of("FCALL");
    char function[40];

    snprintf(function, sizeof(function), "shoal1_%s", step);
    args_text(&a, function);
    args_text(&a, "1");
    args_text(&a, r->tag);
    return a;
}

struct args node_args(const struct registry *r, const char *step, const char *node,
                      const char *incarnation)
{
    struct args a = step_args(r, step);

    args_text(&a, node);
    args_text(&a, incarnation);
    return a;
}

struct args leader_args(const struct registry *r, const struct registry_leader *me,
                        const char *step)
{
    struct args a = step_args(r, step);

    args_text(&a, me->incarnation);
    args_text(&a, me->token);
    return a;
}

static void args_free(const struct args *a)
{
    for (size_t i = 0; i < a->n; i++) {
        free(a->word[i]);
    }
    free(a->word);
    free(a->len);
}

int args_send(struct args a, const struct registry *r, link_reply_cb cb, void *ctx)
{
    int rc = link_command_argv(r->link, (int)a.n, (const char **)a.word, a.len, cb, ctx);

    args_free(&a);
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
    reply_memory_finish(&call->kept);
    free(call->texts[0]);
    free(call->texts[1]);
    free(call->rested);
    free(call);
}

static void on_link_reply(void *ctx, const struct redisReply *reply, const struct err *err)
{
    struct call *call = ctx;
    call->again = false;
    call->answered(call, reply, err);
    reply_memory_finish(&call->memory);
    if (!call->again) {
        call_free(call);
    }
}

/* `rc`: of sending the call. */
static int sent(struct call *call, int rc)
{
    if (rc != 0) {
        call_free(call);
    }
    return rc;
}

int call_send(struct call *call, struct args a)
{
    return sent(call, args_send(a, call->registry, on_link_reply, call));
}

int call_ask(struct registry *r, struct args a, call_answered answered, union call_cb cb, void *ctx)
{
    return call_send(call_create(r, answered, cb, ctx), a);
}

void call_again(struct call *call, struct args a, call_answered answered)
{
    struct err down;

    call->answered = answered;
    call->again = args_send(a, call->registry, on_link_reply, call) == 0;
    if (!call->again) {
        err_set(&down, ERR_DOWN, "the link to Redis is down");
        answered(call, NULL, &down);
    }
}

const struct err *call_error(struct call *call, const struct redisReply *reply,
                             const struct err *err)
{
    return call_read(call, err, reply_check(reply, &call->err));
}

const struct err *call_read(struct call *call, const struct err *err, int rc)
{
    return err != NULL || rc == 0 ? err : &call->err;
}

int call_send_all(struct call *call, struct args *commands, size_t n)
{
    struct slice *parts = xcalloc(n + 2, sizeof(*parts));
    char **texts = xcalloc(n, sizeof(*texts));

    parts[0] = SLICE("*1\r\n$5\r\nMULTI\r\n");
    for (size_t i = 0; i < n; i++) {
        const struct args *a = &commands[i];
        long long len =
            redisFormatCommandArgv(&texts[i], (int)a->n, (const char **)a->word, a->len);
        BUG_ON(len < 0);
        parts[i + 1] = (struct slice){texts[i], (size_t)len};
        args_free(a);
    }
    parts[n + 1] = SLICE("*1\r\n$4\r\nEXEC\r\n");
    const struct link_raw raw = {.nparts = n + 2, .replies = n + 2, .whole = true, .ctx = call};
    int rc = sent(call, link_send_raw(call->registry->link, parts, &raw, 1, on_link_reply));
    for (size_t i = 0; i < n; i++) {
        redisFreeCommand(texts[i]);
    }
    free(texts);
    free(parts);
    return rc;
}

static void on_done(struct call *call, const struct redisReply *reply, const struct err *err)
{
    if (call->cb.done != NULL) {
        call->cb.done(call->ctx, call_error(call, reply, err));
    }
}

int call_ask_done(struct registry *r, struct args a, registry_done_cb cb, void *ctx)
{
    return call_ask(r, a, on_done, (union call_cb){.done = cb}, ctx);
}

int call_send_raw(struct call *call, const struct slice *parts, size_t n)
{
    const struct link_raw raw = {.nparts = n, .replies = 1, .ctx = call};

    return sent(call, link_send_raw(call->registry->link, parts, &raw, 1, on_link_reply));
}

void call_answer_word(struct call *call, const struct redisReply *reply, const struct err *err)
{
    struct slice word = {0};
    struct slice rest = {0};
    err = call_read(call, err, reply_word(reply, &word, &rest, &call->err));
    call->cb.word(call->ctx, word, rest, err);
}

int call_ask_word(struct registry *r, struct args a, registry_word_cb cb, void *ctx)
{
    return call_ask(r, a, call_answer_word, (union call_cb){.word = cb}, ctx);
}
