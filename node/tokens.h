/* Tokens: which users this node can log in as. The only room that sees a token in the clear.
 *
 * The file (a regular one) has one `login = token` a line ("oauth:" before the token is fine;
 * pairs.h tells the form). The order counts: a new cluster takes the first user of its first node.
 * It should be readable by its owner alone; otherwise a warning says so. Memory is wiped when it is
 * given back. */
#ifndef SHOAL_NODE_TOKENS_H
#define SHOAL_NODE_TOKENS_H

#include "shared/err.h"

#define TOKENS_MAX 1000 /* users in one file */

struct tokens;

/* Read `path`; NULL: no tokens, anonymous reading only. 0, or -ERR_USAGE with file, line and what
 * is wrong (never the token). */
MUST_USE int tokens_load(const char *path, struct tokens **out, struct err *err);
/* The same of what a file holds; `path` is for messages. */
MUST_USE int tokens_parse(struct slice content, const char *path, struct tokens **out,
                          struct err *err);
/* Could `path` be loaded? For --check. */
int tokens_check(const char *path, struct err *err);
void tokens_destroy(struct tokens *t);
/* A copy, for changes. */
struct tokens *tokens_copy(const struct tokens *t);
/* The user has this token (printable, without blanks) from now on; where there is no room for it,
 * nothing changes. ends_ms: of mono_ms; UINT64_MAX where that is not known. */
void tokens_put(struct tokens *t, const char *login, const char *token, uint64_t ends_ms);
/* Has a token ended that ends then, or is it about to? Twitch would refuse it. */
bool tokens_are_over(uint64_t ends_ms);
/* The same of the user's. */
bool tokens_ended(const struct tokens *t, struct slice login);
/* The token of a user, without "oauth:"; the empty slice if there is none. Borrowed. */
struct slice tokens_get(const struct tokens *t, struct slice login);
/* The same users with the same tokens, which end at the same times? */
bool tokens_equal(const struct tokens *a, const struct tokens *b);
/* "a,b,c": the users, in the file's order. Borrowed. */
const char *tokens_users(const struct tokens *t);

#endif
