/* Live, what its files share: live.c has the clients and what all are told, live_events.c the log,
 * live_tail.c the lines of channels. */
#ifndef SHOAL_COORDINATOR_LIVE_PRIVATE_H
#define SHOAL_COORDINATOR_LIVE_PRIVATE_H

#include "coordinator/web/live.h"
#include "coordinator/web/live_text.h"
#include "shared/irc/parse.h"
#include "shared/redis/registry_look.h"
#include "shared/teardown.h"
#include "shared/web/web_limits.h"

#define LIVE_TAILS_MAX   5     /* channels a client reads */
#define LIVE_LINES_S     50    /* lines a client gets in a second; it is told how many more were */
#define LIVE_LINE_BYTES  16384 /* of one line: Twitch's have 9 KiB at most */
#define LIVE_MESSAGES_S  10    /* of a client */
#define LIVE_EVENTS_KEPT 50    /* that a new client gets */
#define LIVE_EVENTS_READ 100   /* at a time, */
#define LIVE_EVENTS_MS   100   /* and so long between two times */
#define LIVE_EVENT_BYTES 65536 /* of one: what is longer no step wrote, and is not told */
#define LIVE_MESSAGE_MAX WEB_ANSWER_MAX

struct live_tail {
    char channel[IRC_CHANNEL_CHARS];
    uint64_t missed; /* lines in this second, or before it had the whole */
};

struct live_client {
    struct live_client *prev; /* utlist */
    struct live_client *next;
    struct live *live;
    struct web_socket *socket;
    bool begun; /* it has the whole */
    size_t ntails;
    struct live_tail tails[LIVE_TAILS_MAX];
    struct err error; /* of what it asked, to be told */
    unsigned lines;   /* in this second */
    unsigned messages;
};

struct live {
    struct status_watch *watch;
    struct subscriber *subscriber;
    struct registry *registry; /* the watch's */
    struct live_client *clients;
    size_t n;
    uv_timer_t second;      /* while there are clients */
    struct live_text *text; /* NULL: there was no document since the first client came */
    /* The log. */
    uv_timer_t soon; /* it is read then */
    bool reading;
    bool stale;                         /* what is read was asked for by clients that are gone */
    bool known;                         /* was read, or cannot be */
    char last[REGISTRY_EVENT_ID_CHARS]; /* the entry read last; "": none yet */
    char *events[LIVE_EVENTS_KEPT];     /* the newest, JSON: a ring */
    uint64_t nevents;                   /* that were put into it */
    struct teardown teardown;
};

/* live.c */
/* Send it; a client that is too slow is closed by this, as is one for which it is too long. */
void live_send(struct live_client *c, const struct buf *message);
void live_send_to_all(struct live *l, const struct buf *message);
/* Those that wait get the whole, if it is there. */
void live_go_on(struct live *l);

/* live_events.c */
void live_events_begin(struct live *l); /* the first client is there */
void live_events_end(struct live *l);   /* the last one went */
/* Read on, soon. */
void live_events_read(struct live *l);
/* Append the last ones, a JSON array, oldest first. */
void live_events_append(const struct live *l, struct buf *out);

/* live_tail.c */
/* The client asks for other channels; what is wrong with it is told. */
void live_tail_ask(struct live_client *c, struct slice text);
void live_tail_stop(struct live_client *c);
/* It has the whole now, or an error: what was wrong is told. */
void live_tail_go_on(struct live_client *c);
/* A second is over. */
void live_tail_second(struct live_client *c);

#endif
