/* Registry, accounts: the steps of 09_accounts.lua. What is secret is sealed (shared/seal.h). */
#ifndef SHOAL_REDIS_REGISTRY_ACCOUNTS_H
#define SHOAL_REDIS_REGISTRY_ACCOUNTS_H

#include "shared/redis/registry.h"

/* An account that the leader has to look at now. */
struct registry_due_account {
    struct slice login;
    uint64_t rev;
    struct slice state;     /* "new", "usable", "refused", "locked", "login_required", "revoking" */
    bool is_over;           /* its token has ended */
    uint64_t age_ms;        /* since its token was refreshed; UINT64_MAX: not known */
    bool claimed;           /* who claimed it has not said what came of it */
    struct slice of;        /* names the secret, for registry_keep_account */
    struct slice client_id; /* of the application its tokens are of; empty: not known yet */
    struct slice secret;    /* sealed */
};
typedef void (*registry_due_accounts_cb)(void *ctx, const struct registry_due_account *due,
                                         size_t n, const struct err *err);
/* Those to be looked at now; there may be more. */
MUST_USE int registry_due_accounts(struct registry *r, const struct registry_leader *me,
                                   registry_due_accounts_cb cb, void *ctx);
/* "claimed", or "changed": it is another by now. `claim` is any text that nobody else makes. */
MUST_USE int registry_claim_account(struct registry *r, const struct registry_leader *me,
                                    struct slice login, uint64_t rev, const char *claim,
                                    registry_word_cb cb, void *ctx);

/* What is sealed under another key than that one (seal_key_name) is to be looked at now: accounts
 * behind `after` (empty: from the first), a portion. "more" and the last one, or "done". */
MUST_USE int registry_look_at_accounts(struct registry *r, const struct registry_leader *me,
                                       const char *key, struct slice after, registry_word_cb cb,
                                       void *ctx);

/* What came of a claim. */
struct registry_looked {
    struct slice login;
    const char *claim;
    uint64_t next_ms;          /* when to look again */
    const char *state;         /* "revoked": its tokens have ended, and it goes */
    const char *of;            /* the secret that was looked at */
    struct slice secret;       /* the tokens, sealed; empty: as they are */
    bool refreshed;            /* they are new ones, for those */
    const struct slice *found; /* name, value, ...: user_id, client_id, scopes, left_ms (until the
                                * token ends), ending ("1": soon, and for good), error */
    size_t nfound;
};
/* "kept", or "changed": somebody else has claimed it, or it is another by now; nothing was kept.
 * But new tokens are kept as long as those are there that they were got for. Who does not lead any
 * more may call it. */
MUST_USE int registry_keep_account(struct registry *r, const struct registry_looked *looked,
                                   registry_word_cb cb, void *ctx);

/* How an account says things: over a connection, or by Helix with its own token, or with that of
 * the application. */
enum registry_say_by { SAY_BY_IRC, SAY_BY_HELIX, SAY_BY_HELIX_APP };

/* Can somebody log in as it? "usable", "none" (there is no such account), or "trouble" and why. */
MUST_USE int registry_account_state(struct registry *r, const struct registry_leader *me,
                                    struct slice login, registry_word_cb cb, void *ctx);

/* An account as a node sees it. */
struct registry_account {
    struct slice login;
    uint64_t rev;
    struct slice state;
    uint64_t left_ms; /* until its token ends; UINT64_MAX: that is not known */
    struct slice client_id;
    struct slice user_id;
    bool reads;
    bool says;
    enum registry_say_by say_by;
    struct slice secret; /* sealed; empty: there is none */
};
/* `rev`: as settings.accounts of the picture. Those behind `after`, by their names; the end is
 * where there are none. */
typedef void (*registry_accounts_cb)(void *ctx, uint64_t rev,
                                     const struct registry_account *accounts, size_t n,
                                     const struct err *err);
MUST_USE int registry_accounts(struct registry *r, const char *node, const char *incarnation,
                               struct slice after, registry_accounts_cb cb, void *ctx);
/* Twitch did not take the token of that rev, or it has ended. "told", or "later": somebody looks at
 * the account now, and may have seen it when it was well. */
MUST_USE int registry_account_refused(struct registry *r, const char *node, const char *incarnation,
                                      struct slice login, uint64_t rev, registry_word_cb cb,
                                      void *ctx);

#endif
