/* Tokens: `login = token` lines, read by inih, kept in memory that is wiped. */
#include "node/tokens.h"

#include "shared/buf.h"
#include "shared/irc/parse.h"
#include "shared/log.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define TOKEN_CHARS 256

struct token {
    char login[IRC_CHANNEL_CHARS];
    char secret[TOKEN_CHARS];
};

struct tokens {
    struct token *list;
    size_t n;
    struct buf users;
    bool exposed;     /* others than its owner may read the file */
    const char *path; /* while reading */
    struct err *err;
};

static bool secret_is_valid(const char *text)
{
    size_t len = strlen(text);

    if (len == 0 || len >= TOKEN_CHARS) {
        return false;
    }
    return strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == len;
}

/* inih's callback: 1 goes on, 0 makes this line the bad one. */
static int on_pair(void *ctx, const char *section, const char *name, const char *value)
{
    struct tokens *t = ctx;
    char login[IRC_CHANNEL_CHARS];

    if (t->err->code != ERR_OK) {
        return 0;
    }
    if (section[0] != '\0') {
        err_set(t->err, ERR_USAGE, "%s has a section; it takes lines `login = token` alone",
                t->path);
        return 0;
    }
    if (!irc_channel_normalise(slice_of(name), login, sizeof(login))) {
        err_set(t->err, ERR_USAGE, "%s: \"%.40s\" is not a Twitch login", t->path, name);
        return 0;
    }
    if (strncmp(value, "oauth:", 6) == 0) {
        value += 6;
    }
    if (!secret_is_valid(value)) {
        err_set(t->err, ERR_USAGE, "%s: the token of %s is empty or has characters no token has",
                t->path, login);
        return 0;
    }
    if (tokens_get(t, slice_of(login)).len > 0) {
        err_set(t->err, ERR_USAGE, "%s: %s is there twice", t->path, login);
        return 0;
    }
    if (t->n == TOKENS_MAX) {
        err_set(t->err, ERR_USAGE, "%s has over %d users", t->path, TOKENS_MAX);
        return 0;
    }
    /* The list has its full size from the start: growing it would leave copies of tokens behind. */
    struct token *token = &t->list[t->n++];
    memcpy(token->login, login, sizeof(login));
    memcpy(token->secret, value, strlen(value) + 1);
    if (t->users.len > 0) {
        buf_append_char(&t->users, ',');
    }
    buf_append_str(&t->users, login);
    return 1;
}

static int tokens_read(struct tokens *t, const char *path, struct err *err)
{
    struct stat st;

    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return err_set(err, ERR_USAGE, "cannot read the tokens file %s: %s", path, strerror(errno));
    }
    if (fstat(fileno(file), &st) != 0 || !S_ISREG(st.st_mode)) {
        fclose(file);
        return err_set(err, ERR_USAGE, "the tokens file %s is not a file", path);
    }
    t->exposed = (st.st_mode & (S_IRWXG | S_IRWXO)) != 0;
    struct err inner = {0};
    t->path = path;
    t->err = &inner;
    int line = ini_parse_file(file, on_pair, t);
    t->err = NULL;
    fclose(file);
    if (inner.code != ERR_OK) {
        *err = inner;
        return -(int)inner.code;
    }
    if (line != 0) {
        return err_set(err, ERR_USAGE, "%s:%d: not a line `login = token`", path, line);
    }
    return 0;
}

static int tokens_create(const char *path, struct tokens **out, struct err *err)
{
    struct tokens *t = xcalloc(1, sizeof(*t));

    buf_init(&t->users, (size_t)TOKENS_MAX * IRC_CHANNEL_CHARS);
    t->list = xcalloc(path != NULL ? TOKENS_MAX : 1, sizeof(*t->list));
    if (path != NULL) {
        int rc = tokens_read(t, path, err);
        if (rc != 0) {
            tokens_destroy(t);
            return rc;
        }
    }
    *out = t;
    return 0;
}

int tokens_load(const char *path, struct tokens **out, struct err *err)
{
    int rc = tokens_create(path, out, err);

    if (rc == 0 && (*out)->exposed) {
        log_warn("tokens", "tokens.readable", "file", path, "mend", "chmod 600", NULL);
    }
    return rc;
}

int tokens_check(const char *path, struct err *err)
{
    struct tokens *t = NULL;
    int rc = tokens_create(path, &t, err);

    tokens_destroy(t);
    return rc;
}

void tokens_destroy(struct tokens *t)
{
    if (t == NULL) {
        return;
    }
    explicit_bzero(t->list, t->n * sizeof(*t->list));
    free(t->list);
    buf_finish(&t->users);
    free(t);
}

struct slice tokens_get(const struct tokens *t, struct slice login)
{
    for (size_t i = 0; i < t->n; i++) {
        if (slice_is(login, t->list[i].login)) {
            return slice_of(t->list[i].secret);
        }
    }
    return (struct slice){NULL, 0};
}

const char *tokens_users(const struct tokens *t)
{
    return t->users.data != NULL ? t->users.data : "";
}
