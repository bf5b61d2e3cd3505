/* Twitch's web services: what each call asks. What is answered is read in twitch_answer.c. */
#include "shared/twitch/twitch.h"

#include "shared/json.h"
#include "shared/twitch/twitch_private.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#define FORM         "application/x-www-form-urlencoded"
#define GET_TRIES    3
#define REQUEST_MAX  16384
#define DEVICE_GRANT "urn:ietf:params:oauth:grant-type:device_code"

struct twitch {
    struct twitch_options options;
};

struct twitch_call {
    struct http_request *request;
    enum twitch_kind kind;
    bool may_be_twice;
    bool (*may_send)(void *ctx);
    twitch_cb cb;
    void *ctx;
};

struct twitch *twitch_create(const struct twitch_options *options)
{
    struct twitch *t = xcalloc(1, sizeof(*t));

    t->options = *options;
    return t;
}

void twitch_destroy(struct twitch *t)
{
    free(t);
}

void twitch_cancel(struct twitch_call *call)
{
    http_cancel(call->request);
    free(call);
}

static void on_answer(void *ctx, const struct http_answer *answer, const struct err *err)
{
    struct twitch_call *call = ctx;
    const struct twitch_call done = *call;
    struct twitch_answer read;

    free(call);
    twitch_answer_read(done.kind, done.may_be_twice, answer, err, &read);
    done.cb(done.ctx, &read.outcome);
    twitch_answer_finish(&read);
}

static bool may_send(void *ctx)
{
    const struct twitch_call *call = ctx;

    return call->may_send(call->ctx);
}

static struct twitch_call *begin(struct twitch *t, struct http_ask *ask, enum twitch_kind kind,
                                 twitch_cb cb, void *ctx)
{
    struct twitch_call *call = xcalloc(1, sizeof(*call));

    call->kind = kind;
    call->may_be_twice = ask->may_be_twice;
    call->cb = cb;
    call->ctx = ctx;
    call->may_send = ask->may_send;
    ask->may_send = call->may_send != NULL ? may_send : NULL;
    ask->tries = ask->tries != 0 ? ask->tries : GET_TRIES;
    call->request = http_begin(t->options.http, ask, on_answer, call);
    return call;
}

/* "name=value" of a form or a query, if there is a value (WHATWG URL, 5.2). */
static void add_pair(struct buf *out, const char *name, const char *value)
{
    if (value == NULL) {
        return;
    }
    char *escaped = curl_easy_escape(NULL, value, 0);
    BUG_ON(escaped == NULL); /* no memory */
    buf_printf(out, "%s%s=%s", out->len > 0 ? "&" : "", name, escaped);
    explicit_bzero(escaped, strlen(escaped));
    curl_free(escaped);
}

/* id.twitch.tv --------------------------------------------------------------------------------- */

/* A form of up to two fields beside those of the application. */
struct form {
    const char *path;      /* behind /oauth2/ */
    const char *client_id; /* NULL: ours */
    const char *grant_type;
    const char *name[2];
    const char *value[2];
    bool with_secret;
    bool may_be_twice;
};

static struct twitch_call *post_form(struct twitch *t, const struct form *form,
                                     enum twitch_kind kind, twitch_cb cb, void *ctx)
{
    char *url = xasprintf("%s/oauth2/%s", t->options.id_url, form->path);
    struct buf body;

    buf_init(&body, REQUEST_MAX);
    add_pair(&body, "client_id", form->client_id != NULL ? form->client_id : t->options.client_id);
    add_pair(&body, "client_secret", form->with_secret ? t->options.client_secret : NULL);
    add_pair(&body, "grant_type", form->grant_type);
    for (size_t i = 0; i < ARRAY_LEN(form->name) && form->name[i] != NULL; i++) {
        add_pair(&body, form->name[i], form->value[i]);
    }
    struct http_ask ask = {.method = "POST",
                           .url = url,
                           .content_type = FORM,
                           .body = buf_slice(&body),
                           .may_be_twice = form->may_be_twice};
    struct twitch_call *call = begin(t, &ask, kind, cb, ctx);
    buf_wipe(&body);
    free(url);
    return call;
}

struct twitch_call *twitch_refresh(struct twitch *t, const char *refresh_token, twitch_cb cb,
                                   void *ctx)
{
    const struct form form = {.path = "token",
                              .grant_type = "refresh_token",
                              .name = {"refresh_token"},
                              .value = {refresh_token},
                              .with_secret = true};
    return post_form(t, &form, TWITCH_TOKENS, cb, ctx);
}

