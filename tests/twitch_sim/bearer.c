/* Issued tokens are found by their text, the tokens of --users one by one. */
#include "tests/twitch_sim/bearer.h"

#include <string.h>
#include <strings.h>

static bool is_own_token(const struct user *u, const char *token)
{
    return u->token != NULL && !u->revoked && strcmp(u->token, token) == 0;
}

bool bearer_find(struct sim *s, const char *token, struct bearer *out)
{
    const struct token *issued = tokens_find(s->tokens, token, mono_ms());

    if (issued != NULL) {
        *out = (struct bearer){.app = issued->app,
                               .user = issued->login[0] != '\0' ? user_find(s->users, issued->login)
                                                                : NULL,
                               .scopes = issued->scopes,
                               .ends = issued->ends};
        return true;
    }
    for (struct user *u = s->users; u != NULL; u = u->hh.next) {
        if (is_own_token(u, token)) {
            *out = (struct bearer){.app = tokens_app(s->tokens, TOKEN_OWN_APP),
                                   .user = u,
                                   .scopes = TOKEN_OWN_SCOPES,
                                   .ends = TOKEN_NEVER};
            return true;
        }
    }
    return false;
}

bool bearer_of_header(struct slice header, char token[TOKEN_CHARS])
{
    static const char *const schemes[] = {"OAuth ", "Bearer "};

    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        size_t n = strlen(schemes[i]);

        if (header.len > n && strncasecmp(header.ptr, schemes[i], n) == 0) {
            size_t len = header.len - n < TOKEN_CHARS - 1 ? header.len - n : TOKEN_CHARS - 1;

            memcpy(token, header.ptr + n, len);
            token[len] = '\0';
            return true;
        }
    }
    return false;
}

bool bearer_may_chat(struct sim *s, const struct user *u, const char *token)
{
    const struct token *issued = tokens_find(s->tokens, token, mono_ms());

    return is_own_token(u, token) ||
           (issued != NULL && strcmp(issued->login, u->login) == 0 &&
            (scopes_have(issued->scopes, "chat:read") || scopes_have(issued->scopes, "chat:edit")));
}
