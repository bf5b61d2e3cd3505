/* Accounts, one look: from the claim to what is kept of it. */
#include "coordinator/chores/accounts_private.h"
#include "shared/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS     3600000 /* Twitch wants tokens to be validated hourly */
#define REQUIRED_MS 86400000
#define RETRY_MS    10000  /* what could not be asked */
#define MARGIN_MS   600000 /* before its end a token is refreshed, or a fifth of its life */
#define CLAIMED_MS  30000  /* a claim lasts so long (09_accounts.lua): a refresh ends within it */
#define ENDING_MS   3600000

static const struct machine_state states[] = {
    [LOOK_CLAIMING] = {"claiming", MACHINE_BIT(LOOK_VALIDATING) | MACHINE_BIT(LOOK_REFRESHING) |
                                       MACHINE_BIT(LOOK_REVOKING) | MACHINE_BIT(LOOK_KEEPING) |
                                       MACHINE_BIT(LOOK_UNKEPT) | MACHINE_BIT(LOOK_OVER)},
    [LOOK_VALIDATING] = {"validating", MACHINE_BIT(LOOK_REFRESHING) | MACHINE_BIT(LOOK_KEEPING) |
                                           MACHINE_BIT(LOOK_UNKEPT) | MACHINE_BIT(LOOK_OVER)},
    [LOOK_REFRESHING] = {"refreshing", MACHINE_BIT(LOOK_KEEPING) | MACHINE_BIT(LOOK_UNKEPT) |
                                           MACHINE_BIT(LOOK_OVER)},
    [LOOK_REVOKING] = {"revoking", MACHINE_BIT(LOOK_KEEPING) | MACHINE_BIT(LOOK_UNKEPT) |
                                       MACHINE_BIT(LOOK_OVER)},
    [LOOK_KEEPING] = {"keeping", MACHINE_BIT(LOOK_UNKEPT) | MACHINE_BIT(LOOK_OVER)},
    [LOOK_UNKEPT] = {"unkept", MACHINE_BIT(LOOK_KEEPING) | MACHINE_BIT(LOOK_OVER)},
    [LOOK_OVER] = {"over", 0},
};

static const char *id_of(const void *owner)
{
    return ((const struct accounts_look *)owner)->login;
}

static void check(const void *owner)
{
    const struct accounts_look *l = owner;
    bool asks = l->machine.state == LOOK_VALIDATING || l->machine.state == LOOK_REFRESHING ||
                l->machine.state == LOOK_REVOKING;

    BUG_ON((l->call != NULL) != asks);
}

static const struct machine_type machine = {"account", states, ARRAY_LEN(states), id_of, check};

void accounts_look_end(struct accounts_look *l)
{
    machine_move(&l->machine, LOOK_OVER, l);
    DL_DELETE(l->accounts->looks, l);
    account_secret_wipe(&l->secret);
    free(l->sealed);
    free(l);
}

/* What is kept --------------------------------------------------------------------------------- */

static void not_kept(struct accounts_look *l)
{
    struct accounts *a = l->accounts;

    if (!l->refreshed) {
        accounts_look_end(l); /* the claim runs out, and it is looked at again */
        accounts_tell_idle(a);
        return;
    }
    if (l->machine.state != LOOK_UNKEPT) { /* else it was tried again, and is not there yet */
        machine_move(&l->machine, LOOK_UNKEPT, l);
    }
    accounts_keep_soon(a);
}

static void on_kept(void *ctx, struct slice word, struct slice rest, const struct err *err)
{
    struct accounts_look *l = ctx;

    (void)rest;
    if (err != NULL) {
        not_kept(l);
        return;
    }
    if (slice_is(word, "kept") && (l->refreshed || strcmp(l->state, l->to) != 0)) {
        bool bad = strcmp(l->to, "usable") != 0 && strcmp(l->to, "revoked") != 0;
        log_write(bad ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, "accounts", "account.looked", "account",
                  l->login, "state", l->to, "refreshed", l->refreshed ? "yes" : "no", "error",
                  l->error, NULL);
    }
    struct accounts *a = l->accounts;
    accounts_look_end(l);
    accounts_tell_idle(a);
}

