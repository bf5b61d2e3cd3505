/* Fan-out: from room lines to transactions on the fan-out link. See fanout.h for the picture.
 *
 * Where a block is in its life is where it is in the one list: `answered` blocks first, then
 * `sent` ones, then those that wait; the last may be open. Three counters mark the borders. */
#include "node/fanout.h"

#include "node/drops.h"
#include "node/publish.h"
#include "shared/log.h"
#include "shared/trouble.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define BLOCK_LINES       64
#define BLOCK_BYTES       ((size_t)256 * 1024)
#define BLOCK_FIRST_BYTES ((size_t)2048)
#define UNANSWERED_BYTES  ((size_t)1024 * 1024)
#define KEPT_BYTES        ((size_t)8 * 1024 * 1024)
#define KEPT_MS           2000
#define SPARE_BLOCKS      16

static const char MULTI[] = "*1\r\n$5\r\nMULTI\r\n";

enum block_state { BLOCK_WAITING, BLOCK_SENT, BLOCK_ANSWERED };

struct block {
    struct block *prev;
    struct block *next;
    enum block_state state;
    bool sealed; /* was sent once: sent again exactly as it was, or found behind `seq` */
    unsigned lines;
    uint64_t last_seq;
    uint64_t taken_ms; /* when it took its first line (wall) */
    uint64_t answered_ms;
    char *data; /* the PUBLISH commands */
    size_t len;
    size_t cap;
};

struct fanout {
    struct fanout_options options;
    struct slice topic_prefix; /* owned */
    char *seq_key;
    uv_check_t turn_end; /* runs after I/O: what came in one loop turn leaves together */
    uv_idle_t awake;     /* keeps the loop from blocking while something is to be flushed */
    bool flush_due;
    struct link *link;
    uint64_t link_generation; /* answers of an earlier link are none */
    bool hold;
    uint64_t seq; /* of the last line taken */
    struct block *blocks;
    struct block *first_unsent; /* NULL: all sent */
    struct block *spare;
    unsigned nspare;
    size_t held;       /* bytes waiting or sent */
    size_t unanswered; /* bytes sent */
    size_t kept;       /* bytes answered */
    uint64_t published;
    uint64_t taken;
    struct drops drops;
    struct trouble trouble; /* with writing seq */
};

/* One transaction under way. */
struct flight {
    struct fanout *fanout;
    struct block *block;
    uint64_t generation;
};

static void flush(struct fanout *f);

static void on_turn_end(uv_check_t *handle)
{
    struct fanout *f = handle->data;

    if (f->flush_due) {
        f->flush_due = false;
        uv_idle_stop(&f->awake);
        flush(f);
    }
}

static void on_awake(uv_idle_t *handle)
{
    (void)handle;
}

static void flush_soon(struct fanout *f)
{
    if (!f->flush_due && f->link != NULL && !f->hold) {
        f->flush_due = true;
        uv_idle_start(&f->awake, on_awake);
    }
}

struct fanout *fanout_create(uv_loop_t *loop, const struct fanout_options *options)
{
    struct fanout *f = xcalloc(1, sizeof(*f));

    f->options = *options;
    f->topic_prefix = slice_of(xstrdup(options->topic_prefix));
    f->seq_key = xstrdup(options->seq_key);
    uv_check_init(loop, &f->turn_end);
    f->turn_end.data = f;
    uv_check_start(&f->turn_end, on_turn_end);
    uv_unref((uv_handle_t *)&f->turn_end);
    uv_idle_init(loop, &f->awake);
    f->awake.data = f;
    return f;
}

static void block_free(struct block *b)
{
    free(b->data);
    free(b);
}

static struct block *block_take(struct fanout *f)
{
    struct block *b = f->spare;

    if (b != NULL) {
        DL_DELETE(f->spare, b);
        f->nspare--;
        b->len = 0;
        b->lines = 0;
    } else {
        b = xcalloc(1, sizeof(*b));
        b->cap = BLOCK_FIRST_BYTES;
        b->data = xmalloc(b->cap);
    }
    b->sealed = false;
    b->taken_ms = wall_ms();
    b->state = BLOCK_WAITING;
    DL_APPEND(f->blocks, b);
    if (f->first_unsent == NULL) {
        f->first_unsent = b;
    }
    return b;
}

/* The block leaves the list; its counters have been settled. */
static void block_give(struct fanout *f, struct block *b)
{
    DL_DELETE(f->blocks, b);
    if (f->nspare < SPARE_BLOCKS) {
        DL_APPEND(f->spare, b);
        f->nspare++;
    } else {
        block_free(b);
    }
}

static void on_awake_closed(uv_handle_t *handle)
{
    struct fanout *f = handle->data;

    free((char *)f->topic_prefix.ptr);
    free(f->seq_key);
    free(f);
}

static void on_turn_end_closed(uv_handle_t *handle)
{
    struct fanout *f = handle->data;

    uv_close((uv_handle_t *)&f->awake, on_awake_closed);
}

