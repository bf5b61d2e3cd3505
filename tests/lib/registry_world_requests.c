/* Registry world, requests: what is asked of a leader, and what a shard manager decides. */
#include "tests/lib/registry_world_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void on_outcome(void *ctx, const struct registry_outcome *outcome, const struct err *err)
{
    world_on_word(ctx, outcome != NULL ? outcome->word : SLICE(""),
                  outcome != NULL ? outcome->json : SLICE(""), err);
}

static size_t split(char *text, struct slice *out, size_t most)
{
    size_t n = 0;
    char *save = NULL;
    for (char *at = strtok_r(text, ",", &save); at != NULL; at = strtok_r(NULL, ",", &save)) {
        assert_true(n < most);
        out[n++] = slice_of(at);
    }
    return n;
}

const char *world_add_shard(struct world *w, const struct registry_leader *me, const char *shard,
                            const char *user, const char *channels)
{
    static struct slice names[2000];
    char *text = xstrdup(channels);
    size_t n = split(text, names, ARRAY_LEN(names));
    STEP(w, registry_add_shard(w->r, me, shard, slice_of(user), names, n, world_on_word, w));
    free(text);
    return w->word;
}

static void assign(struct world *w, const struct registry_leader *me,
                   const struct registry_request *request, const char *mode,
                   const struct registry_wish *wishes, size_t n)
{
    STEP(w, registry_assign(w->r, me, request, mode, wishes, n, on_outcome, w));
}

const char *world_assign_wishes(struct world *w, const struct registry_leader *me, const char *mode,
                                const struct registry_wish *wishes, size_t n)
{
    assign(w, me, &(struct registry_request){0}, mode, wishes, n);
    return w->word;
}

const char *world_assign_to(struct world *w, const struct registry_leader *me, const char *entry,
                            const char *id, const char *mode, const char *where,
                            const char *channels)
{
    static struct slice names[2000];
    static struct registry_wish wishes[2000];
    char *text = xstrdup(channels);
    size_t n = split(text, names, ARRAY_LEN(names));
    for (size_t i = 0; i < n; i++) {
        wishes[i] = (struct registry_wish){names[i], slice_of(where)};
    }
    assign(w, me, &(struct registry_request){slice_of(entry), slice_of(id)}, mode, wishes, n);
    free(text);
    return w->word;
}

const char *world_assign(struct world *w, const struct registry_leader *me, const char *entry,
                         const char *id, const char *mode, const char *channels)
{
    return world_assign_to(w, me, entry, id, mode, "", channels);
}

const char *world_release(struct world *w, const struct registry_leader *me, const char *entry,
                          const char *id, const char *mode, const char *list)
{
    static struct slice names[2000];
    char *text = xstrdup(list);
    struct registry_request request = {slice_of(entry), slice_of(id)};
    size_t n = split(text, names, ARRAY_LEN(names));
    if (strcmp(mode, "part") == 0) {
        STEP(w, registry_carry_out(w->r, me, &request, mode, names, n, on_outcome, w));
    } else {
        const char *step = strcmp(mode, "idle") == 0 ? "close_idle" : "remove_channels";
        STEP(w, registry_do(w->r, me, step, names, n, on_outcome, w));
    }
    free(text);
    return w->word;
}

const char *world_retry(struct world *w, const struct registry_leader *me, const char *entry,
                        const char *id, const char *list)
{
    struct slice names[200];
    char *text = xstrdup(list);
    struct registry_request request = {slice_of(entry), slice_of(id)};
    size_t n = split(text, names, ARRAY_LEN(names));
    STEP(w, registry_carry_out(w->r, me, &request, "retry", names, n, on_outcome, w));
    free(text);
    return w->word;
}

/* How many arguments of a request's op the leader hands on, or -1: no request asks for that. */
static int op_args(const char *op)
{
    static const struct {
        const char *op;
        int n;
    } ops[] = {
        {"set", 2},         {"unset", 1},       {"start", 0},          {"stop", 0},
        {"account_put", 2}, {"account_set", 3}, {"account_remove", 1}, {"account_revoke", 1}};
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        if (strcmp(ops[i].op, op) == 0) {
            return ops[i].n;
        }
    }
    return -1;
}

const char *world_configure(struct world *w, const struct registry_leader *me, const char *entry,
                            const char *id, const char *op, const char *args)
{
    struct slice words[200];
    char *text = xstrdup(args);
    struct registry_request request = {slice_of(entry), slice_of(id)};
    size_t n = split(text, words, ARRAY_LEN(words));
    int of_op = op_args(op);
    if (of_op >= 0) {
        for (; n < (size_t)of_op; n++) {
            words[n] = (struct slice){0};
        }
        n = (size_t)of_op;
        STEP(w, registry_carry_out(w->r, me, &request, op, words, n, on_outcome, w));
    } else if (entry[0] != '\0') {
        words[0] = slice_of(op);
        STEP(w, registry_carry_out(w->r, me, &request, "refuse_op", words, 1, on_outcome, w));
    } else {
        STEP(w, registry_do(w->r, me, op, words, n, on_outcome, w));
    }
    free(text);
    return w->word;
}
