/* Fan-out, kept: blocks that were answered, for as long as a Redis that is promoted, or that was
 * restarted, may lack them. Their lines were published, so that is not done again (fanout.h); only
 * the streams get them again, under the numbers that they had. */
#include "node/fanout_private.h"

#include "shared/log.h"

#include <stdio.h>
#include <string.h>

#define KEPT_MS    2000
#define KEPT_BYTES ((size_t)8 * 1024 * 1024)

static void give_up(struct fanout *f, struct block *b)
{
    fanout_block_move(f, b, BLOCK_SPARE);
    DL_DELETE(f->answered_blocks, b);
    fanout_spare(f, b);
}

void fanout_kept_add(struct fanout *f, struct block *b)
{
    DL_APPEND(f->answered_blocks, b);
    while (f->bytes[BLOCK_KEPT] > KEPT_BYTES) {
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

/* On this link, so before the lines. */
static void tell(struct fanout *f, uint64_t seq, uint64_t answered)
{
    char numbers[4][24];
    const uint64_t values[] = {seq + 1, answered, first_kept(f, seq, answered), f->clock_before.ms};
    const char *argv[] = {
        "FCALL",         "shoal1_rewound", "1",        registry_tag(f->options.registry),
        f->options.node, numbers[0],       numbers[1], numbers[2],
        numbers[3]};

    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        snprintf(numbers[i], sizeof(numbers[i]), "%llu", (unsigned long long)values[i]);
    }
    if (link_command_argv(f->link, ARRAY_LEN(argv), argv, NULL, NULL, NULL) != 0) {
        log_debug("fanout", "history.rewound", "error", "the link is down", NULL);
    }
}

void fanout_kept_again(struct fanout *f, uint64_t seq, uint64_t answered)
{
    if (f->history.streams > 0) {
        tell(f, seq, answered);
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
