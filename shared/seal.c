/* Seal: AES-256-GCM by OpenSSL's EVP. See seal.h. */
#include "shared/seal.h"

#include "shared/file.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_BYTES   32
#define NONCE_BYTES 12
#define TAG_BYTES   16
#define NAME_CHARS  8 /* of a key, in a sealed text */
#define FILE_MAX    65536
#define VERSION     "1."

struct key {
    unsigned char bytes[KEY_BYTES];
    char name[NAME_CHARS + 1];
};

struct seal_keys {
    struct key key[SEAL_KEYS_MAX];
    size_t n;
};

/* Keys ----------------------------------------------------------------------------------------- */

static int hex_value(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c != '\0' ? strchr(digits, c) : NULL;

    return at != NULL ? (int)(at - digits) : -1;
}

static void to_hex(const unsigned char *bytes, size_t n, char *out)
{
    for (size_t i = 0; i < n; i++) {
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    }
}

static bool parse_key(struct slice text, struct key *out)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];

    if (text.len != 2 * KEY_BYTES) {
        return false;
    }
    for (size_t i = 0; i < KEY_BYTES; i++) {
        int high = hex_value(text.ptr[2 * i]);
        int low = hex_value(text.ptr[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        out->bytes[i] = (unsigned char)(high * 16 + low);
    }
    SHA256(out->bytes, KEY_BYTES, digest);
    to_hex(digest, NAME_CHARS / 2, out->name);
    return true;
}

static struct slice trimmed(struct slice line)
{
    while (line.len > 0 && strchr(" \t\r", line.ptr[line.len - 1]) != NULL) {
        line.len--;
    }
    while (line.len > 0 && strchr(" \t", line.ptr[0]) != NULL) {
        line.ptr++;
        line.len--;
    }
    return line;
}

static int parse_keys(const struct file *f, const char *path, struct seal_keys *keys,
                      struct err *err)
{
    const char *at = f->text;

    for (unsigned number = 1; at < f->text + f->len; number++) {
        size_t len = strcspn(at, "\n");
        struct slice line = trimmed((struct slice){at, len});
        at += len + 1;
        if (line.len == 0 || line.ptr[0] == '#') {
            continue;
        }
        if (keys->n == SEAL_KEYS_MAX) {
            return err_set(err, ERR_USAGE, "%s: more than %d keys", path, SEAL_KEYS_MAX);
        }
        if (!parse_key(line, &keys->key[keys->n])) {
            return err_set(err, ERR_USAGE,
                           "%s:%u: not a key (64 characters of 0-9 and a-f; shoalctl keygen makes "
                           "one)",
                           path, number);
        }
        keys->n++;
    }
    if (keys->n == 0) {
        return err_set(err, ERR_USAGE, "%s: there is no key in it (shoalctl keygen makes one)",
                       path);
    }
    return 0;
}

int seal_keys_load(const char *path, struct seal_keys **out, struct err *err)
{
    struct seal_keys *keys = NULL;
    struct file f;

    *out = NULL;
    if (path == NULL) {
        return 0;
    }
    keys = xcalloc(1, sizeof(*keys));
    int rc = file_read_secret(path, "a file of account keys", FILE_MAX, &f, err);

    if (rc == 0) {
        rc = parse_keys(&f, path, keys, err);
        file_finish(&f);
    }
    if (rc != 0) {
        seal_keys_destroy(keys);
        keys = NULL;
    }
    *out = keys;
    return rc;
}

int seal_keys_check(const char *path, struct err *err)
{
    struct seal_keys *keys;
    int rc = seal_keys_load(path, &keys, err);

    seal_keys_destroy(keys);
    return rc;
}

void seal_keys_take(struct seal_keys *keys, struct seal_keys *fresh)
{
    if (fresh != NULL) {
        *keys = *fresh;
        seal_keys_destroy(fresh);
    }
}

void seal_keys_destroy(struct seal_keys *keys)
{
    if (keys != NULL) {
        explicit_bzero(keys, sizeof(*keys));
        free(keys);
    }
}

void seal_key_make(char out[SEAL_KEY_CHARS])
{
    unsigned char bytes[KEY_BYTES];

    BUG_ON(RAND_bytes(bytes, sizeof(bytes)) != 1);
    to_hex(bytes, sizeof(bytes), out);
    explicit_bzero(bytes, sizeof(bytes));
}

/* Sealing -------------------------------------------------------------------------------------- */

char *seal(const struct seal_keys *keys, const char *place, struct slice plain)
{
    unsigned char data[NONCE_BYTES + SEAL_PLAIN_MAX + TAG_BYTES];
    char text[SEAL_TEXT_MAX];
    unsigned char *nonce = data;
    unsigned char *sealed = data + NONCE_BYTES;
    unsigned char *tag = sealed + plain.len;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int len;

    BUG_ON(plain.len > SEAL_PLAIN_MAX || ctx == NULL || RAND_bytes(nonce, NONCE_BYTES) != 1);
    bool done =
        EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, keys->key[0].bytes, nonce) == 1 &&
        EVP_EncryptUpdate(ctx, NULL, &len, (const unsigned char *)place, (int)strlen(place)) == 1 &&
        EVP_EncryptUpdate(ctx, sealed, &len, (const unsigned char *)plain.ptr, (int)plain.len) ==
            1 &&
        EVP_EncryptFinal_ex(ctx, tag, &len) == 1 &&
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, tag) == 1;
    BUG_ON(!done); /* no memory */
    EVP_CIPHER_CTX_free(ctx);
    EVP_EncodeBlock((unsigned char *)text, data, (int)(NONCE_BYTES + plain.len + TAG_BYTES));
    return xasprintf(VERSION "%s.%s", keys->key[0].name, text);
}