void fanout_destroy(struct fanout *f)
{
    if (f == NULL) {
        return;
    }
    f->link = NULL;
    f->link_generation++;
    f->flush_due = false;
    struct block *b;
    struct block *tmp;
    DL_FOREACH_SAFE(f->blocks, b, tmp)
    {
        DL_DELETE(f->blocks, b);
        block_free(b);
    }
    DL_FOREACH_SAFE(f->spare, b, tmp)
    {
        DL_DELETE(f->spare, b);
        block_free(b);
    }
    drops_finish(&f->drops);
    uv_close((uv_handle_t *)&f->turn_end, on_turn_end_closed);
}

/* Gaps --------------------------------------------------------------------------------------- */

static void tell_gaps(struct fanout *f, const char *reason)
{
    drops_tell(&f->drops, reason, f->options.on_gap, f->options.ctx);
}

static bool room_again(const struct fanout *f)
{
    return f->held < f->options.buffer_bytes / 4 * 3;
}

/* What did not fit is dropped without holes: once a line of a channel was dropped, so are the next
 * ones until there is room again. */
static bool must_drop(struct fanout *f, struct slice channel, size_t bytes)
{
    if (drops_any(&f->drops) && room_again(f)) {
        tell_gaps(f, "buffer_full");
    }
    return f->held + bytes > f->options.buffer_bytes || drops_has(&f->drops, channel);
}

/* Lines in -------------------------------------------------------------------------------------- */

static void block_reserve(struct block *b, size_t more)
{
    if (b->len + more <= b->cap) {
        return;
    }
    while (b->cap < b->len + more) {
        b->cap *= 2;
    }
    b->data = xrealloc(b->data, b->cap);
}

void fanout_line(struct fanout *f, struct slice channel, struct slice line)
{
    size_t most = publish_most(f->topic_prefix, channel, line);

    f->taken++;
    if (must_drop(f, channel, most)) {
        drops_add(&f->drops, channel, wall_ms());
        return;
    }
    struct block *b = f->blocks != NULL ? f->blocks->prev : NULL; /* the last */
    if (b == NULL || b->sealed || b->lines == BLOCK_LINES ||
        (b->lines > 0 && b->len + most > BLOCK_BYTES)) {
        b = block_take(f);
    }
    block_reserve(b, most);
    size_t bytes = publish_put(b->data + b->len, f->topic_prefix, channel, line);
    b->len += bytes;
    b->lines++;
    b->last_seq = ++f->seq;
    f->held += bytes;
    if (b->lines == BLOCK_LINES) {
        flush(f); /* a full block need not wait for the end of the turn */
    } else {
        flush_soon(f);
    }
}

/* Transactions out ------------------------------------------------------------------------------ */

static void forget_old(struct fanout *f)
{
    uint64_t now = mono_ms();

    while (f->blocks != NULL && f->blocks->state == BLOCK_ANSWERED &&
           (f->kept > KEPT_BYTES || now - f->blocks->answered_ms > KEPT_MS)) {
        f->kept -= f->blocks->len;
        block_give(f, f->blocks);
    }
}

static void mark_answered(struct fanout *f, struct block *b)
{
    if (b->state == BLOCK_SENT) {
        f->unanswered -= b->len;
    }
    b->state = BLOCK_ANSWERED;
    b->answered_ms = mono_ms();
    f->held -= b->len;
    f->kept += b->len;
    f->published += b->lines;
    if (f->first_unsent == b) {
        f->first_unsent = b->next;
    }
}

/* Why nothing of the transaction was carried out; NULL: an array says that all of it was. */
static const char *transaction_refused(const struct redisReply *reply)
{
    if (reply->type == REDIS_REPLY_ERROR) {
        return reply->str;
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0) {
        return "the transaction was not carried out";
    }
    return NULL;
}

/* The lines were published; was seq written with them? If not, Redis cannot tell how far it came, and what
 * it has answered must not be sent to it again. */
static void look_at_seq(struct fanout *f, const struct redisReply *reply)
{
    const struct redisReply *last = reply->element[reply->elements - 1];
    struct err err = {0};

    if (last->type != REDIS_REPLY_ERROR) {
        trouble_over(&f->trouble);
        return;
    }
    while (f->blocks != NULL && f->blocks->state == BLOCK_ANSWERED) {
        f->kept -= f->blocks->len;
        block_give(f, f->blocks);
    }
    err_set(&err, ERR_REPLY, "%s", last->str);
    if (trouble_is_news(&f->trouble, &err, mono_ms())) {
        log_error("fanout", "fanout.seq", "key", f->seq_key, "error", err.text, "mend",
                  "DEL the key; the node writes it again", NULL);
    }
}

