/* Rights: the table of what each program asks of Redis, and the one transaction that is never
 * carried out. */
#include "shared/redis/rights.h"

#include "shared/buf.h"
#include "shared/redis/refusal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define STEPS     (RIGHTS_NODE | RIGHTS_COORDINATOR)
#define REQUESTS  (RIGHTS_REQUEST | RIGHTS_ADMIN)
#define EVERYBODY (~0u)
#define MAX_WORDS 8
#define MAX_NAMED 300 /* bytes of the names of what is missing that are told */
#define MAX_NAMES 4096

/* In a command, K stands for "shoal:{main}", T for "shoal:main", and N for the channel. A `*` is
 * taken as it stands: a pattern that covers all names covers it, too. */
static const struct {
    unsigned who;
    const char *command;
} table[] = {
    {EVERYBODY, "PING"},
    {EVERYBODY, "CLIENT SETNAME x"},
    /* What the program itself sends. */
    {STEPS, "CLIENT ID"},
    {STEPS, "CLIENT KILL ID 1"},
    {STEPS, "INFO server"},
    {STEPS, "FCALL shoal1_version 1 K"},
    {STEPS, "XRANGE K:outbox - +"},
    {RIGHTS_NODE, "XLEN K:outbox"},
    {RIGHTS_NODE, "CLIENT LIST ID 1"},
    {RIGHTS_NODE, "PUBLISH T:chat:* x"},
    {RIGHTS_NODE, "SUBSCRIBE T:node:*"},
    {RIGHTS_NODE, "SUBSCRIBE T:send:*"},
    {RIGHTS_NODE, "UNSUBSCRIBE T:send:*"},
    {RIGHTS_COORDINATOR, "FUNCTION LOAD x"},
    {RIGHTS_COORDINATOR, "FUNCTION LIST"},
    {RIGHTS_COORDINATOR, "CLIENT REPLY SKIP"},
    {RIGHTS_COORDINATOR, "XREAD STREAMS K:requests K:admin K:outbox 0 0 0"},
    {RIGHTS_COORDINATOR, "XREVRANGE K:log + -"},
    {RIGHTS_COORDINATOR, "SUBSCRIBE T:events"},
    {RIGHTS_COORDINATOR, "SUBSCRIBE T:replies"},
    {RIGHTS_COORDINATOR, "SUBSCRIBE T:chat:*"},
    {RIGHTS_COORDINATOR, "UNSUBSCRIBE T:chat:*"},
    /* What the steps do in its name. */
    {STEPS, "DEL K:*"},
    {STEPS, "EXISTS K:*"},
    {STEPS, "EXPIRE K:* 1"},
    {STEPS, "GET K:*"},
    {STEPS, "HDEL K:* x"},
    {STEPS, "HEXISTS K:* x"},
    {STEPS, "HGET K:* x"},
    {STEPS, "HGETALL K:*"},
    {STEPS, "HINCRBY K:* x 1"},
    {STEPS, "HKEYS K:*"},
    {STEPS, "HLEN K:*"},
    {STEPS, "HMGET K:* x"},
    {STEPS, "HSCAN K:* 0"},
    {STEPS, "HSET K:* x x"},
    {STEPS, "HSETNX K:* x x"},
    {STEPS, "LINDEX K:* 0"},
    {STEPS, "LRANGE K:* 0 -1"},
    {STEPS, "SISMEMBER K:* x"},
    {STEPS, "LTRIM K:* 0 1"},
    {STEPS, "MEMORY USAGE K:*"},
    {STEPS, "PEXPIRE K:* 1"},
    {STEPS, "PUBLISH T:events x"},
    {STEPS, "PUBLISH T:node:* x"},
    {STEPS, "PUBLISH T:replies x"},
    {STEPS, "PUBLISH T:sent:* x"},
    {STEPS, "PUBSUB NUMSUB T:send:*"},
    {STEPS, "RPUSH K:* x"},
    {STEPS, "SADD K:* x"},
    {STEPS, "SCARD K:*"},
    {STEPS, "SET K:* x"},
    {STEPS, "SMEMBERS K:*"},
    {STEPS, "SMISMEMBER K:* x"},
    {STEPS, "SRANDMEMBER K:*"},
    {STEPS, "SREM K:* x"},
    {STEPS, "SSCAN K:* 0"},
    {STEPS, "TIME"},
    {STEPS, "TYPE K:*"},
    {STEPS, "UNLINK K:*"},
    {STEPS, "XACK K:* x 1"},
    {STEPS, "XADD K:* * x x"},
    {STEPS, "XDEL K:* 1"},
    {STEPS, "XINFO GROUPS K:*"},
    {STEPS, "XINFO STREAM K:*"},
    {STEPS, "XLEN K:*"},
    {STEPS, "XPENDING K:* x"},
    {STEPS, "XTRIM K:* MAXLEN 0"},
    {STEPS, "ZADD K:* 1 x"},
    {STEPS, "ZCARD K:*"},
    {STEPS, "ZCOUNT K:* 0 1"},
    {STEPS, "ZINCRBY K:* 1 x"},
    {STEPS, "ZMSCORE K:* x"},
    {STEPS, "ZRANDMEMBER K:*"},
    {STEPS, "ZRANGE K:* 0 1"},
    {STEPS, "ZRANGEBYSCORE K:* 0 1"},
    {STEPS, "ZREM K:* x"},
    {STEPS, "ZREVRANGEBYSCORE K:* 1 0"},
    {STEPS, "ZSCAN K:* 0"},
    {STEPS, "ZSCORE K:* x"},
    /* shoalctl. */
    {RIGHTS_VIEW, "TIME"},
    {RIGHTS_VIEW, "HSCAN K:channels 0"},
    {RIGHTS_VIEW, "ZSCAN K:load 0"},
    {RIGHTS_VIEW, "ZSCAN K:nodes 0"},
    {RIGHTS_VIEW, "FCALL_RO shoal1_show_accounts 1 K"},
    {RIGHTS_VIEW, "ZRANGE K:accounts 0 -1"},
    {RIGHTS_VIEW, "HGETALL K:channel:*"},
    {RIGHTS_VIEW, "HGETALL K:shard:*"},
    {RIGHTS_VIEW, "HGETALL K:node:*"},
    {RIGHTS_VIEW, "HGETALL K:account:*"},
    {RIGHTS_VIEW, "ZRANGE K:muted 0 -1"},
    {RIGHTS_VIEW, "ZCARD K:node:*:shards"},
    {RIGHTS_VIEW, "HMGET K:leader id"},
    {RIGHTS_VIEW, "SCARD K:waiting"},
    {RIGHTS_VIEW, "SSCAN K:waiting 0"},
    {RIGHTS_VIEW, "HGET K:channel:* reason"},
    {RIGHTS_VIEW, "SCARD K:homeless"},
    {RIGHTS_VIEW, "SCARD K:rooms:*"},
    {RIGHTS_VIEW, "ZCARD K:open:*"},
    {RIGHTS_VIEW, "LRANGE K:budget:*:* 0 -1"},
    {RIGHTS_VIEW, "LINDEX K:budget:*:* 0"},
    {RIGHTS_VIEW, "HGET K:channels x"},
    {RIGHTS_VIEW, "HGET K:queued x"},
    {RIGHTS_VIEW | RIGHTS_EVENTS, "XREVRANGE K:log + -"},
    {RIGHTS_VIEW | RIGHTS_CONFIG, "FCALL_RO shoal1_settings 1 K"},
    {RIGHTS_VIEW, "FCALL_RO shoal1_readers 1 K"},
    {RIGHTS_VIEW | RIGHTS_CONFIG, "HGETALL K:config"},
    {RIGHTS_VIEW | RIGHTS_CONFIG, "HGET K:config x"},
    {RIGHTS_REQUEST, "XADD K:requests * x x"},
    {RIGHTS_ADMIN, "XADD K:admin * x x"},
    {REQUESTS | RIGHTS_SEND | RIGHTS_TAIL | RIGHTS_HISTORY, "EXISTS K:version"},
    {REQUESTS, "GET K:reply:*"},
    {REQUESTS, "HGET K:leader deadline"},
    {REQUESTS, "TIME"},
    {REQUESTS, "SUBSCRIBE T:replies"},
    {RIGHTS_SEND, "XADD K:outbox * x x"},
    {RIGHTS_SEND, "HGETALL K:result:*"},
    {RIGHTS_SEND, "SUBSCRIBE T:sent:N"},
    {RIGHTS_TAIL, "HEXISTS K:channels x"},
    {RIGHTS_TAIL, "SUBSCRIBE T:chat:N"},
    {RIGHTS_TAIL_PATTERN, "PSUBSCRIBE T:chat:N"},
    {RIGHTS_EVENTS, "XREAD STREAMS K:log 0"},
    {RIGHTS_VIEW | RIGHTS_HISTORY, "HMGET K:lines streams"},
    {RIGHTS_HISTORY, "XREAD STREAMS K:lines:* 0"},
};

