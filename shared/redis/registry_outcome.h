/* Registry outcome: the reply to a request, read: for who carried it out, and for who asked for it.
 *
 * Replies stand in Redis, where anybody may have written: what is not as a step makes it is passed
 * over, and `valid` tells. Pure. */
#ifndef SHOAL_REDIS_REGISTRY_OUTCOME_H
#define SHOAL_REDIS_REGISTRY_OUTCOME_H

#include "shared/base.h"

struct cJSON;

/* A channel and its shard, or why it has none; a setting and its value. */
struct registry_told {
    const char *name;
    const char *text; /* "" where there is none */
};

struct registry_list {
    size_t n;
    const struct registry_told *item;
};

struct registry_outcome {
    /* Of a step: "done", "again" (it was answered before), or "gone" (its entry is, and all below
     * is empty). */
    struct slice word;
    struct slice json; /* the reply as it stands */
    bool valid;        /* as a step makes them */
    bool ok;
    const char *error;   /* why all of it was refused, or NULL */
    bool names_channels; /* it tells where channels are now; refused as a whole, it does not */
    struct registry_list assigned;  /* to shards */
    struct registry_list waiting;   /* why */
    struct registry_list refused;   /* why */
    uint64_t refused_more;          /* that are not listed */
    struct registry_list parted;    /* names alone */
    struct registry_list retried;   /* names alone */
    const char *manager;            /* of the cluster, where another one was given; or NULL */
    struct registry_list different; /* settings of the cluster, where other values were given */
    struct cJSON *tree;             /* the reply; owns the texts. NULL: it is no JSON */
};

/* Read a reply; `json` is borrowed. registry_outcome_finish it. */
void registry_outcome_read(struct slice json, struct registry_outcome *out);
void registry_outcome_finish(struct registry_outcome *o);

#endif