/* How long its token is valid yet, in ms. */
static uint64_t left_of(const struct accounts_look *l)
{
    uint64_t now = mono_ms();

    return l->ends_ms > now ? l->ends_ms - now : 0;
}

void accounts_look_keep(struct accounts_look *l)
{
    struct registry *registry = leader_registry(l->accounts->options.leader);
    struct slice found[14];
    size_t n = 0;
    char left[24] = "";

    if (l->ends_ms != 0) {
        snprintf(left, sizeof(left), "%" PRIu64, left_of(l));
    }

#define FOUND(name, text)                                                                          \
    if ((text)[0] != '\0') {                                                                       \
        found[n++] = SLICE(name);                                                                  \
        found[n++] = slice_of(text);                                                               \
    }
    FOUND("user_id", l->user_id)
    FOUND("client_id", l->client_id)
    FOUND("scopes", l->scopes)
    FOUND("left_ms", left)
    FOUND("ending", l->ending)
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
                                           .refreshed = l->refreshed,
                                           .found = found,
                                           .nfound = n};
    if (registry_keep_account(registry, &looked, on_kept, l) == 0) {
        machine_move(&l->machine, LOOK_KEEPING, l);
    } else {
        not_kept(l);
    }
}

static void seal_tokens(struct accounts_look *l)
{
    const struct accounts_options *options = &l->accounts->options;

    l->sealed = account_secret_seal(options->keys, options->cluster, l->login, &l->secret);
}

static void keep_as(struct accounts_look *l, const char *state, uint64_t next_ms, const char *error)
{
    if (l->stale && l->sealed == NULL) {
        seal_tokens(l);
    }
    l->to = state;
    l->next_ms = next_ms;
    snprintf(l->error, sizeof(l->error), "%s", error);
    accounts_look_keep(l);
}

/* Twitch cannot be asked, or did not say. Nobody logs in with a token that is dead meanwhile. */
static void keep_for_later(struct accounts_look *l, const struct twitch_outcome *o)
{
    keep_as(l, l->as_is, o->wait_ms > RETRY_MS ? o->wait_ms : RETRY_MS, o->message);
}

/* What Twitch says ----------------------------------------------------------------------------- */

/* How long the token is valid yet, in ms: Twitch counted from when it was asked on. */
static uint64_t take_life(struct accounts_look *l, const struct twitch_outcome *o)
{
    size_t len = 0;

    l->ends_ms = l->asked_ms + o->expires_in_s * 1000;
    l->scopes[0] = '\0';
    for (size_t i = 0; i < o->scopes.n && len < sizeof(l->scopes); i++) {
        len += (size_t)snprintf(l->scopes + len, sizeof(l->scopes) - len, "%s%s", i > 0 ? " " : "",
                                o->scopes.item[i]);
    }
    return left_of(l);
}

static bool is_app(const struct accounts_look *l)
{
    return strcmp(l->login, ACCOUNT_APP) == 0;
}

/* Can its token be had anew, without anybody logging in? */
static bool is_renewed(const struct accounts_look *l)
{
    return is_app(l) || l->secret.refresh[0] != '\0';
}

/* When it is refreshed, in ms before its end. */
static uint64_t margin_ms(uint64_t life_ms)
{
    return life_ms / 5 < MARGIN_MS ? life_ms / 5 : MARGIN_MS;
}

/* It is valid for `left_ms` yet, of `life_ms` in all. */
static void keep_usable(struct accounts_look *l, uint64_t left_ms, uint64_t life_ms)
{
    uint64_t next_ms = LOOK_MS;

    if (is_renewed(l)) {
        uint64_t margin = margin_ms(life_ms);
        uint64_t until_ms = left_ms > margin ? left_ms - margin : 0;
        next_ms = until_ms < next_ms ? until_ms : next_ms;
    } else {
        bool ending = left_ms <= ENDING_MS;
        uint64_t until_ms = ending ? left_ms + 1000 : left_ms - ENDING_MS;
        l->ending = ending ? "1" : "0";
        next_ms = until_ms < next_ms ? until_ms : next_ms;
    }
    keep_as(l, "usable", next_ms, "");
}

