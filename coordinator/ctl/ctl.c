/* Ctl: the link, questions and answers, and waiting for a message that may get lost. */
#include "coordinator/ctl/ctl.h"

#include "coordinator/ctl/rights.h"
#include "shared/redis/refusal.h"
#include "shared/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS 250 /* between two looks for what may have been said while we did not hear */

const char *ctl_arg(const struct ctl *c, size_t i)
{
    return options_arg(c->options, i + 1);
}

/* One line, safe for a terminal. */
static void print_line(FILE *to, const char *begin, const char *fmt, va_list args)
    PRINTF_LIKE(3, 0);
static void print_line(FILE *to, const char *begin, const char *fmt, va_list args)
{
    char *text = NULL;
    int len = vasprintf(&text, fmt, args);

    BUG_ON(len < 0);
    char *shown = text_shown(text);
    fprintf(to, "%s%s\n", begin, shown);
    free(shown);
    free(text);
}

void ctl_say(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    print_line(stdout, "", fmt, args);
    va_end(args);
}

int ctl_fail(int code, const char *fmt, ...)
{
    va_list args;

    fflush(stdout);
    va_start(args, fmt);
    print_line(stderr, "shoalctl: ", fmt, args);
    va_end(args);
    return code;
}

int ctl_strange(const char *command)
{
    return ctl_fail(CTL_FAILED, "Redis's answer to %s is not what shoalctl expects", command);
}

int ctl_usage(const struct ctl_command *command)
{
    fprintf(stderr, "shoalctl: usage: shoalctl [OPTION...] %s%s%s\n", command->name,
            command->args[0] ? " " : "", command->args);
    return CTL_USAGE;
}

void ctl_restart_deadline(struct ctl *c)
{
    c->deadline_ms = mono_ms() + (uint64_t)options_int(c->options, "timeout");
}

/* A person at a terminal is told at once that Redis is not there; one that was there may come back. */
static bool is_out_of_reach(const struct ctl *c)
{
    return !link_is_up(c->link) && !c->has_been_up && c->down.code != ERR_OK;
}

bool ctl_is_over(const struct ctl *c)
{
    return c->interrupted || is_out_of_reach(c) || mono_ms() >= c->deadline_ms;
}

int ctl_over(const struct ctl *c, const char *what)
{
    char where[512];

    if (c->interrupted) {
        return ctl_fail(CTL_FAILED, "interrupted");
    }
    if (!link_is_up(c->link)) {
        url_describe(&c->url, where, sizeof(where));
        return ctl_fail(CTL_OUT_OF_REACH, "Redis at %s is out of reach: %s", where,
                        c->down.code ? c->down.text : "no answer in time");
    }
    return ctl_fail(CTL_FAILED, "%s: not within %g seconds (--timeout)", what,
                    (double)options_int(c->options, "timeout") / 1000);
}

void ctl_turn(struct ctl *c)
{
    uv_run(&c->loop.uv, UV_RUN_ONCE);
}

/* Questions -------------------------------------------------------------------------------------- */

static struct redisReply *reply_copy(const struct redisReply *reply)
{
    struct redisReply *copy = xcalloc(1, sizeof(*copy));

    copy->type = reply->type;
    copy->integer = reply->integer;
    if (reply->str) {
        copy->str = xstrndup(reply->str, reply->len);
        copy->len = reply->len;
    }
    if (reply->elements > 0) {
        copy->element = xcalloc(reply->elements, sizeof(struct redisReply *));
        copy->elements = reply->elements;
        for (size_t i = 0; i < reply->elements; i++) {
            copy->element[i] = reply_copy(reply->element[i]);
        }
    }
    return copy;
}

static struct ctl_question *batch_grow(struct ctl_batch *b)
{
    if (b->n == b->cap) {
        b->cap = b->cap ? 2 * b->cap : 16;
        b->question = xrealloc(b->question, b->cap * sizeof(*b->question));
    }
    b->question[b->n] = (struct ctl_question){0};
    return &b->question[b->n++];
}

static void question_set(struct ctl_question *q, char *resp, int len)
{
    BUG_ON(len < 0);
    q->resp = resp;
    q->len = (size_t)len;
}

void ctl_ask(struct ctl_batch *b, const char *fmt, ...)
{
    va_list args;
    char *resp = NULL;

    va_start(args, fmt);
    int len = redisvFormatCommand(&resp, fmt, args);
    va_end(args);
    question_set(batch_grow(b), resp, len);
}

