/* Registry call: one step on its way to Redis and its answer on the way back. Used by registry*.c
 * and cluster*.c only.
 *
 * call_ask() allocates one small `struct call`, sends the command, and on the answer runs the
 * call's `answered`, which decodes and calls the user back; then the call is freed. */
#ifndef SHOAL_REDIS_REGISTRY_CALL_H
#define SHOAL_REDIS_REGISTRY_CALL_H

#include "shared/redis/registry_accounts.h"
#include "shared/redis/registry_client.h"
#include "shared/redis/registry_history.h"
#include "shared/redis/registry_look.h"
#include "shared/redis/registry_sends.h"
#include "shared/redis/registry_reply.h"

struct registry {
    struct link *link; /* borrowed */
    char tag[48];      /* "shoal:{main}": KEYS[1] of every step, and what all keys begin with */
    char topic[48];    /* "shoal:main" */
};

/* A command being put together: a copy of each of its words. */
struct args {
    char **word;
    size_t *len;
    size_t n;
    size_t cap;
};

/* The words of a text, which blanks part. */
struct args args_of(const char *words);
/* XREAD, up to its keys: `most` entries of each, waited for block_ms at most; 0: not at all. */
struct args args_of_read(size_t most, uint64_t block_ms);
/* "FCALL shoal1_<step> 1 <tag>" */
struct args step_args(const struct registry *r, const char *step);
/* A step only the holder of the node may take, which comes first with its incarnation. */
struct args node_args(const struct registry *r, const char *step, const char *node,
                      const char *incarnation);
/* A step only the leader may take: its incarnation and token come first. */
struct args leader_args(const struct registry *r, const struct registry_leader *me,
                        const char *step);
/* And further words. */
void args_slice(struct args *a, struct slice s);
void args_slices(struct args *a, const struct slice *s, size_t n);
void args_text(struct args *a, const char *text); /* NULL: the empty text */
void args_number(struct args *a, int64_t number);
void args_words(struct args *a, const char *words);
/* A key: what is formatted stands behind "shoal:{main}:". */
void args_key(struct args *a, const struct registry *r, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Send them as one command, and free them. As link_command_argv. */
MUST_USE int args_send(struct args a, const struct registry *r, link_reply_cb cb, void *ctx);

struct call;
/* Decodes the answer, and calls the user back. */
typedef void (*call_answered)(struct call *call, const struct redisReply *reply,
                              const struct err *err);

/* The user's. */
union call_cb {
    registry_greeting_cb greeting;
    registry_done_cb done;
    registry_rung_cb rung;
    registry_bool_cb yes_no;
    registry_register_cb registered;
    registry_renew_cb renewed;
    registry_rest_cb rested;
    registry_lead_cb lead;
    registry_word_cb word;
    registry_outcome_cb outcome;
    registry_compared_cb compared;
    registry_draw_cb draw;
    registry_claim_cb claim;
    registry_sends_cb sends;
    registry_listeners_cb listeners;
    registry_requests_cb requests;
    registry_names_cb names;
    registry_text_cb text;
    registry_result_cb result;
    registry_events_cb events;
    registry_history_cb history;
    registry_history_entries_cb history_entries;
    registry_due_accounts_cb due_accounts;
    registry_accounts_cb accounts;
};

struct call {
    struct registry *registry;
    call_answered answered;
    union call_cb cb;
    void *ctx;
    struct err err;                    /* what is wrong with the answer */
    struct reply_memory memory;        /* arrays of the answer */
    int64_t seen;                      /* renew: the rev asked with; is_led: the deadline */
    uint64_t link_id;                  /* kill_listener */
    struct rested *rested;             /* rest: what its answer must be; owned */
    bool is_register;                  /* register or renew */
    struct registry_picture picture;   /* so far: it comes in portions */
    bool begun;                        /* the first one came */
    struct reply_memory kept;          /* its own */
    char *texts[2];                    /* register, renew, leave: node and incarnation; owned */
    bool said;                         /* leave */
    struct registry_greeting greeting; /* greet: between its two commands */
    bool again;                        /* `answered` has sent a further command: keep the call */
};

/* A call that will run `answered`. */
struct call *call_create(struct registry *r, call_answered answered, union call_cb cb, void *ctx);
/* Send it. 0, or -ERR_DOWN and the call is freed. Frees the args. */
MUST_USE int call_send(struct call *call, struct args a);
/* Both at once. */
MUST_USE int call_ask(struct registry *r, struct args a, call_answered answered, union call_cb cb,
                      void *ctx);
/* The same for a call whose answer is only that it was done (cb may be NULL), or a word and what
 * follows it. */
MUST_USE int call_ask_done(struct registry *r, struct args a, registry_done_cb cb, void *ctx);
MUST_USE int call_ask_word(struct registry *r, struct args a, registry_word_cb cb, void *ctx);
/* What `answered` is in the latter. */
void call_answer_word(struct call *call, const struct redisReply *reply, const struct err *err);
/* Send `n` commands as one transaction, and free them. `answered` gets what EXEC answers. As
 * call_send. */
MUST_USE int call_send_all(struct call *call, struct args *commands, size_t n);
/* Send ready-made commands, which one reply answers. As call_send. */
MUST_USE int call_send_raw(struct call *call, const struct slice *parts, size_t n);
/* From within `answered`, as the last thing: send a further command, whose answer (or that the link
 * is down) is for this one. */
void call_again(struct call *call, struct args a, call_answered answered);
/* From within `answered`: the error to hand on, from the link's error or the reply's; NULL if
 * neither. */
const struct err *call_error(struct call *call, const struct redisReply *reply,
                             const struct err *err);
/* The same where the reply was read already, with `rc` and, where that is not 0, the call's err. */
const struct err *call_read(struct call *call, const struct err *err, int rc);

#endif
