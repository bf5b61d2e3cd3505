/* Api, what its files share: api.c has the routes and what the document answers, api_wait.c the
 * requests that wait, api_look.c what Redis is asked for, api_ask.c what the leader is; live.c and
 * live_tail.c are the WebSockets. */
#ifndef SHOAL_COORDINATOR_API_PRIVATE_H
#define SHOAL_COORDINATOR_API_PRIVATE_H

#include "coordinator/status/records.h"
#include "coordinator/web/api.h"
#include "coordinator/web/ask_body.h"
#include "coordinator/web/coordinator_web.h"
#include "coordinator/web/live.h"
#include "shared/redis/subscriber.h"
#include "shared/teardown.h"

#include <cjson/cJSON.h>

#define API_WAITING_MAX 64 /* requests that wait for Redis, and as many for the leader */
#define API_TEXT_BYTES  ((size_t)64 << 20)
#define API_TEXTS       4 /* the document, and its lists of nodes, shards and accounts */

/* A request that waits for what is read. Its client may go at any time. */
struct api_wait {
    struct api_wait *prev; /* utlist, while it waits for the names, or for its turn at the log */
    struct api_wait *next;
    struct api *api;
    struct web_request *request; /* NULL: the client is gone */
    bool asks_watch;             /* it waits for the document, */
    /* and this takes it; or the names. */
    void (*take)(struct api_wait *w, const cJSON *document);
    size_t text; /* which of the document's */
    char *name;  /* what it is about; owned, may be NULL */
    uint64_t since_ms;
    size_t limit;
    bool no_log;                      /* of a channel what is told without the log */
    size_t nevents;                   /* of the log, that were read for it */
    size_t advance;                   /* rows that it has taken, and that are not counted yet */
    cJSON *answer;                    /* so far */
    struct cluster_channel *channels; /* a page of the names; owned, as are the texts */
    size_t nchannels;
    struct records records;
};

/* The names of all channels with their shards, in order: read when somebody asks, and kept for
 * NAMES_MS. */
struct api_names {
    struct cluster_reader *reader;
    struct cluster_channel *channel; /* owned, as are the texts */
    size_t n;
    uint64_t read_ms;              /* 0: never */
    struct cluster_channel *fresh; /* while they are read */
    size_t nfresh;
    size_t room;
    struct api_wait *waits;
};

/* A request of which the leader's reply is awaited. */
struct api_ask {
    struct api_ask *prev; /* utlist */
    struct api_ask *next;
    struct api *api;
    struct web_request *request; /* NULL: the client is gone, or has its answer */
    struct ask_body body;
    char id[33];
    uint64_t until_ms;
    bool added; /* Redis has taken it */
    bool busy;  /* a question is under way */
};

struct api {
    struct api_options options;
    struct registry *registry; /* the watch's */
    struct subscriber *subscriber;
    char replies_topic[REGISTRY_TOPIC_CHARS];
    char events_topic[REGISTRY_TOPIC_CHARS];
    char chat_topic[REGISTRY_TOPIC_CHARS]; /* what those of channels begin with */
    struct buf texts[API_TEXTS];           /* of the newest document; empty: not made yet */
    size_t nwaits;
    int64_t rows;     /* of Redis that may be read for clients now; below 0: a debt */
    uint64_t rows_ms; /* as it was then */
    /* All of the log is read for one at a time, the others wait: or it would be read 64 times
     * before the first is counted. */
    bool log_is_read;
    size_t log_rows; /* so many were read of it last */
    struct api_wait *looks;
    struct api_names names;
    struct api_ask *asks;
    size_t nasks;
    uv_timer_t asks_timer;
    struct live *live;
    struct teardown teardown;
};

/* api.c */
/* A number of the query; false: it is none between these, and that was answered. */
MUST_USE bool api_number(struct web_request *r, const char *name, uint64_t least, uint64_t most,
                         uint64_t *value);

/* api_wait.c */
/* NULL: too many wait, and that was answered. */
struct api_wait *api_wait_begin(struct api *a, struct web_request *r);
/* The same for one that reads at most so many rows of Redis beside the document, which are taken in
 * advance; or too many were read lately. */
struct api_wait *api_wait_begin_reading(struct api *a, struct web_request *r, size_t rows);
/* May it read on? False: its client is gone, or too many rows were read lately, and it is ended. */
MUST_USE bool api_wait_may_read(struct api_wait *w);
/* It takes so many rows in advance. */
void api_take_rows(struct api_wait *w, size_t rows);
/* So many were read; what is left of the advance is given back. */
void api_count_rows(struct api_wait *w, size_t rows);
/* Answer where somebody waits, and end it: with a tree, which is deleted; with JSON, or an error
 * where it was too long; with an error. */
void api_wait_answer(struct api_wait *w, cJSON *tree);
void api_wait_answer_text(struct api_wait *w, const struct buf *json);
void api_wait_refuse(struct api_wait *w, int status, const char *text);
void api_wait_unread(struct api_wait *w, const struct err *err);
/* Hand the document to `take`. */
void api_wait_for_document(struct api_wait *w,
                           void (*take)(struct api_wait *w, const cJSON *document));

/* api_names.c */
void api_names_begin(struct api *a);
void api_names_end(struct api *a);
void api_channels_free(struct cluster_channel *channels, size_t n);
/* Call `take`, without a document, when the names are there. */
void api_wait_for_names(struct api_wait *w,
                        void (*take)(struct api_wait *w, const cJSON *document));

/* api_ask.c */
void api_asks_begin(struct api *a);
/* A reply was published: is it of one that waits? */
void api_asks_hear(struct api *a, struct slice reply);

#endif
