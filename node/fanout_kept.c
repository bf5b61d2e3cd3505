/* Fan-out, kept: blocks that were answered, for as long as a Redis that is promoted, or that was
 * restarted, may lack them. Their lines were published, so that is not done again (fanout.h); only
 * the streams get them again, under the numbers that they had. */
#include "node/fanout_private.h"

#include "shared/log.h"

#define KEPT_MS    2000
#define KEPT_BYTES ((size_t)8 * 1024 * 1024)
#define KEPT_FEW   ((size_t)512 * 1024) /* the same where so much comes that */
#define KEPT_LEAST 250 /* ms, which KEPT_BYTES would not last: they would only cost the cache */

static void give_up(struct fanout *f, struct block *b)
{
    f->gave_up_ms = b->last_ms;
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
    while (f->answered_blocks != NULL && f->clock_ms > f->answered_blocks->last_ms + KEPT_MS) {
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

/* What is kept behind `seq` is to be sent, before anything else. */
static void send_again(struct fanout *f, uint64_t seq)
{
    while (f->answered_blocks != NULL && f->answered_blocks->prev->last_seq > seq) {
        struct block *b = f->answered_blocks->prev; /* the last */
        DL_DELETE(f->answered_blocks, b);
        DL_PREPEND(f->blocks, b);
        f->first_unsent = b;
        b->said = true;
        fanout_block_move(f, b, BLOCK_FILLED);
    }
}

void fanout_kept_again(struct fanout *f, uint64_t seq, uint64_t answered)
{
    /* On the same link, so before the lines. */
    if (f->history.streams > 0 &&
        registry_rewound(f->options.registry, f->link, f->options.node, seq + 1, answered,
                         first_kept(f, seq, answered), f->clock_before) != 0) {
        log_debug("fanout", "history.rewound", "error", "the link is down", NULL);
    }
    send_again(f, seq);
}

/* What Redis's clock showed then. */
static struct wall redis_at(const struct fanout *f, uint64_t mono)
{
    return (struct wall){f->clock.ms + mono - f->clock_ms};
}

static struct wall before(struct wall at, uint64_t ms)
{
    return (struct wall){at.ms > ms ? at.ms - ms : 0};
}

void fanout_kept_emptied(struct fanout *f)
{
    struct registry_emptied *e = &f->emptied;
    struct wall gave_up = f->gave_up_ms != 0 ? redis_at(f, f->gave_up_ms) : (struct wall){0};

    e->to = redis_at(f, f->down_ms);
    e->from = before(e->to, f->history_ms);
    e->lacks = before(f->clock, KEPT_MS);
    e->lacks = gave_up.ms > e->lacks.ms ? gave_up : e->lacks;
}

void fanout_kept_anew(struct fanout *f, uint64_t seq)
{
    if (seq > 0 && f->answered_blocks != NULL) {
        fanout_kept_drop(f);
        f->emptied.lacks = f->emptied.to;
    }
    /* On the same link, so before the lines. */
    if (f->history.streams > 0 &&
        registry_emptied(f->options.registry, f->link, &f->emptied) != 0) {
        log_debug("fanout", "history.emptied", "error", "the link is down", NULL);
    }
    send_again(f, 0);
}