static void on_transaction(void *ctx, const struct redisReply *reply, const struct err *err)
{
    struct flight *flight = ctx;
    struct fanout *f = flight->fanout;
    struct block *b = flight->block;
    uint64_t generation = flight->generation;

    free(flight);
    /* Errors of the link come with fanout_detach; only what Redis itself said is news here. The
     * generation is looked at first: after a detach, block and fan-out may be gone. */
    if (err != NULL || f->link == NULL || generation != f->link_generation) {
        return;
    }
    const char *why = transaction_refused(reply);
    if (why != NULL) {
        link_reset(f->link, why);
        return;
    }
    mark_answered(f, b);
    look_at_seq(f, reply);
    forget_old(f);
    if (drops_any(&f->drops) && room_again(f)) {
        tell_gaps(f, "buffer_full"); /* a quiet channel has no next line to tell it with */
    }
    flush(f);
}

static bool send_block(struct fanout *f, struct block *b)
{
    char tail[512];
    char seq[24];
    int seq_len = snprintf(seq, sizeof(seq), "%llu", (unsigned long long)b->last_seq);
    int len = snprintf(tail, sizeof(tail),
                       "*4\r\n$4\r\nHSET\r\n$%zu\r\n%s\r\n$3\r\nseq\r\n$%d\r\n%s\r\n"
                       "*1\r\n$4\r\nEXEC\r\n",
                       strlen(f->seq_key), f->seq_key, seq_len, seq);
    struct slice parts[3] = {{MULTI, sizeof(MULTI) - 1}, {b->data, b->len}, {tail, (size_t)len}};
    struct flight *flight = xmalloc(sizeof(*flight));

    BUG_ON(len < 0 || (size_t)len >= sizeof(tail));
    *flight = (struct flight){f, b, f->link_generation};
    b->state = BLOCK_SENT;
    b->sealed = true;
    f->unanswered += b->len;
    f->first_unsent = b->next;
    /* MULTI, a QUEUED for each command, and the EXEC. */
    if (link_send_raw(f->link, parts, ARRAY_LEN(parts), b->lines + 3u, on_transaction, flight) !=
        0) {
        free(flight);
        return false; /* down: fanout_detach follows and makes it wait again */
    }
    return true;
}

static void flush(struct fanout *f)
{
    while (f->link != NULL && !f->hold && f->first_unsent != NULL) {
        struct block *b = f->first_unsent;
        if (f->unanswered > 0 && f->unanswered + b->len > UNANSWERED_BYTES) {
            return;
        }
        if (!f->options.may_send(f->options.ctx) || !send_block(f, b)) {
            return;
        }
    }
}

/* The link's life ------------------------------------------------------------------------------ */

void fanout_attach(struct fanout *f, struct link *link, uint64_t seq)
{
    struct block *b;

    fanout_detach(f);
    f->link = link;
    if (f->blocks == NULL && f->seq < seq) {
        f->seq = seq; /* this node id has a past */
    }
    f->first_unsent = NULL;
    DL_FOREACH(f->blocks, b)
    {
        if (b->last_seq <= seq) {
            if (b->state != BLOCK_ANSWERED) {
                mark_answered(f, b);
            }
            f->first_unsent = NULL;
            continue;
        }
        if (b->state == BLOCK_ANSWERED) { /* a promoted replica never saw it */
            f->kept -= b->len;
            f->held += b->len;
            f->published -= b->lines;
            b->state = BLOCK_WAITING;
        }
        if (f->first_unsent == NULL) {
            f->first_unsent = b;
        }
    }
    flush_soon(f);
}

void fanout_detach(struct fanout *f)
{
    struct block *b;

    f->link = NULL;
    f->link_generation++;
    f->unanswered = 0;
    f->first_unsent = NULL;
    DL_FOREACH(f->blocks, b)
    {
        if (b->state == BLOCK_ANSWERED) {
            continue;
        }
        if (f->first_unsent == NULL) {
            f->first_unsent = b;
        }
        b->state = BLOCK_WAITING;
    }
}

void fanout_hold(struct fanout *f, bool hold)
{
    f->hold = hold;
    flush_soon(f);
}

void fanout_drop(struct fanout *f, const char *reason)
{
    struct block *b;
    struct block *tmp;

    fanout_detach(f);
    DL_FOREACH_SAFE(f->blocks, b, tmp)
    {
        struct slice rest = {b->data, b->state == BLOCK_ANSWERED ? 0 : b->len};
        while (rest.len > 0) {
            drops_add(&f->drops, publish_take(&rest, f->topic_prefix), b->taken_ms);
        }
        block_give(f, b);
    }
    f->first_unsent = NULL;
    f->held = 0;
    f->kept = 0;
    tell_gaps(f, reason);
}

uint64_t fanout_waits_ms(const struct fanout *f)
{
    uint64_t now = wall_ms();
    const struct block *b = f->blocks;

    while (b != NULL && b->state == BLOCK_ANSWERED) {
        b = b->next;
    }
    return b != NULL && now > b->taken_ms ? now - b->taken_ms : 0;
}

bool fanout_is_drained(const struct fanout *f)
{
    return f->held == 0;
}

void fanout_stats(const struct fanout *f, struct fanout_stats *out)
{
    *out = (struct fanout_stats){.lines = f->taken,
                                 .published = f->published,
                                 .dropped = f->drops.lines,
                                 .held_bytes = f->held};
}
