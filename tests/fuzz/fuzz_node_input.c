/* Fuzz: what a hostile Redis sends to a node, up to what its holder and its sender do with it.
 *
 * The input is RESP. An array that begins with "message" is a push (topic, payload): a hint on the node's own topic, or a
 * send on a channel's. Every other reply is the answer to a renewal. All calls to Redis fail: the link is down. What
 * must hold: nothing is held that no picture named, and a report is JSON without a control character in it. */
#include "node/holder.h"
#include "node/sender.h"
#include "shared/log.h"
#include "shared/redis/registry_reply.h"
#include "shared/redis/reply_reader.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What lives as long as the process. */
static struct {
    uv_loop_t loop;
    uv_loop_t silent; /* the links': it never runs */
    struct url url;
    struct registry *registry;
    struct subscriber *subscriber;
    struct restate *restate;
} world;

struct node {
    struct report *report;
    struct holder *holder;
    struct sender *sender;
};

static bool may_act(void *ctx)
{
    (void)ctx;
    return true;
}

static bool can_send(void *ctx, struct slice shard)
{
    const struct node *n = ctx;

    return holder_can_send(n->holder, shard);
}

static int write_send(void *ctx, const struct registry_route *route,
                      const struct registry_send *send, const char *entry, struct err *err)
{
    const struct node *n = ctx;

    return holder_send(n->holder, route->shard, send, entry, err);
}

static void on_send_result(void *ctx, const char *entry, const struct send_outcome *outcome)
{
    const struct node *n = ctx;

    sender_on_result(n->sender, entry, outcome);
}

static void on_change(void *ctx)
{
    (void)ctx;
}

static void on_drained(void *ctx)
{
    (void)ctx;
}

static void on_contact(void *ctx, uint64_t began_ms, const char *why)
{
    (void)ctx;
    (void)began_ms;
    (void)why;
}

static bool on_refused(void *ctx, struct slice user)
{
    (void)ctx;
    (void)user;
    return false;
}

static void world_begin(void)
{
    const struct link_options link = {.url = &world.url, .name = "fuzz"};
    const struct subscriber_options topics = {.link = link, .greet = true};

    log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    BUG_ON(uv_loop_init(&world.loop) != 0 || uv_loop_init(&world.silent) != 0);
    BUG_ON(url_parse_redis("redis://127.0.0.1:1", &world.url, NULL) != 0);
    world.registry = registry_create(link_create(&world.silent, &link), "fuzz");
    world.subscriber = subscriber_create(&world.silent, &topics);
    world.restate = restate_create();
}

static void node_begin(struct node *n)
{
    n->report = report_create(on_change, n);
    n->holder = holder_create(&(struct held_options){.loop = &world.loop,
                                                     .registry = world.registry,
                                                     .report = n->report,
                                                     .node = "n1",
                                                     .incarnation = "1",
                                                     .may_act = may_act,
                                                     .on_send_result = on_send_result,
                                                     .on_contact = on_contact,
                                                     .on_refused = on_refused,
                                                     .ctx = n});
    n->sender = sender_create(&world.loop, &(struct sender_options){.registry = world.registry,
                                                                    .subscriber = world.subscriber,
                                                                    .node = "n1",
                                                                    .incarnation = "1",
                                                                    .may_act = may_act,
                                                                    .can_send = can_send,
                                                                    .write = write_send,
                                                                    .on_drained = on_drained,
                                                                    .restate = world.restate,
                                                                    .ctx = n});
}

/* As the node does. */
static void reconcile(struct node *n, const struct registry_picture *picture)
{
    size_t most = picture->nheld + picture->nheld_changed;

    holder_keep(n->holder, picture->held, picture->nheld);
    for (size_t i = 0; i < picture->nheld_changed; i++) {
        holder_hold(n->holder, &picture->held_changed[i]);
    }
    BUG_ON(HASH_COUNT(n->holder->shards) > most);
    sender_keep(n->sender, picture->served, picture->nserved);
    for (size_t i = 0; i < picture->nserved_changed; i++) {
        sender_serve(n->sender, &picture->served_changed[i]);
    }
    bool here = held_find(n->holder, picture->default_sender) != NULL;
    sender_serve_unjoined(n->sender, here ? picture->default_sender : SLICE(""));
    holder_set_failed_retry(n->holder, picture->settings.failed_retry_ms);
}

static void push(struct node *n, const struct redisReply *reply)
{
    struct slice topic = reply_slice(reply->element[1]);
    struct slice payload = reply_slice(reply->element[2]);

    if (!sender_on_message(n->sender, topic, payload)) {
        (void)sender_on_hint(n->sender, payload);
    }
}

static void take(struct node *n, const struct redisReply *reply)
{
    struct reply_memory memory = {0};
    struct registry_picture picture = {0};
    struct slice place;

    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 3 &&
        slice_is(reply_slice(reply->element[0]), "message")) {
        push(n, reply);
    } else if (reply_picture(reply, -1, &picture, &place, &memory, NULL) == 0) {
        reconcile(n, &picture);
    }
    reply_memory_finish(&memory);
}

static void look_at_report(struct node *n)
{
    struct buf out;
    struct sight sight;

    sight_init(&sight);
    buf_init(&out, 1 << 24);
    report_write(n->report, &(struct report_node){.sight = &sight, .waits_ms = 1}, &out);
    cJSON *report = cJSON_ParseWithLength(out.data, out.len);
    BUG_ON(out.overflow || report == NULL);
    for (size_t i = 0; i < out.len; i++) {
        BUG_ON((unsigned char)out.data[i] < ' ');
    }
    cJSON_Delete(report);
    buf_finish(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reply_reader *reader = reply_reader_create();
    struct redisReply *reply = NULL;
    struct node n;

    if (world.registry == NULL) {
        world_begin();
    }
    node_begin(&n);
    if (reply_reader_feed(reader, (const char *)data, size, NULL) == 0) {
        while (reply_reader_next(reader, &reply, NULL) == 0 && reply != NULL) {
            take(&n, reply);
            freeReplyObject(reply);
            uv_run(&world.loop, UV_RUN_NOWAIT);
            look_at_report(&n);
        }
    }
    reply_reader_destroy(reader);
    sender_destroy(n.sender);
    holder_destroy(n.holder);
    report_destroy(n.report);
    BUG_ON(uv_run(&world.loop, UV_RUN_NOWAIT) != 0);
    return 0;
}
