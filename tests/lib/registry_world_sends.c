/* Registry world, sends: from the budgets and the outbox to what was said. */
#include "tests/lib/registry_world_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void on_draw(void *ctx, const uint64_t *waits, size_t n, const struct err *err)
{
    struct world *w = ctx;
    assert_true(n <= ARRAY_LEN(w->waits));
    w->nwaits = n;
    if (n > 0) {
        memcpy(w->waits, waits, n * sizeof(waits[0]));
    }
    world_answer(w, "drawn", err);
}

const char *world_draw(struct world *w, const struct world_node *n, const char *user,
                       const char *kind, size_t count)
{
    STEP(w, registry_draw(w->r, n->name, n->incarnation, slice_of(user), kind, count, on_draw, w));
    return w->word;
}

const char *world_accept(struct world *w, const struct world_node *n, const char *channel,
                         const char *id, const char *text)
{
    struct registry_send send = {
        .channel = slice_of(channel), .id = slice_of(id), .text = slice_of(text)};
    struct registry_heard heard = {
        .process = w->process, .number = ++w->heard, .age_ms = w->heard_age_ms, .problem = ""};
    STEP(w, registry_send_accept(w->r, n->name, n->incarnation, &send, &heard, world_on_word, w));
    return w->word;
}

static void on_claim(void *ctx, const struct registry_claim *claim, const struct err *err)
{
    static const char *const words[] = {
        [CLAIM_GONE] = "gone",   [CLAIM_DONE] = "done",           [CLAIM_BUSY] = "busy",
        [CLAIM_LATER] = "later", [CLAIM_ELSEWHERE] = "elsewhere", [CLAIMED] = "claimed",
    };
    struct world *w = ctx;
    memset(&w->claim, 0, sizeof(w->claim));
    if (claim != NULL) {
        w->claim = *claim;
        world_copy(w->claim_shard, sizeof(w->claim_shard), claim->route.shard);
        world_copy(w->claim_user, sizeof(w->claim_user), claim->route.user);
        world_copy(w->claim_room_id, sizeof(w->claim_room_id), claim->route.room_id);
        world_copy(w->claim_text, sizeof(w->claim_text), claim->send.text);
    }
    world_answer(w, claim != NULL ? words[claim->word] : "", err);
}

const char *world_claim(struct world *w, const struct world_node *n, const char *entry)
{
    STEP(w, registry_send_claim(w->r, n->name, n->incarnation, slice_of(entry), on_claim, w));
    return w->word;
}

const char *world_keep_room_id(struct world *w, const struct world_node *n, const char *channel,
                               const char *room_id)
{
    STEP(w, registry_keep_room_id(w->r, n->name, n->incarnation, slice_of(channel),
                                  slice_of(room_id), world_on_done, w));
    return w->word;
}

static void on_list(void *ctx, const struct registry_sends *sends, const struct err *err)
{
    struct world *w = ctx;
    size_t len = 0;

    w->rest[0] = '\0';
    for (size_t i = 0; sends != NULL && i < 2 * sends->n; i++) {
        len += (size_t)snprintf(w->rest + len, sizeof(w->rest) - len, "%.*s ",
                                (int)sends->sends[i].len, sends->sends[i].ptr);
    }
    world_answer(w, "list", err);
}

const char *world_list(struct world *w, const struct world_node *n)
{
    STEP(w, registry_send_list(w->r, n->name, n->incarnation, 0, on_list, w));
    return w->rest;
}

const char *world_take(struct world *w)
{
    do {
        STEP(w, registry_send_take(w->r, world_on_word, w));
    } while (strcmp(w->word, "more") == 0);
    return w->word;
}

const char *world_unclaim(struct world *w, const struct world_node *n, const char *entry)
{
    STEP(w,
         registry_send_unclaim(w->r, n->name, n->incarnation, slice_of(entry), world_on_done, w));
    return w->word;
}

const char *world_later(struct world *w, const struct world_node *n, const char *entry,
                        uint64_t wait_ms, const char *msg_id)
{
    STEP(w, registry_send_later(w->r, n->name, n->incarnation, slice_of(entry), wait_ms,
                                slice_of(msg_id), world_on_done, w));
    return w->word;
}

const char *world_done(struct world *w, const struct world_node *n, const char *entry,
                       enum send_status status)
{
    return world_said(w, n, entry, status, 60000);
}

const char *world_said(struct world *w, const struct world_node *n, const char *entry,
                       enum send_status status, uint64_t said_ms)
{
    struct send_outcome outcome = {
        .status = status, .message_id = slice_of(w->message_id), .standing = w->standing};
    STEP(w, registry_send_done(w->r, n->name, n->incarnation, slice_of(entry), &outcome, said_ms,
                               world_on_done, w));
    return w->word;
}
