/* Fuzz: the tokens file. Whatever the bytes, it is taken or refused in one line of text that repeats no token. */
#include "node/tokens.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {0};
    struct tokens *tokens = NULL;

    if (tokens_parse((struct slice){(const char *)data, size}, "fuzz", &tokens, &err) != 0) {
        BUG_ON(tokens || err.code != ERR_USAGE || strncmp(err.text, "fuzz", 4) != 0);
        /* Tokens of the corpus begin so. */
        BUG_ON(strstr(err.text, "s3cr3t") && !strstr(err.text, "the token of") &&
               !strstr(err.text, "is there twice"));
        return 0;
    }
    for (const char *user = tokens_users(tokens); *user;) {
        size_t len = strcspn(user, ",");
        struct slice token = tokens_get(tokens, (struct slice){user, len});
        BUG_ON(token.len == 0 || token.len > 255);
        user += len + (user[len] == ',');
    }
    tokens_destroy(tokens);
    return 0;
}
