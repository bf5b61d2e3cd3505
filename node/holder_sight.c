/* Holder, seeing: do the connections work, and what is done where none does. */
#include "node/held_private.h"

bool holder_is_working(const struct holder *h)
{
    for (const struct held *held = h->shards; held != NULL; held = held->hh.next) {
        enum shard_state state = shard_state(held->core);
        if (state == SHARD_READY || state == SHARD_DRAINING) {
            return true;
        }
    }
    return false;
}

uint64_t holder_heard_ms(const struct holder *h)
{
    uint64_t heard_ms = 0;

    for (const struct held *held = h->shards; held != NULL; held = held->hh.next) {
        uint64_t line_ms = shard_last_line_ms(held->core);
        if (shard_state(held->core) == SHARD_READY && line_ms > heard_ms) {
            heard_ms = line_ms;
        }
    }
    return heard_ms;
}

bool holder_is_idle(const struct holder *h)
{
    for (const struct held *held = h->shards; held != NULL; held = held->hh.next) {
        if (held->run == SHARD_STARTED) {
            return false;
        }
    }
    return true;
}

void holder_set_blind(struct holder *h, bool blind)
{
    struct held *held;
    struct held *tmp;

    if (h->blind == blind) {
        return;
    }
    h->blind = blind;
    HASH_ITER(hh, h->shards, held, tmp)
    {
        if (!blind && held->run == SHARD_STARTED && shard_state(held->core) != SHARD_READY) {
            holder_renew_core(held); /* at once, whatever it had still to wait */
        } else {
            shard_set_fenced(held->core, h->fenced || blind, mono_ms());
        }
        holder_arm(held);
    }
}

void holder_on_contact(struct held *held, enum shard_state from, enum shard_state to)
{
    const struct holder_options *o = &held->holder->options;

    if (to == SHARD_CONNECTING) {
        held->tried_ms = mono_ms();
        held->asked = false;
    } else if (to == SHARD_READY) {
        o->on_contact(o->ctx, held->tried_ms, NULL);
    } else if (to == SHARD_BACKOFF &&
               (from == SHARD_CONNECTING || (from == SHARD_AUTHENTICATING && held->asked))) {
        o->on_contact(o->ctx, held->tried_ms, shard_last_error(held->core));
    }
}
