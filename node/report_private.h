/* What the files of the report share: report.c (the whole, gaps, the node's part) and
 * report_shard.c. */
#ifndef SHOAL_NODE_REPORT_PRIVATE_H
#define SHOAL_NODE_REPORT_PRIVATE_H

#include "node/report.h"

#include "shared/json.h"

/* So often figures are looked at: with the renewal that is next to two seconds after the last
 * look. */
#define REPORT_FIGURES_MS 1800

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
    uint64_t looked_ms;       /* at figures, of shards and node */
    uint64_t published;       /* lines then */
    struct figures_node figures;
    struct figures_node told; /* as they were told last */
    bool figures_due;
    uint64_t quiet_ms; /* something was read since then on each shard that is silent; 0: none is */
};

/* In report_shard.c. What must be told though no call says it: silence (quiet_ms), activity. */
void report_look_at_shards(struct report *r);
/* And figures. `node` gets what its shards are together. */
void report_look_at_figures(struct report *r, struct figures_node *node);
/* Those that nodes tell. */
void report_write_figures(const struct figure *figures, const void *of, bool texts,
                          struct json *out);
/* The members "shards", "channels" and "active". */
void report_write_shards(struct report *r, struct json *out);

#endif