/* The parts of a sealed text; false: it is none. */
static bool parts_of(struct slice text, struct slice *name, struct slice *data)
{
    size_t head = strlen(VERSION) + NAME_CHARS + 1;

    if (text.len <= head || text.len > SEAL_TEXT_MAX ||
        memcmp(text.ptr, VERSION, strlen(VERSION)) != 0 || text.ptr[head - 1] != '.') {
        return false;
    }
    *name = (struct slice){text.ptr + strlen(VERSION), NAME_CHARS};
    *data = (struct slice){text.ptr + head, text.len - head};
    return true;
}

bool seal_is_current(const struct seal_keys *keys, struct slice text)
{
    struct slice name;
    struct slice data;

    return parts_of(text, &name, &data) && slice_is(name, keys->key[0].name);
}

const char *seal_key_name(const struct seal_keys *keys)
{
    return keys->key[0].name;
}

/* Base64 to bytes; how many, or 0 where it is none. */
static size_t decode(struct slice text, unsigned char *out)
{
    int n = EVP_DecodeBlock(out, (const unsigned char *)text.ptr, (int)text.len);
    size_t pad = 0;

    while (pad < 2 && pad < text.len && text.ptr[text.len - 1 - pad] == '=') {
        pad++;
    }
    return n > 0 ? (size_t)n - pad : 0;
}

static bool decrypt(const struct key *key, const char *place, unsigned char *data, size_t n,
                    struct buf *out)
{
    unsigned char plain[SEAL_TEXT_MAX];
    size_t len = n - NONCE_BYTES - TAG_BYTES;
    unsigned char *sealed = data + NONCE_BYTES;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int got;

    BUG_ON(ctx == NULL);
    bool right =
        EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->bytes, data) == 1 &&
        EVP_DecryptUpdate(ctx, NULL, &got, (const unsigned char *)place, (int)strlen(place)) == 1 &&
        EVP_DecryptUpdate(ctx, plain, &got, sealed, (int)len) == 1 &&
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, sealed + len) == 1 &&
        EVP_DecryptFinal_ex(ctx, plain + got, &got) == 1;
    EVP_CIPHER_CTX_free(ctx);
    if (right) {
        buf_append(out, plain, len);
    }
    explicit_bzero(plain, sizeof(plain));
    return right;
}

int seal_open(const struct seal_keys *keys, const char *place, struct slice text, struct buf *out,
              struct err *err)
{
    unsigned char bytes[SEAL_TEXT_MAX];
    struct slice name;
    struct slice data;
    size_t n = parts_of(text, &name, &data) ? decode(data, bytes) : 0;

    buf_clear(out);
    if (n < NONCE_BYTES + TAG_BYTES) {
        return err_set(err, ERR_STRANGE, "%s: not a sealed secret", place);
    }
    for (size_t i = 0; i < keys->n; i++) {
        if (slice_is(name, keys->key[i].name)) {
            return decrypt(&keys->key[i], place, bytes, n, out)
                       ? 0
                       : err_set(err, ERR_AUTH, "%s: the sealed secret was tampered with", place);
        }
    }
    return err_set(err, ERR_AUTH, "%s: sealed under key %.*s, which the file of account keys lacks",
                   place, NAME_CHARS, name.ptr);
}
