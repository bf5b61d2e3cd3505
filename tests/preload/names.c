/* To be preloaded into a program under test: names with the addresses that SHOAL_TEST_NAMES gives them,
 * "a.test=127.0.0.2,127.0.0.1 b.test=...". All others are looked up as ever. */
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int (*lookup_fn)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

/* What comes after "NAME=", or NULL. */
static const char *addresses_of(const char *name)
{
    const char *at = getenv("SHOAL_TEST_NAMES");
    size_t len = name != NULL ? strlen(name) : 0;

    while (at != NULL && len > 0) {
        if (strncmp(at, name, len) == 0 && at[len] == '=') {
            return at + len + 1;
        }
        at = strchr(at, ' ');
        at = at != NULL ? at + 1 : NULL;
    }
    return NULL;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **result)
{
    void *found = dlsym(RTLD_NEXT, "getaddrinfo");
    const char *addresses = addresses_of(node);
    lookup_fn next;
    int rc = 0;

    memcpy(&next, &found, sizeof(next));
    if (addresses == NULL) {
        return next(node, service, hints, result);
    }
    *result = NULL;
    while (rc == 0 && *addresses != '\0' && *addresses != ' ') {
        char ip[64];
        size_t len = strcspn(addresses, ", ");

        (void)snprintf(ip, sizeof(ip), "%.*s", (int)len, addresses);
        rc = next(ip, service, hints, result);
        result = rc == 0 ? &(*result)->ai_next : result;
        addresses += len + (addresses[len] == ',' ? 1 : 0);
    }
    return rc;
}