struct rights {
    struct link *link;
    char cluster[33];
    char name[64]; /* N */
    unsigned who;
    rights_cb cb;
    void *ctx;
    char user[256];
    size_t at; /* row whose answer comes next */
    bool no_multi;
    struct err no_functions; /* code 0: it has them */
    struct buf lacks;        /* " +publish &shoal:main:chat:*" */
    struct buf hides;        /* " xread": what this Redis does not know */
};

/* The words of a command, its K and T filled in. */
struct words {
    char text[MAX_WORDS][128];
    const char *argv[MAX_WORDS];
    int n;
};

static void words_of(const struct rights *r, const char *command, struct words *w)
{
    w->n = 0;
    while (*command != '\0') {
        size_t len = strcspn(command, " ");
        bool key = command[0] == 'K' && (len == 1 || command[1] == ':');
        bool topic = command[0] == 'T' && len > 1 && command[1] == ':';
        char *out = w->text[w->n];

        BUG_ON(w->n == MAX_WORDS);
        if (key || topic) {
            bool named = command[len - 1] == 'N';
            snprintf(out, sizeof(w->text[0]), "shoal:%s%s%s%.*s%s", key ? "{" : "", r->cluster,
                     key ? "}" : "", (int)len - 1 - named, command + 1, named ? r->name : "");
        } else {
            snprintf(out, sizeof(w->text[0]), "%.*s", (int)len, command);
        }
        w->argv[w->n++] = out;
        command += len + (command[len] == ' ');
    }
}

