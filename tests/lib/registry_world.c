/* Registry world: the typed calls of nodes and leaders, made one at a time. */
#include "tests/lib/registry_world_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

extern const unsigned char registry_invariants[];

void world_copy(char *out, size_t size, struct slice s)
{
    snprintf(out, size, "%.*s", (int)s.len, s.len > 0 ? s.ptr : "");
}

void world_answer(struct world *w, const char *word, const struct err *err)
{
    w->answers++;
    w->failed = err != NULL;
    memset(&w->err, 0, sizeof(w->err));
    if (err != NULL) {
        w->err = *err;
        word = err->code == ERR_LOST ? "LOST" : "ERROR";
        snprintf(w->rest, sizeof(w->rest), "%s", err->text);
    }
    snprintf(w->word, sizeof(w->word), "%s", word);
}

static void on_raw(void *ctx, const struct redisReply *reply, const struct err *err)
{
    struct world *w = ctx;
    w->rest[0] = '\0';
    if (reply != NULL && reply->type == REDIS_REPLY_INTEGER) {
        snprintf(w->rest, sizeof(w->rest), "%lld", reply->integer);
    } else if (reply != NULL) {
        world_copy(w->rest, sizeof(w->rest), reply_slice(reply));
    }
    world_answer(w, "raw", err);
}

const char *world_ask(struct world *w, const char *fmt, ...)
{
    char text[4096];
    const char *argv[64];
    int argc = 0;
    char *save = NULL;
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    for (char *at = strtok_r(text, " ", &save); at != NULL; at = strtok_r(NULL, " ", &save)) {
        assert_true(argc < 64);
        argv[argc++] = at;
    }
    STEP(w, link_command_argv(w->probe.link, argc, argv, NULL, on_raw, w));
    return w->rest;
}

const char *world_eval(struct world *w, const char *script, const char *argument)
{
    const char *argv[] = {"EVAL", script, "1", "shoal:{t}", argument};
    STEP(w, link_command_argv(w->probe.link, 5, argv, NULL, on_raw, w));
    return w->rest;
}

const char *world_broken(struct world *w, unsigned most, unsigned most_shards)
{
    char channels[16];
    char shards[16];
    snprintf(channels, sizeof(channels), "%u", most);
    snprintf(shards, sizeof(shards), "%u", most_shards);
    const char *argv[] = {"EVAL", (const char *)registry_invariants, "1", "shoal:{t}", channels,
                          shards};
    STEP(w, link_command_argv(w->probe.link, 6, argv, NULL, on_raw, w));
    return w->rest;
}

void world_on_done(void *ctx, const struct err *err)
{
    world_answer(ctx, "done", err);
}

static void on_greeting(void *ctx, const struct registry_greeting *g, const struct err *err)
{
    struct world *w = ctx;
    if (g != NULL) {
        w->greeting = *g;
    }
    world_answer(w, "greeted", err);
}

void world_start(struct world *w)
{
    memset(w, 0, sizeof(*w));
    random_hex(w->process, 16);
    link_probe_up(&w->probe, private_redis_port(redis));
    w->r = registry_create(w->probe.link, "t");
    world_ask(w, "FLUSHALL");
    assert_string_equal(world_load(w), "done");
    STEP(w, registry_greet(w->r, on_greeting, w));
    assert_string_equal(w->word, "greeted");
}

void world_finish(struct world *w)
{
    link_probe_finish(&w->probe);
    registry_destroy(w->r);
}

const char *world_load(struct world *w)
{
    STEP(w, registry_load(w->r, world_on_done, w));
    return w->word;
}

const char *world_check(struct world *w)
{
    STEP(w, registry_check(w->r, world_on_done, w));
    return w->word;
}

unsigned world_calls(struct world *w, const char *command)
{
    static const char script[] = "return string.match(redis.call('INFO', 'commandstats'), "
                                 "'cmdstat_' .. ARGV[1] .. ':calls=(%d+)') or '0'";

    return (unsigned)strtoul(world_eval(w, script, command), NULL, 10);
}

/* Nodes ------------------------------------------------------------------------------------------- */

void world_node(struct world_node *n, const char *name, uint64_t link_id, uint64_t capacity,
                const char *users)
{
    memset(n, 0, sizeof(*n));
    snprintf(n->name, sizeof(n->name), "%s", name);
    snprintf(n->users, sizeof(n->users), "%s", users);
    random_hex(n->incarnation, 16);
    n->link_id = link_id;
    n->capacity = capacity;
    n->state = "active";
    n->seen = -1;
}

static struct registry_node node_of(const struct world_node *n, uint64_t takeover)
{
    return (struct registry_node){
        .node = n->name,
        .incarnation = n->incarnation,
        .link_id = n->link_id,
        .run_id = "run",
        .host = "host1",
        .pid = "4711",
        .version = "0",
        .capacity = n->capacity,
        .users = n->users,
        .takeover = takeover,
        .state = n->state,
        .registry = n->registry,
    };
}

