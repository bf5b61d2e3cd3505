/* What id.twitch.tv answers. Parameters come in a form or in the query; both are in use. */
#include "tests/twitch_sim/oauth.h"

#include "tests/twitch_sim/bearer.h"
#include "tests/twitch_sim/device.h"

#include <stdio.h>
#include <string.h>

#define VERIFICATION_URI "https://www.twitch.tv/activate?public=true&device-code="
#define DEVICE_GRANT     "urn:ietf:params:oauth:grant-type:device_code"

static void write_scopes(struct json *j, const char *key, const char *scopes)
{
    json_array_begin(j, key);
    while (*scopes != '\0') {
        size_t len = strcspn(scopes, " ");

        json_slice(j, NULL, (struct slice){scopes, len});
        scopes += len + strspn(scopes + len, " ");
    }
    json_array_end(j);
}

void oauth_validate(struct sim *s, const struct web_request *r, struct web_answer *a)
{
    char text[TOKEN_CHARS];
    char id[24];
    struct bearer who;

    if (!bearer_of_header(r->authorization, text)) {
        web_answer_refuse(a, 401, "missing authorization token");
        return;
    }
    if (!bearer_find(s, text, &who)) {
        web_answer_refuse(a, 401, "invalid access token");
        return;
    }
    json_object_begin(&a->json, NULL);
    json_string(&a->json, "client_id", who.app->id);
    if (who.user != NULL) {
        (void)snprintf(id, sizeof(id), "%llu", (unsigned long long)who.user->id);
        json_string(&a->json, "login", who.user->login);
        json_string(&a->json, "user_id", id);
    }
    write_scopes(&a->json, "scopes", who.scopes);
    json_number(&a->json, "expires_in", (int64_t)token_seconds_left(who.ends, mono_ms()));
    json_object_end(&a->json);
}

/* A parameter that must be there. */
static bool need(const struct web_request *r, struct web_answer *a, const char *name,
                 const char *called, char value[WEB_VALUE_MAX])
{
    char text[80];

    if (web_param(r, name, value)) {
        return true;
    }
    (void)snprintf(text, sizeof(text), "missing %s", called);
    web_answer_refuse(a, 400, text);
    return false;
}

/* The application that asks, else NULL: refused. */
static const struct application *need_app(struct sim *s, const struct web_request *r,
                                          struct web_answer *a, unsigned unknown_status,
                                          const char *unknown)
{
    char id[WEB_VALUE_MAX];

    if (!need(r, a, "client_id", "client id", id)) {
        return NULL;
    }
    const struct application *app = tokens_app(s->tokens, id);
    if (app == NULL) {
        web_answer_refuse(a, unknown_status, unknown);
    }
    return app;
}

/* The secret of a confidential client; a public one has none, and need not say so. */
static bool need_secret(const struct application *app, const struct web_request *r,
                        struct web_answer *a)
{
    char secret[WEB_VALUE_MAX];

    if (!need(r, a, "client_secret", "client secret", secret)) {
        return false;
    }
    if (app->secret[0] == '\0' || strcmp(secret, app->secret) != 0) {
        web_answer_refuse(a, 403, "invalid client secret");
        return false;
    }
    return true;
}

static void write_tokens(struct web_answer *a, const struct issued *tokens)
{
    json_object_begin(&a->json, NULL);
    json_string(&a->json, "access_token", tokens->access->text);
    json_number(&a->json, "expires_in",
                (int64_t)token_seconds_left(tokens->access->ends, mono_ms()));
    if (tokens->refresh != NULL) {
        json_string(&a->json, "refresh_token", tokens->refresh->text);
        write_scopes(&a->json, "scope", tokens->access->scopes);
    }
    json_string(&a->json, "token_type", "bearer");
    json_object_end(&a->json);
}

static void grant_refresh(struct sim *s, const struct application *app, const struct web_request *r,
                          struct web_answer *a)
{
    char text[WEB_VALUE_MAX];
    struct issued tokens;

