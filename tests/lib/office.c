/* Office: the wiring of a coordinator without its rooms, and a shard manager that is a table of
 * texts. */
#include "tests/lib/office.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct office *office; /* the one there is: create is not told */

/* The shard manager ---------------------------------------------------------------------------- */

static void complete(struct office *o, const char *answer, shard_call call)
{
    const char *rest = strchr(answer, ':') != NULL ? strchr(answer, ':') + 1 : NULL;

    if (strcmp(answer, "done") == 0) {
        shard_call_done(o->manager, call);
    } else if (strncmp(answer, "fail:", 5) == 0) {
        shard_call_fail(o->manager, call, rest);
    } else if (strncmp(answer, "shard:", 6) == 0) {
        shard_call_shard(o->manager, call, shard_manager_shard(o->manager, rest));
    } else if (strncmp(answer, "least_loaded", 12) == 0) {
        shard_call_least_loaded(o->manager, call, rest);
    } else {
        assert_string_equal(answer, "later");
        assert_true(o->nlater < ARRAY_LEN(o->later));
        o->later[o->nlater++] = call;
    }
}

static void asked(enum manager_op op, const char *channel, shard_call call)
{
    static const char *const words[] = {"setup", "assign", "sender", "start", "stop"};
    struct office *o = office;
    size_t len = strlen(o->asked);

    snprintf(o->asked + len, sizeof(o->asked) - len, "%s%s%s\n", words[op], channel[0] ? " " : "",
             channel);
    complete(o, o->answers[op], call);
}

static void *create(struct shard_manager *m, const struct shard_manager_options *options,
                    const char **error)
{
    (void)options;
    (void)error;
    return m;
}

static void destroy(void *self)
{
    (void)self;
}

static void setup(void *self, const struct shard_manager_options *options, shard_call call)
{
    (void)self;
    (void)options;
    asked(MANAGER_SETUP, "", call);
}

static void assign_shard(void *self, const char *channel_name, bool is_initial_channel,
                         shard_call call)
{
    (void)self;
    (void)is_initial_channel;
    asked(MANAGER_ASSIGN, channel_name, call);
}

static void get_sender_shard(void *self, const char *channel_name, shard_call call)
{
    (void)self;
    asked(MANAGER_SENDER, channel_name, call);
}

static void start(void *self, shard_call call)
{
    (void)self;
    asked(MANAGER_START, "", call);
}

static void stop(void *self, shard_call call)
{
    (void)self;
    asked(MANAGER_STOP, "", call);
}

static const struct shard_manager_ops ops = {
    .abi = SHARD_MANAGER_ABI,
    .size = sizeof(ops),
    .name = "office",
    .create = create,
    .destroy = destroy,
    .setup = setup,
    .assign_shard = assign_shard,
    .get_sender_shard = get_sender_shard,
    .start = start,
    .stop = stop,
};

void office_answer(struct office *o, const char *answer)
{
    shard_call call = o->later[0];

    assert_true(o->nlater > 0);
    o->nlater--;
    memmove(o->later, o->later + 1, o->nlater * sizeof(*o->later));
    complete(o, answer, call);
}

void office_expect_asked(struct office *o, const char *text)
{
    assert_string_equal(o->asked, text);
    o->asked[0] = '\0';
}

/* The wiring ----------------------------------------------------------------------------------- */

static void on_ready(void *ctx)
{
    struct office *o = ctx;

    if (o->room != NULL && o->on_ready != NULL) {
        o->on_ready(o->room);
    }
}

static void on_failed(void *ctx, const struct err *why)
{
    (void)ctx;
    print_message("the leader's link: %s\n", why->text);
}

static void on_won(void *ctx)
{
    struct office *o = ctx;
    o->wins++;
    cluster_view_begin(o->view);
}

static void on_facts(void *ctx, const struct registry_lead *facts)
{
    struct office *o = ctx;
    o->facts++;
    o->setup_done = facts->setup_done;
    cluster_view_on_facts(o->view, facts);
    if (o->room != NULL && o->on_facts != NULL) {
        o->on_facts(o->room, facts);
    }
}

