/* Web rig: an HTTP server in this process and raw sockets that say anything to it, on one loop.
 *
 * Its routes: GET /hello, /light (costs nothing), /names/<any>, /slow (kept until web_rig_answer), /static,
 * /large?bytes=N, POST /echo, POST /secret (admin), and /live, a WebSocket that says back what it hears. */
#ifndef SHOAL_TESTS_WEB_RIG_H
#define SHOAL_TESTS_WEB_RIG_H

#include "shared/web/web.h"
#include "tests/lib/test_loop.h"

#define WEB_RIG_TOKEN "correct-horse-battery-staple"

struct web_rig {
    struct test_loop loop;
    struct web *web;
    struct web_request *slow; /* NULL: none waits */
    struct web_socket *socket;
    int handled; /* requests that came to a handler */
    int gone;
    int opened; /* WebSockets */
    int closed;
    bool web_is_closed;
    bool head_asked;             /* answers have no body */
    bool floods;                 /* /live sends as much as it can when it hears something */
    bool takes_time;             /* /hello does, and then looks what time it is */
    char heard[4 * 1024 * 1024]; /* by the client, of the last answer */
    size_t heard_len;
};

/* `o`: what to set beside listen, loop, routes; or NULL. */
struct web_rig *web_rig_create(const struct web_options *o);
/* Server, connections and loop; a handle left open would be seen. */
void web_rig_destroy(struct web_rig *r);
/* A test of cmocka with such a server, without more, as its *state. */
int web_rig_set_up(void **state);
int web_rig_tear_down(void **state);
#define web_rig_test(test) cmocka_unit_test_setup_teardown(test, web_rig_set_up, web_rig_tear_down)
/* A connection; close(2) it. */
int web_rig_connect(struct web_rig *r);
void web_rig_say(struct web_rig *r, int fd, const char *text);
void web_rig_say_bytes(struct web_rig *r, int fd, const void *bytes, size_t len);
/* Read until a whole answer is here, or the end of the connection: the answer, or "" where there is none. */
const char *web_rig_hear(struct web_rig *r, int fd);
/* The same for bytes, until there are `len`; false: the connection ended before. */
bool web_rig_hear_bytes(struct web_rig *r, int fd, size_t len);
/* All of it on a connection of its own: the answer. */
const char *web_rig_ask(struct web_rig *r, const char *request);
/* The number in its first line; 0: there is no answer. */
int web_rig_status(const char *answer);
/* Answer /slow. */
void web_rig_answer(struct web_rig *r);

#endif
