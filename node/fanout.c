/* Fan-out: lines in, blocks, and the life of the link. See fanout.h for the picture.
 *
 * All blocks but the spare ones are in one list, in the order of their lines: first those that are
 * sent, then those that wait (behind one that was refused, others may still be sent). What is
 * answered is gone from it. */
#include "node/fanout_private.h"

#include "node/meters.h"
#include "node/publish.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES       ((size_t)256 * 1024)
#define FLUSH_BYTES       ((size_t)256 * 1024)
#define BLOCK_FIRST_BYTES ((size_t)2048)
#define SPARE_BLOCKS      40                        /* of what may be under way, and some */
#define HIGH_BYTES        ((size_t)2 * 1024 * 1024) /* held, or half the buffer: Redis takes less */
#define HIGH_MS           1000 /* at most: others are to hear of us, and Redis may be away */
#define STOOD_STILL_MS    1000 /* nothing was read for so long: the node may have stood still */

static size_t held(const struct fanout *f);

/* Does more come than Redis takes? No more so once it has taken three quarters of that. */
static void look_at_pressure(struct fanout *f)
{
    size_t half = f->options.buffer_bytes / 2;
    size_t most = half < HIGH_BYTES ? half : HIGH_BYTES;
    bool flows = f->link != NULL && !f->hold;

    if (held(f) < most / 4) {
        f->since_ms = 0;
    } else if (f->since_ms == 0 && held(f) > most) {
        f->since_ms = mono_ms();
    }
    bool high = flows && f->since_ms != 0 && mono_ms() - f->since_ms < HIGH_MS;
    if (high != f->high && f->options.on_pressure != NULL) {
        f->high = high;
        f->options.on_pressure(f->options.ctx, high);
    }
}

static void on_turn_end(uv_check_t *handle)
{
    struct fanout *f = handle->data;

    look_at_pressure(f);
    if (f->flush_due) {
        f->flush_due = false;
        uv_idle_stop(&f->awake);
        fanout_flush(f);
    }
}

static void on_awake(uv_idle_t *handle)
{
    (void)handle;
}

void fanout_flush_soon(struct fanout *f)
{
    if (!f->flush_due && f->link != NULL && !fanout_is_held(f, f->first_unsent)) {
        f->flush_due = true;
        uv_idle_start(&f->awake, on_awake);
    }
}

struct fanout *fanout_create(uv_loop_t *loop, const struct fanout_options *options)
{
    struct fanout *f = xcalloc(1, sizeof(*f));

    f->options = *options;
    f->topic_prefix = slice_of(registry_topic(options->registry, TOPIC_CHAT, "", f->topic));
    registry_fan_key(options->registry, options->node, f->seq_key);
    buf_init(&f->kept, SIZE_MAX / 2);
    machine_begin(&f->way, &fanout_ways, WAY_TRANSACTIONS);
    uv_check_init(loop, &f->turn_end);
    f->turn_end.data = f;
    uv_check_start(&f->turn_end, on_turn_end);
    uv_unref((uv_handle_t *)&f->turn_end);
    uv_idle_init(loop, &f->awake);
    f->awake.data = f;
    return f;
}

/* Blocks --------------------------------------------------------------------------------------- */

static const struct machine_state block_states[BLOCK_STATES] = {
    [BLOCK_SPARE] = {"spare", MACHINE_BIT(BLOCK_FILLED)},
    [BLOCK_FILLED] = {"filled",
                      MACHINE_BIT(BLOCK_SENT) | MACHINE_BIT(BLOCK_SPARE) | MACHINE_BIT(BLOCK_KEPT)},
    [BLOCK_SENT] = {"sent", MACHINE_BIT(BLOCK_SPARE) | MACHINE_BIT(BLOCK_FILLED) |
                                MACHINE_BIT(BLOCK_DOUBT) | MACHINE_BIT(BLOCK_KEPT)},
    [BLOCK_DOUBT] = {"doubt",
                     MACHINE_BIT(BLOCK_SENT) | MACHINE_BIT(BLOCK_SPARE) | MACHINE_BIT(BLOCK_KEPT)},
    [BLOCK_KEPT] = {"kept", MACHINE_BIT(BLOCK_SPARE) | MACHINE_BIT(BLOCK_FILLED)},
};

