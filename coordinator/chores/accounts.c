/* Accounts: one look at each that is due, from the claim to what is kept of it. */
#include "coordinator/chores/accounts.h"

#include "shared/account_secret.h"
#include "shared/log.h"
#include "shared/machine.h"
#include "shared/redis/registry_accounts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define LOOK_MS       3600000 /* Twitch wants tokens to be validated hourly */
#define REQUIRED_MS   86400000
#define RETRY_MS      10000  /* what could not be asked */
#define KEEP_RETRY_MS 500    /* what Redis did not take */
#define MARGIN_MS     600000 /* before its end a token is refreshed, or a fifth of its life */
#define ENDING_MS     3600000
#define CLAIMED_MS    30000 /* a claim lasts so long (09_accounts.lua): a refresh ends within it */
#define SCOPES_CHARS  1000

enum look_state {
    LOOK_CLAIMING,
    LOOK_VALIDATING,
    LOOK_REFRESHING,
    LOOK_KEEPING,
    LOOK_UNKEPT, /* Redis was not there: again after a moment */
    LOOK_OVER,
};

static const struct machine_state states[] = {
    [LOOK_CLAIMING] = {"claiming", MACHINE_BIT(LOOK_VALIDATING) | MACHINE_BIT(LOOK_KEEPING) |
                                       MACHINE_BIT(LOOK_OVER)},
    [LOOK_VALIDATING] = {"validating", MACHINE_BIT(LOOK_REFRESHING) | MACHINE_BIT(LOOK_KEEPING) |
                                           MACHINE_BIT(LOOK_UNKEPT) | MACHINE_BIT(LOOK_OVER)},
    [LOOK_REFRESHING] = {"refreshing", MACHINE_BIT(LOOK_KEEPING) | MACHINE_BIT(LOOK_UNKEPT) |
                                           MACHINE_BIT(LOOK_OVER)},
    [LOOK_KEEPING] = {"keeping", MACHINE_BIT(LOOK_UNKEPT) | MACHINE_BIT(LOOK_OVER)},
    [LOOK_UNKEPT] = {"unkept", MACHINE_BIT(LOOK_KEEPING) | MACHINE_BIT(LOOK_OVER)},
    [LOOK_OVER] = {"over", 0},
};

/* At one account. */
struct look {
    struct accounts *accounts;
    struct look *prev, *next; /* utlist */
    struct machine machine;   /* enum look_state */
    char login[26];
    char claim[INCARNATION_CHARS];
    uint64_t claimed_ms; /* mono ms: asked for */
    char of[41];         /* the secret that is looked at */
    char state[16];      /* of the account, as it was */
    uint64_t rev;
    struct wall refreshed_at;
    bool claimed_before; /* by somebody of whom no more was heard */
    struct account_secret secret;
    struct err locked;        /* code 0: it was opened */
    struct twitch_call *call; /* NULL: none is under way */
    struct wall asked_at;     /* when that began */
    const char *as_is;        /* what the account is by what is known of its token */
    bool doubt;               /* a refresh was sent, and nobody knows what came of it */
    /* What is kept: */
    const char *to; /* state */
    uint64_t next_ms;
    char *sealed; /* new tokens; NULL: the old ones. Owned */
    char user_id[24];
    char client_id[132];
    char scopes[SCOPES_CHARS];
    char expires_at[24];
    bool ending;
    char error[512];
};

struct accounts {
    struct accounts_options options;
    struct look *looks;
    bool asking;      /* for those that are due */
    uv_timer_t timer; /* for what Redis did not take */
    bool stopping;
    void (*on_idle)(void *ctx); /* NULL: nobody waits for it */
    void *ctx;
};

static const char *id_of(const void *owner)
{
    return ((const struct look *)owner)->login;
}

static void check(const void *owner)
{
    const struct look *l = owner;
    bool asks = l->machine.state == LOOK_VALIDATING || l->machine.state == LOOK_REFRESHING;

    BUG_ON((l->call != NULL) != asks);
}

static const struct machine_type machine = {"account", states, ARRAY_LEN(states), id_of, check};

static void end(struct look *l)
{
    machine_move(&l->machine, LOOK_OVER, l);
    DL_DELETE(l->accounts->looks, l);
    account_secret_wipe(&l->secret);
    free(l->sealed);
    free(l);
}

