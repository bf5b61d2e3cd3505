/* Accounts in a hash by login; what a user did in a channel in a hash inside the user. */
#include "tests/twitch_sim/user.h"

#include "tests/twitch_sim/rng.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *violation_name(enum violation v)
{
    static const char *const names[] = {
#define X(code, name) name,
        VIOLATION_TABLE(X)
#undef X
    };

    return names[v];
}

uint64_t user_id_of(const char *login)
{
    return 100000000 + fnv(FNV_START, login, strlen(login)) % 900000000;
}

void user_display(const char *login, char display[LOGIN_CHARS])
{
    (void)snprintf(display, LOGIN_CHARS, "%s", login);
    if (display[0] >= 'a' && display[0] <= 'z') {
        display[0] = (char)(display[0] - 'a' + 'A');
    }
}

struct user *user_find(struct user *users, const char *login)
{
    struct user *u;

    HASH_FIND_STR(users, login, u);
    return u;
}

struct user *user_by_id(struct user *users, const char *id)
{
    struct user *u = NULL;
    uint64_t n;

    if (slice_to_u64(slice_of(id), &n)) {
        for (u = users; u != NULL && u->id != n; u = u->hh.next) {
        }
    }
    return u;
}

struct user *user_put(struct user **users, const char *login, const char *token, bool verified)
{
    static const char *const colors[] = {"#FF0000", "#0000FF", "#008000", "#B22222",
                                         "#FF7F50", "#9ACD32", "#FF4500", "#2E8B57"};
    struct user *u = user_find(*users, login);

    if (!u) {
        u = xcalloc(1, sizeof(*u));
        snprintf(u->login, sizeof(u->login), "%s", login);
        user_display(u->login, u->display);
        u->id = user_id_of(login);
        snprintf(u->color, sizeof(u->color), "%s", colors[u->id % ARRAY_LEN(colors)]);
        HASH_ADD_STR(*users, login, u);
    }
    if (token) {
        free(u->token);
        u->token = xstrdup(token);
    }
    u->verified = verified;
    u->revoked = false;
    return u;
}

struct user_room *user_room(struct user *u, const char *channel, bool make)
{
    struct user_room *r;

    HASH_FIND_STR(u->in, channel, r);
    if (!r && make) {
        r = xcalloc(1, sizeof(*r));
        snprintf(r->channel, sizeof(r->channel), "%s", channel);
        HASH_ADD_STR(u->in, channel, r);
    }
    return r;
}

void user_raise(struct user *u, const char *channels, bool moderator)
{
    char *copy = xstrdup(channels);
    char *save = NULL;

    for (char *c = strtok_r(copy, ",", &save); c; c = strtok_r(NULL, ",", &save)) {
        struct user_room *r = user_room(u, c[0] == '#' ? c + 1 : c, true);

        r->moderator = moderator;
        r->vip = !moderator;
    }
    free(copy);
}

bool user_is_moderator(struct user *u, const char *channel)
{
    struct user_room *r = user_room(u, channel, false);

    return strcmp(u->login, channel) == 0 || (r && r->moderator);
}

const char *user_badges(struct user *u, const char *channel)
{
    struct user_room *r = user_room(u, channel, false);

    if (strcmp(u->login, channel) == 0) {
        return "broadcaster/1";
    }
    return r && r->moderator ? "moderator/1" : r && r->vip ? "vip/1" : "";
}

bool user_repeats(struct user_room *r, struct slice text, uint64_t now, uint64_t window_ms)
{
    uint64_t hash = fnv(FNV_START, text.ptr, text.len);
    struct said **at = &r->said;
    struct said *s;

    if (window_ms == LIMIT_OFF) {
        return false;
    }
    while ((s = *at)) {
        if (s->at + window_ms <= now) {
            *at = s->next;
            free(s);
        } else if (s->hash == hash) {
            return true;
        } else {
            at = &s->next;
        }
    }
    s = xcalloc(1, sizeof(*s));
    s->hash = hash;
    s->at = now;
    s->next = r->said;
    r->said = s;
    return false;
}

/* One line of the file; false if it is not understood. */
static bool load_line(struct user **users, char *line)
{
    char *save = NULL;
    char *login;
    char *token;
    char *word;
    struct user *u;

    line[strcspn(line, "#\r\n")] = '\0';
    login = strtok_r(line, " \t", &save);
    if (!login) {
        return true;
    }
    token = strtok_r(NULL, " \t", &save);
    if (!token || strlen(login) >= LOGIN_CHARS) {
        return false;
    }
    u = user_put(users, login, strncmp(token, "oauth:", 6) == 0 ? token + 6 : token, false);
    while ((word = strtok_r(NULL, " \t", &save))) {
        if (strcmp(word, "verified") == 0) {
            u->verified = true;
        } else if (strncmp(word, "mod=", 4) == 0 || strncmp(word, "vip=", 4) == 0) {
            user_raise(u, word + 4, word[0] == 'm');
        } else {
            return false;
        }
    }
    return true;
}

int user_load(struct user **users, const char *path, struct err *err)
{
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t cap = 0;
    int number = 0;
    int rc = 0;

    if (!file) {
        return err_set(err, ERR_USAGE, "users file %s: %s", path, strerror(errno));
    }
    while (rc == 0 && getline(&line, &cap, file) >= 0) {
        number++;
        if (!load_line(users, line)) {
            rc = err_set(err, ERR_USAGE,
                         "%s:%d: expected \"login token [verified] [mod=a,b] [vip=a,b]\"", path,
                         number);
        }
    }
    free(line);
    fclose(file);
    return rc;
}

static void user_free(struct user *u)
{
    struct user_room *r;
    struct user_room *next;

    HASH_ITER(hh, u->in, r, next)
    {
        while (r->said) {
            struct said *s = r->said;

            r->said = s->next;
            free(s);
        }
        HASH_DEL(u->in, r);
        free(r);
    }
    window_finish(&u->logins);
    window_finish(&u->joins);
    window_finish(&u->messages);
    window_finish(&u->messages_all);
    free(u->token);
    free(u);
}

void user_free_all(struct user **users)
{
    struct user *u;
    struct user *next;

    HASH_ITER(hh, *users, u, next)
    {
        HASH_DEL(*users, u);
        user_free(u);
    }
}
