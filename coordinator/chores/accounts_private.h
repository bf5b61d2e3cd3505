/* Accounts, inside: one look, and all that are under way. */
#ifndef SHOAL_COORDINATOR_ACCOUNTS_PRIVATE_H
#define SHOAL_COORDINATOR_ACCOUNTS_PRIVATE_H

#include "coordinator/chores/accounts.h"

#include "shared/account_secret.h"
#include "shared/machine.h"
#include "shared/redis/registry_accounts.h"

#include <utlist.h>

#define ACCOUNTS_SCOPES_CHARS 1000

enum look_state {
    LOOK_CLAIMING,
    LOOK_VALIDATING,
    LOOK_REFRESHING,
    LOOK_REVOKING, /* first the one token, then the other */
    LOOK_KEEPING,
    LOOK_UNKEPT, /* Redis was not there: again after a moment */
    LOOK_OVER,
};

/* At one account. */
struct accounts_look {
    struct accounts *accounts;
    struct accounts_look *prev, *next; /* utlist */
    struct machine machine;            /* enum look_state */
    char login[26];
    char claim[INCARNATION_CHARS];
    uint64_t claimed_ms; /* mono ms: asked for */
    char of[41];         /* the secret that is looked at */
    char state[16];      /* of the account, as it was */
    uint64_t rev;
    uint64_t age_ms;     /* of the token, when it was due; UINT64_MAX: not known */
    bool claimed_before; /* by somebody of whom no more was heard */
    struct account_secret secret;
    struct err locked;        /* code 0: it was opened */
    struct twitch_call *call; /* NULL: none is under way */
    uint64_t asked_ms;        /* mono ms: when that began */
    const char *as_is;        /* what the account is by what is known of its token */
    bool doubt;               /* a refresh was sent, and nobody knows what came of it */
    bool access_ended;        /* and the refresh token is to end as well */
    /* What is kept: */
    const char *to; /* state */
    uint64_t next_ms;
    bool stale;     /* another key seals the tokens than is to */
    bool refreshed; /* the tokens are new ones, and nowhere else */
    char *sealed;   /* the tokens; NULL: they stay as they are. Owned */
    char user_id[24];
    char client_id[132];
    char scopes[ACCOUNTS_SCOPES_CHARS];
    uint64_t ends_ms;   /* mono ms: the token does; 0: nobody has said */
    const char *ending; /* "1", "0"; "": as it was */
    char error[512];
};

struct accounts {
    struct accounts_options options;
    struct accounts_look *looks;
    bool asking;      /* for those that are due */
    bool looking;     /* for those that other keys seal */
    uv_timer_t timer; /* for what Redis did not take */
    bool stopping;
    void (*on_idle)(void *ctx); /* NULL: nobody waits for it */
    void *ctx;
};

/* In accounts_look.c: look at an account that is due. */
void accounts_look_begin(struct accounts *a, const struct registry_due_account *due);
/* Have Redis keep what came of it; also again, where Redis did not take it. */
void accounts_look_keep(struct accounts_look *l);
/* It is over, whatever came of it. */
void accounts_look_end(struct accounts_look *l);

/* In accounts.c: a look has ended. */
void accounts_tell_idle(struct accounts *a);
/* Redis did not take what is to be kept: again in a moment. */
void accounts_keep_soon(struct accounts *a);

#endif