    if (!need(r, a, "refresh_token", "refresh token", text) ||
        (app->secret[0] != '\0' && !need_secret(app, r, a))) {
        return;
    }
    if (tokens_refresh(s->tokens, app, text, mono_ms(), &tokens)) {
        write_tokens(a, &tokens);
    } else {
        web_answer_refuse_named(a, 400, "Invalid refresh token");
    }
}

static void grant_device(struct sim *s, const struct application *app, const struct web_request *r,
                         struct web_answer *a)
{
    static const char *const words[] = {
        [DEVICE_NOT_YET] = "authorization_pending", [DEVICE_SLOWER] = "slow_down",
        [DEVICE_REFUSED] = "access_denied",         [DEVICE_OVER] = "expired_token",
        [DEVICE_NONE] = "invalid device code",
    };
    char code[WEB_VALUE_MAX];
    char secret[WEB_VALUE_MAX];
    struct issued tokens;

    if (!need(r, a, "device_code", "device code", code)) {
        return;
    }
    /* A confidential client may say its secret here, and need not. */
    if (app->secret[0] != '\0' && web_param(r, "client_secret", secret) &&
        !need_secret(app, r, a)) {
        return;
    }
    enum device_word word =
        device_look(s->tokens, app, code, s->settings.limits.device_interval, mono_ms(), &tokens);
    if (word == DEVICE_TOKENS) {
        write_tokens(a, &tokens);
    } else {
        web_answer_refuse(a, 400, words[word]);
    }
}

static void grant_app(struct sim *s, const struct application *app, const struct web_request *r,
                      struct web_answer *a)
{
    if (need_secret(app, r, a)) {
        struct issued tokens = tokens_for_app(s->tokens, app, mono_ms());

        write_tokens(a, &tokens);
    }
}

void oauth_token(struct sim *s, const struct web_request *r, struct web_answer *a)
{
    static const struct {
        const char *type;
        void (*grant)(struct sim *s, const struct application *app, const struct web_request *r,
                      struct web_answer *a);
    } grants[] = {
        {"refresh_token", grant_refresh},
        {DEVICE_GRANT, grant_device},
        {"client_credentials", grant_app},
    };
    const struct application *app = need_app(s, r, a, 400, "invalid client");
    char type[WEB_VALUE_MAX];

    if (app == NULL || !need(r, a, "grant_type", "grant type", type)) {
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(grants); i++) {
        if (strcmp(type, grants[i].type) == 0) {
            grants[i].grant(s, app, r, a);
            return;
        }
    }
    web_answer_refuse(a, 400, "invalid grant type");
}

/* In whole seconds, at least one. */
static int64_t seconds_of(uint64_t ms)
{
    return ms == LIMIT_OFF ? 1 : (int64_t)(ms + 999) / 1000;
}

void oauth_device(struct sim *s, const struct web_request *r, struct web_answer *a)
{
    const struct limits *l = &s->settings.limits;
    const struct application *app = need_app(s, r, a, 400, "invalid client");
    char scopes[WEB_VALUE_MAX];
    char uri[sizeof(VERIFICATION_URI) + sizeof(((struct device *)NULL)->user_code)];

    if (app == NULL || !need(r, a, "scopes", "scopes", scopes)) {
        return;
    }
    const struct device *d = device_begin(s->tokens, app, scopes, l->device_life, mono_ms());
    (void)snprintf(uri, sizeof(uri), VERIFICATION_URI "%s", d->user_code);
    json_object_begin(&a->json, NULL);
    json_string(&a->json, "device_code", d->code);
    json_number(&a->json, "expires_in",
                l->device_life == LIMIT_OFF ? UINT32_MAX : seconds_of(l->device_life));
    json_number(&a->json, "interval", seconds_of(l->device_interval));
    json_string(&a->json, "user_code", d->user_code);
    json_string(&a->json, "verification_uri", uri);
    json_object_end(&a->json);
}

void oauth_revoke(struct sim *s, const struct web_request *r, struct web_answer *a)
{
    const struct application *app = need_app(s, r, a, 404, "client does not exist");
    char text[WEB_VALUE_MAX];

    if (app != NULL && need(r, a, "token", "oauth token", text) &&
        !tokens_revoke(s->tokens, app, text, mono_ms())) {
        web_answer_refuse(a, 400, "Invalid token");
    }
}
