/* Setup's choice of the user: all nodes, in the order of their names, are asked for their users. */
#include "coordinator/setup_user.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NODES 1000

struct search {
    struct registry *registry;
    setup_user_cb cb;
    void *ctx;
    size_t asked; /* answers awaited */
    size_t next;  /* the place of the next answer: they come in order */
    size_t best;  /* the place of the first node with a user; SIZE_MAX: none yet */
    char user[64];
    struct err err; /* the first that failed */
};

bool setup_user_first(struct slice users, char *out, size_t size)
{
    size_t at = 0;
    while (at < users.len && (users.ptr[at] == ',' || users.ptr[at] == ' ')) {
        at++;
    }
    size_t end = at;
    while (end < users.len && users.ptr[end] != ',' && users.ptr[end] != ' ') {
        end++;
    }
    if (end == at || end - at >= size) {
        return false;
    }
    memcpy(out, users.ptr + at, end - at);
    out[end - at] = '\0';
    return true;
}

static void finish(struct search *s)
{
    const char *user = s->best == SIZE_MAX ? "anonymous" : s->user;
    bool failed = s->err.code != ERR_OK;
    s->cb(s->ctx, failed ? NULL : user, failed ? &s->err : NULL);
    free(s);
}

static void note_failure(struct search *s, const struct redisReply *reply, const struct err *err)
{
    if (s->err.code != ERR_OK) {
        return;
    }
    if (err) {
        s->err = *err;
    } else {
        err_set(&s->err, ERR_REPLY, "nodes: %.200s", reply->str ? reply->str : "a broken answer");
    }
}

static void on_users(void *ctx, const struct redisReply *reply, const struct err *err)
{
    struct search *s = ctx;
    size_t place = s->next++;
    if (err || reply->type == REDIS_REPLY_ERROR) {
        note_failure(s, reply, err);
    } else if (s->best == SIZE_MAX &&
               setup_user_first(reply_slice(reply), s->user, sizeof(s->user))) {
        s->best = place;
    }
    if (--s->asked == 0) {
        finish(s);
    }
}

static int by_name(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static void ask_nodes(struct search *s, const struct redisReply *nodes)
{
    size_t n = nodes->elements < MAX_NODES ? nodes->elements : MAX_NODES;
    const char **names = xcalloc(n + 1, sizeof(*names));
    for (size_t i = 0; i < n; i++) {
        names[i] = nodes->element[i]->str ? nodes->element[i]->str : "";
    }
    qsort(names, n, sizeof(*names), by_name);
    s->asked = 1; /* so that no callback ends it while this goes on */
    for (size_t i = 0; i < n; i++) {
        char rest[128];
        char key[256];
        snprintf(rest, sizeof(rest), "node:%s", names[i]);
        registry_key(s->registry, key, sizeof(key), rest);
        if (link_command(registry_link(s->registry), on_users, s, "HGET %s users", key) != 0) {
            err_set(&s->err, ERR_DOWN, "the link is down");
            break;
        }
        s->asked++;
    }
    free(names);
    if (--s->asked == 0) {
        finish(s);
    }
}

static void on_nodes(void *ctx, const struct redisReply *reply, const struct err *err)
{
    struct search *s = ctx;
    if (err || reply->type != REDIS_REPLY_ARRAY) {
        note_failure(s, reply, err);
        finish(s);
        return;
    }
    ask_nodes(s, reply);
}

int setup_user_find(struct registry *r, setup_user_cb cb, void *ctx)
{
    struct search *s = xcalloc(1, sizeof(*s));
    *s = (struct search){.registry = r, .cb = cb, .ctx = ctx, .best = SIZE_MAX};
    char key[256];
    registry_key(r, key, sizeof(key), "nodes");
    int failed = link_command(registry_link(r), on_nodes, s, "ZRANGE %s 0 -1", key);
    if (failed) {
        free(s);
    }
    return failed;
}
