/* What the files of the subscriber share: subscriber.c (what is wanted, what is subscribed, what
 * comes) and subscriber_watch.c (is the server alive; how it is left). */
#ifndef SHOAL_REDIS_SUBSCRIBER_PRIVATE_H
#define SHOAL_REDIS_SUBSCRIBER_PRIVATE_H

#include "shared/redis/subscriber.h"

#include "shared/machine.h"
#include "shared/teardown.h"

#include <uthash.h>

/* What is known of the server:
 *
 *   down -> quiet <-> probing;  both -> leaving;  all -> down */
enum watch_state {
    WATCH_DOWN,    /* the link is */
    WATCH_QUIET,   /* it spoke lately */
    WATCH_PROBING, /* a PING is to be answered */
    WATCH_LEAVING, /* all is unsubscribed; the answer to the last PING is to come */
};

struct topic {
    struct topic *prev; /* in `changed` */
    struct topic *next;
    bool wanted;
    bool asked;           /* what the last command said: SUBSCRIBE or UNSUBSCRIBE */
    bool listed;          /* in `changed` */
    bool counted;         /* in `missing` */
    unsigned outstanding; /* confirmations to come */
    bool pattern;
    UT_hash_handle hh;
    size_t len;
    char name[]; /* NUL-terminated besides */
};

struct subscriber {
    struct subscriber_options o;
    struct link *link;
    uv_loop_t *loop;
    uv_idle_t idle;
    uv_timer_t timer;
    struct teardown teardown;
    struct topic *topics;   /* by name */
    struct topic *patterns; /* by name */
    struct topic *changed;  /* wanted differs from asked, perhaps */
    size_t missing;
    size_t outstanding; /* confirmations to come, of all topics */
    struct registry_greeting greeting;
    bool greeted;
    bool ready_due;       /* on_ready has not been called since the last change */
    struct machine watch; /* its state is an enum watch_state */
    uint64_t due;         /* uv_now: then it is probed, or given up */
    bool second_look;     /* it should be given up: the answer may still lie in the socket */
    struct err leave_why;
};

/* In subscriber_watch.c. Nothing is up yet; the link is up; it is down; something came. */
void watch_init(struct subscriber *s);
void watch_begin(struct subscriber *s);
void watch_end(struct subscriber *s);
void watch_on_word(struct subscriber *s);
/* Leave the server as soon as all that it counts as heard is heard; `code` as on_down tells it. */
void watch_leave(struct subscriber *s, enum err_code code, const char *why);
/* The same, as link_options has it. */
void watch_on_leave(void *ctx, const char *why);
/* This server is left as soon as all is heard. */
bool watch_is_leaving(const struct subscriber *s);
/* Was that the last word of a server that is left? Then the link goes down. */
bool watch_on_goodbye(struct subscriber *s, const struct redisReply *reply);

#endif
