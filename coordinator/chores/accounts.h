/* Accounts: the leader keeps their tokens valid.
 *
 *   due -> opened -> claimed -> validated -> refreshed, where it ends soon or Twitch does not take
 *   it -> kept
 *                            -> revoked, where it is to end -> gone
 *
 * Only what Twitch itself refuses makes an account `login_required`; what cannot be reached is
 * asked again. What a refresh brought is kept whatever happens to the lead: it is tried until Redis
 * has it, or says that the account is another by now. Loop thread only. */
#ifndef SHOAL_COORDINATOR_ACCOUNTS_H
#define SHOAL_COORDINATOR_ACCOUNTS_H

#include "coordinator/lead/leader.h"
#include "shared/seal.h"
#include "shared/twitch/twitch.h"

struct accounts;

struct accounts_options {
    uv_loop_t *loop;
    struct leader *leader;
    struct twitch *twitch;
    bool has_client_id;           /* `twitch` is one of an application, */
    bool has_client_secret;       /* which is confidential */
    const struct seal_keys *keys; /* NULL: this program opens no account */
    const char *cluster;
};

struct accounts *accounts_create(const struct accounts_options *options);
/* It leads from now on, or the keys are others: what is sealed under another than the first is
 * looked at, and sealed under that when it is kept. */
void accounts_begin(struct accounts *a);
/* What the leader knows now. */
void accounts_on_facts(struct accounts *a, const struct registry_lead *facts);
/* Begin nothing more. `on_idle` is called when nothing is under way, perhaps at once. */
void accounts_stop(struct accounts *a, void (*on_idle)(void *ctx), void *ctx);
/* After the leader is closed; calls to Twitch are cancelled. Tokens that are not in Redis yet are
 * told as lost. */
void accounts_destroy(struct accounts *a);

#endif
