/* Helix: one errand for each send under way, and what is known of each account whose token is
 * used. See helix.h.
 *
 * What ends a send: Twitch has said it or dropped it; it was refused; it was written and nothing
 * usable came back (unknown). A token that Twitch does not take is told once, and the send waits
 * for a new one; if that is not taken either, it is not the token: what Twitch says then is the
 * result. */
#include "node/helix.h"

#include "node/send_refusal.h"
#include "shared/backoff.h"
#include "shared/irc/parse.h"
#include "shared/irc/write.h"
#include "shared/log.h"
#include "shared/teardown.h"
#include "shared/trouble.h"
#include "shared/twitch/twitch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <uthash.h>
#include <utlist.h>

#define REST_FIRST_MS    1000
#define REST_MOST_MS     30000
#define TOKEN_REST_MS    30000 /* then a token that was refused is tried again, if no other came */
#define AT_ONCE          32    /* requests; a slot is over before more of them are answered */
#define TOO_MANY_REST_MS 1000  /* where Twitch does not say for how long */

/* Whose token it is: what came of its last requests. */
struct caller {
    UT_hash_handle hh;
    char login[IRC_CHANNEL_CHARS];
    uint64_t rested_ms;   /* it is not used before */
    uint64_t refused_rev; /* the token that Twitch did not take; 0: it took the last one */
    bool rests_for_token; /* only until there is another than refused_rev */
    struct backoff backoff;
};

/* A send that was taken and has not ended. */
struct errand {
    struct errand *prev;
    struct errand *next;
    struct helix *helix;
    struct caller *caller;
    uint64_t rev; /* of the token it was asked with */
    struct twitch_call *call;
    bool held_back; /* may_say said no */
    char entry[48];
    char channel[IRC_CHANNEL_CHARS];
    char user[IRC_CHANNEL_CHARS];
    enum registry_say_by say_by;
    struct buf text; /* as it is to be said */
    char *reply_to;  /* NULL: to none */
};

struct helix {
    struct helix_options options;
    struct http *http; /* made when it is first needed, as twitch is: most nodes never do */
    struct twitch *twitch;
    struct errand *errands;
    size_t nerrands;
    struct caller *callers;
    struct trouble trouble;
    struct teardown teardown;
};

/* Errands -------------------------------------------------------------------------------------- */

static void errand_free(struct helix *h, struct errand *e)
{
    DL_DELETE(h->errands, e);
    h->nerrands--;
    buf_finish(&e->text);
    free(e->reply_to);
    free(e);
}

/* It has its result. */
static void settle(struct errand *e, const struct send_outcome *outcome)
{
    struct helix *h = e->helix;
    char entry[sizeof(e->entry)];

    memcpy(entry, e->entry, sizeof(entry));
    errand_free(h, e);
    h->options.on_result(h->options.ctx, entry, outcome);
}

static void reject(struct errand *e, const char *reason, const char *text)
{
    settle(e, &(struct send_outcome){
                  .status = SEND_REJECTED, .reason = slice_of(reason), .text = slice_of(text)});
}

/* It was surely not said: the sender claims it again when it may. */
static void put_back(struct errand *e)
{
    struct helix *h = e->helix;
    char entry[sizeof(e->entry)];

    memcpy(entry, e->entry, sizeof(entry));
    errand_free(h, e);
    h->options.on_unsaid(h->options.ctx, entry);
}

/* Accounts ------------------------------------------------------------------------------------- */

static struct caller *caller_get(struct helix *h, const char *login)
{
    struct caller *c;

    HASH_FIND_STR(h->callers, login, c);
    if (c == NULL) {
        c = xcalloc(1, sizeof(*c));
        (void)snprintf(c->login, sizeof(c->login), "%s", login);
        backoff_init(&c->backoff, REST_FIRST_MS, REST_MOST_MS, REST_MOST_MS);
        HASH_ADD_STR(h->callers, login, c);
    }
    return c;
}

static void rest(struct caller *c, uint64_t ms, bool for_token)
{
    uint64_t until = mono_ms() + ms;

    c->rested_ms = until > c->rested_ms ? until : c->rested_ms;
    c->rests_for_token = for_token;
}

/* Whose token it is, where that may be used now; else NULL. */
static struct caller *find_caller(struct helix *h, struct slice user, enum registry_say_by say_by,
                                  struct helix_account *account)
{
    if (!h->options.account(h->options.ctx, user, say_by, account)) {
        return NULL;
    }
    struct caller *c = caller_get(h, account->login);
    if (c->rests_for_token && c->refused_rev != account->rev) {
        c->rested_ms = 0;
        c->rests_for_token = false;
    }
    return mono_ms() >= c->rested_ms ? c : NULL;
}

bool helix_can_say(struct helix *h, struct slice user, enum registry_say_by say_by)
{
    struct helix_account account;

    return h->nerrands < AT_ONCE && find_caller(h, user, say_by, &account) != NULL;
}

/* What Twitch answers -------------------------------------------------------------------------- */

