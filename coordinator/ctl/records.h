/* Records: the cluster's state in Redis as objects of cJSON, the same for tables and JSON. */
#ifndef SHOAL_CTL_RECORDS_H
#define SHOAL_CTL_RECORDS_H

#include "coordinator/ctl/ctl.h"
#include "shared/redis/cluster.h"

#include <cjson/cJSON.h>

/* What may be read; with RECORDS_ALL the state of the whole is, too. */
enum {
    RECORDS_SETTINGS = 1,
    RECORDS_NODES = 2,
    RECORDS_SHARDS = 4,
    RECORDS_CHANNELS = 8,
    RECORDS_ACCOUNTS = 16,
    RECORDS_ALL = 31
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
    const struct cluster_state *state; /* `now`, and with RECORDS_ALL the rest */
    struct ctl *ctl;                   /* inside */
    struct cluster_reader *reader;     /* inside */
};

/* Read what is asked for: CTL_DONE, or the exit code after the reason was printed. records_finish
 * it in any case. */
MUST_USE int records_read(struct ctl *c, unsigned what, struct records *r);
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