/* "client|kill" of CLIENT KILL. */
static void command_name(const struct words *w, char *out, size_t size)
{
    static const char *const containers[] = {"CLIENT", "FUNCTION", "PUBSUB"};
    bool container = slice_is_one_of(slice_of(w->argv[0]), containers, ARRAY_LEN(containers));

    snprintf(out, size, "%s%s%s", w->argv[0], container ? "|" : "", container ? w->argv[1] : "");
    for (char *c = out; *c != '\0'; c++) {
        *c = (char)tolower((unsigned char)*c);
    }
}

bool rights_has_step_command(const char *command)
{
    const struct rights r = {.cluster = "main"};
    char name[64];
    struct words w;

    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        words_of(&r, table[i].command, &w);
        command_name(&w, name, sizeof(name));
        if ((table[i].who & STEPS) == STEPS && strcasecmp(name, command) == 0) {
            return true;
        }
    }
    return false;
}

/* Note a name, once, with blanks round it. */
static void note(struct buf *names, const char *sign, const char *name)
{
    char token[160];

    snprintf(token, sizeof(token), " %s%s ", sign, name);
    if (names->len > 0 && memmem(names->data, names->len, token, strlen(token)) != NULL) {
        return;
    }
    buf_append(names, token + (names->len > 0), strlen(token) - (names->len > 0));
}

/* What the refusal says is missing: the command, one of its keys, or its topic. */
static void note_refused(struct rights *r, const struct words *w, const struct redisReply *reply)
{
    char name[64];

    command_name(w, name, sizeof(name));
    if (refusal_is(reply, REFUSAL_NO_FUNCTIONS)) {
        (void)refusal_err(reply, &r->no_functions);
    } else if (refusal_is(reply, REFUSAL_NO_COMMAND)) {
        note(&r->hides, "", name);
    } else if (!refusal_is(reply, REFUSAL_RIGHT)) {
        return; /* full, a replica, ...: it would be let do it */
    } else if (strstr(reply->str, "to run") != NULL) {
        note(&r->lacks, "+", name);
    } else {
        bool topic = strstr(reply->str, "channel") != NULL;

        for (int i = 1; i < w->n; i++) {
            if (strncmp(w->argv[i], topic ? "shoal:" : "shoal:{", topic ? 6 : 7) == 0) {
                note(&r->lacks, topic ? "&" : "~", w->argv[i]);
            }
        }
    }
}

