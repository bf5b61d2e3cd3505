/* Fan-out, sending: from blocks to transactions on the fan-out link, and what their answers say.
 *
 * How blocks leave (fanout_way):
 *
 *   TRANSACTIONS --one is refused--> ANSWERS --nothing is under way--> CALLS --a while--> TRIAL
 *        ^                              ^                                                  |  |
 *        |                              +-----------------it is refused--------------------+  |
 *        +--------------------------------it is carried out-----------------------------------+ */
#include "node/fanout_private.h"

#include "node/meters.h"
#include "node/publish.h"
#include "shared/log.h"
#include "shared/redis/refusal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNANSWERED_BYTES ((size_t)1024 * 1024)
#define SENT_AT_ONCE     16   /* transactions */
#define TAIL_CHARS       512  /* what stands behind the lines of one */
#define CALL_WORDS       7    /* of a call, before its lines */
#define CALLS_MS         2000 /* after a refused transaction, until the next one is tried */

#define PARTS 4 /* of a transaction: MULTI, the lines, what is kept, the tail */

static const char MULTI[] = "*1\r\n$5\r\nMULTI\r\n";

/* One transaction under way. */
struct flight {
    struct fanout *fanout;
    struct block *block;
    uint64_t generation;
    bool call; /* not a transaction */
};

static const struct machine_state ways[] = {
    [WAY_TRANSACTIONS] = {"transactions", MACHINE_BIT(WAY_ANSWERS)},
    [WAY_ANSWERS] = {"answers", MACHINE_BIT(WAY_CALLS) | MACHINE_BIT(WAY_TRANSACTIONS)},
    [WAY_CALLS] = {"calls", MACHINE_BIT(WAY_TRIAL) | MACHINE_BIT(WAY_TRANSACTIONS)},
    [WAY_TRIAL] = {"trial", MACHINE_BIT(WAY_TRANSACTIONS) | MACHINE_BIT(WAY_ANSWERS)},
};

static void ways_check(const void *owner)
{
    const struct fanout *f = owner;

    BUG_ON(f->way.state == WAY_CALLS && f->nblocks[BLOCK_SENT] > 0);
}

const struct machine_type fanout_ways = {"fanout", ways, ARRAY_LEN(ways), NULL, ways_check};

void fanout_mark_answered(struct fanout *f, struct block *b)
{
    f->answered = b->last_seq;
    f->used = b->last_seq > f->used ? b->last_seq : f->used;
    if (!b->said) {
        meters.fanout_transactions_total++;
        meters.fanout_lines_total += b->lines;
        meters.fanout_bytes_total += b->len;
        histogram_add(&meters.fanout_seconds, mono_us() - b->first_us);
    }
    fanout_answered(f, b);
}

void fanout_number(struct fanout *f)
{
    struct block *b;

    f->seq = f->used;
    DL_FOREACH(f->blocks, b)
    {
        if (!b->said) {
            f->seq += b->lines;
            b->last_seq = f->seq;
        }
    }
}

/* Surely not published. */
static void mark_refused(struct fanout *f, struct block *b)
{
    if (f->way.state != WAY_ANSWERS) {
        machine_move(&f->way, WAY_ANSWERS, f);
    }
    f->first_unsent = b;
    fanout_block_move(f, b, BLOCK_FILLED);
    f->first_unsent = f->blocks;
    while (f->first_unsent->machine.state == BLOCK_SENT) {
        f->first_unsent = f->first_unsent->next;
    }
}

static void tell_error(const struct redisReply *error, struct trouble *trouble, const char *event,
                       const char *key, const char *mend)
{
    struct err err = {0};

    if (error == NULL) {
        trouble_over(trouble);
        return;
    }
    err_set(&err, ERR_REPLY, "%s", error->str);
    if (trouble_is_news(trouble, &err, mono_ms())) {
        log_error("fanout", event, "key", key, "error", err.text, "mend", mend, NULL);
    }
}

/* The lines were published; were they kept, and was seq written with them? If not, Redis cannot
 * tell how far it came. */
