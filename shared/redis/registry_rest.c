/* Registry, resting: the renewal of a node that has nothing to tell, and to which nothing is new.
 *
 * It is all that Redis is asked by a cluster at rest, four times in a lease by each node, and costs
 * it a third of what a step does that does the same. It needs none: the link is the registered one,
 * or Redis had killed it. So the writes are as good as a step's, and what a step would look at
 * before them, the node looks at after them:
 *
 *   MULTI
 *   ZADD nodes XX CH <deadline> <node>    is it registered?
 *   HSET node:<node> renewed ...          as keep_lease has it, in the steps
 *   HMGET node:<node> ...                 does it hold the lease, by this link; is anything new?
 *   HMGET clock ...                       does Redis go on as it did, with the same settings?
 *   TIME                                  and did it carry this out in time?
 *   EXEC
 *
 * Where one answer is not as it was, the node renews with the step, which puts right what was
 * written here. */
#include "shared/redis/registry.h"
#include "shared/redis/registry_call.h"

#include <stdio.h>

/* Each renewal of the lead, a quarter of a lease, writes what time was seen. Where nobody leads,
 * renewals of nodes by the step do: where that is a third of a lease old. Each node asks before it
 * is five twelfths old, as half of one would be taken for a Redis that was away. */
#define SEEN_PART       3
#define SEEN_WITHIN(ms) ((ms) * 5 / 12)
/* Less than the tenth by which a node's own deadline is sooner than Redis's. */
#define LATE_PART 12

/* What the answers are where nothing is new. */
struct rested {
    struct registry_rest rest;
    char incarnation[INCARNATION_CHARS];
    uint64_t link_id;
    char run_id[41];
};

/* Is the text that number? 0 where it is not set. */
static bool is_number(struct slice text, uint64_t number)
{
    uint64_t is = 0;

    return (text.len == 0 || slice_to_u64(text, &is)) && is == number;
}

/* The node holds the lease, on this link, and is told nothing new. */
static bool node_is_as_it_was(const struct redisReply *reply, const struct rested *e)
{
    struct reader r = reader_of(reply);
    bool is_holder = slice_is(reader_slice(&r), e->incarnation);
    bool is_link = is_number(reader_slice(&r), e->link_id);
    bool is_server = slice_is(reader_slice(&r), e->run_id);
    bool is_told = is_number(reader_slice(&r), (uint64_t)e->rest.seen_rev);
    bool is_silent = reader_slice(&r).len > 0;

    return !r.bad && is_holder && is_link && is_server && is_told && !is_silent;
}

/* Redis goes on as it did (watch_clock and restating, in the steps), with the same settings. */
static bool clock_is_as_it_was(const struct redisReply *reply, const struct rested *e,
                               struct registry_rested *answer)
{
    struct reader r = reader_of(reply);
    bool is_told = is_number(reader_slice(&r), e->rest.told);
    uint64_t age_ms = answer->now.ms - reader_u64(&r); /* huge where that lies ahead */
    bool went_back = reader_slice(&r).len > 0;
    bool restates = reader_slice(&r).len > 0;
    bool is_watched = age_ms <= e->rest.lease_ms / SEEN_PART;

    answer->again_ms = is_watched ? SEEN_WITHIN(e->rest.lease_ms) - age_ms : 0;
    return !r.bad && is_told && !went_back && !restates && is_watched;
}

/* Was the deadline counted from when it was carried out, nearly? */
static bool is_in_time(const struct registry_rest *rest, struct wall now)
{
    int64_t late_ms = (int64_t)(now.ms - rest->now.ms);

    return late_ms < (int64_t)(rest->lease_ms / LATE_PART) &&
           late_ms > -(int64_t)(rest->lease_ms / LATE_PART);
}

/* The answers of the five commands; 0, or that they are broken. */
static int read_answers(const struct redisReply *reply, const struct rested *expected,
                        struct registry_rested *answer, struct err *err)
{
    struct reader r = reader_of(reply);
    const struct redisReply *deadline = reader_next(&r);
    (void)reader_next(&r);
    const struct redisReply *node = reader_next(&r);
    const struct redisReply *clock = reader_next(&r);
    const struct redisReply *time = reader_next(&r);

    if (r.bad || reply_time(time, &answer->now, err) != 0) {
        return reply_broken(err, "rest");
    }
    answer->kept = deadline->type == REDIS_REPLY_INTEGER && deadline->integer == 1 &&
                   node_is_as_it_was(node, expected) &&
                   clock_is_as_it_was(clock, expected, answer) &&
                   is_in_time(&expected->rest, answer->now);
    return 0;
}

static void on_rested(struct call *call, const struct redisReply *reply, const struct err *err)
{
    struct registry_rested answer = {0};

    /* What Redis refuses here, a full one for example, it says to the renewal in its own words. */
    if (err == NULL && reply->type == REDIS_REPLY_ARRAY) {
        err = call_read(call, NULL, read_answers(reply, call->rested, &answer, &call->err));
    }
    call->cb.rested(call->ctx, &answer, err);
}

/* XX: where Redis has lost all, or the node is gone, it is not among the nodes by this. */
int registry_rest(struct registry *r, const struct registry_node *n,
                  const struct registry_rest *rest, registry_rest_cb cb, void *ctx)
{
    struct call *call = call_create(r, on_rested, (union call_cb){.rested = cb}, ctx);
    struct args a[] = {args_of("ZADD"), args_of("HSET"), args_of("HMGET"), args_of("HMGET"),
                       args_of("TIME")};

    call->rested = xcalloc(1, sizeof(*call->rested));
    *call->rested = (struct rested){.rest = *rest, .link_id = n->link_id};
    snprintf(call->rested->incarnation, sizeof(call->rested->incarnation), "%s", n->incarnation);
    snprintf(call->rested->run_id, sizeof(call->rested->run_id), "%s", n->run_id);
    args_key(&a[0], r, "nodes");
    args_words(&a[0], "XX CH");
    args_number(&a[0], (int64_t)(rest->now.ms + rest->lease_ms));
    args_text(&a[0], n->node);
    args_key(&a[1], r, "node:%s", n->node);
    args_text(&a[1], "renewed");
    args_number(&a[1], (int64_t)rest->now.ms);
    args_text(&a[1], "read_until");
    args_number(&a[1], (int64_t)rest->renewed.ms);
    args_text(&a[1], "quiet");
    args_number(&a[1], (int64_t)rest->quiet.ms);
    args_key(&a[2], r, "node:%s", n->node);
    args_words(&a[2], "incarnation link run_id rev silent");
    args_key(&a[3], r, "clock");
    args_words(&a[3], "told seen went_back restate_until");
    return call_send_all(call, a, ARRAY_LEN(a));
}
