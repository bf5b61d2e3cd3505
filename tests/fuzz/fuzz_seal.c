/* Fuzz: what is opened as sealed. The first byte says what the rest is: a text as it lies in Redis, or what somebody who
 * has the key has sealed, as a whole or with one byte changed.
 *
 * What must hold: what no key of ours sealed, or not for this place, or what was changed, does not open; what opens as an
 * account's is two tokens that fit a header and a line. */
#include "shared/account_secret.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define KEY_A "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n"
#define KEY_B "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100\n"

static struct seal_keys *keys_of(const char *content)
{
    char path[] = "/tmp/shoal-fuzz-XXXXXX";
    int fd = mkstemp(path);
    struct seal_keys *keys = NULL;

    BUG_ON(fd < 0 || write(fd, content, strlen(content)) != (ssize_t)strlen(content));
    BUG_ON(seal_keys_load(path, &keys, NULL) != 0);
    close(fd);
    unlink(path);
    return keys;
}

static void look(const char *token)
{
    BUG_ON(strlen(token) >= ACCOUNT_TOKEN_CHARS);
    for (; *token != '\0'; token++) {
        BUG_ON(*token <= ' ' || *token >= 0x7f);
    }
}

/* Does it open as the account's? */
static bool opens(const struct seal_keys *keys, const char *login, struct slice text)
{
    struct account_secret secret;
    struct err err = {0};
    int rc = account_secret_open(keys, "main", login, text, &secret, &err);

    BUG_ON(rc == 0 ? secret.access[0] == '\0'
                   : secret.access[0] != '\0' || secret.refresh[0] != '\0');
    BUG_ON(rc != 0 && err.code != ERR_AUTH && err.code != ERR_STRANGE);
    BUG_ON(strpbrk(err.text, "\r\n") != NULL);
    look(secret.access);
    look(secret.refresh);
    account_secret_wipe(&secret);
    return rc == 0;
}

/* Sealed by who has the key: any plain text. */
static void open_sealed(const struct seal_keys *keys, const struct seal_keys *others,
                        struct slice plain, bool change, size_t at)
{
    char *text = seal(keys, "main/alice", plain);
    size_t len = strlen(text);
    struct buf out;

    buf_init(&out, SEAL_PLAIN_MAX);
    if (change) {
        at %= len;
        text[at] = text[at] == 'A' ? 'B' : 'A';
        /* Bits that base64 does not use may change, and nothing else. */
        bool same = seal_open(keys, "main/alice", (struct slice){text, len}, &out, NULL) == 0;
        BUG_ON(same ? !slice_eq(buf_slice(&out), plain) : out.len != 0);
    } else {
        BUG_ON(seal_open(keys, "main/alice", (struct slice){text, len}, &out, NULL) != 0);
        BUG_ON(!slice_eq(buf_slice(&out), plain));
        (void)opens(keys, "alice", (struct slice){text, len});
        BUG_ON(opens(keys, "bob", (struct slice){text, len}));
        BUG_ON(opens(others, "alice", (struct slice){text, len}));
        BUG_ON(!seal_is_current(keys, (struct slice){text, len}));
    }
    buf_finish(&out);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct seal_keys *keys;
    static struct seal_keys *others;

    if (keys == NULL) {
        keys = keys_of(KEY_A);
        others = keys_of(KEY_B);
    }
    if (size < 3) {
        return 0;
    }
    struct slice rest = {(const char *)data + 3, size - 3};
    if (data[0] % 3 == 0) {
        (void)opens(keys, "alice", rest);
        BUG_ON(opens(others, "alice", rest));
        (void)seal_is_current(keys, rest);
    } else if (rest.len <= SEAL_PLAIN_MAX) {
        open_sealed(keys, others, rest, data[0] % 3 == 1, (size_t)data[1] * 256 + data[2]);
    }
    return 0;
}
