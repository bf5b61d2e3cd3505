/* Accounts case. */
#include "tests/lib/accounts_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct office o;
struct http_rig *twitch_server;
struct seal_keys *keys;
struct accounts *accounts;
const char *client_secret;

static struct twitch *twitch;
static char url[64];

struct seal_keys *keys_of(const char *content)
{
    char path[] = "/tmp/shoal-keys-XXXXXX";
    int fd = mkstemp(path);
    struct seal_keys *loaded;
    struct err err;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
    assert_int_equal(close(fd), 0);
    assert_int_equal(seal_keys_load(path, &loaded, &err), 0);
    assert_int_equal(unlink(path), 0);
    return loaded;
}

static void on_facts(void *room, const struct registry_lead *facts)
{
    accounts_on_facts(room, facts);
}

static void close_accounts(void *room)
{
    accounts_destroy(room);
}

int open_office(void **state)
{
    (void)state;
    memset(&o, 0, sizeof(o));
    client_secret = NULL;
    office_open(&o, "room_limit,100");
    return 0;
}

void keep_accounts(void)
{
    accounts =
        accounts_create(&(struct accounts_options){.loop = &o.world.probe.t.uv,
                                                   .leader = o.leader,
                                                   .twitch = twitch,
                                                   .has_client_id = true,
                                                   .has_client_secret = client_secret != NULL,
                                                   .keys = keys,
                                                   .cluster = "t"});
    office_room(&o, accounts, on_facts, close_accounts);
}

void lead(const struct http_move *moves, size_t n, const char *key)
{
    twitch_server = http_rig_create(moves, n, NULL);
    (void)snprintf(url, sizeof(url), "%s", http_rig_url(twitch_server, ""));
    twitch = twitch_create(&(struct twitch_options){.http = twitch_server->http,
                                                    .id_url = url,
                                                    .api_url = url,
                                                    .client_id = "app",
                                                    .client_secret = client_secret});
    keys = keys_of(key);
    office_lead(&o);
    keep_accounts();
}

int close_office(void **state)
{
    (void)state;
    office_close(&o);
    twitch_destroy(twitch);
    http_rig_destroy(twitch_server);
    seal_keys_destroy(keys);
    return 0;
}

void put(const char *access, const char *refresh)
{
    struct seal_keys *own = keys_of(KEY_A);
    struct account_secret secret = {0};
    char args[1024];

    (void)snprintf(secret.access, sizeof(secret.access), "%s", access);
    (void)snprintf(secret.refresh, sizeof(secret.refresh), "%s", refresh);
    char *sealed = account_secret_seal(own, "t", "alice", &secret);
    (void)snprintf(args, sizeof(args), "alice,%s", sealed);
    world_configure(&o.world, o.leader != NULL ? office_me(&o) : &o.before, "", "", "account_put",
                    args);
    assert_non_null(strstr(o.world.rest, "\"ok\":true"));
    free(sealed);
    seal_keys_destroy(own);
}

const char *tokens(void)
{
    static char out[2 * ACCOUNT_TOKEN_CHARS];
    struct seal_keys *own = keys_of(KEY_A);
    struct account_secret secret;
    struct err err;

    assert_int_equal(account_secret_open(own, "t", "alice",
                                         slice_of(office_ask(&o, "GET shoal:{t}:secret:alice")),
                                         &secret, &err),
                     0);
    (void)snprintf(out, sizeof(out), "%s %s", secret.access, secret.refresh);
    seal_keys_destroy(own);
    return out;
}

const char *field(const char *name)
{
    return office_ask(&o, "HGET shoal:{t}:account:alice %s", name);
}

bool has(const char *name, const char *value)
{
    test_loop_turn(&twitch_server->loop);
    return strcmp(field(name), value) == 0;
}

bool is(const char *state)
{
    return has("state", state);
}

unsigned next_s(void)
{
    static const char script[] =
        "local t = redis.call('TIME') local at = redis.call('ZSCORE', KEYS[1] .. ':accounts', "
        "'alice') return tostring(math.floor((at - t[1] * 1000 - t[2] / 1000) / 1000))";

    return (unsigned)strtoul(world_eval(&o.world, script, ""), NULL, 10);
}