/* Bytes and blocks are counted apart, and what is the first to be sent is found apart: they must
 * agree. */
static void block_check(const void *owner)
{
    const struct block *b = owner;
    const struct fanout *f = b->fanout;
    const struct block *first = f->first_unsent;

    BUG_ON(b->machine.state == BLOCK_SENT && b->lines == 0);
    BUG_ON(first != NULL && first->machine.state != BLOCK_FILLED &&
           first->machine.state != BLOCK_DOUBT);
    BUG_ON((first == NULL) != (f->nblocks[BLOCK_FILLED] + f->nblocks[BLOCK_DOUBT] == 0));
    for (size_t state = 0; state < BLOCK_STATES; state++) {
        BUG_ON(f->nblocks[state] == 0 && f->bytes[state] > 0);
    }
}

static const struct machine_type block_machine = {NULL, block_states, BLOCK_STATES, NULL,
                                                  block_check};

void fanout_block_move(struct fanout *f, struct block *b, enum block_state to)
{
    f->nblocks[b->machine.state]--;
    f->bytes[b->machine.state] -= b->len;
    if (to == BLOCK_SPARE) {
        b->len = 0;
        b->lines = 0;
        b->said = false;
    }
    if (f->first_unsent == b && to != BLOCK_FILLED && to != BLOCK_DOUBT) {
        f->first_unsent = b->next;
    }
    f->nblocks[to]++;
    f->bytes[to] += b->len;
    machine_move(&b->machine, to, b);
}

/* Bytes that wait or are not answered. */
static size_t held(const struct fanout *f)
{
    return f->bytes[BLOCK_FILLED] + f->bytes[BLOCK_SENT] + f->bytes[BLOCK_DOUBT];
}

static void block_free(struct block *b)
{
    free(b->data);
    free(b);
}

static struct block *block_take(struct fanout *f, uint64_t now)
{
    struct block *b = f->spare;

    if (b != NULL) {
        DL_DELETE(f->spare, b);
    } else {
        b = xcalloc(1, sizeof(*b));
        b->fanout = f;
        machine_begin(&b->machine, &block_machine, BLOCK_SPARE);
        f->nblocks[BLOCK_SPARE]++;
        b->cap = BLOCK_FIRST_BYTES;
        b->data = xmalloc(b->cap);
    }
    b->first_ms = now;
    b->first_us = mono_us();
    DL_APPEND(f->blocks, b);
    if (f->first_unsent == NULL) {
        f->first_unsent = b;
    }
    fanout_block_move(f, b, BLOCK_FILLED);
    return b;
}

void fanout_spare(struct fanout *f, struct block *b)
{
    if (f->nblocks[BLOCK_SPARE] <= SPARE_BLOCKS) {
        DL_PREPEND(f->spare, b); /* taken next: it is in the cache yet */
    } else {
        f->nblocks[BLOCK_SPARE]--;
        block_free(b);
    }
}

/* It is held no more. */
static void let_go(struct fanout *f, struct block *b, enum block_state to)
{
    fanout_block_move(f, b, to);
    DL_DELETE(f->blocks, b);
    if (to == BLOCK_KEPT) {
        fanout_kept_add(f, b);
    } else {
        fanout_spare(f, b);
    }
    if (fanout_is_drained(f) && f->options.on_drained != NULL) {
        f->options.on_drained(f->options.ctx);
    }
}

void fanout_answered(struct fanout *f, struct block *b)
{
    let_go(f, b, f->history.streams > 0 ? BLOCK_KEPT : BLOCK_SPARE);
}

static void free_blocks(struct block *list)
{
    struct block *b;
    struct block *tmp;

    DL_FOREACH_SAFE(list, b, tmp)
    {
        block_free(b);
    }
}

