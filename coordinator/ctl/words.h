/* Words: what lists, the status screen and top say of the same things, each in one way. */
#ifndef SHOAL_CTL_WORDS_H
#define SHOAL_CTL_WORDS_H

#include "shared/buf.h"

#include <cjson/cJSON.h>

#define WORDS_IN_CHARS 40

/* The field of the record becomes that text, */
void words_set(cJSON *record, const char *field, const char *text);
/* a table_bar, */
void words_bar(cJSON *record, const char *field, uint64_t used, uint64_t most, size_t width);
/* "12/100", or "12" where there is no limit (`most` 0). */
void words_share(cJSON *record, const char *field, uint64_t used, uint64_t most);
/* The fields "bar" and "of" of a shard of that status document: how full it is. */
void words_load(cJSON *shard, const cJSON *document, size_t width);
/* Append ": 5 queued, 25 joined", the channels of that status document; nothing where none has a
 * state. */
void words_states(struct buf *out, const cJSON *document);
/* How many joins of a user are still to go. */
uint64_t words_joins_left(const cJSON *joins);
/* ", in about 2m"; "" where it is no matter of time. */
void words_in(uint64_t left_ms, char out[WORDS_IN_CHARS]);

#endif
