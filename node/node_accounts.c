/* Node, accounts: the tokens that lie in Redis, sealed. They are read anew when they have changed,
 * and stand beside those of the tokens file. Connections that are open stay as they are. */
#include "node/node_private.h"

#include "shared/account_secret.h"
#include "shared/log.h"
#include "shared/redis/registry_accounts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ACCOUNT_ID_CHARS 129 /* of what Twitch knows it by */

struct node_account {
    UT_hash_handle hh;
    char login[IRC_CHANNEL_CHARS];
    char token[ACCOUNT_TOKEN_CHARS]; /* empty: nobody logs in as it now */
    uint64_t ends_ms;                /* mono ms: the token does; UINT64_MAX: not known */
    char client_id[ACCOUNT_ID_CHARS];
    char user_id[ACCOUNT_ID_CHARS];
    enum registry_say_by say_by;
    uint64_t rev;
    bool refused; /* the leader was told that Twitch does not take it */
};

static void forget(struct node_account **list)
{
    while (*list != NULL) {
        struct node_account *a = *list;
        HASH_DEL(*list, a);
        explicit_bzero(a, sizeof(*a));
        free(a);
    }
}

static void copy(char out[ACCOUNT_ID_CHARS], struct slice text)
{
    (void)snprintf(out, ACCOUNT_ID_CHARS, "%.*s", (int)text.len, text.ptr);
}

static struct node_account *find(const struct node *n, struct slice login)
{
    struct node_account *a;

    HASH_FIND(hh, n->accounts.list, login.ptr, login.len, a);
    return a;
}

/* Its token, where somebody may log in with it now. */
static void open_token(const struct node *n, const struct registry_account *account,
                       struct node_account *a)
{
    struct account_secret secret;
    struct err err;

    if (!slice_is(account->state, "usable")) {
        return;
    }
    if (account_secret_open(n->options.account_keys, n->options.cluster, a->login, account->secret,
                            &secret, &err) != 0) {
        log_error("node", "account.locked", "account", a->login, "error", err.text, NULL);
        return;
    }
    memcpy(a->token, secret.access, sizeof(a->token));
    /* The same token ends when it did. */
    const struct node_account *before = find(n, account->login);
    uint64_t ends_ms =
        account->left_ms != UINT64_MAX ? n->accounts.asked_ms + account->left_ms : UINT64_MAX;
    bool same = before != NULL && strcmp(before->token, a->token) == 0;
    a->ends_ms = same && before->ends_ms < ends_ms ? before->ends_ms : ends_ms;
    account_secret_wipe(&secret);
}

static void take(struct node *n, const struct registry_account *account)
{
    struct node_account *a = xcalloc(1, sizeof(*a));

    if (account->login.len >= sizeof(a->login)) {
        free(a);
        return; /* no login */
    }
    snprintf(a->login, sizeof(a->login), "%.*s", (int)account->login.len, account->login.ptr);
    copy(a->client_id, account->client_id);
    copy(a->user_id, account->user_id);
    a->say_by = account->say_by;
    a->rev = account->rev;
    open_token(n, account, a);
    HASH_ADD_STR(n->accounts.next, login, a);
}

static void ask(struct node *n, struct slice after);

static void on_accounts(void *ctx, uint64_t rev, const struct registry_account *accounts, size_t k,
                        const struct err *err)
{
    struct node *n = ctx;
    struct node_accounts *a = &n->accounts;

    if (err != NULL || n->state.state == NODE_GONE) {
        a->asking = false; /* the next renewal asks again */
        return;
    }
    a->next_rev = a->next_rev == UINT64_MAX ? rev : a->next_rev; /* of the first portion */
    if (k > 0) {
        for (size_t i = 0; i < k; i++) {
            take(n, &accounts[i]);
        }
        ask(n, accounts[k - 1].login);
        return;
    }
    a->asking = false;
    a->rev = a->again ? UINT64_MAX : a->next_rev;
    a->again = false;
    forget(&a->list);
    a->list = a->next;
    a->next = NULL;
    node_merge_tokens(n);
    holder_on_tokens(n->holder);
}

static void ask(struct node *n, struct slice after)
{
    n->accounts.asked_ms = mono_ms();
    n->accounts.asking =
        registry_accounts(n->control_registry, n->options.id, node_lease_incarnation(n->lease),
                          after, on_accounts, n) == 0;
}

void node_accounts_look(struct node *n, uint64_t rev)
{
    struct node_accounts *a = &n->accounts;

    if (rev == a->rev || a->asking) {
        return;
    }
    if (n->options.account_keys != NULL) {
        forget(&a->next);
        a->next_rev = UINT64_MAX;
        ask(n, SLICE(""));
    } else if (!a->told_no_keys) {
        a->told_no_keys = true;
        log_warn("node", "account.no_keys", "mend",
                 "there are accounts in Redis: --account-keys FILE opens them here", NULL);
    }
}

void node_accounts_read_again(struct node *n)
{
    n->accounts.rev = UINT64_MAX; /* no rev is that */
    n->accounts.again = n->accounts.asking;
}

void node_accounts_put(const struct node *n, struct tokens *t)
{
    for (const struct node_account *a = n->accounts.list; a != NULL; a = a->hh.next) {
        /* Nobody can log in as the application. */
        if (a->token[0] != '\0' && strcmp(a->login, ACCOUNT_APP) != 0) {
            tokens_put(t, a->login, a->token, a->ends_ms);
        }
    }
}

enum registry_say_by node_accounts_say_by(const struct node *n, struct slice user)
{
    const struct node_account *a = find(n, user);

    return a != NULL ? a->say_by : SAY_BY_IRC;
}

bool node_accounts_find(const struct node *n, struct slice user, enum registry_say_by say_by,
                        struct helix_account *out)
{
    const struct node_account *a = find(n, user);
    const struct node_account *token = say_by == SAY_BY_HELIX_APP ? find(n, SLICE(ACCOUNT_APP)) : a;

    if (a == NULL || a->user_id[0] == '\0' || a->client_id[0] == '\0' || token == NULL ||
        token->token[0] == '\0' || tokens_are_over(token->ends_ms)) {
        return false;
    }
    /* What it granted it granted to the application that its own tokens are of. */
    *out = (struct helix_account){.login = token->login,
                                  .rev = token->rev,
                                  .token = token->token,
                                  .client_id = a->client_id,
                                  .user_id = a->user_id};
    return true;
}

/* What did not reach the leader is told anew with the next login that comes to nothing. */
static void on_told(void *ctx, struct slice word, struct slice rest, const struct err *err)
{
    struct node *n = ctx;

    (void)rest;
    for (struct node_account *a = n->accounts.list; a != NULL; a = a->hh.next) {
        a->refused = a->refused && err == NULL && slice_is(word, "told");
    }
}

bool node_accounts_refused(struct node *n, struct slice user)
{
    struct node_account *a = find(n, user);
    bool is_its_token = a != NULL && a->token[0] != '\0';

    if (is_its_token && !a->refused) {
        a->refused = registry_account_refused(n->control_registry, n->options.id,
                                              node_lease_incarnation(n->lease), user, a->rev,
                                              on_told, n) == 0;
    }
    return is_its_token;
}

void node_accounts_finish(struct node *n)
{
    forget(&n->accounts.list);
    forget(&n->accounts.next);
}
