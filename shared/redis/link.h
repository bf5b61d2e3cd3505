/* Redis link: one connection to Redis that comes back by itself.
 *
 *   down -> resolving -> connecting -> (tls) -> greeting (AUTH, SELECT, CLIENT SETNAME) -> up
 *     ^                                                                                  |
 *     +------- backoff (50 ms .. 2 s, jittered) <--------- any failure ------------------+
 *
 * The happy path: link_create, on_up, commands, replies in order. Failure modes: the name does not
 * resolve, the port refuses, TLS does not verify (chain or host name), AUTH fails, nothing answers
 * within the deadline, the peer closes or sends garbage: the link goes down, every command sent and
 * not answered calls back once with -ERR_DOWN, on_down says why, and it connects again after a
 * backoff. Wrong credentials are such a failure too (a rotation may mend it); a program that starts
 * looks at on_down's code and may exit.
 *
 * hiredis parses replies (redisReader) and formats commands; connecting, TLS, deadlines and order
 * are ours, on uv_tcp, since Debian 12's hiredis hides connection errors and has neither deadlines
 * nor TLS.
 *
 * What Redis refuses (refusal.h) goes to the caller, and besides: it is told once for all links
 * of the group; where the connection is of no use after it, the link goes down; where the server is
 * not (READONLY), all links of the group do.
 *
 * Hostile servers are bounded (reply_reader.h): a reply over 64 MiB or of more than a million
 * elements, or a line over 64 KiB, is a protocol error.
 *
 * Owns its socket and queues. Borrows the uv loop and the url for its life (the url is read anew
 * for each connection, so a rotated password may be put into it; tls_ca likewise is a file read
 * anew). SIGPIPE must be ignored (loop_init does it). Loop thread only. */
#ifndef SHOAL_REDIS_LINK_H
#define SHOAL_REDIS_LINK_H

#include "shared/err.h"
#include "shared/url.h"

#include <hiredis/hiredis.h>
#include <uv.h>

struct link;
struct link_group;

/* A reply, or `reply` NULL and `err` set: ERR_TIMEOUT when it is the deadline of a command that
 * brought the link down, ERR_DOWN for any other loss, ERR_CANCELED after link_close. A Redis error
 * reply is a reply (REDIS_REPLY_ERROR). Called exactly once for each accepted command; may call
 * link functions, but link_close and link_reset only take effect after it returns. `reply` is valid
 * during the call. */
typedef void (*link_reply_cb)(void *ctx, const struct redisReply *reply, const struct err *err);

struct link_options {
    const struct url *url;
    const char *tls_ca;       /* PEM file, or NULL for the system's */
    const char *name;         /* CLIENT SETNAME, e.g. "shoal-node:n1:fan" (no spaces) */
    uint64_t connect_ms;      /* deadline from resolve to the last greeting; 0: 3000 */
    uint64_t reply_ms;        /* the oldest unanswered command may be this old; 0: 3000 */
    uint64_t backoff_cap_ms;  /* 0: 2000 */
    struct link_group *group; /* the links of this process, or NULL: alone; borrowed */
    bool raw_pushes;          /* pub/sub: every reply after the greeting goes to on_push */
    void (*on_up)(void *ctx); /* greeted; commands are taken from now on */
    void (*on_down)(void *ctx, const struct err *why); /* was up, or a try to connect failed */
    void (*on_push)(void *ctx, const struct redisReply *reply); /* raw_pushes only */
    /* The group leaves the server: who has to say goodbye first resets the link afterwards. NULL:
     * it is reset at once. */
    void (*on_leave)(void *ctx, const char *why);
    void *ctx;
};

/* Start connecting at once. Options are copied, what they point to is borrowed (tls_ca, name:
 * copied). */
struct link *link_create(uv_loop_t *loop, const struct link_options *options);
/* Close for good: unanswered commands call back with ERR_CANCELED, then on_closed(ctx) is called
 * from the loop, when the memory is gone; it may be NULL. No other callback after link_close
 * returns, except where it is called inside a callback of this link: then the unanswered commands
 * call back when that returned. A name lookup that hangs in the resolver delays on_closed until it
 * ends. Call once. */
void link_close(struct link *link, void (*on_closed)(void *ctx), void *ctx);
bool link_is_up(const struct link *link);
/* Drop the connection and connect anew (a command's answer made it useless, a role changed): at
 * once if it had been up for a second, else after the backoff, so that a reset in on_up does not
 * spin. From now on the link is not up; unanswered commands and on_down (ERR_DOWN, `why`) follow
 * from the loop. Not up: does nothing, it is on its way anyway. */
void link_reset(struct link *link, const char *why);
/* The same where Redis refuses what the link is for: it connects anew after a second at the
 * soonest, and on_down's code is ERR_UNABLE. Not up: does nothing. */
void link_refuse(struct link *link, const char *why);

/* Send one command, written at the end of the loop turn. `argv[i]` has argvlen[i] bytes (argvlen
 * NULL: C strings). 0: accepted, cb comes; -ERR_DOWN: not up, -ERR_FULL: 256 MiB are unsent; then
 * cb never comes. cb may be NULL (the reply is dropped). Not for raw_pushes. */
MUST_USE int link_command_argv(struct link *link, int argc, const char **argv,
                               const size_t *argvlen, link_reply_cb cb, void *ctx);
/* The same for a command that is sent to see whether Redis refuses it: such an answer is not told,
 * and drops nothing. */
MUST_USE int link_try_argv(struct link *link, int argc, const char **argv, const size_t *argvlen,
                           link_reply_cb cb, void *ctx);
/* As link_command_argv with a deadline of its own, for commands that block (XREAD BLOCK): ms on top
 * of reply_ms. */
MUST_USE int link_command_blocking(struct link *link, uint64_t block_ms, int argc,
                                   const char **argv, const size_t *argvlen, link_reply_cb cb,
                                   void *ctx);
/* Ready-made RESP of one command, or of several that belong together. */
struct link_raw {
    size_t nparts;  /* slices of it */
    size_t replies; /* that answer it; where there are several, the last is that of an EXEC */
    bool whole;     /* all of what EXEC answers is made */
    void *ctx;      /* cb's */
};
/* Send `n` of them, whose slices follow each other in `parts`, with one system call where the
 * socket takes them. cb is called for each, with its last reply, or where that is an error with the
 * first error of its replies: it is the cause. Of what EXEC answers the last element and errors
 * alone are made, unless it is wanted whole: the others are NULL. The slices are not used after
 * the call. Nothing is sent where it is not 0. */
MUST_USE int link_send_raw(struct link *link, const struct slice *parts, const struct link_raw *raw,
                           size_t n, link_reply_cb cb);
/* raw_pushes only: a command to send, nothing is expected back but pushes. 0, -ERR_DOWN or
 * -ERR_FULL. */
MUST_USE int link_send_push(struct link *link, int argc, const char **argv, const size_t *argvlen);

/* Text of a reply of type string, status or error; the empty slice for others. */
struct slice reply_slice(const struct redisReply *reply);

#endif
