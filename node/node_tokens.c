/* Node, tokens: when their file is read again. At SIGHUP, with all that may change; and where a
 * login is refused and before it is tried again, so that a program that refreshes tokens may just
 * replace the file. */
#include "node/node_private.h"

#include "shared/log.h"

/* Read `file`, which may be empty only where it always was: one that is about to be written must
 * not drop accounts. */
static int read_tokens(struct node *n, const char *file, struct tokens **out, struct err *err)
{
    int rc = tokens_load(file, out, err);

    if (rc == 0 && file != NULL && tokens_users(*out)[0] == '\0' &&
        tokens_users(n->file_tokens)[0]) {
        tokens_destroy(*out);
        return err_set(
            err, ERR_USAGE,
            "the tokens file %s has no line `login = token`; the tokens read before stay", file);
    }
    return rc;
}

void node_merge_tokens(struct node *n)
{
    struct tokens *fresh = tokens_copy(n->file_tokens);

    node_accounts_put(n, fresh);
    if (tokens_equal(n->tokens, fresh)) {
        tokens_destroy(fresh);
        return;
    }
    node_lease_set_users(n->lease, tokens_users(fresh));
    tokens_destroy(n->tokens);
    n->tokens = fresh;
    report_news(n->report, REPORT_USERS, "");
    node_lease_renew_soon(n->lease);
    log_info("node", "tokens.reloaded", "users", tokens_users(fresh), NULL);
}

static void take_tokens(struct node *n, struct tokens *fresh)
{
    tokens_destroy(n->file_tokens);
    n->file_tokens = fresh;
    node_merge_tokens(n);
}

int node_reload(struct node *n, const struct node_options *fresh, struct err *err)
{
    struct tokens *tokens;

    if (n->state.state == NODE_GONE) {
        return 0;
    }
    int rc = read_tokens(n, fresh->tokens_file, &tokens, err);
    if (rc != 0) {
        return rc;
    }
    rc = n->web != NULL ? web_reload(n->web, &fresh->web, err) : 0;
    rc = rc == 0 ? connections_trust(n->pool, fresh->twitch_tls_ca, err) : rc;
    if (rc != 0) {
        tokens_destroy(tokens);
        return rc;
    }
    n->options.tokens_file = fresh->tokens_file;
    n->options.twitch_tls_ca = fresh->twitch_tls_ca;
    helix_trust(n->helix, fresh->twitch_tls_ca);
    n->options.drain_ms = fresh->drain_ms;
    node_accounts_read_again(n);
    take_tokens(n, tokens);
    holder_on_tokens(n->holder);
    return 0;
}

bool node_on_refused(void *ctx, struct slice user)
{
    struct node *n = ctx;
    struct tokens *fresh;
    struct err err = {0};

    if (n->state.state == NODE_GONE || node_accounts_refused(n, user) ||
        n->options.tokens_file == NULL) {
        return false; /* new tokens of an account come by themselves */
    }
    if (read_tokens(n, n->options.tokens_file, &fresh, &err) != 0) {
        log_warn("node", "tokens.kept", "error", err.text, NULL);
        return false;
    }
    bool another = !slice_eq(tokens_get(n->file_tokens, user), tokens_get(fresh, user));
    take_tokens(n, fresh);
    return another;
}