static void tell_trouble(struct errand *e, const struct twitch_outcome *o)
{
    struct err err;

    err_set(&err, ERR_UNREACHABLE, "%s", o->message);
    if (trouble_is_news(&e->helix->trouble, &err, mono_ms())) {
        log_warn("helix", "helix.trouble", "account", e->caller->login, "error", err.text, NULL);
    }
}

/* Too many requests, not reached, or what is no answer of Twitch's. */
static void later(struct errand *e, const struct twitch_outcome *o)
{
    uint64_t ms = o->wait_ms;

    if (e->held_back) {
        put_back(e);
        return;
    }
    if (o->status == 429) {
        ms = ms > TOO_MANY_REST_MS ? ms : TOO_MANY_REST_MS;
    } else {
        uint64_t backoff_ms = backoff_next(&e->caller->backoff, 0);
        ms = ms > backoff_ms ? ms : backoff_ms;
    }
    tell_trouble(e, o);
    rest(e->caller, ms, false);
    put_back(e);
}

/* Twitch did not take the token, or says that it may not do this. */
static void not_authorized(struct errand *e, const struct twitch_outcome *o)
{
    struct helix *h = e->helix;
    struct caller *c = e->caller;

    if (c->refused_rev != 0 && c->refused_rev != e->rev) {
        reject(e, "not_authorized", o->message); /* another token changed nothing */
        return;
    }
    bool is_news = c->refused_rev == 0;
    c->refused_rev = e->rev;
    rest(c, TOKEN_REST_MS, true);
    if (is_news) {
        log_warn("helix", "helix.refused", "account", c->login, "error", o->message, NULL);
    }
    h->options.on_refused(h->options.ctx, c->login);
    put_back(e);
}

static void refused(struct errand *e, const struct twitch_outcome *o)
{
    char text[512];

    if (o->status == 401 && strncasecmp(o->message, "missing scope", 13) == 0) {
        reject(e, "missing_scope", o->message); /* no other token of this login has it */
    } else if (o->status == 401) {
        not_authorized(e, o);
    } else if (o->status == 403) {
        (void)snprintf(text, sizeof(text), "%.200s%s", o->message,
                       e->say_by == SAY_BY_HELIX_APP
                           ? " (With the application's token the sender has granted user:bot, and "
                             "the channel channel:bot, or the sender is moderator there.)"
                           : "");
        reject(e, "forbidden", text);
    } else {
        reject(e, o->status == 400 || o->status == 422 ? "bad_request" : "refused", o->message);
    }
}

static void unknown(struct errand *e, const struct twitch_outcome *o)
{
    tell_trouble(e, o);
    settle(e, &(struct send_outcome){.status = SEND_UNKNOWN,
                                     .reason = o->status >= 500 ? SLICE("server_error")
                                                                : SLICE("no_answer"),
                                     .text = slice_of(o->message)});
}

/* Twitch has done what it was asked for. */
static void went_well(const struct errand *e)
{
    e->caller->refused_rev = 0;
    backoff_init(&e->caller->backoff, REST_FIRST_MS, REST_MOST_MS, REST_MOST_MS);
    if (trouble_over(&e->helix->trouble)) {
        log_info("helix", "helix.over", "account", e->caller->login, NULL);
    }
}

/* What is dropped is sure not to have been said: an answer belongs to its request. */
static void dropped_or_said(struct errand *e, const struct twitch_outcome *o)
{
    struct send_outcome outcome = {.status = SEND_SENT};

    if (o->is_sent) {
        outcome.message_id = slice_of(o->message_id != NULL ? o->message_id : "");
    } else {
        outcome.status = SEND_REJECTED;
        outcome.reason = slice_of(o->drop_code);
        outcome.text = slice_of(o->message);
        outcome.passes = send_refusal_passes(outcome.reason, outcome.text, &outcome.passes_in_ms);
    }
    settle(e, &outcome);
}

static void on_said(void *ctx, const struct twitch_outcome *o)
{
    struct errand *e = ctx;

    e->call = NULL;
    if (o->verdict == TWITCH_LATER) {
        later(e, o);
    } else if (o->verdict == TWITCH_REFUSED) {
        refused(e, o);
    } else if (o->verdict == TWITCH_UNKNOWN) {
        unknown(e, o);
    } else {
        went_well(e);
        dropped_or_said(e, o);
    }
}

/* Asking --------------------------------------------------------------------------------------- */

static bool may_send(void *ctx)
{
    struct errand *e = ctx;
    struct helix *h = e->helix;
    bool may = h->options.may_say(h->options.ctx, e->entry);

    e->held_back = !may;
    return may;
}

static void say(struct errand *e, const struct helix_account *account, const char *room_id)
{
    const struct twitch_caller caller = {account->token, account->client_id};
    const struct twitch_message message = {.broadcaster_id = room_id,
                                           .sender_id = account->user_id,
                                           .text = buf_slice(&e->text),
                                           .reply_to = e->reply_to,
                                           .timeout_ms = HELIX_ANSWER_MS,
                                           .may_send = may_send};

    e->rev = account->rev;
    e->call = twitch_say(e->helix->twitch, &caller, &message, on_said, e);
}

