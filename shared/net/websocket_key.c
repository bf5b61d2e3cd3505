/* WebSocket key: SHA-1 over the key and a word that the RFC has made up, in base64. */
#include "shared/net/websocket_key.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

void websocket_key_accept(struct slice key, char out[WEBSOCKET_ACCEPT_CHARS])
{
    unsigned char digest[SHA_DIGEST_LENGTH];
    char joined[WEBSOCKET_KEY_CHARS + sizeof(GUID)];

    BUG_ON(key.len != WEBSOCKET_KEY_CHARS);
    snprintf(joined, sizeof(joined), "%.*s%s", WEBSOCKET_KEY_CHARS, key.ptr, GUID);
    SHA1((const unsigned char *)joined, strlen(joined), digest);
    EVP_EncodeBlock((unsigned char *)out, digest, sizeof(digest));
}