struct twitch_call *twitch_device(struct twitch *t, const char *scopes, twitch_cb cb, void *ctx)
{
    const struct form form = {
        .path = "device", .name = {"scopes"}, .value = {scopes}, .may_be_twice = true};
    return post_form(t, &form, TWITCH_DEVICE, cb, ctx);
}

struct twitch_call *twitch_device_tokens(struct twitch *t, const char *device_code,
                                         const char *scopes, twitch_cb cb, void *ctx)
{
    const struct form form = {.path = "token",
                              .grant_type = DEVICE_GRANT,
                              .name = {"device_code", "scopes"},
                              .value = {device_code, scopes},
                              .with_secret = true};
    return post_form(t, &form, TWITCH_TOKENS, cb, ctx);
}

struct twitch_call *twitch_app_token(struct twitch *t, twitch_cb cb, void *ctx)
{
    const struct form form = {.path = "token",
                              .grant_type = "client_credentials",
                              .with_secret = true,
                              .may_be_twice = true};
    return post_form(t, &form, TWITCH_TOKENS, cb, ctx);
}

struct twitch_call *twitch_revoke(struct twitch *t, const char *client_id, const char *token,
                                  twitch_cb cb, void *ctx)
{
    const struct form form = {.path = "revoke",
                              .client_id = client_id,
                              .name = {"token"},
                              .value = {token},
                              .may_be_twice = true};
    return post_form(t, &form, TWITCH_NOTHING, cb, ctx);
}

struct twitch_call *twitch_validate(struct twitch *t, const char *token, twitch_cb cb, void *ctx)
{
    char *url = xasprintf("%s/oauth2/validate", t->options.id_url);
    char *authorization = xasprintf("OAuth %s", token);
    struct http_ask ask = {
        .method = "GET", .url = url, .authorization = authorization, .may_be_twice = true};
    struct twitch_call *call = begin(t, &ask, TWITCH_VALIDATION, cb, ctx);

    explicit_bzero(authorization, strlen(authorization));
    free(authorization);
    free(url);
    return call;
}

/* api.twitch.tv -------------------------------------------------------------------------------- */

static struct twitch_call *ask_helix(struct twitch *t, const struct twitch_caller *caller,
                                     struct http_ask *ask, enum twitch_kind kind, twitch_cb cb,
                                     void *ctx)
{
    char *authorization = xasprintf("Bearer %s", caller->token);

    ask->authorization = authorization;
    ask->client_id = caller->client_id;
    struct twitch_call *call = begin(t, ask, kind, cb, ctx);
    explicit_bzero(authorization, strlen(authorization));
    free(authorization);
    return call;
}

struct twitch_call *twitch_users(struct twitch *t, const struct twitch_caller *caller,
                                 const char *const *logins, size_t n, twitch_cb cb, void *ctx)
{
    struct buf query;

    BUG_ON(n == 0 || n > TWITCH_USERS_MAX);
    buf_init(&query, REQUEST_MAX);
    for (size_t i = 0; i < n; i++) {
        add_pair(&query, "login", logins[i]);
    }
    char *url = xasprintf("%s/helix/users?%s", t->options.api_url, query.data);
    struct http_ask ask = {.method = "GET", .url = url, .may_be_twice = true, .tries = 1};
    struct twitch_call *call = ask_helix(t, caller, &ask, TWITCH_USERS, cb, ctx);
    buf_finish(&query);
    free(url);
    return call;
}

struct twitch_call *twitch_say(struct twitch *t, const struct twitch_caller *caller,
                               const struct twitch_message *message, twitch_cb cb, void *ctx)
{
    char *url = xasprintf("%s/helix/chat/messages", t->options.api_url);
    struct buf body;
    struct json j;

    buf_init(&body, REQUEST_MAX);
    json_init(&j, &body);
    json_object_begin(&j, NULL);
    json_string(&j, "broadcaster_id", message->broadcaster_id);
    json_string(&j, "sender_id", message->sender_id);
    json_slice(&j, "message", message->text);
    if (message->reply_to != NULL) {
        json_string(&j, "reply_parent_message_id", message->reply_to);
    }
    json_object_end(&j);
    struct http_ask ask = {.method = "POST",
                           .url = url,
                           .content_type = "application/json",
                           .body = buf_slice(&body),
                           .tries = 1,
                           .timeout_ms = message->timeout_ms,
                           .may_send = message->may_send};
    struct twitch_call *call = ask_helix(t, caller, &ask, TWITCH_SAID, cb, ctx);
    buf_finish(&body);
    free(url);
    return call;
}