void fanout_destroy(struct fanout *f)
{
    f->link = NULL;
    f->link_generation++;
    f->flush_due = false;
    free_blocks(f->blocks);
    free_blocks(f->spare);
    free_blocks(f->answered_blocks);
    drops_finish(&f->drops);
    buf_finish(&f->kept);
    teardown_begin(&f->teardown, free, f, NULL, NULL);
    teardown_handle(&f->teardown, (uv_handle_t *)&f->turn_end);
    teardown_handle(&f->teardown, (uv_handle_t *)&f->awake);
}

/* Gaps --------------------------------------------------------------------------------------- */

static void tell_gaps(struct fanout *f, const char *reason)
{
    drops_tell(&f->drops, reason, f->options.on_gap, f->options.ctx);
}

void fanout_tell_dropped(struct fanout *f)
{
    if (f->drops.channels != NULL && held(f) < f->options.buffer_bytes / 4 * 3) {
        tell_gaps(f, "buffer_full");
    }
}

/* What did not fit is dropped without holes: once a line of a channel was dropped, so are the next
 * ones until there is room again. */
static bool must_drop(struct fanout *f, struct slice channel, size_t bytes)
{
    fanout_tell_dropped(f);
    return held(f) + bytes > f->options.buffer_bytes || drops_has(&f->drops, channel);
}

/* Lines in ------------------------------------------------------------------------------------- */

/* The value of the tag in "@tags", of which no others are taken apart: it is looked at often. */
static struct slice sent_ts(struct slice tags)
{
    static const char name[] = "tmi-sent-ts=";
    const char *at = memmem(tags.ptr, tags.len, name, sizeof(name) - 1);

    while (at != NULL) {
        bool found = at > tags.ptr && (at[-1] == ';' || at[-1] == '@');
        const char *value = at + sizeof(name) - 1;
        struct slice rest = {value, tags.len - (size_t)(value - tags.ptr)};
        if (found) {
            const char *end = memchr(rest.ptr, ';', rest.len);
            return (struct slice){rest.ptr, end != NULL ? (size_t)(end - rest.ptr) : rest.len};
        }
        at = memmem(rest.ptr, rest.len, name, sizeof(name) - 1); /* that was somebody's text */
    }
    return SLICE("");
}

/* How old is it, by what Twitch says? Looked at of the first line of a block alone. */
static void measure_age(struct slice line)
{
    const char *end = line.len > 0 && *line.ptr == '@' ? memchr(line.ptr, ' ', line.len) : NULL;
    struct wall sent;

    if (end != NULL &&
        slice_to_u64(sent_ts((struct slice){line.ptr, (size_t)(end - line.ptr)}), &sent.ms)) {
        histogram_add(&meters.chat_age_seconds, wall_since(sent, wall_now()) * 1000);
    }
}

void fanout_line(struct fanout *f, struct slice channel, struct slice line, uint64_t now_ms)
{
    size_t most = publish_most(f->topic_prefix, channel, line);

    if (must_drop(f, channel, most)) {
        drops_add(&f->drops, channel, now_ms, now_ms);
        return;
    }
    struct block *b = f->blocks != NULL ? f->blocks->prev : NULL; /* the last */
    if (b == NULL || b->machine.state != BLOCK_FILLED || b->said || b->lines == BLOCK_LINES ||
        (b->lines > 0 && (b->len + most > BLOCK_BYTES || now_ms > b->last_ms + STOOD_STILL_MS))) {
        look_at_pressure(f);
        b = block_take(f, now_ms);
        measure_age(line);
    }
    while (b->cap < b->len + most) {
        b->cap *= 2;
        b->data = xrealloc(b->data, b->cap);
    }
    size_t bytes = publish_put(b->data + b->len, f->topic_prefix, channel, line);
    b->len += bytes;
    b->lines++;
    b->last_ms = now_ms;
    b->last_seq = ++f->seq;
    f->bytes[BLOCK_FILLED] += bytes;
    if (f->bytes[BLOCK_FILLED] > FLUSH_BYTES && b->lines == BLOCK_LINES) {
        fanout_flush(f); /* so much need not wait for the end of the turn */
    } else {
        fanout_flush_soon(f);
    }
}

/* The link's life ------------------------------------------------------------------------------ */

