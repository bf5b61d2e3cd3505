/* What the files of the fan-out share: fanout.c (lines in, the link's life), fanout_send.c (blocks
 * out) and fanout_kept.c (blocks that were answered, should Redis forget them). */
#ifndef SHOAL_NODE_FANOUT_PRIVATE_H
#define SHOAL_NODE_FANOUT_PRIVATE_H

#include "node/fanout.h"

#include "node/drops.h"
#include "node/history.h"
#include "shared/machine.h"
#include "shared/redis/registry_history.h"
#include "shared/teardown.h"
#include "shared/trouble.h"

#include <utlist.h>

#define BLOCK_LINES HISTORY_LINES_MOST

enum fanout_way {
    WAY_TRANSACTIONS, /* as many as may be unanswered */
    WAY_ANSWERS, /* nothing leaves: one was refused, others behind it may have been carried out */
    WAY_CALLS,   /* of the function that may be called where memory is short */
    WAY_TRIAL,   /* one transaction alone: is it carried out again? */
};

/* spare -> filled -> sent -> spare
 *
 *   sent -> spare, or -> kept     Redis has carried it out
 *   sent -> filled                Redis has refused it
 *   sent -> doubt                 the link is gone
 *   doubt -> spare, kept or sent  the next link says whether Redis has it
 *   filled, doubt -> spare        dropped
 *   kept -> spare                 it was answered long enough ago
 *   kept -> filled                Redis has forgotten it: it goes to the streams again,
 *   filled -> kept                but not while Redis is full */
enum block_state {
    BLOCK_SPARE,
    BLOCK_FILLED, /* surely not published; takes lines while it is the last */
    BLOCK_SENT,   /* its answer is to come */
    BLOCK_DOUBT,  /* its answer will not come: Redis has it if `seq` says so; takes no more lines */
    BLOCK_KEPT,   /* answered; not in the list of the others */
    BLOCK_STATES
};

struct block {
    struct fanout *fanout;
    struct block *prev;
    struct block *next;
    struct machine machine; /* its state is an enum block_state */
    bool said;              /* its lines were published: only the streams lack them */
    unsigned lines;
    uint64_t last_seq;
    char by[HISTORY_BY_CHARS]; /* the incarnation that published it */
    uint64_t first_ms;         /* when it took its first line */
    uint64_t last_ms;
    uint64_t first_us; /* first_ms, finer */
    char *data;        /* the PUBLISH commands */
    size_t len;
    size_t cap;
};

struct fanout {
    struct fanout_options options;
    char topic[REGISTRY_TOPIC_CHARS];
    struct slice topic_prefix; /* all of it */
    char seq_key[REGISTRY_TOPIC_CHARS];
    uv_check_t turn_end; /* runs after I/O: what came in one loop turn leaves together */
    uv_idle_t awake;     /* keeps the loop from blocking while something waits to be flushed */
    struct teardown teardown;
    bool flush_due;
    struct link *link;
    uint64_t link_generation; /* answers of an earlier link do not count */
    bool hold;
    struct machine way; /* its state is an enum fanout_way */
    uint64_t calls_until_ms;
    uint64_t seq;      /* of the last line taken */
    uint64_t used;     /* no line gets this number, or one before it, any more */
    uint64_t answered; /* Redis has said that it came so far */
    struct block *blocks;
    struct block *first_unsent; /* filled or in doubt; NULL: all are sent */
    struct block *spare;
    struct block *answered_blocks; /* kept, the oldest first */
    size_t kept_most;              /* bytes of them */
    uint64_t gave_up_ms;           /* the newest line of those that are kept no more */
    size_t nblocks[BLOCK_STATES];
    size_t bytes[BLOCK_STATES]; /* in them */
    bool high;                  /* on_pressure was told so */
    uint64_t since_ms;          /* that there is too much; 0: there is not */
    struct drops drops;
    struct history history;
    struct wall clock;               /* Redis's, as it was answered last, */
    uint64_t clock_ms;               /* then; */
    struct wall clock_before;        /* and what was to be expected then by the answer before */
    uint64_t history_ms;             /* for how long what is published was to stay, then */
    uint64_t down_ms;                /* the link was given up */
    struct registry_emptied emptied; /* to be told on the next link, if `to` is not 0 */
    struct buf kept;                 /* commands of history that leave now */
    struct trouble trouble;          /* with writing seq */
    struct trouble history_trouble;  /* with writing to the streams */
};

/* In fanout.c: the one setter of a block's state, which counts; the block, which is in no list, may
 * be used again; one that was answered leaves the list. */
void fanout_block_move(struct fanout *f, struct block *b, enum block_state to);
void fanout_spare(struct fanout *f, struct block *b);
void fanout_answered(struct fanout *f, struct block *b);
/* Does the block (NULL: any) wait, too? Not if it was said: only the streams lack it, and whoever
 * reads them is to have it before what is newer. */
static inline bool fanout_is_held(const struct fanout *f, const struct block *b)
{
    return f->hold && (b == NULL || !b->said);
}
/* Send what may be sent when this turn of the loop ends. */
void fanout_flush_soon(struct fanout *f);
/* There may be room in the buffer again: tell what was dropped. */
void fanout_tell_dropped(struct fanout *f);

/* In fanout_kept.c: it is kept for a while, in a list of its own; those that were for long enough
 * are not any more; nor any. */
void fanout_kept_add(struct fanout *f, struct block *b);
void fanout_kept_trim(struct fanout *f);
void fanout_kept_drop(struct fanout *f);
/* Redis has forgotten what is behind `seq`, up to `answered`: what of it is kept goes to the
 * streams again, before anything else, and what is missing there is told. */
void fanout_kept_again(struct fanout *f, uint64_t seq, uint64_t answered);
/* Redis was emptied: what is gone; and, on a link again, say so, and have all that is kept go to
 * the new streams. Not if lines of this node are there already, up to `seq`: none may stand behind
 * newer ones. */
void fanout_kept_emptied(struct fanout *f);
void fanout_kept_anew(struct fanout *f, uint64_t seq);

/* In fanout_send.c: how blocks leave. */
extern const struct machine_type fanout_ways;
/* Send what may be sent. */
void fanout_flush(struct fanout *f);
/* Redis has carried it out. */
void fanout_mark_answered(struct fanout *f, struct block *b);
/* Nothing is under way: what waits is numbered on from what Redis has. Numbers differ from those
 * they had only behind a block that was refused and that later ones overtook. */
void fanout_number(struct fanout *f);

#endif
