/* Records: the cluster's state in Redis as objects of cJSON, the same for tables, JSON and pages.
 *
 *   records_init -> records_resume -> on_done(err)  -> records_resume goes on behind what was read
 *                                  -> on_done(NULL) -> all is there, until records_finish
 *
 * Embedded in their owner; they borrow the registry. They write nothing. Loop thread only. */
#ifndef SHOAL_COORDINATOR_RECORDS_H
#define SHOAL_COORDINATOR_RECORDS_H

#include "shared/redis/cluster.h"

#include <cjson/cJSON.h>

/* What may be read. */
enum {
    RECORDS_SETTINGS = 1,
    RECORDS_NODES = 2,
    RECORDS_SHARDS = 4,
    RECORDS_CHANNELS = 8,
    RECORDS_ACCOUNTS = 16,
    RECORDS_READERS = 32,
    RECORDS_WHOLE = 64 /* `state`, which asks for the settings */
};

struct records_options {
    struct registry *registry;
    bool read_only; /* for a user of Redis that may call no function that writes */
    unsigned what;
    const struct cluster_channel *channels; /* these alone, borrowed; NULL: all */
    size_t nchannels;
    /* What was asked for is there, or why it is not, as cluster_reader_options says. It may finish
     * the records. */
    void (*on_done)(void *ctx, const struct err *err);
    void *ctx;
};

/* Arrays of what was asked for, by name; the fields of a record are those of the hash in Redis,
 * and: */
struct records {
    cJSON *settings; /* {"name","value","default","allowed"} */
    cJSON *nodes;    /* "node", "lease_ms"; "shards" are those it holds, "state" may be "silent" */
    cJSON *shards;   /* "shard" */
    cJSON *channels; /* "channel", "shard" */
    cJSON *accounts; /* "account" */
    cJSON *readers;  /* {"reader","rooms"}, "limit" if there is one, "error" if it is passed over */
    const struct cluster_state *state; /* `now`, and with RECORDS_WHOLE the rest */
    /* Inside: */
    struct cluster_reader *reader;
    void (*on_done)(void *ctx, const struct err *err);
    void *ctx;
};

/* Nothing is read yet. */
void records_init(struct records *r, const struct records_options *o);
/* Read, or go on behind what was read where the link failed: on_done follows in any case, perhaps
 * before this returns. Not while it reads. */
void records_resume(struct records *r);
/* Not while they are read. */
void records_finish(struct records *r);

/* The text of a field, "" where there is none; borrowed. */
const char *records_text(const cJSON *record, const char *field);
/* The number in a field, 0 where there is none. */
uint64_t records_number(const cJSON *record, const char *field);
/* The record whose `field` is `text`, or NULL. */
const cJSON *records_find(const cJSON *records, const char *field, const char *text);
/* The setting's value, or "". */
const char *records_setting(const struct records *r, const char *name);
/* Add the fields of a hash to a record: numbers as numbers, where the table says so and they are; a
 * field that the record has already is left alone. */
void records_add_hash(cJSON *record, const struct registry_hash *hash,
                      const struct figure *figures);

#endif