static void on_closed(void *ctx)
{
    struct rights *r = ctx;

    buf_finish(&r->lacks);
    buf_finish(&r->hides);
    free(r);
}

void rights_close(struct rights *r)
{
    link_close(r->link, on_closed, r);
}

static int cut(const struct buf *names)
{
    return (int)(names->len > MAX_NAMED ? MAX_NAMED : names->len);
}

static void answer(struct rights *r)
{
    bool more = r->lacks.len > MAX_NAMED || r->lacks.overflow;
    struct err err = r->no_functions;

    if (err.code != ERR_OK) {
        /* Waiting does not mend it, nor do rights. */
    } else if (r->lacks.len > 0) {
        err_set(&err, ERR_AUTH, "Redis user '%s' lacks rights: ACL SETUSER %s%.*s%s%s", r->user,
                r->user, cut(&r->lacks), r->lacks.data, more ? "... " : "",
                r->no_multi ? "(and perhaps more, which shows when these are given)"
                            : "(deploy/redis/users.acl)");
    } else if (r->hides.len > 0) {
        err_set(&err, ERR_AUTH,
                "this Redis does not know, or hides (rename-command), what Shoal needs:%.*s",
                cut(&r->hides), r->hides.data);
    }
    r->cb(r->ctx, err.code != ERR_OK ? &err : NULL, !r->no_multi);
    rights_close(r);
}

static void try_command(struct rights *r, const char *command, link_reply_cb cb)
{
    struct words w;

    words_of(r, command, &w);
    (void)!link_try_argv(r->link, w.n, w.argv, NULL, cb, r); /* down: on_up asks anew */
}

static void on_queued(void *ctx, const struct redisReply *reply, const struct err *err)
{
    struct rights *r = ctx;
    struct words w;

    if (err != NULL) {
        return; /* on_up asks anew */
    }
    words_of(r, table[r->at].command, &w);
    note_refused(r, &w, reply);
    do {
        r->at++;
    } while (r->at < ARRAY_LEN(table) && (table[r->at].who & r->who) == 0);
    if (r->at == ARRAY_LEN(table)) {
        answer(r);
    }
}

/* Only within a transaction is nothing carried out. */
static void on_multi(void *ctx, const struct redisReply *reply, const struct err *err)
{
    struct rights *r = ctx;

    if (err != NULL) {
        return;
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        r->no_multi = true;
        note_refused(r, &(struct words){.argv = {"MULTI"}, .n = 1}, reply);
        answer(r);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if ((table[i].who & r->who) != 0) {
            try_command(r, table[i].command, on_queued);
        }
    }
}

/* Asked before MULTI, where it does nothing. */
static void on_exec(void *ctx, const struct redisReply *reply, const struct err *err)
{
    if (err == NULL) {
        note_refused(ctx, &(struct words){.argv = {"EXEC"}, .n = 1}, reply);
    }
}

static void on_up(void *ctx)
{
    struct rights *r = ctx;

    r->at = 0; /* everybody's */
    r->no_multi = false;
    r->no_functions = (struct err){0};
    buf_clear(&r->lacks);
    buf_clear(&r->hides);
    if ((r->who & RIGHTS_NODE) != 0) {
        try_command(r, "EXEC", on_exec);
    }
    try_command(r, "MULTI", on_multi);
}

struct rights *rights_ask(uv_loop_t *loop, const struct link_options *link, const char *cluster,
                          unsigned who, const char *name, rights_cb cb, void *ctx)
{
    struct rights *r = xcalloc(1, sizeof(*r));
    const struct link_options own = {.url = link->url,
                                     .tls_ca = link->tls_ca,
                                     .name = link->name,
                                     .backoff_cap_ms = link->backoff_cap_ms,
                                     .on_up = on_up,
                                     .ctx = r};

    r->who = who;
    r->cb = cb;
    r->ctx = ctx;
    snprintf(r->cluster, sizeof(r->cluster), "%s", cluster);
    snprintf(r->name, sizeof(r->name), "%s", name);
    snprintf(r->user, sizeof(r->user), "%s", link->url->user[0] ? link->url->user : "default");
    buf_init(&r->lacks, MAX_NAMES);
    buf_init(&r->hides, MAX_NAMES);
    r->link = link_create(loop, &own);
    return r;
}
