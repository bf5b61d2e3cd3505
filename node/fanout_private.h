/* What the files of the fan-out share: fanout.c (lines in, the link's life) and fanout_send.c (blocks out). */
#ifndef SHOAL_NODE_FANOUT_PRIVATE_H
#define SHOAL_NODE_FANOUT_PRIVATE_H

#include "node/fanout.h"

#include "node/drops.h"
#include "shared/trouble.h"

#include <utlist.h>

#define BLOCK_LINES 64

enum fanout_way {
    WAY_TRANSACTIONS, /* as many as may be unanswered */
    WAY_ANSWERS, /* nothing leaves: one was refused, others behind it may have been carried out */
    WAY_CALLS,   /* of the function that may be called where memory is short */
    WAY_TRIAL,   /* one transaction alone: is it carried out again? */
};

struct block {
    struct block *prev;
    struct block *next;
    bool sent;
    bool sealed; /* was sent: Redis has it if `seq` says so; takes no more lines */
    unsigned lines;
    uint64_t last_seq;
    uint64_t first_ms; /* when it took its first line */
    uint64_t last_ms;
    char *data; /* the PUBLISH commands */
    size_t len;
    size_t cap;
};

struct fanout {
    struct fanout_options options;
    char topic[REGISTRY_TOPIC_CHARS];
    struct slice topic_prefix; /* all of it */
    char *tag;
    char *node;
    char seq_key[REGISTRY_TOPIC_CHARS];
    uv_check_t turn_end; /* runs after I/O: what came in one loop turn leaves together */
    uv_idle_t awake;     /* keeps the loop from blocking while something is to be flushed */
    bool flush_due;
    struct link *link;
    uint64_t link_generation; /* answers of an earlier link are none */
    bool hold;
    enum fanout_way way;
    uint64_t calls_until_ms;
    uint64_t seq;      /* of the last line taken */
    uint64_t used;     /* no line gets this number, or one before it, any more */
    uint64_t answered; /* Redis has said that it came so far */
    struct block *blocks;
    struct block *first_unsent; /* NULL: all sent */
    struct block *spare;
    unsigned nspare;
    size_t held;       /* bytes waiting or sent */
    size_t unanswered; /* bytes sent */
    uint64_t published;
    uint64_t taken;
    struct drops drops;
    struct trouble trouble; /* with writing seq */
};

/* In fanout.c: the block leaves the list; its counters have been settled. */
void fanout_give(struct fanout *f, struct block *b);
/* There may be room in the buffer again: tell what was dropped. */
void fanout_tell_dropped(struct fanout *f);

/* In fanout_send.c: send what may be sent. */
void fanout_flush(struct fanout *f);
/* Redis has carried it out. */
void fanout_mark_answered(struct fanout *f, struct block *b);
/* Nothing is under way: what waits is numbered on from what Redis has. Numbers differ from those they had only
 * behind a block that was refused and that later ones overtook. */
void fanout_number(struct fanout *f);

#endif
