/* Tokens in hashes by their text. */
#include "tests/twitch_sim/token.h"

#include "tests/twitch_sim/device.h"

#include "shared/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tokens *tokens_create(void)
{
    struct tokens *t = xcalloc(1, sizeof(*t));

    (void)tokens_put_app(t, TOKEN_OWN_APP, NULL);
    return t;
}

void tokens_destroy(struct tokens *t)
{
    struct application *app;
    struct application *next_app;
    struct token *token;
    struct token *next_token;
    struct refresh *refresh;
    struct refresh *next_refresh;

    HASH_ITER(hh, t->apps, app, next_app)
    {
        HASH_DEL(t->apps, app);
        free(app);
    }
    HASH_ITER(hh, t->access, token, next_token)
    {
        HASH_DEL(t->access, token);
        free(token->scopes);
        free(token);
    }
    HASH_ITER(hh, t->refresh, refresh, next_refresh)
    {
        HASH_DEL(t->refresh, refresh);
        free(refresh->scopes);
        free(refresh);
    }
    devices_finish(t);
    free(t);
}

const struct application *tokens_put_app(struct tokens *t, const char *id, const char *secret)
{
    struct application *app;

    HASH_FIND_STR(t->apps, id, app);
    if (app == NULL) {
        app = xcalloc(1, sizeof(*app));
        (void)snprintf(app->id, sizeof(app->id), "%s", id);
        HASH_ADD_STR(t->apps, id, app);
    }
    (void)snprintf(app->secret, sizeof(app->secret), "%s", secret != NULL ? secret : "");
    return app;
}

const struct application *tokens_app(const struct tokens *t, const char *id)
{
    struct application *app;

    HASH_FIND_STR(t->apps, id, app);
    return app;
}

