/* Server: libwebsockets on our loop, with and without TLS: chat, and Twitch's web services. */
#ifndef SIM_SERVER_H
#define SIM_SERVER_H

#include "tests/twitch_sim/sim.h"

struct server_options {
    const char *listen[SERVICE_COUNT]; /* "127.0.0.1:0", NULL: not at all */
    const char *tls_cert;
    const char *tls_key;
    unsigned max_connections;
};

/* Listen. -ERR_USAGE or -ERR_IO says what is wrong. */
MUST_USE int server_start(struct sim *s, const struct server_options *o, struct err *err);
/* The port the kernel gave; 0: not listening. */
int server_port(const struct sim *s, enum service service);
/* Split "127.0.0.1:0"; only loopback addresses are taken. */
MUST_USE int server_parse_listen(const char *text, char host[64], int *port, struct err *err);
/* Close everything: once while the loop runs, once more after it has run out, and run it again. */
void server_stop(struct sim *s);

#endif