static void on_room_id(void *ctx, const struct twitch_outcome *o)
{
    struct errand *e = ctx;
    struct helix *h = e->helix;
    struct helix_account account;

    e->call = NULL;
    if (o->verdict == TWITCH_LATER || o->verdict == TWITCH_UNKNOWN) {
        later(e, o);
        return;
    }
    if (o->verdict == TWITCH_REFUSED && o->status != 400) {
        refused(e, o);
        return;
    }
    went_well(e);
    if (o->logins.n != 1 || strcmp(o->logins.item[0], e->channel) != 0) {
        reject(e, "no_such_channel", "There is no channel of that name.");
        return;
    }
    h->options.on_room_id(h->options.ctx, e->channel, o->user_ids.item[0]);
    struct caller *caller = find_caller(h, slice_of(e->user), e->say_by, &account);
    if (caller != NULL) {
        e->caller = caller;
        say(e, &account, o->user_ids.item[0]);
    } else {
        put_back(e);
    }
}

static void ask_room_id(struct errand *e, const struct helix_account *account)
{
    const struct twitch_caller caller = {account->token, account->client_id};
    const char *login = e->channel;

    e->rev = account->rev;
    e->call = twitch_users(e->helix->twitch, &caller, &login, 1, on_room_id, e);
}

static void need_twitch(struct helix *h)
{
    if (h->http == NULL) {
        h->http = http_create(&(struct http_options){.loop = h->options.loop,
                                                     .tls_ca = h->options.tls_ca,
                                                     .proxy = h->options.proxy,
                                                     .at_once = AT_ONCE});
        h->twitch =
            twitch_create(&(struct twitch_options){.http = h->http, .api_url = h->options.api_url});
    }
}

int helix_say(struct helix *h, const struct registry_route *route, const struct registry_send *send,
              const char *entry, struct err *err)
{
    struct helix_account account = {.login = NULL};
    struct caller *caller = NULL;
    struct buf text;

    if (send->as_command) {
        return err_set(err, ERR_PROTOCOL,
                       "commands go over IRC alone, and %.*s says by Helix (say_by)",
                       (int)route->user.len, route->user.ptr);
    }
    buf_init(&text, IRC_MAX_SENT_BYTES);
    int rc = irc_write_text(&text, send->text, err);
    if (rc == 0) {
        caller = find_caller(h, route->user, route->say_by, &account);
    }
    if (rc == 0 && caller == NULL) {
        rc = err_set(err, ERR_DOWN, "there is no token for %.*s now", (int)route->user.len,
                     route->user.ptr);
    }
    if (rc != 0) {
        buf_finish(&text);
        return rc;
    }
    struct errand *e = xcalloc(1, sizeof(*e));
    e->helix = h;
    e->caller = caller;
    e->say_by = route->say_by;
    e->text = text;
    e->reply_to = send->reply_to.len > 0 ? xstrndup(send->reply_to.ptr, send->reply_to.len) : NULL;
    (void)snprintf(e->entry, sizeof(e->entry), "%s", entry);
    (void)snprintf(e->channel, sizeof(e->channel), "%.*s", (int)send->channel.len,
                   send->channel.ptr);
    (void)snprintf(e->user, sizeof(e->user), "%.*s", (int)route->user.len, route->user.ptr);
    DL_APPEND(h->errands, e);
    h->nerrands++;
    need_twitch(h);
    if (route->room_id.len > 0) {
        char *room_id = xstrndup(route->room_id.ptr, route->room_id.len);
        say(e, &account, room_id);
        free(room_id);
    } else {
        ask_room_id(e, &account);
    }
    return 0;
}

/* Life ----------------------------------------------------------------------------------------- */

struct helix *helix_create(const struct helix_options *options)
{
    struct helix *h = xcalloc(1, sizeof(*h));

    h->options = *options;
    return h;
}

void helix_drop(struct helix *h)
{
    while (h->errands != NULL) {
        struct errand *e = h->errands;
        twitch_cancel(e->call);
        errand_free(h, e);
    }
}

void helix_trust(struct helix *h, const char *tls_ca)
{
    h->options.tls_ca = tls_ca;
    if (h->http != NULL) {
        http_trust(h->http, tls_ca);
    }
}

static void finish(void *owner)
{
    struct helix *h = owner;
    struct caller *c;
    struct caller *tmp;

    HASH_ITER(hh, h->callers, c, tmp)
    {
        HASH_DEL(h->callers, c);
        free(c);
    }
    twitch_destroy(h->twitch);
    free(h);
}

void helix_close(struct helix *h, void (*on_closed)(void *ctx), void *ctx)
{
    helix_drop(h);
    teardown_begin(&h->teardown, finish, h, on_closed, ctx);
    void *part = teardown_part(&h->teardown);
    if (h->http != NULL) {
        http_close(h->http, teardown_part_gone, part);
    } else {
        teardown_part_gone(part);
    }
}
