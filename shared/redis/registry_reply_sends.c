/* Registry replies, budgets and sends. */
#include "shared/redis/registry_reply.h"

int reply_waits(const struct redisReply *reply, const uint64_t **waits, size_t *n,
                struct reply_memory *memory, struct err *err)
{
    struct reader r = reader_of(reply);
    *n = reader_left(&r);
    uint64_t *out = reply_memory_take(memory, *n, sizeof(*out));
    for (size_t i = 0; i < *n; i++) {
        out[i] = reader_duration(&r);
    }
    *waits = out;
    return reply_end(&r, err, "draw");
}

static const char *const claim_words[] = {
    [CLAIM_GONE] = "gone",   [CLAIM_DONE] = "done",           [CLAIM_BUSY] = "busy",
    [CLAIM_LATER] = "later", [CLAIM_ELSEWHERE] = "elsewhere", [CLAIMED] = "claimed",
};

static const char *const held_words[] = {
    [HELD_BY_ALL] = "all", [HELD_BY_PLAIN] = "plain", [HELD_BY_UNJOINED] = "unjoined",
    [HELD_BY_LOW] = "low", [HELD_BY_MUTED] = "muted", [HELD_BY_CHANNEL] = "channel",
};

static const char *const say_by_words[] = {
    [SAY_BY_IRC] = "irc",
    [SAY_BY_HELIX] = "helix",
    [SAY_BY_HELIX_APP] = "helix_app",
};

enum registry_say_by reply_say_by(struct reader *r)
{
    size_t word = slice_index(reader_slice(r), say_by_words, ARRAY_LEN(say_by_words));

    r->bad = r->bad || word == ARRAY_LEN(say_by_words);
    return (enum registry_say_by)word;
}

int reply_claim(const struct redisReply *reply, struct registry_claim *out, struct err *err)
{
    struct reader r = reader_of(reply);
    size_t word = slice_index(reader_slice(&r), claim_words, ARRAY_LEN(claim_words));
    size_t held = 0;

    if (word == CLAIM_LATER) {
        out->wait_ms = reader_duration(&r);
        held = slice_index(reader_slice(&r), held_words, ARRAY_LEN(held_words));
        out->route.user = reader_slice(&r);
    } else if (word == CLAIMED) {
        out->wait_ms = reader_duration(&r);
        out->send.channel = reader_slice(&r);
        out->route.shard = reader_slice(&r);
        out->send.id = reader_slice(&r);
        out->send.text = reader_slice(&r);
        out->send.reply_to = reader_slice(&r);
        out->send.as_command = slice_is(reader_slice(&r), "1");
        out->left_ms = reader_duration(&r);
        out->pace_ms = reader_duration(&r);
        out->parts_said = reader_i64(&r);
        out->route.user = reader_slice(&r);
        out->route.say_by = reply_say_by(&r);
        out->route.room_id = reader_slice(&r);
        r.bad = r.bad || out->send.channel.len == 0 || out->route.shard.len == 0 ||
                out->parts_said < -1 || out->parts_said > REGISTRY_PARTS_MOST;
    }
    out->status = word == CLAIM_DONE ? send_status_of(reader_slice(&r)) : SEND_STATUSES;
    r.bad = r.bad || word == ARRAY_LEN(claim_words) || held == ARRAY_LEN(held_words);
    out->word = (enum registry_claim_word)word;
    out->held_by = (enum registry_held_by)held;
    return reply_end(&r, err, "send_claim");
}

/* An array of numbers, none below zero. */
static const uint64_t *reader_numbers(struct reader *r, struct reply_memory *memory, size_t *n)
{
    struct reader list = reader_of(reader_next(r));
    *n = reader_left(&list);
    uint64_t *out = reply_memory_take(memory, *n, sizeof(*out));
    for (size_t i = 0; i < *n; i++) {
        out[i] = reader_u64(&list);
    }
    r->bad = r->bad || list.bad;
    return out;
}

int reply_sends(const struct redisReply *reply, struct registry_sends *out,
                struct reply_memory *memory, struct err *err)
{
    struct reader r = reader_of(reply);
    size_t n = 0;
    out->more = slice_is(reader_slice(&r), "more");
    (void)reader_duration(&r); /* send_ttl_ms, which the picture tells */
    out->sends = reply_rest(&r, memory, &n);
    out->n = n / 2;
    return reply_end(&r, err, "send_list");
}

int reply_listeners(const struct redisReply *reply, struct registry_listeners *out,
                    struct reply_memory *memory, struct err *err)
{
    struct reader r = reader_of(reply);
    out->patience_ms = reader_duration(&r);
    out->counts = reader_numbers(&r, memory, &out->n);
    out->gone = reader_numbers(&r, memory, &out->ngone);
    return reply_end(&r, err, "send_listen");
}
