/* What the files of the report share: report.c (the whole, gaps, the node's part) and
 * report_shard.c. */
#ifndef SHOAL_NODE_REPORT_PRIVATE_H
#define SHOAL_NODE_REPORT_PRIVATE_H

#include "node/report.h"

#include "shared/json.h"

/* Something to tell once. */
struct news {
    bool due;
    bool told; /* in a report that is under way */
    char why[200];
};

struct report {
    void (*on_change)(void *ctx);
    void *ctx;
    struct report_shard *shards; /* (borrowed) */
    struct news news[REPORT_NEWS];
    uint64_t rewound_ms;
    uint64_t rewound_lines;
    struct gap *gaps;
    unsigned ngaps;
    unsigned gaps_sent;       /* the first of them, in a report that is under way */
    uint64_t gaps_unreported; /* more than fit */
};

/* In report_shard.c. What must be told though no call says it: rates, silence, activity. */
void report_look_at_shards(struct report *r);
/* The members "shards", "channels" and "active". */
void report_write_shards(struct report *r, struct json *out);

#endif
