/* Registry call: one step on its way to Redis and its answer on the way back. Used by registry*.c
 * and cluster*.c only.
 *
 * call_ask() allocates one small `struct call`, sends the command, and on the answer runs the
 * call's `answered`, which decodes and calls the user back; then the call is freed. */
#ifndef SHOAL_REDIS_REGISTRY_CALL_H
#define SHOAL_REDIS_REGISTRY_CALL_H

#include "shared/redis/registry_client.h"
#include "shared/redis/registry_reply.h"

struct registry {
    struct link *link; /* borrowed */
    char tag[48];      /* "shoal:{main}": KEYS[1] of every step, and what all keys begin with */
    char topic[48];    /* "shoal:main" */
};

/* "shoal:{main}:<rest>" in the caller's buffer; NUL-terminated, cut if too small (256 bytes always
 * suffice for valid names). Returns out. */
const char *registry_key(const struct registry *r, char *out, size_t size, const char *rest);

/* A command being put together. The text it points to must live until it is sent. */
struct args {
    const char **argv;
    size_t *len;
    size_t n;
    size_t cap;
    char numbers[6][24]; /* text of args_number */
    size_t nnumbers;
    char function[40]; /* text of args_fcall */
};

void args_slice(struct args *a, struct slice s);
void args_text(struct args *a, const char *text); /* NULL: the empty text */
void args_number(struct args *a, int64_t number);
/* The words of a text, which blanks part. */
void args_words(struct args *a, const char *text);
/* "FCALL shoal1_<step> 1 <tag>" */
void args_fcall(struct args *a, const struct registry *r, const char *step);

/* Send them as one command, and free what they hold. As link_command_argv. */
MUST_USE int args_send(struct args *a, const struct registry *r, link_reply_cb cb, void *ctx);

/* A step only the holder of the node may take, which comes first with its incarnation. */
void node_args(struct args *a, const struct registry *r, const char *step, const char *node,
               const char *incarnation);
/* A step only the leader may take: its incarnation and token come first. */
void leader_args(struct args *a, const struct registry *r, const struct registry_leader *me,
                 const char *step);

struct call;
/* Decodes the answer, and calls the user back. */
typedef void (*call_answered)(struct call *call, const struct redisReply *reply,
                              const struct err *err);

/* The user's. */
union call_cb {
    registry_greeting_cb greeting;
    registry_done_cb done;
    registry_bool_cb yes_no;
    registry_register_cb registered;
    registry_renew_cb renewed;
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
};

struct call {
    struct registry *registry;
    call_answered answered;
    union call_cb cb;
    void *ctx;
    int64_t seen;                      /* renew: the rev asked with; is_led: the deadline */
    uint64_t link_id;                  /* kill_listener */
    bool is_register;                  /* register or renew */
    struct picture_parts *parts;       /* of a picture that comes in portions; owned */
    char *texts[2];                    /* register, renew, leave: node and incarnation; owned */
    bool said;                         /* leave */
    struct registry_greeting greeting; /* greet: between its two commands */
    bool again;                        /* `answered` has sent a further command: keep the call */
};

void picture_parts_destroy(struct picture_parts *p); /* registry_picture.c; NULL is nothing */

/* A call that will run `answered`. */
struct call *call_create(struct registry *r, call_answered answered, union call_cb cb, void *ctx);
/* Send it. 0, or -ERR_DOWN and the call is freed. Frees what args hold. */
MUST_USE int call_send(struct call *call, struct args *a);
/* Both at once. */
MUST_USE int call_ask(struct registry *r, struct args *a, call_answered answered, union call_cb cb,
                      void *ctx);
/* `answered` of a call whose answer is only that it was done. */
void call_done(struct call *call, const struct redisReply *reply, const struct err *err);
/* The same for such a call (cb may be NULL), or one that answers a word and what follows it. */
MUST_USE int call_send_done(struct registry *r, struct args *a, registry_done_cb cb, void *ctx);
MUST_USE int call_send_word(struct registry *r, struct args *a, registry_word_cb cb, void *ctx);
/* Send ready-made commands, answered by one reply. 0, or -ERR_DOWN and the call is freed. */
MUST_USE int call_send_raw(struct call *call, const struct slice *parts, size_t n);
/* From within `answered`: send a further command and keep the call for its answer. NULL, or what to
 * hand on where the link is down: the call ends as ever. */
MUST_USE const struct err *call_send_again(struct call *call, struct args *a, struct err *space);
/* From within `answered`: the error to hand on, from the link's error or the reply's; NULL if
 * neither. */
const struct err *call_error(const struct redisReply *reply, const struct err *err,
                             struct err *space);
/* The same where the reply was read already, with `rc` and, where that is not 0, `space`. */
const struct err *call_read(const struct err *err, int rc, const struct err *space);

#endif