static void on_out(void *ctx)
{
    struct office *o = ctx;
    o->outs++;
    if (o->room != NULL && o->on_out != NULL) {
        o->on_out(o->room);
    }
    manager_out(o->manager);
}

static void on_registry_lost(void *ctx)
{
    struct office *o = ctx;
    o->losses++;
}

static void on_fresh(void *ctx)
{
    struct office *o = ctx;
    manager_on_view(o->manager);
    if (o->room != NULL && o->on_fresh != NULL) {
        o->on_fresh(o->room);
    }
}

static void on_damaged(void *ctx)
{
    struct office *o = ctx;
    o->damages++;
}

void office_open(struct office *o, const char *settings)
{
    static const char *const usual[] = {"done", "least_loaded", "fail:nobody sends", "done",
                                        "done"};
    char args[1000];

    memcpy(o->answers, usual, sizeof(usual));
    office = o;
    world_begin(&o->world, &o->before, &o->node, 10);
    if (settings != NULL) {
        snprintf(args, sizeof(args), "office%s%s", settings[0] ? "," : "", settings);
        assert_string_equal(world_configure(&o->world, &o->before, "", "", "create", args), "done");
        assert_string_equal(world_configure(&o->world, &o->before, "", "", "setup_done", ""),
                            "done");
    }
}

void office_lead(struct office *o)
{
    uv_loop_t *loop = &o->world.probe.t.uv;
    struct err err;

    assert_string_equal(world_resign(&o->world, &o->before), "done");
    o->leader = leader_create(&(struct leader_options){.loop = loop,
                                                       .url = &o->world.probe.url,
                                                       .group = &o->group,
                                                       .cluster = "t",
                                                       .id = "c1",
                                                       .on_ready = on_ready,
                                                       .on_failed = on_failed,
                                                       .on_won = on_won,
                                                       .on_facts = on_facts,
                                                       .on_out = on_out,
                                                       .on_registry_lost = on_registry_lost,
                                                       .ctx = o});
    o->view = cluster_view_create(&(struct cluster_view_options){
        .leader = o->leader, .on_fresh = on_fresh, .on_damaged = on_damaged, .ctx = o});
    o->manager = manager_create(&(struct manager_create_options){.loop = loop,
                                                                 .leader = o->leader,
                                                                 .view = o->view,
                                                                 .cluster = "t",
                                                                 .ops = &ops,
                                                                 .channels = o->channels,
                                                                 .nchannels = o->nchannels,
                                                                 .timeout_ms = 1000},
                                &err);
    assert_non_null(o->manager);
    office_until(o, cluster_view_is_whole(o->view));
}

void office_room(struct office *o, void *room,
                 void (*facts)(void *room, const struct registry_lead *facts),
                 void (*close)(void *room))
{
    o->room = room;
    o->on_facts = facts;
    o->close = close;
}

static void on_leader_closed(void *ctx)
{
    struct office *o = ctx;

    manager_close(o->manager);
    if (o->room != NULL && o->close != NULL) {
        o->close(o->room);
    }
    cluster_view_destroy(o->view);
}

void office_close(struct office *o)
{
    leader_stop(o->leader, on_leader_closed, o);
    world_finish(&o->world);
}

/* Time ----------------------------------------------------------------------------------------- */

void office_facts(struct office *o)
{
    for (int i = 0; i < 2; i++) {
        unsigned before = o->facts;
        leader_ask_now(o->leader);
        office_until(o, o->facts > before);
    }
}

void office_after(struct office *o, uint64_t ms)
{
    test_clock_forward(ms);
    office_facts(o);
}

void office_read(struct office *o)
{
    uint64_t round = cluster_view_refresh(o->view);
    office_until(o, cluster_view_round(o->view) >= round);
}

const struct registry_leader *office_me(const struct office *o)
{
    return leader_identity(o->leader);
}
