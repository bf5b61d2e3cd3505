/* Fan-out, kept: blocks that were answered, for as long as a Redis that is promoted, or that was
 * restarted, may lack them. Their lines were published, so that is not done again (fanout.h); only
 * the streams get them again, under the numbers that they had. */
#include "node/fanout_private.h"

#include "shared/log.h"
#include "shared/redis/registry_history.h"

#define KEPT_MS    2000
#define KEPT_BYTES ((size_t)8 * 1024 * 1024)
#define KEPT_FEW   ((size_t)512 * 1024) /* the same where so much comes that */
#define KEPT_LEAST 250 /* ms, which KEPT_BYTES would not last: they would only cost the cache */

static void give_up(struct fanout *f, struct block *b)
{
    fanout_block_move(f, b, BLOCK_SPARE);
    DL_DELETE(f->answered_blocks, b);
    fanout_spare(f, b);
}

void fanout_kept_add(struct fanout *f, struct block *b)
{
    DL_APPEND(f->answered_blocks, b);
    if (f->bytes[BLOCK_KEPT] > f->kept_most) {
        uint64_t lasts = b->last_ms - f->answered_blocks->last_ms;
        bool few = lasts < KEPT_LEAST * f->kept_most / KEPT_BYTES;
        f->kept_most = few ? KEPT_FEW : KEPT_BYTES;
    }
    while (f->bytes[BLOCK_KEPT] > f->kept_most) {
        give_up(f, f->answered_blocks);
    }
}

void fanout_kept_trim(struct fanout *f)
{
    uint64_t now = f->answered_blocks != NULL ? mono_ms() : 0;

    while (f->answered_blocks != NULL && now > f->answered_blocks->last_ms + KEPT_MS) {
        give_up(f, f->answered_blocks);
    }
}

void fanout_kept_drop(struct fanout *f)
{
    while (f->answered_blocks != NULL) {
        give_up(f, f->answered_blocks);
    }
}

/* The first line of those that are kept behind `seq`; one behind the last that was answered where
 * none is. */
static uint64_t first_kept(const struct fanout *f, uint64_t seq, uint64_t answered)
{
    const struct block *b;

    DL_FOREACH(f->answered_blocks, b)
    {
        if (b->last_seq > seq) {
            return b->last_seq - b->lines + 1;
        }
    }
    return answered + 1;
}

void fanout_kept_again(struct fanout *f, uint64_t seq, uint64_t answered)
{
    /* On the same link, so before the lines. */
    if (f->history.streams > 0 &&
        registry_rewound(f->options.registry, f->link, f->options.node, seq + 1, answered,
                         first_kept(f, seq, answered), f->clock_before) != 0) {
        log_debug("fanout", "history.rewound", "error", "the link is down", NULL);
    }
    while (f->answered_blocks != NULL && f->answered_blocks->prev->last_seq > seq) {
        struct block *b = f->answered_blocks->prev; /* the last */
        DL_DELETE(f->answered_blocks, b);
        DL_PREPEND(f->blocks, b);
        f->first_unsent = b;
        b->said = true;
        fanout_block_move(f, b, BLOCK_FILLED);
    }
}
