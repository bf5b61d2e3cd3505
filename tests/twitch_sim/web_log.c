/* Counters in a hash: of a path, and (with the path before it) of a grant type. Times of tokens are
 * told by the wall's clock. */
#include "tests/twitch_sim/web_log.h"

#include "tests/twitch_sim/token.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATHS_MAX  64 /* further ones are counted as "other" */
#define HASH_BYTES 6  /* of a token's SHA-256 that are shown */

struct web_count {
    char name[64];
    uint64_t total;
    uint64_t carried_out;
    struct web_count *grants; /* of /oauth2/token */
    UT_hash_handle hh;
};

static struct web_count *count(struct web_count **counts, struct slice what, bool carried_out)
{
    struct web_count *c;
    char name[64];

    (void)snprintf(name, sizeof(name), "%.*s", (int)(what.len < 64 ? what.len : 63), what.ptr);
    HASH_FIND_STR(*counts, name, c);
    if (c == NULL && HASH_COUNT(*counts) >= PATHS_MAX) {
        (void)snprintf(name, sizeof(name), "other");
        HASH_FIND_STR(*counts, name, c);
    }
    if (c == NULL) {
        c = xcalloc(1, sizeof(*c));
        memcpy(c->name, name, sizeof(name));
        HASH_ADD_STR(*counts, name, c);
    }
    c->total++;
    c->carried_out += carried_out;
    return c;
}

void web_log_note(struct web_count **counts, const struct web_request *r, bool carried_out)
{
    struct web_count *c = count(counts, r->path, carried_out);
    char grant[WEB_VALUE_MAX];

    if (slice_is(r->path, "/oauth2/token")) {
        (void)web_param(r, "grant_type", grant);
        (void)count(&c->grants, slice_of(grant), carried_out);
    }
}

static void write_counts(const struct web_count *counts, const char *key, struct json *out)
{
    json_object_begin(out, key);
    for (const struct web_count *c = counts; c != NULL; c = c->hh.next) {
        json_object_begin(out, c->name);
        json_number(out, "total", (int64_t)c->total);
        json_number(out, "carried_out", (int64_t)c->carried_out);
        if (c->grants != NULL) {
            write_counts(c->grants, "grants", out);
        }
        json_object_end(out);
    }
    json_object_end(out);
}

/* Enough to tell tokens apart, nothing to log in with. */
static void short_hash(const char *token, char out[2 * HASH_BYTES + 1])
{
    unsigned char digest[EVP_MAX_MD_SIZE];

    BUG_ON(EVP_Digest(token, strlen(token), digest, NULL, EVP_sha256(), NULL) != 1);
    for (size_t i = 0; i < HASH_BYTES; i++) {
        (void)snprintf(out + 2 * i, 3, "%02x", digest[i]);
    }
}

/* By the wall's clock; 0: never. */
static void write_time(struct json *out, const char *name, uint64_t mono)
{
    uint64_t at = mono == 0 ? 0 : wall_now().ms + mono - mono_ms();

    json_number(out, name, (int64_t)(mono == TOKEN_NEVER ? 0 : at));
}

static void write_access_tokens(const struct tokens *t, struct json *out)
{
    char hash[2 * HASH_BYTES + 1];

    json_array_begin(out, "access_tokens");
    for (const struct token *token = t->access; token != NULL; token = token->hh.next) {
        short_hash(token->text, hash);
        json_object_begin(out, NULL);
        json_string(out, "hash", hash);
        json_string(out, "login", token->login);
        json_string(out, "client", token->app->id);
        write_time(out, "made_ms", token->made);
        write_time(out, "ends_ms", token->ends);
        json_bool(out, "revoked", token->revoked);
        json_number(out, "dead_logins", (int64_t)token->dead_logins);
        write_time(out, "dead_login_ms", token->dead_login_at);
        json_object_end(out);
    }
    json_array_end(out);
}

void web_log_write(const struct web_count *counts, const struct tokens *t, struct json *out)
{
    char hash[2 * HASH_BYTES + 1];

    write_counts(counts, "requests", out);
    if (t == NULL) {
        return;
    }
    write_access_tokens(t, out);
    json_array_begin(out, "refresh_tokens");
    for (const struct refresh *r = t->refresh; r != NULL; r = r->hh.next) {
        short_hash(r->text, hash);
        json_object_begin(out, NULL);
        json_string(out, "hash", hash);
        json_string(out, "login", r->login);
        json_string(out, "client", r->app->id);
        json_bool(out, "dead", r->dead);
        json_number(out, "used", (int64_t)r->used);
        write_time(out, "used_ms", r->used_at);
        json_number(out, "refused", (int64_t)r->refused);
        write_time(out, "refused_ms", r->refused_at);
        json_object_end(out);
    }
    json_array_end(out);
    json_number(out, "unknown_refresh_tokens", (int64_t)t->unknown_refused);
}

void web_log_finish(struct web_count **counts)
{
    struct web_count *c;
    struct web_count *next;

    HASH_ITER(hh, *counts, c, next)
    {
        HASH_DEL(*counts, c);
        web_log_finish(&c->grants);
        free(c);
    }
}