static void look_at_rest(struct fanout *f, const struct redisReply *reply, unsigned lines)
{
    size_t end = reply->elements - 1;
    const struct redisReply *last = reply->element[end];
    const struct redisReply *broken = NULL;

    for (size_t i = lines; i < end; i++) { /* what is no error is not made */
        if (reply->element[i] != NULL) {
            broken = reply->element[i];
            meters.history_broken_total++;
        }
    }
    tell_error(
        broken, &f->history_trouble, "history.broken", f->history.key,
        "what is no stream of Shoal's there is removed within a lease; nobody else may write "
        "it");
    tell_error(last->type == REDIS_REPLY_ERROR ? last : NULL, &f->trouble, "fanout.seq", f->seq_key,
               "DEL the key; the node writes it again");
}

/* Lines that its transaction publishes. */
static unsigned published(const struct block *b)
{
    return b->said ? 0 : b->lines;
}

static void on_answer(void *ctx, const struct redisReply *reply, const struct err *err)
{
    struct flight flight = *(struct flight *)ctx;
    struct fanout *f = flight.fanout;

    free(ctx);
    /* Errors of the link come with fanout_detach; only what Redis itself said is news here. The
     * generation is looked at first: after a detach, block and fan-out may be gone. */
    if (err != NULL || f->link == NULL || flight.generation != f->link_generation) {
        return;
    }
    /* Where MULTI itself was refused, the lines were published one by one: only Redis knows how far
     * it came. */
    if ((flight.call && reply->type == REDIS_REPLY_ERROR) || refusal_is(reply, REFUSAL_RIGHT) ||
        refusal_is(reply, REFUSAL_NO_COMMAND)) {
        link_refuse(f->link, reply->str);
        return;
    }
    unsigned lines = published(flight.block);
    /* All of a transaction was carried out, or nothing. */
    if (!flight.call && (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0)) {
        mark_refused(f, flight.block);
    } else {
        fanout_mark_answered(f, flight.block);
        if (!flight.call) {
            look_at_rest(f, reply, lines);
            if (f->way.state == WAY_TRIAL) {
                machine_move(&f->way, WAY_TRANSACTIONS, f);
            }
        }
    }
    fanout_tell_dropped(f); /* a quiet channel has no next line to tell it with */
    fanout_flush_soon(f); /* other answers came with it: what may leave for them leaves together */
}

/* What stands behind the lines of a block: seq, EXEC. */
static struct slice put_tail(const struct fanout *f, const struct block *b, char *out)
{
    char seq[24];
    int seq_len = snprintf(seq, sizeof(seq), "%llu", (unsigned long long)b->last_seq);
    int len = snprintf(out, TAIL_CHARS,
                       "*4\r\n$4\r\nHSET\r\n$%zu\r\n%s\r\n$3\r\nseq\r\n$%d\r\n%s\r\n"
                       "*1\r\n$4\r\nEXEC\r\n",
                       strlen(f->seq_key), f->seq_key, seq_len, seq);

    BUG_ON(len < 0 || len >= TAIL_CHARS);
    return (struct slice){out, (size_t)len};
}

static struct flight *take_off(struct fanout *f, struct block *b, bool call)
{
    struct flight *flight = xmalloc(sizeof(*flight));

    *flight = (struct flight){f, b, f->link_generation, call};
    return flight;
}

/* What of the block goes to streams, and how many commands that is; the slice has its length, and
 * begins where it may have been moved since. */
static struct slice put_kept(struct fanout *f, struct block *b, unsigned *commands)
{
    size_t before = f->kept.len;

    if (!b->said) {
        memcpy(b->by, f->history.by, sizeof(b->by));
    }
    *commands = history_put(&f->history, &f->kept, (struct slice){b->data, b->len}, f->topic_prefix,
                            b->by, b->last_seq);
    return (struct slice){NULL, f->kept.len - before};
}

/* Where each of `n` begins, now that nothing is moved any more. */
static void place_kept(const struct fanout *f, struct slice *parts, size_t n)
{
    const char *at = f->kept.data;

    for (size_t i = 0; i < n; i++) {
        struct slice *kept = &parts[PARTS * i + 2];
        kept->ptr = at;
        at = kept->len > 0 ? at + kept->len : at;
    }
}

/* Of blocks that wait, as many as may leave, with one system call: each MULTI, the lines, what is
 * kept of them, seq, EXEC. */