void ctl_ask_argv(struct ctl_batch *b, int argc, const char **argv)
{
    char *resp = NULL;
    int len = (int)redisFormatCommandArgv(&resp, argc, argv, NULL);

    question_set(batch_grow(b), resp, len);
}

/* The batch whose answers come now: link callbacks say nothing about the question, but come in order. */
struct asked {
    struct ctl_batch *batch;
    size_t index;
};

static void on_answer(void *ctx, const struct redisReply *reply, const struct err *err)
{
    struct asked *asked = ctx;
    struct ctl_batch *b = asked->batch;
    struct ctl_question *q = &b->question[asked->index];

    (void)err;
    b->unanswered--;
    if (reply) {
        q->reply = reply_copy(reply);
    } else {
        q->asked = false;
        b->failed = true;
    }
    free(asked);
}

static void batch_send(struct ctl *c, struct ctl_batch *b)
{
    b->failed = false;
    for (size_t i = 0; i < b->n; i++) {
        struct ctl_question *q = &b->question[i];
        struct slice resp = {q->resp, q->len};
        if (q->reply || q->asked) {
            continue;
        }
        struct asked *asked = xmalloc(sizeof(*asked));
        *asked = (struct asked){b, i};
        if (link_send_raw(c->link, &resp, 1, 1, on_answer, asked) != 0) {
            free(asked);
            b->failed = true;
            return;
        }
        q->asked = true;
        b->unanswered++;
    }
}

static bool batch_is_answered(const struct ctl_batch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        if (!b->question[i].reply) {
            return false;
        }
    }
    return true;
}

/* Nothing may call back into a batch that is about to be gone. */
static void batch_abandon(struct ctl *c, struct ctl_batch *b)
{
    if (b->unanswered > 0) {
        link_reset(c->link, "given up");
    }
    while (b->unanswered > 0) {
        ctl_turn(c);
    }
}

static int batch_refused(const struct ctl_batch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        const struct redisReply *reply = b->question[i].reply;
        struct err err;
        if (refusal_is(reply, REFUSAL_NO_LIBRARY)) {
            return ctl_fail(CTL_FAILED,
                            "no coordinator has set up this Redis yet: start a shoal-coordinator");
        }
        if (refusal_err(reply, &err) != 0) {
            return ctl_fail(err_exit_code(err.code), "%s%s",
                            err.code == ERR_REFUSED ? "" : "Redis refused: ", err.text);
        }
    }
    return CTL_DONE;
}

int ctl_answer(struct ctl *c, struct ctl_batch *b)
{
    int rights = ctl_check_rights(c);

    if (rights != CTL_DONE) {
        return rights;
    }
    b->failed = true; /* nothing sent yet */
    while (!batch_is_answered(b)) {
        if (ctl_is_over(c)) {
            int code = ctl_over(c, "Redis's answer");
            batch_abandon(c, b);
            return code;
        }
        if (b->failed && b->unanswered == 0 && link_is_up(c->link)) {
            batch_send(c, b);
        }
        ctl_turn(c);
    }
    b->all = (struct redisReply){.type = REDIS_REPLY_ARRAY, .elements = b->n};
    b->all.element = xcalloc(b->n + 1, sizeof(struct redisReply *));
    for (size_t i = 0; i < b->n; i++) {
        b->all.element[i] = b->question[i].reply;
    }
    return batch_refused(b);
}

struct reader ctl_read(const struct ctl_batch *b)
{
    return reader_of(&b->all);
}

uint64_t ctl_read_time(struct reader *r)
{
    struct reader time = reader_of(reader_next(r));
    uint64_t seconds = reader_u64(&time);
    uint64_t us = reader_u64(&time);

    r->bad = r->bad || time.bad;
    return seconds * 1000 + us / 1000;
}

void ctl_read_hash(struct reader *r, cJSON *record)
{
    struct reader hash = reader_of(reader_next(r));

    while (reader_left(&hash) > 0) {
        const char *field = reader_text(&hash);
        const char *value = reader_text(&hash);
        if (!hash.bad && !cJSON_GetObjectItemCaseSensitive(record, field)) {
            cJSON_AddStringToObject(record, field, value);
        }
    }
    r->bad = r->bad || hash.bad;
}

