/* Tokens: `login = token` lines, kept in memory that is wiped. */
#include "node/tokens.h"

#include "shared/buf.h"
#include "shared/file.h"
#include "shared/irc/parse.h"
#include "shared/log.h"
#include "shared/pairs.h"

#include <stdlib.h>
#include <string.h>

#define TOKEN_CHARS    513
#define ENDS_EARLY_MS  2000 /* Twitch rounds to seconds, and a login takes a moment */
#define SECRET_CHARS   "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
#define FILE_MAX_BYTES ((size_t)1 << 20)

struct token {
    char login[IRC_CHANNEL_CHARS];
    char secret[TOKEN_CHARS];
    uint64_t ends_ms;
};

struct tokens {
    struct token *list;
    size_t n;
    size_t room; /* of the list */
    struct buf users;
    const char *path; /* while reading */
    bool exposed;     /* others than its owner may read the file */
};

/* Neither side is repeated: in a line `token = login` the token stands where the login belongs. */
static int on_pair(void *ctx, const char *key, const char *value, size_t line, struct err *err)
{
    struct tokens *t = ctx;
    char login[IRC_CHANNEL_CHARS];

    if (!irc_channel_normalise(slice_of(key), login, sizeof(login))) {
        return err_set(err, ERR_USAGE,
                       "%s:%zu: what stands before the = is not a Twitch login; a line is "
                       "`login = token`",
                       t->path, line);
    }
    if (strncmp(value, "oauth:", 6) == 0) {
        value += 6;
    }
    size_t len = strlen(value);
    if (len == 0 || len >= TOKEN_CHARS || strspn(value, SECRET_CHARS) != len) {
        return err_set(err, ERR_USAGE,
                       "%s:%zu: the token of %s is empty or has characters no token has", t->path,
                       line, login);
    }
    if (tokens_get(t, slice_of(login)).len > 0) {
        return err_set(err, ERR_USAGE, "%s:%zu: %s is there twice", t->path, line, login);
    }
    if (t->n == TOKENS_MAX) {
        return err_set(err, ERR_USAGE, "%s has over %d users", t->path, TOKENS_MAX);
    }
    tokens_put(t, login, value, UINT64_MAX);
    return 0;
}

static struct tokens *create(void)
{
    struct tokens *t = xcalloc(1, sizeof(*t));

    buf_init(&t->users, (size_t)TOKENS_MAX * IRC_CHANNEL_CHARS);
    return t;
}

/* Not by realloc, which may leave a copy of the tokens behind. */
static void grow(struct tokens *t)
{
    size_t bytes = t->n * sizeof(*t->list);
    struct token *old = t->list;

    t->room = t->room == 0 ? 4 : 2 * t->room;
    t->list = xcalloc(t->room, sizeof(*t->list));
    if (old != NULL) {
        memcpy(t->list, old, bytes);
        explicit_bzero(old, bytes);
        free(old);
    }
}

struct tokens *tokens_copy(const struct tokens *t)
{
    struct tokens *copy = create();

    for (size_t i = 0; i < t->n; i++) {
        tokens_put(copy, t->list[i].login, t->list[i].secret, t->list[i].ends_ms);
    }
    return copy;
}

void tokens_put(struct tokens *t, const char *login, const char *token, uint64_t ends_ms)
{
    size_t len = strlen(token);
    size_t i = 0;

    while (i < t->n && strcmp(t->list[i].login, login) != 0) {
        i++;
    }
    bool is_new = i == t->n;
    if (len >= TOKEN_CHARS || strlen(login) >= IRC_CHANNEL_CHARS ||
        (is_new && t->n == TOKENS_MAX)) {
        return;
    }
    if (i == t->room) {
        grow(t);
    }
    struct token *at = &t->list[i];
    explicit_bzero(at, sizeof(*at));
    memcpy(at->login, login, strlen(login));
    memcpy(at->secret, token, len);
    at->ends_ms = ends_ms;
    if (is_new) {
        t->n++;
        buf_printf(&t->users, "%s%s", t->users.len > 0 ? "," : "", login);
    }
}

int tokens_parse(struct slice content, const char *path, struct tokens **out, struct err *err)
{
    struct tokens *t = create();

    t->path = path;
    int rc = pairs_parse(content, path, "login = token", on_pair, t, err);
    t->path = NULL;
    if (rc != 0) {
        tokens_destroy(t);
        return rc;
    }
    *out = t;
    return 0;
}

static int tokens_read(const char *path, struct tokens **out, struct err *err)
{
    struct file file;

    if (path == NULL) {
        return tokens_parse((struct slice){"", 0}, "", out, err);
    }
    if (file_read(path, "a tokens file", FILE_MAX_BYTES, &file, err) != 0) {
        return err_set(err, ERR_USAGE, "%s", err != NULL ? err->text : "");
    }
    int rc = tokens_parse((struct slice){file.text, file.len}, path, out, err);
    if (rc == 0) {
        (*out)->exposed = !file_is_secret(&file);
    }
    file_finish(&file);
    return rc;
}

int tokens_load(const char *path, struct tokens **out, struct err *err)
{
    int rc = tokens_read(path, out, err);

    if (rc == 0 && (*out)->exposed) {
        log_warn("tokens", "tokens.readable", "file", path, "mend", "chmod 600", NULL);
    }
    return rc;
}

int tokens_check(const char *path, struct err *err)
{
    struct tokens *t = NULL;
    int rc = tokens_read(path, &t, err);

    tokens_destroy(t);
    return rc;
}

void tokens_destroy(struct tokens *t)
{
    if (t == NULL) {
        return;
    }
    if (t->list != NULL) {
        explicit_bzero(t->list, t->n * sizeof(*t->list));
    }
    free(t->list);
    buf_finish(&t->users);
    free(t);
}

static const struct token *find(const struct tokens *t, struct slice login)
{
    for (size_t i = 0; i < t->n; i++) {
        if (slice_is(login, t->list[i].login)) {
            return &t->list[i];
        }
    }
    return NULL;
}

struct slice tokens_get(const struct tokens *t, struct slice login)
{
    const struct token *token = find(t, login);

    return token != NULL ? slice_of(token->secret) : (struct slice){NULL, 0};
}

bool tokens_are_over(uint64_t ends_ms)
{
    return mono_ms() + ENDS_EARLY_MS >= ends_ms;
}

bool tokens_ended(const struct tokens *t, struct slice login)
{
    const struct token *token = find(t, login);

    return token != NULL && tokens_are_over(token->ends_ms);
}

const char *tokens_users(const struct tokens *t)
{
    return t->users.data != NULL ? t->users.data : "";
}

bool tokens_equal(const struct tokens *a, const struct tokens *b)
{
    size_t same = 0;

    while (same < a->n && same < b->n && strcmp(a->list[same].login, b->list[same].login) == 0 &&
           strcmp(a->list[same].secret, b->list[same].secret) == 0 &&
           a->list[same].ends_ms == b->list[same].ends_ms) {
        same++;
    }
    return a->n == b->n && same == a->n;
}