static void tell_unread(struct world *w, const struct registry_picture *p)
{
    char *words[64];
    size_t n = 0;
    size_t len = 0;
    w->unread[0] = w->order[0] = w->retries[0] = '\0';
    for (size_t i = 0; i < p->nheld_changed; i++) {
        const struct registry_shard *s = &p->held_changed[i];
        for (size_t c = 0; c < s->nchannels && n < ARRAY_LEN(words); c++) {
            long long ms = (long long)s->unread_ms[c];
            size_t used = strlen(w->retries);
            if (s->retry_ms[c] != 0) {
                snprintf(w->retries + used, sizeof(w->retries) - used, "%.*s ",
                         (int)s->channels[c].len, s->channels[c].ptr);
            }
            words[n++] = xasprintf("%.*s:%lld", (int)s->channels[c].len, s->channels[c].ptr,
                                   ms > 0 ? (ms + 500) / 1000 : ms);
            size_t at = strlen(w->order);
            snprintf(w->order + at, sizeof(w->order) - at, "%s%.*s", at > 0 ? " " : "",
                     (int)s->channels[c].len, s->channels[c].ptr);
        }
    }
    qsort(words, n, sizeof(words[0]), world_by_text);
    for (size_t i = 0; i < n; i++) {
        if (len < sizeof(w->unread)) {
            len += (size_t)snprintf(w->unread + len, sizeof(w->unread) - len, "%s%s",
                                    i > 0 ? " " : "", words[i]);
        }
        free(words[i]);
    }
}

static void on_picture(struct world *w, const struct registry_picture *picture)
{
    w->picture = *picture;
    world_copy(w->registry, sizeof(w->registry), picture->registry);
    if (picture->nheld_changed > 0) {
        w->run = picture->held_changed[picture->nheld_changed - 1].run;
    }
    w->asking->settings = picture->settings;
    w->asking->others_blind = picture->others_blind;
    world_copy(w->asking->default_sender, sizeof(w->asking->default_sender),
               picture->default_sender);
    tell_unread(w, picture);
    world_view_update(w->asking, picture);
}

static void on_register(void *ctx, const struct registry_picture *picture,
                        const struct registry_holder *holder, const struct err *err)
{
    struct world *w = ctx;
    assert_true((picture != NULL) + (holder != NULL) + (err != NULL) <= 1);
    w->held_by_other = holder != NULL;
    if (picture != NULL) {
        w->asking->nviews = 0;
        on_picture(w, picture);
    } else if (holder != NULL) {
        snprintf(w->holder, sizeof(w->holder), "%.*s %.*s %llu", (int)holder->host.len,
                 holder->host.ptr, (int)holder->pid.len, holder->pid.ptr,
                 (unsigned long long)holder->link_id);
        w->holder_link = holder->link_id;
    }
    world_answer(w, holder != NULL ? "held" : picture != NULL ? "current" : "more", err);
}

const char *world_register(struct world *w, struct world_node *n, uint64_t takeover)
{
    struct registry_node node = node_of(n, takeover);
    w->asking = n;
    do {
        STEP(w, registry_register(w->r, &node, on_register, w));
    } while (strcmp(w->word, "more") == 0);
    return w->word;
}

static void on_renew(void *ctx, const struct registry_picture *picture, const struct err *err)
{
    struct world *w = ctx;
    if (picture != NULL) {
        on_picture(w, picture);
    }
    world_answer(w, "current", err);
}

const char *world_renew(struct world *w, struct world_node *n, const char *report)
{
    struct registry_node node = node_of(n, 0);
    w->asking = n;
    STEP(w, registry_renew(w->r, &node, n->seen, slice_of(report), on_renew, w));
    return w->word;
}

static void on_rested(void *ctx, const struct registry_rested *answer, const struct err *err)
{
    struct world *w = ctx;

    assert_true(!answer->kept || answer->now.ms > 1700000000000);
    w->again_ms = answer->again_ms;
    world_answer(ctx, answer->kept ? "current" : "look", err);
}

const char *world_rest_alone(struct world *w, struct world_node *n)
{
    struct registry_node node = node_of(n, 0);

    test_loop_run_for(&w->probe.t,
                      2); /* not in the ms of another renewal: it would change nothing */
    const struct registry_rest rest = {.seen_rev = n->seen,
                                       .told = n->settings.told,
                                       .lease_ms = n->settings.lease_ms,
                                       .now = {wall_now().ms - w->behind_ms},
                                       .renewed = w->picture.now,
                                       .quiet = {w->quiet_ms}};
    STEP(w, registry_rest(w->r, &node, &rest, on_rested, w));
    return w->word;
}

