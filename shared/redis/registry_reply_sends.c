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

static bool claim_word(struct slice word, enum registry_claim_word *out)
{
    static const struct {
        const char *text;
        enum registry_claim_word word;
    } words[] = {
        {"gone", CLAIM_GONE},   {"done", CLAIM_DONE},           {"busy", CLAIM_BUSY},
        {"later", CLAIM_LATER}, {"elsewhere", CLAIM_ELSEWHERE}, {"claimed", CLAIMED},
    };
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (slice_is(word, words[i].text)) {
            *out = words[i].word;
            return true;
        }
    }
    return false;
}

static bool held_by(struct slice word, enum registry_held_by *out)
{
    static const char *const words[] = {
        [HELD_BY_ALL] = "all",
        [HELD_BY_PLAIN] = "plain",
        [HELD_BY_UNJOINED] = "unjoined",
        [HELD_BY_CHANNEL] = "channel",
    };
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (slice_is(word, words[i])) {
            *out = (enum registry_held_by)i;
            return true;
        }
    }
    return false;
}

int reply_claim(const struct redisReply *reply, struct registry_claim *out, struct err *err)
{
    struct reader r = reader_of(reply);
    bool known = claim_word(reader_slice(&r), &out->word);
    if (known && out->word == CLAIM_LATER) {
        out->wait_ms = reader_duration(&r);
        known = held_by(reader_slice(&r), &out->held_by);
        out->user = reader_slice(&r);
    } else if (known && out->word == CLAIMED) {
        out->wait_ms = reader_duration(&r);
        out->send.channel = reader_slice(&r);
        out->shard = reader_slice(&r);
        out->send.id = reader_slice(&r);
        out->send.text = reader_slice(&r);
        out->send.reply_to = reader_slice(&r);
        out->send.as_command = slice_is(reader_slice(&r), "1");
        r.bad = r.bad || out->send.channel.len == 0 || out->shard.len == 0;
    }
    r.bad = r.bad || !known;
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
    out->ttl_ms = reader_duration(&r);
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
