/* Cluster: what is read of a registry, whatever stands in it. */
#include "shared/redis/cluster.h"

#include "shared/buf.h"
#include "tests/lib/registry_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct world w;
static struct registry_leader me;
static struct world_node n1;

/* What the callbacks told, a word each. */
struct seen {
    struct buf text;
    unsigned damaged;
    unsigned done;
    unsigned channels;
    struct err err;
    bool given_up;
    bool reset; /* the link, at the next thing that is told */
};

static void note(struct seen *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void note(struct seen *s, const char *fmt, ...)
{
    char word[200];
    va_list args;

    va_start(args, fmt);
    vsnprintf(word, sizeof(word), fmt, args);
    va_end(args);
    buf_printf(&s->text, "%s%s", s->text.len > 0 ? " " : "", word);
}

#define TEXT(s) (int)(s).len, (s).ptr

static void on_setting(void *ctx, const struct cluster_setting *s)
{
    if (slice_is(s->name, "channels_per_shard")) {
        note(ctx, "each=%.*s(%.*s)", TEXT(s->value), TEXT(s->otherwise));
    }
}

static void on_sender(void *ctx, struct slice user, struct slice shard)
{
    note(ctx, "%.*s>%.*s", TEXT(user), TEXT(shard));
}

static void on_rooms(void *ctx, const struct cluster_rooms *r)
{
    note(ctx, "%.*s:%llu/%llu:%.*s", TEXT(r->user), (unsigned long long)r->rooms,
         (unsigned long long)r->limit, TEXT(r->refused));
}

static void on_node(void *ctx, const struct figures_node *n, const struct registry_hash *hash)
{
    note(ctx, "%.*s:%llu/%llu:%.*s:%s", TEXT(n->node), (unsigned long long)n->shards,
         (unsigned long long)n->capacity, TEXT(n->users), hash->bad ? hash->bad : "");
    assert_in_range(n->lease_ms, 1, 3000);
}

static bool on_shard(void *ctx, const struct figures_shard *s, const struct registry_hash *hash)
{
    note(ctx, "%.*s@%.*s:%llu:%s", TEXT(s->shard), TEXT(s->user), (unsigned long long)s->channels,
         hash->bad ? hash->bad : "");
    return true;
}

static void on_shard_channels(void *ctx, const char *shard, const struct slice *channels, size_t n)
{
    note(ctx, "%s=%zu%s", shard, n, channels == NULL ? "?" : "");
}

static void on_channel(void *ctx, const struct figures_channel *c, const struct registry_hash *hash)
{
    struct seen *s = ctx;

    (void)hash;
    if (++s->channels <= 10) {
        note(s, "%.*s@%.*s:%.*s", TEXT(c->channel), TEXT(c->shard), TEXT(c->state));
    }
    if (s->reset) {
        s->reset = false;
        link_reset(w.probe.link, "a test");
    }
}

static void on_account(void *ctx, const struct figures_account *a, const struct registry_hash *hash)
{
    note(ctx, "%.*s:%.*s:%llu/%llu:%llu/%llu:%llu:%s", TEXT(a->account), TEXT(a->state),
         (unsigned long long)a->rooms, (unsigned long long)a->room_limit,
         (unsigned long long)a->messages_left, (unsigned long long)a->message_limit,
         (unsigned long long)a->shards, hash->bad ? hash->bad : "");
}

static void on_damaged(void *ctx)
{
    ((struct seen *)ctx)->damaged++;
}

static bool may_go_on(void *ctx)
{
    return !((struct seen *)ctx)->given_up;
}

static void on_done(void *ctx, const struct err *err)
{
    struct seen *s = ctx;

    s->done++;
    s->err = err != NULL ? *err : (struct err){0};
}

static void read_with(struct seen *s, const struct cluster_reader_options *callbacks)
{
    struct cluster_reader_options options = *callbacks;

    options.registry = w.r;
    options.on_done = on_done;
    options.ctx = s;
    buf_init(&s->text, 65536);
    struct cluster_reader *r = cluster_reader_create(&options);
    cluster_reader_begin(r);
    wait_until(&w.probe.t, s->done > 0);
    while (err_is_silence(&s->err) && s->err.code != ERR_CANCELED) {
        unsigned ups = w.probe.ups;
        wait_until(&w.probe.t, w.probe.ups > ups || link_is_up(w.probe.link));
        s->done = 0;
        cluster_reader_resume(r);
        wait_until(&w.probe.t, s->done > 0);
    }
    assert_int_equal(s->done, 1);
    assert_false(cluster_reader_is_busy(r));
    if (options.whole) {
        const struct cluster_state *state = cluster_reader_state(r);
        note(s, "leader=%.*s waiting=%llu", TEXT(state->leader.id),
             (unsigned long long)state->waiting);
    }
    cluster_reader_destroy(r);
    buf_append_char(&s->text, '\0');
}

static void begin(void)
{
    world_begin(&w, &me, &n1, 10);
    world_configure(&w, &me, "", "", "set", "channels_per_shard,3");
    world_add_shard(&w, &me, "main-shard", "anonymous", "a,b");
    world_add_shard(&w, &me, "other-shard", "anonymous", "");
    world_assign_to(&w, &me, "", "", "join", "?later", "w");
}

static void settings_nodes_shards_channels_and_the_whole_are_read(void **state)
{
    struct seen s = {0};

    (void)state;
    begin();
    read_with(&s, &(struct cluster_reader_options){.on_setting = on_setting,
                                                   .on_sender = on_sender,
                                                   .on_rooms = on_rooms,
                                                   .on_node = on_node,
                                                   .on_shard = on_shard,
                                                   .on_shard_channels = on_shard_channels,
                                                   .on_channel = on_channel,
                                                   .whole = true});
    assert_int_equal(s.err.code, ERR_OK);
    assert_string_equal(
        s.text.data, "each=3(25) anonymous>main-shard anonymous:2/0: n1:2/10:anonymous: "
                     "main-shard@anonymous:2: other-shard@anonymous:0: main-shard=2 other-shard=0 "
                     "a@main-shard:assigned b@main-shard:assigned w@:waiting leader=c1 waiting=1");
    buf_finish(&s.text);
    world_finish(&w);
}

static void on_node_alive(void *ctx, const struct figures_node *n, const struct registry_hash *hash)
{
    (void)hash;
    note(ctx, "%llu of %llu", (unsigned long long)n->lines_s, (unsigned long long)n->buffer_limit);
}

static bool on_shard_alive(void *ctx, const struct figures_shard *s,
                           const struct registry_hash *hash)
{
    (void)hash;
    note(ctx, "%.*s:%llu,%llu:%llu", TEXT(s->shard), (unsigned long long)s->lines_s,
         (unsigned long long)s->lag_ms, (unsigned long long)s->joined);
    return false;
}

/* What is read of rates, lag, a limit and joined channels. */
static void look_alive(const char *expected, bool nodes)
{
    struct seen s = {0};

    read_with(&s, &(struct cluster_reader_options){.on_node = nodes ? on_node_alive : NULL,
                                                   .on_shard = on_shard_alive});
    assert_int_equal(s.err.code, ERR_OK);
    assert_string_equal(s.text.data, expected);
    buf_finish(&s.text);
}

static void what_a_node_told_last_is_not_alive_once_its_lease_is_over(void **state)
{
    (void)state;
    begin();
    world_renew(&w, &n1,
                "{\"shards\":{\"main-shard\":{\"epoch\":1,\"state\":\"ready\",\"lines_s\":7,"
                "\"lag_ms\":30,\"joined\":2},\"other-shard\":{\"epoch\":1,\"state\":\"backoff\","
                "\"lines_s\":5,\"joined\":1}},\"node\":{\"lines_s\":12,\"buffer_limit\":99}}");
    look_alive("12 of 99 main-shard:7,30:2 other-shard:0,0:1", true);
    look_alive("main-shard:7,30:2 other-shard:0,0:1", false);

    world_ask(&w, "ZADD shoal:{t}:nodes 1 n1");

    look_alive("0 of 99 main-shard:0,0:2 other-shard:0,0:1", true);
    look_alive("main-shard:0,0:2 other-shard:0,0:1", false);
    world_finish(&w);
}

static void what_is_damaged_counts_as_empty_and_is_told(void **state)
{
    struct seen s = {0};

    (void)state;
    begin();
    world_ask(&w, "SET shoal:{t}:shard:main-shard x");
    world_ask(&w, "SET shoal:{t}:shard:other-shard:channels x");
    world_ask(&w, "HSET shoal:{t}:node:n1 capacity many");
    read_with(&s, &(struct cluster_reader_options){.on_node = on_node,
                                                   .on_shard = on_shard,
                                                   .on_shard_channels = on_shard_channels,
                                                   .on_damaged = on_damaged});
    assert_int_equal(s.err.code, ERR_OK);
    assert_int_equal(s.damaged, 2);
    assert_string_equal(s.text.data,
                        "n1:2/0:anonymous:capacity main-shard@:0: other-shard@anonymous:0: "
                        "main-shard=2 other-shard=0?");
    buf_finish(&s.text);
    s = (struct seen){0};
    read_with(&s, &(struct cluster_reader_options){.on_shard = on_shard});
    assert_int_equal(s.err.code, ERR_REPLY); /* nobody wants to know of damage */
    buf_finish(&s.text);
    world_finish(&w);
}

static void accounts_are_read_with_what_is_left_of_their_limits(void **state)
{
    struct seen s = {0};

    (void)state;
    begin();
    world_configure(&w, &me, "", "", "account_put", "bob,1.0a1b2c3d.QUJD");
    world_configure(&w, &me, "", "", "account_put", "alice,1.0a1b2c3d.QUJD");
    world_ask(&w, "SADD shoal:{t}:rooms:alice c");
    world_ask(&w, "ZADD shoal:{t}:open:alice 1 of-alice");
    world_eval(&w,
               "local t = redis.call('TIME') local now = t[1] * 1000 "
               "for _, ago in ipairs({90000, 70000, 20000, 1000, -1000}) do "
               "redis.call('RPUSH', KEYS[1] .. ':budget:alice:message', now - ago) end",
               "");
    read_with(&s, &(struct cluster_reader_options){.on_account = on_account});
    assert_int_equal(s.err.code, ERR_OK);
    assert_string_equal(s.text.data, "alice:new:1/100:17/20:1: bob:new:0/100:20/20:0:");
    buf_finish(&s.text);

    /* Whatever stands there: nothing is written by who only looks. */
    world_ask(&w, "SET shoal:{t}:account:alice x");
    world_ask(&w, "SET shoal:{t}:open:alice x");
    world_ask(&w, "SET shoal:{t}:rooms:alice x");
    world_ask(&w, "SET shoal:{t}:budget:bob:message x");
    world_ask(&w, "ZADD shoal:{t}:accounts 1 x:y");
    world_configure(&w, &me, "", "", "set", "message_limit,off");
    s = (struct seen){0};
    read_with(&s, &(struct cluster_reader_options){.on_account = on_account});
    assert_int_equal(s.err.code, ERR_OK);
    assert_string_equal(s.text.data, "alice::0/100:0/0:0: bob:new:0/100:0/0:0:");
    buf_finish(&s.text);
    world_finish(&w);
}

static void readers_are_told_with_their_rooms_whatever_stands_there(void **state)
{
    struct seen s = {0};
    const struct cluster_reader_options options = {.on_rooms = on_rooms};

    (void)state;
    begin();
    world_ask(&w, "HSET shoal:{t}:config readers anonymous,bot,nobody");
    world_ask(&w, "HSET shoal:{t}:node:n1 users bot");
    world_ask(&w, "SADD shoal:{t}:rooms:bot x y z");
    read_with(&s, &options);
    assert_int_equal(s.err.code, ERR_OK);
    assert_string_equal(s.text.data,
                        "anonymous:2/0: bot:3/100: nobody:0/100:no node can log in as it");
    buf_finish(&s.text);
    s = (struct seen){0};
    world_ask(&w, "SET shoal:{t}:account:bot x");
    world_ask(&w, "DEL shoal:{t}:rooms:bot shoal:{t}:nodes");
    world_ask(&w, "SET shoal:{t}:rooms:bot x");
    world_ask(&w, "SET shoal:{t}:nodes x");
    read_with(&s, &options);
    assert_int_equal(s.err.code, ERR_OK);
    assert_string_equal(s.text.data, "anonymous:2/0: bot:0/100:no node can log in as it "
                                     "nobody:0/100:no node can log in as it");
    buf_finish(&s.text);
    world_finish(&w);
}

static void many_channels_are_read_in_portions_and_each_once_though_the_link_fails(void **state)
{
    struct seen s = {.reset = true};

    (void)state;
    begin();
    world_eval(
        &w,
        "for i = 1, 3500 do redis.call('HSET', 'shoal:{t}:channels', 'c' .. i, '') end return ''",
        "");
    read_with(&s, &(struct cluster_reader_options){.on_channel = on_channel});
    assert_int_equal(s.err.code, ERR_OK);
    assert_int_equal(s.channels, 3503);
    assert_true(w.probe.downs > 0);
    buf_finish(&s.text);
    world_finish(&w);
}

static void on_channel_name(void *ctx, const struct cluster_channel *channel)
{
    note(ctx, "%s@%s", channel->name, channel->shard);
}

static void names_of_channels_are_read_alone_and_channels_by_their_names(void **state)
{
    const struct cluster_channel some[] = {{"w", ""}, {"a", "main-shard"}, {"nobody", ""}};
    struct seen s = {0};

    (void)state;
    begin();
    read_with(&s, &(struct cluster_reader_options){.on_channel_name = on_channel_name});
    assert_int_equal(s.err.code, ERR_OK);
    assert_string_equal(s.text.data, "a@main-shard b@main-shard w@");
    buf_finish(&s.text);
    s = (struct seen){0};
    read_with(&s, &(struct cluster_reader_options){
                      .on_channel = on_channel, .channels = some, .nchannels = ARRAY_LEN(some)});
    assert_int_equal(s.err.code, ERR_OK);
    assert_string_equal(s.text.data, "w@:waiting a@main-shard:assigned nobody@:");
    buf_finish(&s.text);
    s = (struct seen){0};
    read_with(&s, &(struct cluster_reader_options){
                      .on_channel = on_channel, .channels = some, .nchannels = 0});
    assert_int_equal(s.channels, 0);
    buf_finish(&s.text);
    world_finish(&w);
}

static void a_round_that_is_given_up_ends_at_its_next_portion(void **state)
{
    struct seen s = {.given_up = true};

    (void)state;
    begin();
    read_with(&s,
              &(struct cluster_reader_options){.on_channel = on_channel, .may_go_on = may_go_on});
    assert_int_equal(s.err.code, ERR_CANCELED);
    assert_int_equal(s.channels, 0);
    buf_finish(&s.text);
    world_finish(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_nodes_shards_channels_and_the_whole_are_read),
        cmocka_unit_test(what_a_node_told_last_is_not_alive_once_its_lease_is_over),
        cmocka_unit_test(what_is_damaged_counts_as_empty_and_is_told),
        cmocka_unit_test(accounts_are_read_with_what_is_left_of_their_limits),
        cmocka_unit_test(readers_are_told_with_their_rooms_whatever_stands_there),
        cmocka_unit_test(many_channels_are_read_in_portions_and_each_once_though_the_link_fails),
        cmocka_unit_test(names_of_channels_are_read_alone_and_channels_by_their_names),
        cmocka_unit_test(a_round_that_is_given_up_ends_at_its_next_portion),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
