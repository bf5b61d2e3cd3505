/* Seal: secrets as they lie in Redis: AES-256-GCM (NIST SP 800-38D) under a key that only the
 * programs have, so that Redis, its dumps and its replicas never see them.
 *
 * A sealed text is "1.KEY.DATA": the first 8 hex characters of the SHA-256 of the key, and base64
 * of a random 96-bit nonce, what was sealed, and the tag. The *place* (cluster and account) is
 * authenticated with it: what is moved to another place does not open.
 *
 * The file of keys has one a line, 64 hex characters ("shoalctl keygen" makes one); the first
 * seals, all open. */
#ifndef SHOAL_SEAL_H
#define SHOAL_SEAL_H

#include "shared/buf.h"
#include "shared/err.h"

#define SEAL_KEYS_MAX  16
#define SEAL_KEY_CHARS 65   /* 256 bits in hex, and the NUL */
#define SEAL_PLAIN_MAX 4096 /* bytes that are sealed as one */
#define SEAL_TEXT_MAX  6000 /* characters of a sealed text */

struct seal_keys;

/* Read `path`, which nobody but its owner (us, or root) may read. 0 with *out (NULL where `path` is
 * NULL), or -ERR_USAGE, which says what is wrong with it and never shows a key. */
MUST_USE int seal_keys_load(const char *path, struct seal_keys **out, struct err *err);
/* `keys` are those of `fresh` from now on, which is given back; NULL: they stay. */
void seal_keys_take(struct seal_keys *keys, struct seal_keys *fresh);
/* Could `path` be loaded? For --check. */
int seal_keys_check(const char *path, struct err *err);
/* Wipe and give back; NULL is fine. */
void seal_keys_destroy(struct seal_keys *keys);

/* A new key. */
void seal_key_make(char out[SEAL_KEY_CHARS]);
/* Seal `plain` (SEAL_PLAIN_MAX at most) for `place`; the caller frees the text. */
char *seal(const struct seal_keys *keys, const char *place, struct slice plain);
/* Open `text` into `out`, which is cleared first and holds the secret then. 0; -ERR_AUTH where no
 * key of ours sealed it, or it is not what was sealed for this place; -ERR_STRANGE where it is no
 * sealed text. */
MUST_USE int seal_open(const struct seal_keys *keys, const char *place, struct slice text,
                       struct buf *out, struct err *err);
/* Is it sealed under the key that seals now? */
bool seal_is_current(const struct seal_keys *keys, struct slice text);
/* The name of that key, as it stands in what it seals. */
const char *seal_key_name(const struct seal_keys *keys);

#endif