void ctl_batch_finish(struct ctl_batch *b)
{
    BUG_ON(b->unanswered > 0);
    for (size_t i = 0; i < b->n; i++) {
        free(b->question[i].resp);
        if (b->question[i].reply) {
            freeReplyObject(b->question[i].reply);
        }
    }
    free(b->question);
    free(b->all.element);
    *b = (struct ctl_batch){0};
}

/* Names ------------------------------------------------------------------------------------------ */

static char *name_buffer(void)
{
    static char buffers[8][512];
    static unsigned next;

    return buffers[next++ % 8];
}

const char *ctl_tag(const struct ctl *c)
{
    char *tag = name_buffer();

    registry_key(c->registry, tag, 512, "");
    tag[strlen(tag) - 1] = '\0'; /* without the last colon */
    return tag;
}

const char *ctl_key(const struct ctl *c, const char *fmt, ...)
{
    char rest[400];
    va_list args;

    va_start(args, fmt);
    vsnprintf(rest, sizeof(rest), fmt, args);
    va_end(args);
    return registry_key(c->registry, name_buffer(), 512, rest);
}

const char *ctl_topic(const struct ctl *c, const char *fmt, ...)
{
    char rest[400];
    va_list args;

    va_start(args, fmt);
    vsnprintf(rest, sizeof(rest), fmt, args);
    va_end(args);
    return registry_topic(c->registry, name_buffer(), 512, rest);
}

/* Messages --------------------------------------------------------------------------------------- */

/* Is it a JSON object with that id? */
static bool has_id(struct slice payload, const char *id)
{
    cJSON *object = cJSON_ParseWithLength(payload.ptr, payload.len);
    const char *found = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, "id"));
    bool yes = found && strcmp(found, id) == 0;

    cJSON_Delete(object);
    return yes;
}

static void on_message(void *ctx, struct slice topic, struct slice payload)
{
    struct ctl *c = ctx;

    if (c->on_message) {
        c->on_message(c, topic, payload);
    } else if (c->await_id && !c->found && has_id(payload, c->await_id)) {
        c->found = xstrndup(payload.ptr, payload.len);
    }
}

static void on_subscriber_down(void *ctx, const struct err *why)
{
    struct ctl *c = ctx;

    c->down = *why;
}

int ctl_subscribe(struct ctl *c, const char *topic)
{
    int rights = ctl_check_rights(c);

    if (rights != CTL_DONE) {
        return rights;
    }
    if (!c->subscriber) {
        struct subscriber_options o = {
            .link = {.url = &c->url,
                     .tls_ca = options_string(c->options, "redis-tls-ca"),
                     .name = "shoalctl:sub"},
            .on_message = on_message,
            .on_down = on_subscriber_down,
            .ctx = c,
        };
        c->subscriber = subscriber_create(&c->loop.uv, &o);
    }
    if (strpbrk(topic, "*?[")) {
        subscriber_add_pattern(c->subscriber, slice_of(topic));
    } else {
        subscriber_add(c->subscriber, slice_of(topic));
    }
    while (!subscriber_is_ready(c->subscriber)) {
        if (c->down.code == ERR_UNABLE) {
            return ctl_fail(CTL_OUT_OF_REACH, "%s", c->down.text);
        }
        if (ctl_is_over(c)) {
            return ctl_over(c, "the subscription");
        }
        ctl_turn(c);
    }
    return CTL_DONE;
}

int ctl_await(struct ctl *c, const char *id, const char *what,
              int (*look)(struct ctl *c, const char *id, char **found), char **out)
{
    uint64_t next_look = mono_ms() + LOOK_MS;
    int code = CTL_DONE;

    c->await_id = id;
    while (!c->found && code == CTL_DONE) {
        if (ctl_is_over(c)) {
            code = ctl_over(c, what);
        } else if (mono_ms() >= next_look) {
            char *found = NULL;
            code = look(c, id, &found);
            if (c->found) {
                free(found); /* heard while we looked */
            } else {
                c->found = found;
            }
            next_look = mono_ms() + LOOK_MS;
        } else {
            ctl_turn(c);
        }
    }
    *out = c->found;
    c->found = NULL;
    c->await_id = NULL;
    if (code != CTL_DONE) {
        free(*out);
        *out = NULL;
    }
    return code;
}
