#include "shared/redis/registry.h"
#include "shared/redis/registry_call.h"

#include <stdio.h>
#include <stdlib.h>

/* How it works: each call puts its arguments in the order the step in steps/ *.lua reads them,
 * sends one FCALL, and decodes the answer with registry_reply.h. What a new connection needs
 * (greeting, library) is in registry_server.c. */

struct registry *registry_create(struct link *link, const char *cluster)
{
    struct registry *r = xcalloc(1, sizeof(*r));
    r->link = link;
    int len = snprintf(r->tag, sizeof(r->tag), "shoal:{%s}", cluster);
    BUG_ON(len < 0 || (size_t)len >= sizeof(r->tag)); /* options allow 32 characters */
    snprintf(r->topic, sizeof(r->topic), "shoal:%s", cluster);
    return r;
}

void registry_destroy(struct registry *r)
{
    free(r);
}

struct link *registry_link(const struct registry *r)
{
    return r->link;
}

const char *registry_tag(const struct registry *r)
{
    return r->tag;
}

const char *registry_fan_key(const struct registry *r, const char *node,
                             char out[REGISTRY_TOPIC_CHARS])
{
    snprintf(out, REGISTRY_TOPIC_CHARS, "%s:fan:%s", r->tag, node);
    return out;
}

const char *registry_lines_key(const struct registry *r, char out[REGISTRY_TOPIC_CHARS])
{
    snprintf(out, REGISTRY_TOPIC_CHARS, "%s:lines:", r->tag);
    return out;
}

const char *registry_topic(const struct registry *r, enum registry_topic topic, const char *name,
                           char out[REGISTRY_TOPIC_CHARS])
{
    static const char *const kinds[] = {
        [TOPIC_CHAT] = "chat:", [TOPIC_SEND] = "send:",      [TOPIC_SENT] = "sent:",
        [TOPIC_NODE] = "node:", [TOPIC_REPLIES] = "replies", [TOPIC_EVENTS] = "events"};

    snprintf(out, REGISTRY_TOPIC_CHARS, "%s:%s%s", r->topic, kinds[topic], name);
    return out;
}

/* Nodes ---------------------------------------------------------------------------------------- */

static struct args leave_args(const struct call *call)
{
    struct args a = node_args(call->registry, "leave", call->texts[0], call->texts[1]);
    args_text(&a, call->said ? "1" : "0");
    return a;
}

static void on_leave(struct call *call, const struct redisReply *reply, const struct err *err)
{
    struct slice word;
    struct slice rest;
    err = call_read(call, err, reply_word(reply, &word, &rest, &call->err));
    if (err == NULL && slice_is(word, "more")) {
        call_again(call, leave_args(call), on_leave);
    } else {
        call->cb.done(call->ctx, err);
    }
}

int registry_leave(struct registry *r, const char *node, const char *incarnation, bool said,
                   registry_done_cb cb, void *ctx)
{
    struct call *call = call_create(r, on_leave, (union call_cb){.done = cb}, ctx);
    call->texts[0] = xstrdup(node);
    call->texts[1] = xstrdup(incarnation);
    call->said = said;
    return call_send(call, leave_args(call));
}

/* Leader --------------------------------------------------------------------------------------- */

static void on_lead(struct call *call, const struct redisReply *reply, const struct err *err)
{
    struct registry_lead lead = {0};
    err = call_read(call, err, reply_lead(reply, &lead, &call->memory, &call->err));
    call->cb.lead(call->ctx, err == NULL ? &lead : NULL, err);
}

int registry_lead(struct registry *r, const struct registry_leader *me, registry_lead_cb cb,
                  void *ctx)
{
    struct args a = step_args(r, "lead");
    args_text(&a, me->id);
    args_text(&a, me->incarnation);
    args_number(&a, (int64_t)me->link_id);
    args_text(&a, me->run_id);
    args_text(&a, me->host);
    args_text(&a, me->pid);
    return call_ask(r, a, on_lead, (union call_cb){.lead = cb}, ctx);
}

int registry_resign(struct registry *r, const struct registry_leader *me, registry_done_cb cb,
                    void *ctx)
{
    struct args a = step_args(r, "resign");
    args_text(&a, me->incarnation);
    return call_ask_done(r, a, cb, ctx);
}

int registry_expire(struct registry *r, const struct registry_leader *me, struct slice node,
                    uint64_t link_id, registry_word_cb cb, void *ctx)
{
    struct args a = leader_args(r, me, "expire");
    args_slice(&a, node);
    if (link_id != 0) {
        args_number(&a, (int64_t)link_id);
    } else {
        args_text(&a, ""); /* a node that never told its link */
    }
    return call_ask_word(r, a, cb, ctx);
}

static void on_compared(struct call *call, const struct redisReply *reply, const struct err *err)
{
    struct registry_compared compared = {0};
    err = call_read(call, err, reply_compared(reply, &compared, &call->err));
    call->cb.compared(call->ctx, err == NULL ? &compared : NULL, err);
}

int registry_compare(struct registry *r, const struct registry_leader *me, struct slice cursor,
                     registry_compared_cb cb, void *ctx)
{
    struct args a = leader_args(r, me, "compare");
    args_slice(&a, cursor);
    return call_ask(r, a, on_compared, (union call_cb){.compared = cb}, ctx);
}

int registry_add_shard(struct registry *r, const struct registry_leader *me, const char *shard,
                       struct slice user, const struct slice *channels, size_t n,
                       registry_word_cb cb, void *ctx)
{
    struct args a = leader_args(r, me, "add_shard");
    args_text(&a, shard);
    args_slice(&a, user);
    args_slices(&a, channels, n);
    return call_ask_word(r, a, cb, ctx);
}

static void on_names(struct call *call, const struct redisReply *reply, const struct err *err)
{
    const struct slice *names = NULL;
    size_t n = 0;
    err = call_read(call, err, reply_names(reply, &names, &n, &call->memory, &call->err));
    call->cb.names(call->ctx, names, err == NULL ? n : 0, err);
}

int registry_waiting(struct registry *r, size_t most, registry_names_cb cb, void *ctx)
{
    struct args a = args_of("SRANDMEMBER");
    args_key(&a, r, "waiting");
    args_number(&a, (int64_t)most);
    return call_ask(r, a, on_names, (union call_cb){.names = cb}, ctx);
}

/* Entries of streams --------------------------------------------------------------------------- */

struct slice registry_field(const struct registry_entry *e, const char *name)
{
    for (size_t i = 0; i < e->nfields; i++) {
        if (slice_is(e->fields[2 * i], name)) {
            return e->fields[2 * i + 1];
        }
    }
    return (struct slice){0};
}