static void tell_idle(struct accounts *a)
{
    void (*on_idle)(void *ctx) = a->on_idle;

    if (a->looks == NULL && on_idle != NULL) {
        a->on_idle = NULL;
        on_idle(a->ctx);
    }
}

/* What is kept --------------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer);

static void not_kept(struct look *l)
{
    struct accounts *a = l->accounts;

    if (l->sealed == NULL) {
        end(l); /* the claim runs out, and it is looked at again */
        tell_idle(a);
        return;
    }
    machine_move(&l->machine, LOOK_UNKEPT, l);
    (void)uv_timer_start(&a->timer, on_timer, KEEP_RETRY_MS, 0);
}

static void on_kept(void *ctx, struct slice word, struct slice rest, const struct err *err)
{
    struct look *l = ctx;

    (void)rest;
    if (err != NULL) {
        not_kept(l);
        return;
    }
    if (slice_is(word, "kept") && (l->sealed != NULL || strcmp(l->state, l->to) != 0)) {
        bool bad = strcmp(l->to, "usable") != 0;
        log_write(bad ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, "accounts", "account.looked", "account",
                  l->login, "state", l->to, "refreshed", l->sealed != NULL ? "yes" : "no", "error",
                  l->error, NULL);
    }
    struct accounts *a = l->accounts;
    end(l);
    tell_idle(a);
}

