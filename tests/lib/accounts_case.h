/* Accounts case: what tests of the accounts chore have in common: a leader over the real steps, and a
 * Twitch that does what each test says. */
#ifndef SHOAL_TESTS_ACCOUNTS_CASE_H
#define SHOAL_TESTS_ACCOUNTS_CASE_H

#include "coordinator/chores/accounts.h"

#include "shared/account_secret.h"
#include "tests/lib/http_rig.h"
#include "tests/lib/office.h"

#define KEY_A            "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define KEY_B            "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100"
#define OK(length, body) {"HTTP/1.1 200 OK\r\nContent-Length: " length "\r\n\r\n" body, false}
#define REFUSED(status)                                                                            \
    {"HTTP/1.1 " status                                                                            \
     " X\r\nContent-Length: 36\r\n\r\n{\"status\":400,\"message\":\"not valid\"}",                 \
     false}
#define VALID_4H                                                                                   \
    OK("74", "{\"client_id\":\"a\",\"login\":\"alice\",\"user_id\":\"42\",\"expires_in\":14400, "  \
             "\"x\":1}")
#define VALID_60S                                                                                  \
    OK("74", "{\"client_id\":\"a\",\"login\":\"alice\",\"user_id\":\"42\",\"expires_in\":60,    "  \
             "\"x\":1}")
#define VALID_90MIN                                                                                \
    OK("74", "{\"client_id\":\"a\",\"login\":\"alice\",\"user_id\":\"42\",\"expires_in\":5400,  "  \
             "\"x\":1}")
#define OF_BOB                                                                                     \
    OK("74", "{\"client_id\":\"a\",\"login\":\"bob\",  \"user_id\":\"43\",\"expires_in\":14400, "  \
             "\"x\":1}")
#define APP_TOKEN                                                                                  \
    OK("65", "{\"access_token\":\"apptoken\",\"expires_in\":5000000,\"x\":\"0123456789\"}")
#define APP_VALID                                                                                  \
    OK("65", "{\"client_id\":\"app\",\"scopes\":null,\"expires_in\":4000000,\"x\":12345} ")
#define NEW_TOKENS                                                                                 \
    OK("78", "{\"access_token\":\"new\",\"refresh_token\":\"next\",\"expires_in\":14400,"          \
             "\"scope\":[\"s\"]}")

extern struct office o;
extern struct http_rig *twitch_server;
extern struct seal_keys *keys; /* the leader's */
extern struct accounts *accounts;
extern const char *client_secret; /* of the leader's application; NULL: it is a public one */

/* Setup and teardown (cmocka). */
int open_office(void **state);
int close_office(void **state);
/* A file with that content, as keys. */
struct seal_keys *keys_of(const char *content);
/* The leader, with these keys, and a Twitch that answers so. */
void lead(const struct http_move *moves, size_t n, const char *key);
/* Who keeps accounts from now on. */
void keep_accounts(void);
/* Tokens of alice, sealed under KEY_A. */
void put(const char *access, const char *refresh);
/* "access refresh" as they are sealed in Redis. */
const char *tokens(void);
/* Of the account alice. */
const char *field(const char *name);
/* Has the field that value by now? The same of its state. */
bool has(const char *name, const char *value);
bool is(const char *state);
/* How long until it is looked at again, in seconds. */
unsigned next_s(void);

#endif
