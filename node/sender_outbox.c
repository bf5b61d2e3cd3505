/* Sender, outbox: what waits for this node to say it.
 *
 * The step send_take looks at new entries in Redis, where there are any, and tells the node that
 * says them; send_list tells all that wait. What other nodes or the leader have settled meanwhile
 * is found out when it is claimed; and each look at all that waits marks what it finds: what
 * several did not find is forgotten. */
#include "node/sender_private.h"

#include <string.h>

/* The leader hears a bell, and tells this node what it is to say. Where nobody leads, it looks: */
#define TAKE_EVERY_MS 25    /* where something was in it */
#define TAKE_BUSY_MS  10000 /* in so long */
#define TAKE_REST_MS  1000  /* else */
#define PASSES_KEPT   3     /* a look at what changes meanwhile may miss some */
#define HINT_MOST     100   /* entries of one hint: as many as are taken in one step */
#define LANE_MOST     10000 /* sends known of a channel: what channel_send_queue may be at most */

/* Entries in ----------------------------------------------------------------------------------- */

/* The two numbers of an entry's id. */
static bool entry_order(struct slice entry, uint64_t *ms, uint64_t *seq)
{
    const char *dash = entry.len > 0 ? memchr(entry.ptr, '-', entry.len) : NULL;

    if (dash == NULL) {
        return false;
    }
    struct slice first = {entry.ptr, (size_t)(dash - entry.ptr)};
    struct slice second = {dash + 1, entry.len - first.len - 1};
    return slice_to_u64(first, ms) && slice_to_u64(second, seq);
}

/* The entry without the priority behind it. */
static struct slice entry_of(struct slice told, enum send_priority *priority)
{
    char sign = told.len > 0 ? told.ptr[told.len - 1] : '\0';

    *priority = sign == 'h' ? PRIORITY_HIGH : sign == 'l' ? PRIORITY_LOW : PRIORITY_NORMAL;
    told.len -= *priority != PRIORITY_NORMAL;
    return told;
}

static bool comes_before(const struct send *a, const struct send *b)
{
    if (a->priority != b->priority) {
        return a->priority < b->priority;
    }
    return a->ms < b->ms || (a->ms == b->ms && a->seq < b->seq);
}

/* Where it belongs by its priority and its entry, but not before what is under way. */
static void lane_insert(struct lane *lane, struct send *send)
{
    struct send *before = lane->queue != NULL ? lane->queue->prev : NULL; /* the last one */

    while (before != NULL && comes_before(send, before)) {
        if (before == lane->queue) {
            before = lane_is_under_way(lane) || before->begun ? before : NULL;
            break;
        }
        before = before->prev;
    }
    lane->nqueued++;
    if (before != NULL) {
        DL_APPEND_ELEM(lane->queue, before, send);
    } else {
        DL_PREPEND(lane->queue, send);
    }
}

void lane_head_waits(struct lane *lane)
{
    struct send *head = lane->queue;

    if (!head->begun && head->next != NULL && comes_before(head->next, head)) {
        DL_DELETE(lane->queue, head);
        lane->nqueued--;
        lane_insert(lane, head);
    }
}

void sender_queue(struct sender *s, const char *channel, struct slice told)
{
    struct send *send;
    enum send_priority priority;
    struct slice entry = entry_of(told, &priority);
    uint64_t ms;
    uint64_t seq;

    if (entry.len >= ENTRY_CHARS || !entry_order(entry, &ms, &seq)) {
        return;
    }
    HASH_FIND(hh, s->sends, entry.ptr, entry.len, send);
    if (send != NULL) {
        send->pass = s->passes;
        return;
    }
    struct lane *lane = lane_get(s, channel);
    if (lane->nqueued >= LANE_MOST) {
        return; /* found again by a rescan */
    }
    send = xcalloc(1, sizeof(*send));
    memcpy(send->entry, entry.ptr, entry.len);
    send->priority = priority;
    send->ms = ms;
    send->seq = seq;
    send->pass = s->passes;
    send->taken_ms = mono_ms();
    send->lane = lane;
    HASH_ADD_KEYPTR(hh, s->sends, send->entry, entry.len, send);
    lane_insert(lane, send);
    if (lane->queue == send && lane->machine.state != LANE_PAUSED) {
        lane_next(s, lane); /* it is alone, or comes before what waited for its turn */
    }
}

/* It waits for this node to say it, as somebody says. */
static void on_waiting(struct sender *s, struct slice name, struct slice entry)
{
    char channel[IRC_CHANNEL_CHARS];
    struct lane *lane = NULL;

    if (!irc_channel_normalise(name, channel, sizeof(channel))) {
        return;
    }
    HASH_FIND_STR(s->lanes, channel, lane);
    if ((lane != NULL && lane->served != NULL) || s->unjoined != NULL) {
        sender_queue(s, channel, entry);
    }
}

/* The next word; empty where there is none. */
static struct slice word_of(struct slice *rest)
{
    const char *blank = rest->len > 0 ? memchr(rest->ptr, ' ', rest->len) : NULL;
    struct slice word = {rest->ptr, blank != NULL ? (size_t)(blank - rest->ptr) : rest->len};
    size_t used = blank != NULL ? word.len + 1 : word.len;

