/* Link probe: a Redis link for a test that counts what it reports. */
#ifndef SHOAL_TESTS_LINK_PROBE_H
#define SHOAL_TESTS_LINK_PROBE_H

#include "shared/redis/link.h"
#include "tests/lib/test_loop.h"

struct link_probe {
    struct test_loop t;
    struct url url;
    struct link_options options; /* change them between link_probe_init and link_probe_start */
    struct link *link;
    unsigned ups;
    unsigned downs;
    unsigned closes;
    struct err why; /* of the newest on_down */
    /* Run inside the callbacks, if set. */
    void (*at_up)(struct link_probe *p);
    void (*at_down)(struct link_probe *p);
    void (*at_answer)(struct link_probe *p);
    /* What link_probe_on_answer saw. */
    unsigned answers;
    unsigned errors;   /* err set */
    unsigned refusals; /* Redis error replies */
    enum err_code last_error;
    char text[256]; /* of the newest reply */
    long long integer;
    size_t reply_len;
    size_t elements;
};

/* The loop and options for redis://127.0.0.1:PORT. */
void link_probe_init(struct link_probe *p, uint16_t port);
/* Create the link. */
void link_probe_start(struct link_probe *p);
/* init, start, and wait until it is up. */
void link_probe_up(struct link_probe *p, uint16_t port);
/* link_close, counted in `closes`. */
void link_probe_close(struct link_probe *p);
/* Close unless closed, finish the loop, and assert exactly one on_closed. */
void link_probe_finish(struct link_probe *p);
/* A link_reply_cb; ctx is the probe. */
void link_probe_on_answer(void *ctx, const struct redisReply *reply, const struct err *err);
/* Send a command as hiredis formats it: "SET %s %b". As link_command_argv. */
MUST_USE int link_command(struct link *link, link_reply_cb cb, void *ctx, const char *fmt, ...);
/* Send a command of words between spaces and wait for its answer. */
void link_probe_ask(struct link_probe *p, const char *command);
/* Send PING n times, and wait for nothing. */
void link_probe_ping(struct link_probe *p, unsigned n);

#endif
