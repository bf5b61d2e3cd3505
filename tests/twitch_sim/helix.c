/* Helix: who may ask, how often, and who is who. */
#include "tests/twitch_sim/helix.h"

#include "tests/twitch_sim/room.h"
#include "tests/twitch_sim/web.h"

#include "shared/irc/parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define USERS_MAX 100

/* The points that a client has left for a user. */
struct meter {
    char key[TOKEN_CHARS + LOGIN_CHARS]; /* "client login" */
    struct bucket bucket;
    UT_hash_handle hh;
};

void helix_finish(struct meter **meters)
{
    struct meter *m;
    struct meter *next;

    HASH_ITER(hh, *meters, m, next)
    {
        HASH_DEL(*meters, m);
        free(m);
    }
}

static void write_meter(struct web_answer *a, const struct bucket_look *look)
{
    a->metered = true;
    a->limit = look->limit;
    a->remaining = look->remaining;
    a->reset_s = (wall_now().ms + look->full_in_ms + 999) / 1000;
}

/* One point for one request. */
static bool take_point(struct sim *s, const struct bearer *who, struct web_answer *a)
{
    struct bucket_look look;
    struct meter *m;
    char key[sizeof(m->key)];

    (void)snprintf(key, sizeof(key), "%s %s", who->app->id,
                   who->user != NULL ? who->user->login : "");
    HASH_FIND_STR(s->web->meters, key, m);
    if (m == NULL) {
        m = xcalloc(1, sizeof(*m));
        memcpy(m->key, key, sizeof(key));
        HASH_ADD_STR(s->web->meters, key, m);
    }
    bool got = bucket_take(&m->bucket, mono_ms(), s->settings.limits.helix_limit, &look);
    write_meter(a, &look);
    return got;
}

void helix_show_points(const struct sim *s, struct web_answer *a)
{
    const struct bucket full = {.missing = 0};
    struct bucket_look look;

    bucket_look(&full, mono_ms(), s->settings.limits.helix_limit, &look);
    if (a->status == 429) {
        look.remaining = 0;
        look.full_in_ms = 1000 * a->retry_s;
    }
    write_meter(a, &look);
}

bool helix_admit(struct sim *s, const struct web_request *r, struct web_answer *a,
                 struct bearer *who)
{
    char text[TOKEN_CHARS];

    helix_show_points(s, a);
    if (!bearer_of_header(r->authorization, text)) {
        web_answer_refuse_named(a, 401, "OAuth token is missing");
    } else if (r->client_id.len == 0) {
        web_answer_refuse_named(a, 401, "Client ID is missing");
    } else if (!bearer_find(s, text, who)) {
        web_answer_refuse_named(a, 401, "Invalid OAuth token");
    } else if (!slice_is(r->client_id, who->app->id)) {
        web_answer_refuse_named(a, 401, "Client ID and OAuth token do not match");
    } else if (!take_point(s, who, a)) {
        web_answer_refuse_named(a, 429, "Too many requests");
    } else {
        return true;
    }
    return false;
}

static bool exists(const struct room *r)
{
    return r->condition == ROOM_OK || r->condition == ROOM_BANNED;
}

struct room *helix_by_login(struct sim *s, const char *login)
{
    struct room *r = room_make(s, login);

    return exists(r) ? r : NULL;
}

struct room *helix_by_id(struct sim *s, const char *id)
{
    uint64_t n;

    if (!slice_to_u64(slice_of(id), &n)) {
        return NULL;
    }
    for (struct room *r = s->rooms; r != NULL; r = r->hh.next) {
        if (r->id == n) {
            return exists(r) ? r : NULL;
        }
    }
    const struct user *u = user_by_id(s->users, id);
    return u != NULL ? helix_by_login(s, u->login) : NULL;
}

static void write_user(struct json *j, const struct room *r)
{
    char id[24];
    char display[LOGIN_CHARS];

    (void)snprintf(id, sizeof(id), "%llu", (unsigned long long)r->id);
    user_display(r->name, display);
    json_object_begin(j, NULL);
    json_string(j, "id", id);
    json_string(j, "login", r->name);
    json_string(j, "display_name", display);
    json_string(j, "type", "");
    json_string(j, "broadcaster_type", "");
    json_string(j, "description", "");
    json_string(j, "profile_image_url", "");
    json_string(j, "offline_image_url", "");
    json_number(j, "view_count", 0);
    json_string(j, "created_at", "2016-12-14T20:32:28Z");
    json_object_end(j);
}

/* Those that exist; false: one of the parameters is no login and no id. */
static bool write_users(struct sim *s, struct slice query, struct web_answer *a, size_t *asked)
{
    struct web_pair pair;
    char login[IRC_CHANNEL_CHARS];

    while (web_pair_next(&query, &pair)) {
        const struct room *r = NULL;

        if (strcmp(pair.name, "id") == 0) {
            uint64_t n;
            if (!slice_to_u64(slice_of(pair.value), &n)) {
                return false;
            }
            r = helix_by_id(s, pair.value);
        } else if (strcmp(pair.name, "login") == 0) {
            if (pair.value[0] == '#' ||
                !irc_channel_normalise(slice_of(pair.value), login, sizeof(login))) {
                return false;
            }
            r = helix_by_login(s, login);
        } else {
            continue;
        }
        if (++*asked > USERS_MAX) {
            return false;
        }
        if (r != NULL) {
            write_user(&a->json, r);
        }
    }
    return true;
}

void helix_users(struct sim *s, const struct web_request *r, struct web_answer *a)
{
    struct bearer who;
    size_t asked = 0;

    if (!helix_admit(s, r, a, &who)) {
        return;
    }
    json_object_begin(&a->json, NULL);
    json_array_begin(&a->json, "data");
    if (!write_users(s, r->query, a, &asked)) {
        web_answer_refuse_named(a, 400,
                                asked > USERS_MAX
                                    ? "The number of id and login parameters must not exceed 100."
                                    : "Invalid username(s), email(s), or ID(s). Bad Identifiers.");
        return;
    }
    if (asked == 0 && who.user == NULL) {
        web_answer_refuse_named(a, 400, "Must provide an ID, Login or OAuth Token");
        return;
    }
    if (asked == 0) {
        write_user(&a->json, room_make(s, who.user->login));
    }
    json_array_end(&a->json);
    json_object_end(&a->json);
}
