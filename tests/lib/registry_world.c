/* Registry world: the typed calls, made one at a time. */
#include "tests/lib/registry_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

extern const unsigned char registry_invariants[];

static void copy(char *out, size_t size, struct slice s)
{
    snprintf(out, size, "%.*s", (int)s.len, s.len > 0 ? s.ptr : "");
}

/* Every callback comes through here. */
static void answer(struct world *w, const char *word, const struct err *err)
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

/* `call` is a registry_x(...) with the world as ctx. */
#define STEP(w, call)                                                                              \
    do {                                                                                           \
        unsigned before_ = (w)->answers;                                                           \
        assert_int_equal((call), 0);                                                               \
        wait_until(&(w)->probe.t, (w)->answers > before_);                                         \
        assert_int_equal((w)->answers, before_ + 1);                                               \
    } while (0)

static void on_raw(void *ctx, const struct redisReply *reply, const struct err *err)
{
    struct world *w = ctx;
    w->rest[0] = '\0';
    if (reply != NULL && reply->type == REDIS_REPLY_INTEGER) {
        snprintf(w->rest, sizeof(w->rest), "%lld", reply->integer);
    } else if (reply != NULL) {
        copy(w->rest, sizeof(w->rest), reply_slice(reply));
    }
    answer(w, "raw", err);
}

const char *world_ask(struct world *w, const char *fmt, ...)
{
    char text[1024];
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

static void on_done(void *ctx, const struct err *err)
{
    answer(ctx, "done", err);
}

static void on_greeting(void *ctx, const struct registry_greeting *g, const struct err *err)
{
    struct world *w = ctx;
    if (g != NULL) {
        w->greeting = *g;
    }
    answer(w, "greeted", err);
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
    STEP(w, registry_load(w->r, on_done, w));
    return w->word;
}

const char *world_check(struct world *w)
{
    STEP(w, registry_check(w->r, on_done, w));
    return w->word;
}

/* Views ------------------------------------------------------------------------------------------- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static struct world_view *view_of(struct world_node *n, bool serves, struct slice id)
{
    for (size_t i = 0; i < n->nviews; i++) {
        if (n->views[i].serves == serves && slice_is(id, n->views[i].id)) {
            return &n->views[i];
        }
    }
    assert_true(n->nviews < ARRAY_LEN(n->views));
    struct world_view *v = &n->views[n->nviews++];
    memset(v, 0, sizeof(*v));
    v->serves = serves;
    copy(v->id, sizeof(v->id), id);
    return v;
}

static void view_fill(struct world_view *v, const struct registry_shard *s)
{
    char *names[1000];
    size_t len = (size_t)(v->serves ? snprintf(v->text, sizeof(v->text), ">%.*s",
                                               (int)s->sender.len, s->sender.ptr)
                                    : snprintf(v->text, sizeof(v->text), ":%llu",
                                               (unsigned long long)s->epoch));
    for (size_t i = 0; i < s->nchannels; i++) {
        names[i] = xstrndup(s->channels[i].ptr, s->channels[i].len);
    }
    qsort(names, s->nchannels, sizeof(names[0]), by_text);
    for (size_t i = 0; i < s->nchannels; i++) {
        len += (size_t)snprintf(v->text + len, sizeof(v->text) - len, ",%s", names[i]);
        assert_true(len < sizeof(v->text));
        free(names[i]);
    }
}

/* Apply an answer the way a node has to. */
static void view_update(struct world_node *n, const struct registry_picture *p)
{
    n->seen = (int64_t)p->rev;
    if (!p->changed) {
        return;
    }
    for (size_t i = 0; i < n->nviews; i++) {
        n->views[i].kept = false;
    }
    for (size_t i = 0; i < p->nheld; i++) {
        view_of(n, false, p->held[i])->kept = true;
    }
    for (size_t i = 0; i < p->nserved; i++) {
        view_of(n, true, p->served[i])->kept = true;
    }
    for (size_t i = 0; i < p->nheld_changed; i++) {
        view_fill(view_of(n, false, p->held_changed[i].id), &p->held_changed[i]);
    }
    for (size_t i = 0; i < p->nserved_changed; i++) {
        view_fill(view_of(n, true, p->served_changed[i].id), &p->served_changed[i]);
    }
    size_t kept = 0;
    for (size_t i = 0; i < n->nviews; i++) {
        if (n->views[i].kept) {
            n->views[kept++] = n->views[i];
        }
    }
    n->nviews = kept;
}

const char *world_node_view(struct world_node *n, char *out, size_t size)
{
    char *lines[ARRAY_LEN(n->views)];
    size_t len = 0;
    for (size_t i = 0; i < n->nviews; i++) {
        lines[i] = xasprintf("%s%s\n", n->views[i].id, n->views[i].text);
    }
    qsort(lines, n->nviews, sizeof(lines[0]), by_text);
    out[0] = '\0';
    for (size_t i = 0; i < n->nviews; i++) {
        len += (size_t)snprintf(out + len, size - len, "%s", lines[i]);
        assert_true(len < size);
        free(lines[i]);
    }
    return out;
}

const char *world_raw_view(struct world *w, const struct world_node *n)
{
    return world_eval(
        w,
        "local lines = {} "
        "local function told(shard, head) "
        "  local names = redis.call('SMEMBERS', KEYS[1] .. ':shard:' .. shard .. ':channels') "
        "  table.sort(names) table.insert(names, 1, shard .. head) "
        "  lines[#lines + 1] = table.concat(names, ',') .. '\\n' end "
        "for _, shard in ipairs(redis.call('ZRANGE', KEYS[1] .. ':load', 0, -1)) do "
        "  local s = redis.call('HMGET', KEYS[1] .. ':shard:' .. shard, 'node', 'epoch', 'sender') "
        "  if s[1] == ARGV[1] then told(shard, ':' .. s[2]) end "
        "  if redis.call('HGET', KEYS[1] .. ':shard:' .. s[3], 'node') == ARGV[1] then "
        "    told(shard, '>' .. s[3]) end "
        "end table.sort(lines) return table.concat(lines)",
        n->name);
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
    qsort(words, n, sizeof(words[0]), by_text);
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
    copy(w->registry, sizeof(w->registry), picture->registry);
    if (picture->nheld_changed > 0) {
        w->run = picture->held_changed[picture->nheld_changed - 1].run;
    }
    tell_unread(w, picture);
    view_update(w->asking, picture);
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
    answer(w, holder != NULL ? "held" : picture != NULL ? "current" : "more", err);
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
    answer(w, "current", err);
}

const char *world_renew(struct world *w, struct world_node *n, const char *report)
{
    struct registry_node node = node_of(n, 0);
    w->asking = n;
    STEP(w, registry_renew(w->r, &node, n->seen, slice_of(report), on_renew, w));
    return w->word;
}

const char *world_leave(struct world *w, struct world_node *n)
{
    STEP(w, registry_leave(w->r, n->name, n->incarnation, true, on_done, w));
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
        copy(w->leader_id, sizeof(w->leader_id), lead->leader_id);
        copy(w->rest, sizeof(w->rest), lead->token);
        if (lead->nexpired > 0) {
            copy(w->expired, sizeof(w->expired), lead->expired[0].node);
        }
        if (lead->nidle > 0) {
            copy(w->idle, sizeof(w->idle), lead->idle[0]);
        }
    }
    answer(w, lead != NULL && lead->leading ? "leading" : "standby", err);
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
    STEP(w, registry_resign(w->r, me, on_done, w));
    return w->word;
}

