/* Names. The program's getaddrinfo comes before the C library's; look-ups run in threads. */
#include "tests/lib/names.h"

#include "shared/base.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define NAMES_MAX 16
#define FILL      3 /* connections that fill a queue of none */

static char given[NAMES_MAX][64];
static size_t ngiven;
static atomic_uint looked_up;
static atomic_uint takes_ms;
static atomic_uint answered;

typedef int (*lookup_fn)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

void names_set(const char *addresses)
{
    char *copy = xstrdup(addresses);
    char *rest = NULL;

    ngiven = 0;
    for (char *word = strtok_r(copy, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        assert_true(ngiven < NAMES_MAX && strlen(word) < sizeof(given[0]));
        strcpy(given[ngiven++], word);
    }
    free(copy);
}

void names_take(unsigned ms)
{
    takes_ms = ms;
}

unsigned names_answered(void)
{
    return answered;
}

unsigned names_looked_up(void)
{
    return looked_up;
}

static bool is_literal(const char *node)
{
    unsigned char bytes[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, node, bytes) == 1 || inet_pton(AF_INET6, node, bytes) == 1;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **result)
{
    void *found = dlsym(RTLD_NEXT, "getaddrinfo");
    lookup_fn next;
    struct addrinfo **end = result;
    int rc = 0;

    memcpy(&next, &found, sizeof(next));
    if (node == NULL || is_literal(node)) {
        return next(node, service, hints, result);
    }
    looked_up++;
    if (strcmp(node, NAMES_NAME) != 0) {
        return next(node, service, hints, result);
    }
    *result = NULL;
    (void)usleep(takes_ms * 1000);
    answered++;
    /* Chained as the C library does it: its freeaddrinfo frees a chain one by one. */
    for (size_t i = 0; i < ngiven && rc == 0; i++) {
        rc = next(given[i], service, hints, end);
        end = rc == 0 ? &(*end)->ai_next : end;
    }
    return rc;
}

struct dead_port {
    int listener;
    int filling[FILL];
};

struct dead_port *dead_port_open(const char *ip, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct dead_port *d = xcalloc(1, sizeof(*d));
    int yes = 1;

    assert_int_equal(inet_pton(AF_INET, ip, &address.sin_addr), 1);
    d->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(setsockopt(d->listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)), 0);
    assert_int_equal(bind(d->listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(d->listener, 0), 0);
    for (size_t i = 0; i < FILL; i++) {
        d->filling[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_true(connect(d->filling[i], (struct sockaddr *)&address, sizeof(address)) == 0 ||
                    errno == EINPROGRESS);
    }
    return d;
}

void dead_port_close(struct dead_port *d)
{
    for (size_t i = 0; i < FILL; i++) {
        (void)close(d->filling[i]);
    }
    (void)close(d->listener);
    free(d);
}