static void keep(struct look *l)
{
    struct registry *registry = leader_registry(l->accounts->options.leader);
    struct slice found[14];
    size_t n = 0;

#define FOUND(name, text)                                                                          \
    if ((text)[0] != '\0') {                                                                       \
        found[n++] = SLICE(name);                                                                  \
        found[n++] = slice_of(text);                                                               \
    }
    FOUND("user_id", l->user_id)
    FOUND("client_id", l->client_id)
    FOUND("scopes", l->scopes)
    FOUND("expires_at", l->expires_at)
    found[n++] = SLICE("ending");
    found[n++] = l->ending ? SLICE("1") : SLICE("");
    found[n++] = SLICE("doubt");
    found[n++] = l->doubt ? SLICE("1") : SLICE("");
    found[n++] = SLICE("error");
    found[n++] = slice_of(l->error);
    const struct registry_looked looked = {.login = slice_of(l->login),
                                           .claim = l->claim,
                                           .next_ms = l->next_ms,
                                           .state = l->to,
                                           .of = l->of,
                                           .secret = slice_of(l->sealed),
                                           .found = found,
                                           .nfound = n};
    if (registry_keep_account(registry, &looked, on_kept, l) == 0) {
        machine_move(&l->machine, LOOK_KEEPING, l);
    } else {
        not_kept(l);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct accounts *a = timer->data;
    struct look *l;
    struct look *tmp;

    DL_FOREACH_SAFE(a->looks, l, tmp)
    {
        if (l->machine.state == LOOK_UNKEPT) {
            keep(l);
        }
    }
}

static void keep_as(struct look *l, const char *state, uint64_t next_ms, const char *error)
{
    l->to = state;
    l->next_ms = next_ms;
    snprintf(l->error, sizeof(l->error), "%s", error);
    keep(l);
}

/* Twitch cannot be asked, or did not say. Nobody logs in with a token that is dead meanwhile. */
static void keep_for_later(struct look *l, const struct twitch_outcome *o)
{
    keep_as(l, l->as_is, o->wait_ms > RETRY_MS ? o->wait_ms : RETRY_MS, o->message);
}

/* What Twitch says ----------------------------------------------------------------------------- */

/* How long the token is valid yet, in ms: Twitch counted from when it was asked on. */
static uint64_t take_life(struct look *l, const struct twitch_outcome *o)
{
    size_t len = 0;
    struct wall now = wall_now();
    struct wall ends = {l->asked_at.ms + o->expires_in_s * 1000};

    snprintf(l->expires_at, sizeof(l->expires_at), "%" PRIu64, ends.ms);
    l->scopes[0] = '\0';
    for (size_t i = 0; i < o->scopes.n && len < sizeof(l->scopes); i++) {
        len += (size_t)snprintf(l->scopes + len, sizeof(l->scopes) - len, "%s%s", i > 0 ? " " : "",
                                o->scopes.item[i]);
    }
    return wall_since(now, ends);
}

/* When it is refreshed, in ms before its end. */
static uint64_t margin_ms(uint64_t life_ms)
{
    return life_ms / 5 < MARGIN_MS ? life_ms / 5 : MARGIN_MS;
}

/* It is valid for `left_ms` yet, of `life_ms` in all. */
static void keep_usable(struct look *l, uint64_t left_ms, uint64_t life_ms)
{
    uint64_t next_ms = LOOK_MS;

    if (l->secret.refresh[0] != '\0') {
        uint64_t margin = margin_ms(life_ms);
        uint64_t until_ms = left_ms > margin ? left_ms - margin : 0;
        next_ms = until_ms < next_ms ? until_ms : next_ms;
    } else {
        l->ending = left_ms < ENDING_MS;
        next_ms = left_ms < next_ms ? left_ms + 1000 : next_ms;
    }
    keep_as(l, "usable", next_ms, "");
}

static void on_refreshed(void *ctx, const struct twitch_outcome *o)
{
    struct look *l = ctx;
    const struct accounts_options *options = &l->accounts->options;

    l->call = NULL;
    if (o->verdict == TWITCH_OK) {
        snprintf(l->secret.access, sizeof(l->secret.access), "%s", o->access_token);
        if (o->refresh_token != NULL) {
            snprintf(l->secret.refresh, sizeof(l->secret.refresh), "%s", o->refresh_token);
        }
        l->sealed = account_secret_seal(options->keys, options->cluster, l->login, &l->secret);
        keep_usable(l, take_life(l, o), o->expires_in_s * 1000);
    } else if (o->verdict == TWITCH_REFUSED) {
        char error[400];
        snprintf(error, sizeof(error), "%s%.300s",
                 l->claimed_before ? "an earlier refresh, whose answer was lost, may have used up "
                                     "the refresh token: "
                                   : "",
                 o->message);
        keep_as(l, "login_required", REQUIRED_MS, error);
    } else {
        l->doubt = l->claimed_before || o->verdict == TWITCH_UNKNOWN;
        keep_for_later(l, o);
    }
}

static void refresh(struct look *l)
{
    /* Who stood still meanwhile may not have the claim any more. */
    if (mono_ms() - l->claimed_ms + HTTP_DEADLINE_MS > CLAIMED_MS) {
        const struct twitch_outcome late = {.message = "validating took too long"};
        keep_for_later(l, &late);
        return;
    }
    l->asked_at = wall_now();
    l->call = twitch_refresh(l->accounts->options.twitch, l->secret.refresh, on_refreshed, l);
    machine_move(&l->machine, LOOK_REFRESHING, l);
}

static void on_validated(void *ctx, const struct twitch_outcome *o)
{
    struct look *l = ctx;
    bool can_refresh = l->secret.refresh[0] != '\0';

    l->call = NULL;
    if (o->verdict == TWITCH_OK && strcmp(o->login, l->login) != 0) {
        char error[128];
        snprintf(error, sizeof(error), "the token is that of %s", o->login);
        keep_as(l, "login_required", REQUIRED_MS, error);
    } else if (o->verdict == TWITCH_OK) {
        uint64_t left_ms = take_life(l, o);
        uint64_t life_ms = wall_since(l->refreshed_at, wall_now()) + left_ms;

        snprintf(l->user_id, sizeof(l->user_id), "%s", o->user_id);
        snprintf(l->client_id, sizeof(l->client_id), "%s", o->client_id);
        l->as_is = "usable";
        if (can_refresh && left_ms <= margin_ms(life_ms)) {
            refresh(l);
        } else {
            keep_usable(l, left_ms, life_ms);
        }
    } else if (o->verdict == TWITCH_REFUSED && can_refresh) {
        l->as_is = "refused";
        refresh(l);
    } else if (o->verdict == TWITCH_REFUSED) {
        keep_as(l, "login_required", REQUIRED_MS, o->message);
    } else {
        keep_for_later(l, o);
    }
}

/* What is due ---------------------------------------------------------------------------------- */

static void on_claimed(void *ctx, struct slice word, struct slice rest, const struct err *err)
{
    struct look *l = ctx;

    (void)rest;
    if (!leader_stepped(l->accounts->options.leader, "account_claim", err) ||
        !slice_is(word, "claimed")) {
        struct accounts *a = l->accounts;
        end(l);
        tell_idle(a);
    } else if (l->locked.code != ERR_OK) {
        keep_as(l, "locked", RETRY_MS, l->locked.text);
    } else {
        l->asked_at = wall_now();
        l->call = twitch_validate(l->accounts->options.twitch, l->secret.access, on_validated, l);
        machine_move(&l->machine, LOOK_VALIDATING, l);
    }
}

static bool is_looked_at(const struct accounts *a, struct slice login)
{
    const struct look *l;

    DL_FOREACH(a->looks, l)
    {
        if (slice_is(login, l->login)) {
            return true;
        }
    }
    return false;
}

static void look_at(struct accounts *a, const struct registry_due_account *due)
{
    struct leader *leader = a->options.leader;
    struct look *l = xcalloc(1, sizeof(*l));

    l->accounts = a;
    machine_begin(&l->machine, &machine, LOOK_CLAIMING);
    DL_APPEND(a->looks, l);
    snprintf(l->login, sizeof(l->login), "%.*s", (int)due->login.len, due->login.ptr);
    snprintf(l->state, sizeof(l->state), "%.*s", (int)due->state.len, due->state.ptr);
    random_hex(l->claim, (INCARNATION_CHARS - 1) / 2);
    l->claimed_ms = mono_ms();
    snprintf(l->of, sizeof(l->of), "%.*s", (int)due->of.len, due->of.ptr);
    l->rev = due->rev;
    l->refreshed_at = due->refreshed_at;
    l->claimed_before = due->claimed;
    bool over = due->expires_at.ms != 0 && wall_since(due->expires_at, wall_now()) > 0;
    l->as_is = over ? "refused" : l->state;
    if (a->options.keys == NULL) {
        err_set(&l->locked, ERR_USAGE, "the coordinator has no --account-keys");
    } else {
        (void)!account_secret_open(a->options.keys, a->options.cluster, l->login, due->secret,
                                   &l->secret, &l->locked);
    }
    if (registry_claim_account(leader_registry(leader), leader_identity(leader), due->login,
                               due->rev, l->claim, on_claimed, l) != 0) {
        end(l);
    }
}

static void on_due(void *ctx, const struct registry_due_account *due, size_t n,
                   const struct err *err)
{
    struct accounts *a = ctx;

    a->asking = false;
    if (!leader_stepped(a->options.leader, "accounts_due", err) || a->stopping ||
        !leader_may_act(a->options.leader)) {
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (!is_looked_at(a, due[i].login)) {
            look_at(a, &due[i]);
        }
    }
}

void accounts_on_facts(struct accounts *a, const struct registry_lead *facts)
{
    struct leader *leader = a->options.leader;

    if (facts->accounts_due && !a->asking && !a->stopping && leader_may_act(leader)) {
        a->asking =
            registry_due_accounts(leader_registry(leader), leader_identity(leader), on_due, a) == 0;
    }
}

struct accounts *accounts_create(const struct accounts_options *options)
{
    struct accounts *a = xcalloc(1, sizeof(*a));

    a->options = *options;
    (void)uv_timer_init(options->loop, &a->timer);
    a->timer.data = a;
    return a;
}

void accounts_stop(struct accounts *a, void (*on_idle)(void *ctx), void *ctx)
{
    a->stopping = true;
    a->on_idle = on_idle;
    a->ctx = ctx;
    tell_idle(a);
}

static void on_timer_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void accounts_destroy(struct accounts *a)
{
    struct look *l;
    struct look *tmp;

    a->on_idle = NULL;
    DL_FOREACH_SAFE(a->looks, l, tmp)
    {
        if (l->call != NULL) {
            twitch_cancel(l->call);
            l->call = NULL;
        }
        if (l->sealed != NULL) {
            log_error("accounts", "account.tokens_lost", "account", l->login, "mend",
                      "Redis could not be told the new tokens: shoalctl account login", NULL);
        }
        end(l);
    }
    uv_close((uv_handle_t *)&a->timer, on_timer_closed);
}