    *rest = (struct slice){rest->ptr + used, rest->len - used};
    return word;
}

bool sender_on_hint(struct sender *s, struct slice hint)
{
    if (!slice_is(word_of(&hint), "sends")) {
        return false;
    }
    for (unsigned n = 0; hint.len > 0 && n < HINT_MOST; n++) {
        struct slice channel = word_of(&hint);
        on_waiting(s, channel, word_of(&hint));
    }
    return true;
}

/* Looking at the outbox ------------------------------------------------------------------------ */

static const struct machine_state states[] = {
    [LOOK_IDLE] = {"idle", MACHINE_BIT(LOOK_WANTED) | MACHINE_BIT(LOOK_ASKED)},
    [LOOK_WANTED] = {"wanted", MACHINE_BIT(LOOK_ASKED)},
    [LOOK_ASKED] = {"asked", MACHINE_BIT(LOOK_IDLE) | MACHINE_BIT(LOOK_AGAIN)},
    [LOOK_AGAIN] = {"again", MACHINE_BIT(LOOK_IDLE) | MACHINE_BIT(LOOK_WANTED)},
};
const struct machine_type sender_look = {NULL, states, ARRAY_LEN(states), NULL, NULL};

/* What the last looks at all that waits did not find was settled by somebody else. */
static void forget_unseen(struct sender *s)
{
    struct send *send;
    struct send *tmp;

    HASH_ITER(hh, s->sends, send, tmp)
    {
        struct lane *lane = send->lane;
        bool under_way = send == lane->queue && lane_is_under_way(lane);
        if (send->pass + PASSES_KEPT < s->passes && !under_way) {
            lane_drop(s, lane, send);
            lane_free_if_idle(s, lane);
        }
    }
}

static void on_listed(void *ctx, const struct registry_sends *sends, const struct err *err);

static void list_over(struct sender *s)
{
    machine_move(&s->list, s->list.state == LOOK_AGAIN ? LOOK_WANTED : LOOK_IDLE, s);
}

/* The portion at list_from. */
static void list_portion(struct sender *s)
{
    if (registry_send_list(s->options.registry, s->options.node, s->options.incarnation,
                           s->list_from, on_listed, s) != 0) {
        list_over(s); /* a link that comes back asks for a rescan */
    }
}

static void on_listed(void *ctx, const struct registry_sends *sends, const struct err *err)
{
    struct sender *s = ctx;

    if (err != NULL || s->list_generation != s->generation) {
        list_over(s);
        return;
    }
    for (size_t i = 0; i < sends->n; i++) {
        on_waiting(s, sends->sends[2 * i], sends->sends[2 * i + 1]);
    }
    if (sends->more) {
        s->list_from += REGISTRY_SENDS_PER_LIST;
        list_portion(s);
        return;
    }
    forget_unseen(s);
    list_over(s);
    if (s->list.state == LOOK_WANTED) {
        outbox_take(s);
    }
}

static void on_taken(void *ctx, struct slice word, struct slice rest, const struct err *err)
{
    struct sender *s = ctx;
    bool again = s->take.state == LOOK_AGAIN;
    bool empty = slice_is(word, "empty");

    (void)rest;
    machine_move(&s->take, LOOK_IDLE, s);
    if (err != NULL) {
        return; /* the next one is due; a link that comes back asks for a rescan */
    }
    s->found_ms = empty ? s->found_ms : mono_ms();
    if (slice_is(word, "more") || again) {
        outbox_take(s);
    } else if (s->list.state == LOOK_WANTED) {
        machine_move(&s->list, LOOK_ASKED, s);
        s->passes++;
        s->list_from = 0;
        s->list_generation = s->generation;
        if (empty) {
            forget_unseen(s);
            list_over(s);
        } else {
            list_portion(s);
        }
    }
}

void outbox_take(struct sender *s)
{
    uint64_t now = mono_ms();
    uint64_t every = now - s->found_ms < TAKE_BUSY_MS ? TAKE_EVERY_MS : TAKE_REST_MS;

    sender_job_at(s, JOB_TAKE, s->unjoined != NULL ? now + every : UINT64_MAX);
    if (s->take.state == LOOK_ASKED) {
        machine_move(&s->take, LOOK_AGAIN, s);
    }
    if (s->take.state == LOOK_AGAIN || !s->options.may_act(s->options.ctx)) {
        return;
    }
    if (registry_send_look(s->options.registry, on_taken, s) == 0) {
        machine_move(&s->take, LOOK_ASKED, s);
    }
}

void sender_rescan(struct sender *s)
{
    sender_job_at(s, JOB_RESCAN, mono_ms() + SENDER_RESCAN_MS);
    if (s->list.state == LOOK_IDLE) {
        machine_move(&s->list, LOOK_WANTED, s);
    } else if (s->list.state == LOOK_ASKED) {
        machine_move(&s->list, LOOK_AGAIN, s);
    }
    sender_job_at(s, JOB_HEARD, 0);
    outbox_take(s);
}
