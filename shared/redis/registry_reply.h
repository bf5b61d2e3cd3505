/* Registry replies: answers of the steps, decoded into the structs of registry.h.
 *
 * What Redis sends is not trusted: a reply that is short, of another shape or out of range gives
 * -ERR_STRANGE and a text that names what was asked, never a crash. Slices point into the reply;
 * the arrays that hold them come from a `struct reply_memory` and live until reply_memory_finish.
 * No link, no callbacks: pure functions. */
#ifndef SHOAL_REDIS_REGISTRY_REPLY_H
#define SHOAL_REDIS_REGISTRY_REPLY_H

#include "shared/figures.h"
#include "shared/redis/reader.h"
#include "shared/redis/registry_sends.h"

/* Arrays of one answer. Zeroed memory is an empty one. */
struct reply_memory {
    struct reply_block *blocks;
};
/* Give back every array. */
void reply_memory_finish(struct reply_memory *memory);

/* Zeroed memory that lives as long as the answer; NULL for none. */
void *reply_memory_take(struct reply_memory *memory, size_t count, size_t size);

/* An array of n elements, made by this, with room for one more: it, or a copy. */
void *reply_memory_grow(struct reply_memory *memory, const void *array, size_t n, size_t size);
/* A copy of the text that lives as long; a NUL follows. */
struct slice reply_memory_keep(struct reply_memory *memory, struct slice text);

/* All that is left, as slices. */
const struct slice *reply_rest(struct reader *r, struct reply_memory *memory, size_t *n);
/* HGETALL's answer: its words, and what the table knows into the struct `of` those figures. */
MUST_USE int reply_hash(const struct redisReply *reply, const struct figure *figures, void *of,
                        struct registry_hash *hash, struct reply_memory *memory, struct err *err);
/* "Redis's answer to WHAT is not what Shoal expects": -ERR_STRANGE. */
int reply_broken(struct err *err, const char *what);
/* 0, or what an error reply means (refusal_err). */
MUST_USE int reply_check(const struct redisReply *reply, struct err *err);
/* The end of reading an answer to WHAT: 0, or what its error reply means, or that it is broken. */
MUST_USE int reply_end(const struct reader *r, struct err *err, const char *what);
/* shoal1_version: the revision of the library there. */
MUST_USE int reply_version(const struct redisReply *reply, uint64_t *revision, struct err *err);
/* Copy the value of the line "name:value" of INFO into out; false if there is none that fits. */
bool reply_info_field(const char *text, const char *name, char *out, size_t size);
/* TIME: ms of Redis's clock. */
MUST_USE int reply_time(const struct redisReply *reply, struct wall *now, struct err *err);
/* Parse the text of INFO server. */
MUST_USE int reply_info(const struct redisReply *reply, struct registry_greeting *out,
                        struct err *err);
/* An array that begins with a word; `rest` is the text after it, if any. */
MUST_USE int reply_word(const struct redisReply *reply, struct slice *word, struct slice *rest,
                        struct err *err);
/* A word and the reply to a request; registry_outcome_finish it. */
MUST_USE int reply_outcome(const struct redisReply *reply, struct registry_outcome *out,
                           struct err *err);
/* "more" or "done", and "REPAIRS CURSOR" or "REPAIRS". */
MUST_USE int reply_compared(const struct redisReply *reply, struct registry_compared *out,
                            struct err *err);
/* "current" ...; `seen` is the rev that was asked with. `place`: where the next portion begins,
 * empty where this is all. `out` is all zeros before; it points to nothing in the reply. */
MUST_USE int reply_picture(const struct redisReply *reply, int64_t seen,
                           struct registry_picture *out, struct slice *place,
                           struct reply_memory *memory, struct err *err);
/* The next portion: adds to the lists of `out`. */
MUST_USE int reply_portion(const struct redisReply *reply, struct registry_picture *out,
                           struct slice *place, struct reply_memory *memory, struct err *err);
/* "held" ... */
MUST_USE int reply_holder(const struct redisReply *reply, struct registry_holder *out,
                          struct err *err);
/* "leading" ... or "standby" ... */
MUST_USE int reply_lead(const struct redisReply *reply, struct registry_lead *out,
                        struct reply_memory *memory, struct err *err);
/* An array of texts. */
MUST_USE int reply_names(const struct redisReply *reply, const struct slice **names, size_t *n,
                         struct reply_memory *memory, struct err *err);
/* Waits of a draw. */
MUST_USE int reply_waits(const struct redisReply *reply, const uint64_t **waits, size_t *n,
                         struct reply_memory *memory, struct err *err);
/* The word for how an account says things. */
enum registry_say_by reply_say_by(struct reader *r);
/* The answer of send_claim. */
MUST_USE int reply_claim(const struct redisReply *reply, struct registry_claim *out,
                         struct err *err);
/* The answers of send_list and send_listen. */
MUST_USE int reply_sends(const struct redisReply *reply, struct registry_sends *out,
                         struct reply_memory *memory, struct err *err);
MUST_USE int reply_listeners(const struct redisReply *reply, struct registry_listeners *out,
                             struct reply_memory *memory, struct err *err);
/* An array of entries, as XRANGE tells them. */
MUST_USE int reply_entries(const struct redisReply *reply, const struct registry_entry **entries,
                           size_t *n, struct reply_memory *memory, struct err *err);

#endif