static int send_transactions(struct fanout *f)
{
    struct slice parts[PARTS * SENT_AT_ONCE];
    struct link_raw raw[SENT_AT_ONCE];
    struct block *blocks[SENT_AT_ONCE];
    char tails[SENT_AT_ONCE][TAIL_CHARS];
    struct block *b = f->first_unsent;
    size_t bytes = f->bytes[BLOCK_SENT];
    size_t n = 0;

    buf_clear(&f->kept);
    do {
        unsigned kept;
        parts[PARTS * n] = (struct slice){MULTI, sizeof(MULTI) - 1};
        parts[PARTS * n + 1] = (struct slice){b->data, b->said ? 0 : b->len};
        parts[PARTS * n + 2] = put_kept(f, b, &kept);
        parts[PARTS * n + 3] = put_tail(f, b, tails[n]);
        /* MULTI, a QUEUED for each command, and the EXEC. */
        raw[n] = (struct link_raw){
            .nparts = PARTS, .replies = published(b) + kept + 3u, .ctx = take_off(f, b, false)};
        blocks[n++] = b;
        bytes += b->len;
        b = b->next;
    } while (b != NULL && n < SENT_AT_ONCE && bytes + b->len <= UNANSWERED_BYTES &&
             !fanout_is_held(f, b) && f->way.state != WAY_TRIAL);
    place_kept(f, parts, n);
    int rc = link_send_raw(f->link, parts, raw, n, on_answer);
    for (size_t i = 0; i < n; i++) {
        if (rc == 0) {
            fanout_block_move(f, blocks[i], BLOCK_SENT);
        } else {
            free(raw[i].ctx);
        }
    }
    return rc;
}

/* The same as one call. Behind another it is carried out only if that one was. */
static int send_call(struct fanout *f)
{
    const char *argv[CALL_WORDS + 2 * BLOCK_LINES] = {
        "FCALL", "shoal1_publish", "1", registry_tag(f->options.registry), f->options.node};
    size_t lens[ARRAY_LEN(argv)];
    struct block *b = f->first_unsent;
    struct slice rest = {b->data, b->len};
    char before[24] = "";
    char seq[24];
    int n = CALL_WORDS;

    if (f->bytes[BLOCK_SENT] > 0) {
        snprintf(before, sizeof(before), "%llu", (unsigned long long)b->prev->last_seq);
    }
    snprintf(seq, sizeof(seq), "%llu", (unsigned long long)b->last_seq);
    argv[CALL_WORDS - 2] = before;
    argv[CALL_WORDS - 1] = seq;
    for (int i = 0; i < CALL_WORDS; i++) {
        lens[i] = strlen(argv[i]);
    }
    while (rest.len > 0) {
        struct slice line;
        struct slice channel = publish_take(&rest, f->topic_prefix, &line);
        argv[n] = channel.ptr;
        lens[n++] = channel.len;
        argv[n] = line.ptr;
        lens[n++] = line.len;
    }
    struct flight *flight = take_off(f, b, true);
    int rc = link_command_argv(f->link, n, argv, lens, on_answer, flight);
    if (rc == 0) {
        fanout_block_move(f, b, BLOCK_SENT);
    } else {
        free(flight);
    }
    return rc;
}

/* May another block leave now? */
static bool way_is_open(struct fanout *f)
{
    size_t unanswered = f->bytes[BLOCK_SENT];

    if (f->way.state == WAY_ANSWERS && unanswered == 0) {
        fanout_number(f);
        f->calls_until_ms = mono_ms() + CALLS_MS;
        machine_move(&f->way, WAY_CALLS, f);
    } else if (f->way.state == WAY_CALLS && mono_ms() >= f->calls_until_ms) {
        machine_move(&f->way, WAY_TRIAL, f);
    }
    if (f->way.state == WAY_ANSWERS || f->way.state == WAY_TRIAL) {
        return f->way.state == WAY_TRIAL && unanswered == 0;
    }
    return unanswered == 0 || unanswered + f->first_unsent->len <= UNANSWERED_BYTES;
}

void fanout_flush(struct fanout *f)
{
    int rc = 0; /* else it is down: fanout_detach follows and makes all wait again */

    while (rc == 0 && f->link != NULL && f->first_unsent != NULL &&
           !fanout_is_held(f, f->first_unsent) && way_is_open(f) &&
           f->options.may_send(f->options.ctx)) {
        if (f->way.state == WAY_CALLS && f->first_unsent->said) {
            fanout_answered(f, f->first_unsent); /* nothing is kept now */
        } else {
            rc = f->way.state == WAY_CALLS ? send_call(f) : send_transactions(f);
        }
    }
}