static void on_refreshed(void *ctx, const struct twitch_outcome *o)
{
    struct accounts_look *l = ctx;

    l->call = NULL;
    if (o->verdict == TWITCH_OK) {
        snprintf(l->secret.access, sizeof(l->secret.access), "%s", o->access_token);
        if (o->refresh_token != NULL) {
            snprintf(l->secret.refresh, sizeof(l->secret.refresh), "%s", o->refresh_token);
        }
        seal_tokens(l);
        l->refreshed = true;
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

static void on_app_token(void *ctx, const struct twitch_outcome *o)
{
    struct accounts_look *l = ctx;
    char error[400];

    if (o->verdict != TWITCH_REFUSED) {
        on_refreshed(ctx, o);
        return;
    }
    l->call = NULL;
    snprintf(error, sizeof(error), "Twitch gives the application no token: %.300s", o->message);
    keep_as(l, "login_required", LOOK_MS, error);
}

/* Its token anew. */
static void refresh(struct accounts_look *l)
{
    const struct accounts_options *options = &l->accounts->options;

    if (is_app(l) && !(options->has_client_id && options->has_client_secret)) {
        keep_as(l, "login_required", RETRY_MS,
                "the coordinator has no --client-id, or no --client-secret, and an app token asks "
                "for both");
        return;
    }
    /* Who stood still meanwhile may not have the claim any more. */
    if (mono_ms() - l->claimed_ms + HTTP_DEADLINE_MS > CLAIMED_MS) {
        const struct twitch_outcome late = {.message = "validating took too long"};
        keep_for_later(l, &late);
        return;
    }
    l->asked_ms = mono_ms();
    l->call = is_app(l) ? twitch_app_token(options->twitch, on_app_token, l)
                        : twitch_refresh(options->twitch, l->secret.refresh, on_refreshed, l);
    machine_move(&l->machine, LOOK_REFRESHING, l);
}

/* Whose token is it? NULL: that of whom it should be. */
static const char *whose(const struct accounts_look *l, const struct twitch_outcome *o)
{
    if (o->login == NULL) {
        return is_app(l) ? NULL : "an application";
    }
    return strcmp(o->login, l->login) != 0 ? o->login : NULL;
}

static void take_validation(struct accounts_look *l, const struct twitch_outcome *o)
{
    uint64_t left_ms = take_life(l, o);
    uint64_t life_ms = l->age_ms < UINT64_MAX ? l->age_ms + left_ms : UINT64_MAX;

    snprintf(l->user_id, sizeof(l->user_id), "%s", o->user_id != NULL ? o->user_id : "");
    snprintf(l->client_id, sizeof(l->client_id), "%s", o->client_id);
    l->as_is = "usable";
    if (is_renewed(l) && left_ms <= margin_ms(life_ms)) {
        refresh(l);
    } else {
        keep_usable(l, left_ms, life_ms);
    }
}

static void on_validated(void *ctx, const struct twitch_outcome *o)
{
    struct accounts_look *l = ctx;
    char error[400];

    l->call = NULL;
    if (o->verdict == TWITCH_OK && whose(l, o) != NULL) {
        snprintf(error, sizeof(error), "the token is that of %s", whose(l, o));
        keep_as(l, "login_required", REQUIRED_MS, error);
    } else if (o->verdict == TWITCH_OK) {
        take_validation(l, o);
    } else if (o->verdict == TWITCH_REFUSED && is_renewed(l)) {
        l->as_is = "refused";
        refresh(l);
    } else if (o->verdict == TWITCH_REFUSED) {
        snprintf(error, sizeof(error), "its token has ended (%.300s), and it has no refresh token",
                 o->message);
        keep_as(l, "login_required", REQUIRED_MS, error);
    } else {
        keep_for_later(l, o);
    }
}

/* Its end: both tokens end at Twitch, and then it goes. One that Twitch does not know has ended. */

static void end_token(struct accounts_look *l, const char *token);

static void on_revoked(void *ctx, const struct twitch_outcome *o)
{
    struct accounts_look *l = ctx;
    char error[400];

    l->call = NULL;
    if (o->verdict == TWITCH_OK || (o->verdict == TWITCH_REFUSED && o->status == 400)) {
        if (!l->access_ended && l->secret.refresh[0] != '\0') {
            l->access_ended = true;
            end_token(l, l->secret.refresh);
        } else {
            keep_as(l, "revoked", 0, "");
        }
        return;
    }
    snprintf(error, sizeof(error), "Twitch: %.300s", o->message);
    keep_as(l, "revoking", o->verdict == TWITCH_REFUSED ? LOOK_MS : RETRY_MS, error);
}

static void end_token(struct accounts_look *l, const char *token)
{
    const char *client_id = l->client_id[0] != '\0' ? l->client_id : NULL;

    l->call = twitch_revoke(l->accounts->options.twitch, client_id, token, on_revoked, l);
    if (l->machine.state != LOOK_REVOKING) {
        machine_move(&l->machine, LOOK_REVOKING, l);
    }
}

/* Its beginning -------------------------------------------------------------------------------- */

static void on_claimed(void *ctx, struct slice word, struct slice rest, const struct err *err)
{
    struct accounts_look *l = ctx;

    bool is_over = strcmp(l->state, "revoking") == 0;

    (void)rest;
    if (!leader_stepped(l->accounts->options.leader, "account_claim", err) ||
        !slice_is(word, "claimed")) {
        struct accounts *a = l->accounts;
        accounts_look_end(l);
        accounts_tell_idle(a);
    } else if (l->locked.code != ERR_OK) {
        keep_as(l, is_over ? "revoking" : "locked", RETRY_MS, l->locked.text);
    } else if (is_over && l->client_id[0] == '\0' && !l->accounts->options.has_client_id) {
        keep_as(l, "revoking", RETRY_MS, "the coordinator has no --client-id");
    } else if (is_over) {
        end_token(l, l->secret.access);
    } else if (l->secret.access[0] == '\0') {
        refresh(l); /* the application has none yet */
    } else {
        l->asked_ms = mono_ms();
        l->call = twitch_validate(l->accounts->options.twitch, l->secret.access, on_validated, l);
        machine_move(&l->machine, LOOK_VALIDATING, l);
    }
}

void accounts_look_begin(struct accounts *a, const struct registry_due_account *due)
{
    struct leader *leader = a->options.leader;
    struct accounts_look *l = xcalloc(1, sizeof(*l));

    l->accounts = a;
    l->ending = "";
    machine_begin(&l->machine, &machine, LOOK_CLAIMING);
    DL_APPEND(a->looks, l);
    snprintf(l->login, sizeof(l->login), "%.*s", (int)due->login.len, due->login.ptr);
    snprintf(l->state, sizeof(l->state), "%.*s", (int)due->state.len, due->state.ptr);
    snprintf(l->client_id, sizeof(l->client_id), "%.*s", (int)due->client_id.len,
             due->client_id.ptr);
    random_hex(l->claim, (INCARNATION_CHARS - 1) / 2);
    l->claimed_ms = mono_ms();
    snprintf(l->of, sizeof(l->of), "%.*s", (int)due->of.len, due->of.ptr);
    l->rev = due->rev;
    l->age_ms = due->age_ms;
    l->claimed_before = due->claimed;
    l->as_is = due->is_over ? "refused" : l->state;
    if (a->options.keys == NULL) {
        err_set(&l->locked, ERR_USAGE, "the coordinator has no --account-keys");
    } else if (due->secret.len > 0) {
        (void)!account_secret_open(a->options.keys, a->options.cluster, l->login, due->secret,
                                   &l->secret, &l->locked);
        /* A refresh of which no more was heard may still bring tokens for this very secret. */
        l->stale = l->locked.code == ERR_OK && !l->claimed_before &&
                   !seal_is_current(a->options.keys, due->secret);
    }
    if (registry_claim_account(leader_registry(leader), leader_identity(leader), due->login,
                               due->rev, l->claim, on_claimed, l) != 0) {
        accounts_look_end(l);
    }
}