const char *world_rest(struct world *w, struct world_node *n)
{
    struct world_node known = *n;
    world_rest_alone(w, n);
    if (strcmp(w->word, "current") == 0) {
        assert_string_equal(world_renew(w, n, ""), "current");
        assert_false(w->picture.changed || w->picture.must_restate);
        assert_memory_equal(&known.settings, &n->settings, sizeof(n->settings));
        assert_string_equal(known.default_sender, n->default_sender);
        assert_true(known.others_blind || !n->others_blind);
    }
    return w->word;
}

const char *world_leave(struct world *w, struct world_node *n)
{
    STEP(w, registry_leave(w->r, n->name, n->incarnation, true, world_on_done, w));
    return w->word;
}

const char *world_restate(struct world *w, const struct world_node *n, uint64_t back_ms,
                          const char *report)
{
    STEP(w, registry_restate(w->r, n->name, n->incarnation, slice_of(report), true, back_ms,
                             world_on_done, w));
    return w->word;
}

/* Leader ------------------------------------------------------------------------------------------ */

void world_leader(struct registry_leader *me, const char *id)
{
    static char incarnations[16][INCARNATION_CHARS];
    static unsigned next;
    char *incarnation = incarnations[next++ % 16];
    random_hex(incarnation, 16);
    *me = (struct registry_leader){
        .id = id,
        .incarnation = incarnation,
        .link_id = 1,
        .run_id = "run",
        .host = "host1",
        .pid = "1",
    };
}

static void on_lead(void *ctx, const struct registry_lead *lead, const struct err *err)
{
    struct world *w = ctx;
    memset(&w->lead, 0, sizeof(w->lead));
    w->expired[0] = '\0';
    w->idle[0] = '\0';
    if (lead != NULL) {
        w->lead = *lead;
        world_copy(w->leader_id, sizeof(w->leader_id), lead->leader_id);
        world_copy(w->rest, sizeof(w->rest), lead->token);
        if (lead->nexpired > 0) {
            world_copy(w->expired, sizeof(w->expired), lead->expired[0].node);
        }
        if (lead->nidle > 0) {
            world_copy(w->idle, sizeof(w->idle), lead->idle[0]);
        }
    }
    world_answer(w, lead != NULL && lead->leading ? "leading" : "standby", err);
}

const char *world_lead(struct world *w, struct registry_leader *me)
{
    STEP(w, registry_lead(w->r, me, on_lead, w));
    if (strcmp(w->word, "leading") == 0) {
        snprintf(me->token, sizeof(me->token), "%.20s", w->rest);
    }
    return w->word;
}

const char *world_resign(struct world *w, struct registry_leader *me)
{
    STEP(w, registry_resign(w->r, me, world_on_done, w));
    return w->word;
}

void world_on_word(void *ctx, struct slice word, struct slice rest, const struct err *err)
{
    struct world *w = ctx;
    char text[sizeof(w->word)];
    world_copy(text, sizeof(text), word);
    world_copy(w->rest, sizeof(w->rest), rest);
    world_answer(w, text, err);
}

const char *world_expire(struct world *w, const struct registry_leader *me, const char *node,
                         uint64_t link_id)
{
    STEP(w, registry_expire(w->r, me, slice_of(node), link_id, world_on_word, w));
    return w->word;
}

static void on_compared(void *ctx, const struct registry_compared *compared, const struct err *err)
{
    struct world *w = ctx;

    w->compared = err == NULL ? *compared : (struct registry_compared){0};
    world_copy(w->rest, sizeof(w->rest), w->compared.cursor);
    world_answer(w, w->compared.more ? "more" : "done", err);
}

unsigned world_compare(struct world *w, const struct registry_leader *me)
{
    return world_compare_beside(w, me, NULL);
}

unsigned world_compare_beside(struct world *w, const struct registry_leader *me,
                              void (*before)(unsigned portion))
{
    char cursor[64] = REGISTRY_COMPARE_FROM;
    unsigned repairs = 0, portion = 0;

    do {
        if (before != NULL) {
            before(++portion);
        }
        STEP(w, registry_compare(w->r, me, slice_of(cursor), on_compared, w));
        assert_true(strcmp(w->word, "more") == 0 || strcmp(w->word, "done") == 0);
        repairs += (unsigned)w->compared.repairs;
        snprintf(cursor, sizeof(cursor), "%.60s", w->rest);
    } while (strcmp(w->word, "more") == 0);
    return repairs;
}

void world_begin(struct world *w, struct registry_leader *me, struct world_node *n,
                 uint64_t capacity)
{
    world_start(w);
    world_leader(me, "c1");
    assert_string_equal(world_lead(w, me), "leading");
    assert_string_equal(world_configure(w, me, "", "", "set", "user,anonymous"), "done");
    world_node(n, "n1", 1001, capacity, "anonymous");
    assert_string_equal(world_register(w, n, 0), "current");
}

void world_end_lease(struct world *w, const struct world_node *n)
{
    world_ask(w, "ZADD shoal:{t}:nodes 1 %s", n->name);
    world_ask(w, "HDEL shoal:{t}:clock grace");
}
