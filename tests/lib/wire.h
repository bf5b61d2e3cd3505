/* Wire: a connection to Twitch under test, and the servers it speaks to, on one loop.
 *
 * A libwebsockets server (plain, or TLS in a process of its own) that does what each test says, and a bare
 * TCP one for peers that are no WebSocket servers. */
#ifndef SHOAL_TEST_WIRE_H
#define SHOAL_TEST_WIRE_H

#include "node/connection.h"

#include <libwebsockets.h>

struct piece {
    const char *text;
    bool begins; /* a message */
    bool ends;
};

struct wire {
    uv_loop_t loop;
    struct lws_context *server;
    int port;
    char heard[64 * 1024]; /* by the server */
    size_t heard_len;
    size_t heard_messages;
    const struct piece *say; /* by the server, once it is asked */
    size_t say_n;
    bool deaf;
    const char *tls_cert; /* of the TLS server; NULL: wire_cert */
    bool tls_old;         /* it speaks TLS 1.1 only */
    pid_t server_pid;
    int served; /* connections of the server */

    uv_tcp_t tcp;
    const char *tcp_says;   /* to whatever it reads, and then hangs up */
    const char *tcp_frames; /* after the upgrade */
    bool tcp_stays;         /* hangs up after nothing */
    unsigned tcp_stun_ms;   /* how long all of the process stands still when it has spoken */
    uint64_t tcp_said_ms;
    int tcp_port;
    int tcp_accepted; /* connections to it */

    struct connections *pool;
    struct connection *c;
    char log[4096];
    size_t lines;
    size_t longest;
    uint64_t caught_up_ms; /* as it was closed */
    bool close_in_line;
    bool fenced;
    bool reopen;
    const char *url;
};

/* Of localhost, self-signed; the key of that; another; and one that has the name in its CN only. Made and removed
 * by the group's fixtures. */
extern char wire_cert[64];
extern char wire_key[64];
extern char wire_other[64];
extern char wire_cn_only[64];
int wire_set_up(void **state);
int wire_tear_down(void **state);

/* What the connection of a wire notes in its log. */
extern const struct connection_callbacks wire_callbacks;

struct wire *wire_create(const char *ca, uint64_t connect_ms);
/* Everything down; a handle left open would be seen. */
void wire_destroy(struct wire *r);
void wire_start_server(struct wire *r);
/* In a process of its own: libwebsockets 4.1.6 leaks where two contexts of a process set up TLS. */
void wire_start_tls_server(struct wire *r);
/* A TCP port that answers what it reads with `says` (NULL: not at all). */
void wire_start_tcp(struct wire *r, const char *says);
/* The same at this address and port. */
void wire_start_tcp_at(struct wire *r, const char *ip, int port, const char *says);
/* That port and its connections vanish. */
void wire_stop_tcp(struct wire *r);
void wire_open(struct wire *r, const char *scheme, const char *host, int port);
/* Run until `done`, at most 5 s. */
void wire_run_until(struct wire *r, bool (*done)(struct wire *r));
/* Let the loop run for a while: for what must not happen. */
void wire_nap(struct wire *r, uint64_t ms);

bool wire_is_open(struct wire *r);
bool wire_is_closed(struct wire *r);
bool wire_nobody_is_served(struct wire *r);

/* All that was told is that it was closed, since this could not be reached. */
void wire_assert_unreachable(const struct wire *r, const char *host, int port, const char *why);

#endif