uint64_t fanout_attach(struct fanout *f, struct link *link, uint64_t seq)
{
    struct block *b;
    struct block *tmp;

    fanout_detach(f);
    f->link = link;
    uint64_t forgotten = seq < f->answered ? f->answered - seq : 0;
    uint64_t answered = f->answered;
    DL_FOREACH_SAFE(f->blocks, b, tmp)
    {
        if (b->machine.state == BLOCK_DOUBT && b->last_seq <= seq) {
            fanout_mark_answered(f, b);
        }
    }
    if (f->emptied.to.ms != 0) {
        fanout_kept_anew(f, seq);
    } else if (forgotten > 0) {
        fanout_kept_again(f, seq, answered);
    }
    f->answered = seq;
    f->used = seq > f->used ? seq : f->used; /* this node id has a past */
    fanout_number(f);
    fanout_flush_soon(f);
    return forgotten;
}

void fanout_detach(struct fanout *f)
{
    struct block *b;

    f->down_ms = f->link != NULL ? mono_ms() : f->down_ms;
    f->link = NULL;
    f->link_generation++;
    if (f->way.state != WAY_TRANSACTIONS) {
        machine_move(&f->way, WAY_TRANSACTIONS, f);
    }
    f->first_unsent = f->blocks;
    DL_FOREACH(f->blocks, b)
    {
        if (b->machine.state == BLOCK_SENT) {
            fanout_block_move(f, b, BLOCK_DOUBT);
        }
    }
}

void fanout_keep(struct fanout *f, const struct registry_settings *settings,
                 const char *incarnation, struct wall redis_now)
{
    uint64_t now = mono_ms();

    f->history_ms = settings->history_ms;
    f->clock_before.ms = f->clock.ms != 0 ? f->clock.ms + (now - f->clock_ms) : 0;
    f->clock = redis_now;
    f->clock_ms = now;
    if (f->link != NULL) { /* Redis has carried out what was sent on it before */
        f->emptied.to.ms = 0;
        fanout_kept_trim(f);
    }
    history_keep(&f->history, f->options.registry, f->options.node, incarnation,
                 settings->history_ms != 0 ? settings->history_streams : 0);
}

void fanout_hold(struct fanout *f, bool hold)
{
    f->hold = hold;
    fanout_flush_soon(f);
}

/* What is held; what was said and is held for the streams alone becomes `said`. */
static void drop(struct fanout *f, const char *reason, enum block_state said)
{
    struct block *b;
    struct block *tmp;
    uint64_t last_ms = 0;

    fanout_detach(f);
    DL_FOREACH_SAFE(f->blocks, b, tmp)
    {
        struct slice rest = {b->data, b->len};
        struct slice line;
        if (b->first_ms > last_ms + STOOD_STILL_MS) {
            tell_gaps(f, reason); /* others may have read what was said in between */
        }
        last_ms = b->last_ms;
        while (rest.len > 0 && !b->said) {
            drops_add(&f->drops, publish_take(&rest, f->topic_prefix, &line), b->first_ms, last_ms);
        }
        let_go(f, b, b->said ? said : BLOCK_SPARE);
    }
    f->used = f->seq;
    f->answered = 0; /* what Redis knows of this node is forgotten there, too */
    tell_gaps(f, reason);
}

void fanout_drop(struct fanout *f, const char *reason)
{
    drop(f, reason, BLOCK_SPARE);
    fanout_kept_drop(f);
}

void fanout_emptied(struct fanout *f)
{
    drop(f, "registry_lost", BLOCK_KEPT);
    if (f->history.streams > 0) {
        fanout_kept_emptied(f);
    }
}

uint64_t fanout_waits_ms(const struct fanout *f)
{
    const struct block *b = f->blocks;

    while (b != NULL && b->said) {
        b = b->next;
    }
    return b != NULL ? mono_ms() - b->first_ms : 0;
}

struct fanout_load fanout_load(const struct fanout *f)
{
    struct fanout_load load = {.bytes = held(f), .limit = f->options.buffer_bytes};

    for (const struct block *b = f->blocks; b != NULL; b = b->next) {
        load.lines += b->lines;
    }
    return load;
}

bool fanout_is_drained(const struct fanout *f)
{
    return held(f) == 0;
}
