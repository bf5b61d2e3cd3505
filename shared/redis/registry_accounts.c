/* Registry, accounts. */
#include "shared/redis/registry_accounts.h"

#include "shared/redis/registry_call.h"

/* What is not known is told as -1. */
static uint64_t ms_or_never(int64_t ms)
{
    return ms < 0 ? UINT64_MAX : (uint64_t)ms;
}

static void on_due(struct call *call, const struct redisReply *reply, const struct err *err)
{
    struct reader all = reader_of(reply);
    size_t n = reader_left(&all);
    struct registry_due_account *due = reply_memory_take(&call->memory, n, sizeof(*due));

    for (size_t i = 0; i < n; i++) {
        struct reader one = reader_of(reader_next(&all));
        due[i].login = reader_slice(&one);
        due[i].rev = reader_u64(&one);
        due[i].state = reader_slice(&one);
        due[i].is_over = reader_u64(&one) != 0;
        due[i].age_ms = ms_or_never(reader_i64(&one));
        due[i].claimed = reader_u64(&one) != 0;
        due[i].of = reader_slice(&one);
        due[i].client_id = reader_slice(&one);
        due[i].secret = reader_slice(&one);
        all.bad = all.bad || one.bad;
    }
    err = call_read(call, err, reply_end(&all, &call->err, "accounts_due"));
    call->cb.due_accounts(call->ctx, due, err == NULL ? n : 0, err);
}

int registry_due_accounts(struct registry *r, const struct registry_leader *me,
                          registry_due_accounts_cb cb, void *ctx)
{
    return call_ask(r, leader_args(r, me, "accounts_due"), on_due,
                    (union call_cb){.due_accounts = cb}, ctx);
}

int registry_claim_account(struct registry *r, const struct registry_leader *me, struct slice login,
                           uint64_t rev, const char *claim, registry_word_cb cb, void *ctx)
{
    struct args a = leader_args(r, me, "account_claim");

    args_slice(&a, login);
    args_number(&a, (int64_t)rev);
    args_text(&a, claim);
    return call_ask_word(r, a, cb, ctx);
}

int registry_look_at_accounts(struct registry *r, const struct registry_leader *me, const char *key,
                              struct slice after, registry_word_cb cb, void *ctx)
{
    struct args a = leader_args(r, me, "accounts_look");

    args_text(&a, key);
    args_slice(&a, after);
    return call_ask_word(r, a, cb, ctx);
}

int registry_keep_account(struct registry *r, const struct registry_looked *looked,
                          registry_word_cb cb, void *ctx)
{
    struct args a = step_args(r, "account_keep");

    args_slice(&a, looked->login);
    args_text(&a, looked->claim);
    args_number(&a, (int64_t)looked->next_ms);
    args_text(&a, looked->state);
    args_text(&a, looked->of);
    args_slice(&a, looked->secret);
    args_text(&a, looked->refreshed ? "1" : "0");
    args_slices(&a, looked->found, looked->nfound);
    return call_ask_word(r, a, cb, ctx);
}

int registry_account_state(struct registry *r, const struct registry_leader *me, struct slice login,
                           registry_word_cb cb, void *ctx)
{
    struct args a = leader_args(r, me, "account_state");

    args_slice(&a, login);
    return call_ask_word(r, a, cb, ctx);
}

static void on_accounts(struct call *call, const struct redisReply *reply, const struct err *err)
{
    struct reader all = reader_of(reply);
    uint64_t rev = reader_u64(&all);
    size_t n = reader_left(&all);
    struct registry_account *accounts = reply_memory_take(&call->memory, n, sizeof(*accounts));

    for (size_t i = 0; i < n; i++) {
        struct reader one = reader_of(reader_next(&all));
        accounts[i].login = reader_slice(&one);
        accounts[i].rev = reader_u64(&one);
        accounts[i].state = reader_slice(&one);
        accounts[i].left_ms = ms_or_never(reader_i64(&one));
        accounts[i].client_id = reader_slice(&one);
        accounts[i].user_id = reader_slice(&one);
        accounts[i].reads = reader_u64(&one) != 0;
        accounts[i].says = reader_u64(&one) != 0;
        accounts[i].say_by = reply_say_by(&one);
        accounts[i].secret = reader_slice(&one);
        all.bad = all.bad || one.bad;
    }
    err = call_read(call, err, reply_end(&all, &call->err, "accounts"));
    call->cb.accounts(call->ctx, rev, accounts, err == NULL ? n : 0, err);
}

int registry_accounts(struct registry *r, const char *node, const char *incarnation,
                      struct slice after, registry_accounts_cb cb, void *ctx)
{
    struct args a = node_args(r, "accounts", node, incarnation);

    args_slice(&a, after);
    return call_ask(r, a, on_accounts, (union call_cb){.accounts = cb}, ctx);
}

int registry_account_refused(struct registry *r, const char *node, const char *incarnation,
                             struct slice login, uint64_t rev, registry_word_cb cb, void *ctx)
{
    struct args a = node_args(r, "account_refused", node, incarnation);

    args_slice(&a, login);
    args_number(&a, (int64_t)rev);
    return call_ask_word(r, a, cb, ctx);
}