static void on_word(void *ctx, struct slice word, struct slice rest, const struct err *err)
{
    struct world *w = ctx;
    char text[sizeof(w->word)];
    copy(text, sizeof(text), word);
    copy(w->rest, sizeof(w->rest), rest);
    answer(w, text, err);
}

const char *world_expire(struct world *w, const struct registry_leader *me, const char *node,
                         uint64_t link_id)
{
    STEP(w, registry_expire(w->r, me, slice_of(node), link_id, on_word, w));
    return w->word;
}

static void on_outcome(void *ctx, const struct registry_outcome *outcome, const struct err *err)
{
    on_word(ctx, outcome != NULL ? outcome->word : SLICE(""),
            outcome != NULL ? outcome->json : SLICE(""), err);
}

static void on_compared(void *ctx, const struct registry_compared *compared, const struct err *err)
{
    struct world *w = ctx;

    w->compared = err == NULL ? *compared : (struct registry_compared){0};
    copy(w->rest, sizeof(w->rest), w->compared.cursor);
    answer(w, w->compared.more ? "more" : "done", err);
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

/* Requests ---------------------------------------------------------------------------------------- */

static size_t split(char *text, struct slice *out, size_t most)
{
    size_t n = 0;
    char *save = NULL;
    for (char *at = strtok_r(text, ",", &save); at != NULL; at = strtok_r(NULL, ",", &save)) {
        assert_true(n < most);
        out[n++] = slice_of(at);
    }
    return n;
}

const char *world_add_shard(struct world *w, const struct registry_leader *me, const char *shard,
                            const char *user, const char *channels)
{
    static struct slice names[2000];
    char *text = xstrdup(channels);
    size_t n = split(text, names, ARRAY_LEN(names));
    STEP(w, registry_add_shard(w->r, me, shard, slice_of(user), names, n, on_word, w));
    free(text);
    return w->word;
}

static void assign(struct world *w, const struct registry_leader *me,
                   const struct registry_request *request, const char *mode,
                   const struct registry_wish *wishes, size_t n)
{
    STEP(w, registry_assign(w->r, me, request, mode, wishes, n, on_outcome, w));
}

const char *world_assign_wishes(struct world *w, const struct registry_leader *me, const char *mode,
                                const struct registry_wish *wishes, size_t n)
{
    assign(w, me, &(struct registry_request){0}, mode, wishes, n);
    return w->word;
}

const char *world_assign_to(struct world *w, const struct registry_leader *me, const char *entry,
                            const char *id, const char *mode, const char *where,
                            const char *channels)
{
    static struct slice names[2000];
    static struct registry_wish wishes[2000];
    char *text = xstrdup(channels);
    size_t n = split(text, names, ARRAY_LEN(names));
    for (size_t i = 0; i < n; i++) {
        wishes[i] = (struct registry_wish){names[i], slice_of(where)};
    }
    assign(w, me, &(struct registry_request){slice_of(entry), slice_of(id)}, mode, wishes, n);
    free(text);
    return w->word;
}

const char *world_assign(struct world *w, const struct registry_leader *me, const char *entry,
                         const char *id, const char *mode, const char *channels)
{
    return world_assign_to(w, me, entry, id, mode, "", channels);
}

const char *world_release(struct world *w, const struct registry_leader *me, const char *entry,
                          const char *id, const char *mode, const char *list)
{
    static struct slice names[2000];
    char *text = xstrdup(list);
    struct registry_request request = {slice_of(entry), slice_of(id)};
    size_t n = split(text, names, ARRAY_LEN(names));
    if (strcmp(mode, "part") == 0) {
        STEP(w, registry_carry_out(w->r, me, &request, mode, names, n, on_outcome, w));
    } else {
        const char *step = strcmp(mode, "idle") == 0 ? "close_idle" : "remove_channels";
        STEP(w, registry_do(w->r, me, step, names, n, on_outcome, w));
    }
    free(text);
    return w->word;
}

const char *world_retry(struct world *w, const struct registry_leader *me, const char *entry,
                        const char *id, const char *list)
{
    struct slice names[200];
    char *text = xstrdup(list);
    struct registry_request request = {slice_of(entry), slice_of(id)};
    size_t n = split(text, names, ARRAY_LEN(names));
    STEP(w, registry_carry_out(w->r, me, &request, "retry", names, n, on_outcome, w));
    free(text);
    return w->word;
}

/* How many arguments of a request's op the leader hands on, or -1: no request asks for that. */
static int op_args(const char *op)
{
    static const struct {
        const char *op;
        int n;
    } ops[] = {{"set", 2}, {"unset", 1}, {"start", 0}, {"stop", 0}};
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        if (strcmp(ops[i].op, op) == 0) {
            return ops[i].n;
        }
    }
    return -1;
}