bool scopes_have(const char *scopes, const char *scope)
{
    size_t len = strlen(scope);

    for (const char *at = scopes; (at = strstr(at, scope)) != NULL; at += len) {
        if ((at == scopes || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0')) {
            return true;
        }
    }
    return false;
}

/* With one blank between, each once. */
static char *tidy_scopes(const char *scopes)
{
    char *copy = xstrdup(scopes);
    char *save = NULL;
    struct buf out;

    buf_init(&out, SIZE_MAX / 2);
    buf_append_str(&out, "");
    for (char *s = strtok_r(copy, " ,", &save); s != NULL; s = strtok_r(NULL, " ,", &save)) {
        if (out.len == 0 || !scopes_have(out.data, s)) {
            buf_printf(&out, "%s%s", out.len > 0 ? " " : "", s);
        }
    }
    free(copy);
    return out.data != NULL ? out.data : xstrdup("");
}

static const struct token *add_access(struct tokens *t, const struct application *app,
                                      const char *login, const char *scopes, uint64_t ends,
                                      uint64_t now)
{
    struct token *token = xcalloc(1, sizeof(*token));

    random_hex(token->text, 15);
    token->app = app;
    (void)snprintf(token->login, sizeof(token->login), "%s", login);
    token->scopes = xstrdup(scopes);
    token->made = now;
    token->ends = ends;
    HASH_ADD_STR(t->access, text, token);
    return token;
}

static const struct refresh *add_refresh(struct tokens *t, const struct application *app,
                                         const char *login, const char *scopes)
{
    struct refresh *refresh = xcalloc(1, sizeof(*refresh));

    random_hex(refresh->text, 25);
    refresh->app = app;
    (void)snprintf(refresh->login, sizeof(refresh->login), "%s", login);
    refresh->scopes = xstrdup(scopes);
    HASH_ADD_STR(t->refresh, text, refresh);
    return refresh;
}

static uint64_t end_of(const struct tokens *t, uint64_t ttl_ms, uint64_t usual_ms, uint64_t now)
{
    return now + (ttl_ms != 0 ? ttl_ms : t->ttl_ms != 0 ? t->ttl_ms : usual_ms);
}

struct issued tokens_grant(struct tokens *t, const struct application *app, const char *login,
                           const char *scopes, uint64_t ttl_ms, uint64_t now)
{
    char *tidy = tidy_scopes(scopes);
    uint64_t ends = end_of(t, ttl_ms, TOKEN_USER_TTL, now);
    struct issued out = {.access = add_access(t, app, login, tidy, ends, now),
                         .refresh = add_refresh(t, app, login, tidy)};

    free(tidy);
    return out;
}

struct issued tokens_for_app(struct tokens *t, const struct application *app, uint64_t now)
{
    return (struct issued){.access =
                               add_access(t, app, "", "", end_of(t, 0, TOKEN_APP_TTL, now), now)};
}

bool tokens_refresh(struct tokens *t, const struct application *app, const char *text, uint64_t now,
                    struct issued *out)
{
    struct refresh *r;

    HASH_FIND_STR(t->refresh, text, r);
    if (r == NULL) {
        t->unknown_refused++;
        return false;
    }
    if (r->dead || r->app != app) {
        r->refused++;
        r->refused_at = now;
        return false;
    }
    r->used++;
    r->used_at = now;
    r->dead = app->secret[0] == '\0';
    out->refresh = r->dead ? add_refresh(t, app, r->login, r->scopes) : r;
    out->access = add_access(t, app, r->login, r->scopes, end_of(t, 0, TOKEN_USER_TTL, now), now);
    return true;
}

static bool is_good(const struct token *token, uint64_t now)
{
    return !token->revoked && now < token->ends;
}

const struct token *tokens_find(const struct tokens *t, const char *text, uint64_t now)
{
    struct token *token;

    HASH_FIND_STR(t->access, text, token);
    return token != NULL && is_good(token, now) ? token : NULL;
}

void tokens_note_dead_login(struct tokens *t, const char *text, uint64_t now)
{
    struct token *token;

    HASH_FIND_STR(t->access, text, token);
    if (token != NULL && !is_good(token, now)) {
        token->dead_logins++;
        token->dead_login_at = now;
    }
}

bool tokens_revoke(struct tokens *t, const struct application *app, const char *text, uint64_t now)
{
    struct token *token;
    struct refresh *refresh;

    HASH_FIND_STR(t->refresh, text, refresh);
    if (refresh != NULL && refresh->app == app && !refresh->dead) {
        refresh->dead = true;
        return true;
    }
    HASH_FIND_STR(t->access, text, token);
    if (token == NULL || token->app != app || !is_good(token, now)) {
        return false;
    }
    token->revoked = true;
    return true;
}

size_t tokens_expire(struct tokens *t, const char *text_or_login, uint64_t now)
{
    size_t n = 0;

    for (struct token *token = t->access; token != NULL; token = token->hh.next) {
        if (is_good(token, now) &&
            (strcmp(token->text, text_or_login) == 0 || strcmp(token->login, text_or_login) == 0)) {
            token->ends = now;
            n++;
        }
    }
    return n;
}

void tokens_disconnect(struct tokens *t, const char *login)
{
    for (struct token *token = t->access; token != NULL; token = token->hh.next) {
        token->revoked = token->revoked || strcmp(token->login, login) == 0;
    }
    for (struct refresh *r = t->refresh; r != NULL; r = r->hh.next) {
        r->dead = r->dead || strcmp(r->login, login) == 0;
    }
}

bool tokens_granted(const struct tokens *t, const struct application *app, const char *login,
                    const char *scope)
{
    for (const struct refresh *r = t->refresh; r != NULL; r = r->hh.next) {
        if (!r->dead && r->app == app && strcmp(r->login, login) == 0 &&
            scopes_have(r->scopes, scope)) {
            return true;
        }
    }
    return false;
}

uint64_t token_seconds_left(uint64_t ends, uint64_t now)
{
    return ends == TOKEN_NEVER ? 0 : ends > now ? (ends - now + 999) / 1000 : 1;
}