const char *world_configure(struct world *w, const struct registry_leader *me, const char *entry,
                            const char *id, const char *op, const char *args)
{
    struct slice words[200];
    char *text = xstrdup(args);
    struct registry_request request = {slice_of(entry), slice_of(id)};
    size_t n = split(text, words, ARRAY_LEN(words));
    if (op_args(op) >= 0) {
        for (; n < (size_t)op_args(op); n++) {
            words[n] = (struct slice){0};
        }
        n = (size_t)op_args(op);
        STEP(w, registry_carry_out(w->r, me, &request, op, words, n, on_outcome, w));
    } else if (entry[0] != '\0') {
        words[0] = slice_of(op);
        STEP(w, registry_carry_out(w->r, me, &request, "refuse_op", words, 1, on_outcome, w));
    } else {
        STEP(w, registry_do(w->r, me, op, words, n, on_outcome, w));
    }
    free(text);
    return w->word;
}

/* Budgets and sends ------------------------------------------------------------------------------- */

static void on_draw(void *ctx, const uint64_t *waits, size_t n, const struct err *err)
{
    struct world *w = ctx;
    assert_true(n <= ARRAY_LEN(w->waits));
    w->nwaits = n;
    if (n > 0) {
        memcpy(w->waits, waits, n * sizeof(waits[0]));
    }
    answer(w, "drawn", err);
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
    STEP(w, registry_send_accept(w->r, n->name, n->incarnation, &send, &heard, on_word, w));
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
        copy(w->claim_shard, sizeof(w->claim_shard), claim->shard);
        copy(w->claim_text, sizeof(w->claim_text), claim->send.text);
    }
    answer(w, claim != NULL ? words[claim->word] : "", err);
}

const char *world_claim(struct world *w, const struct world_node *n, const char *entry)
{
    STEP(w, registry_send_claim(w->r, n->name, n->incarnation, slice_of(entry), on_claim, w));
    return w->word;
}

const char *world_take(struct world *w)
{
    do {
        STEP(w, registry_send_take(w->r, on_word, w));
    } while (strcmp(w->word, "more") == 0);
    return w->word;
}

const char *world_restate(struct world *w, const struct world_node *n, uint64_t back_ms,
                          const char *report)
{
    STEP(w, registry_restate(w->r, n->name, n->incarnation, slice_of(report), true, back_ms,
                             on_done, w));
    return w->word;
}

const char *world_unclaim(struct world *w, const struct world_node *n, const char *entry)
{
    STEP(w, registry_send_unclaim(w->r, n->name, n->incarnation, slice_of(entry), on_done, w));
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
    STEP(w, registry_send_done(w->r, n->name, n->incarnation, slice_of(entry), status,
                               (struct slice){0}, (struct slice){0}, said_ms, on_done, w));
    return w->word;
}
