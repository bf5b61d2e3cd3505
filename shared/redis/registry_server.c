#include "shared/redis/refusal.h"
#include "shared/redis/registry_call.h"

#define ASK_VERSION "FCALL shoal1_version 0"
/* The kill is asked for after the answer to the pause, and comes within these ms. */
#define PAUSE "CLIENT PAUSE 100 WRITE"

/* What a new connection needs before steps may be called: who it is at the server (greet), and the
 * library of steps (load by the coordinator, check by everybody else). */

/* The library, made from steps/ *.lua at build time (shared/CMakeLists.txt). */
extern const unsigned char shoal_lua[];
extern const size_t shoal_lua_len;

/* Greeting ------------------------------------------------------------------------------------- */

static void on_greet_info(struct call *call, const struct redisReply *reply, const struct err *err)
{
    err = call_read(call, err, reply_info(reply, &call->greeting, &call->err));
    call->cb.greeting(call->ctx, err == NULL ? &call->greeting : NULL, err);
}

static void on_greet_id(struct call *call, const struct redisReply *reply, const struct err *err)
{
    err = call_error(call, reply, err);
    if (err == NULL && (reply->type != REDIS_REPLY_INTEGER || reply->integer <= 0)) {
        err = call_read(call, NULL, reply_broken(&call->err, "CLIENT ID"));
    }
    if (err != NULL) {
        call->cb.greeting(call->ctx, NULL, err);
        return;
    }
    call->greeting.link_id = (uint64_t)reply->integer;
    call_again(call, args_of("INFO server"), on_greet_info);
}

int registry_greet(struct registry *r, registry_greeting_cb cb, void *ctx)
{
    return call_ask(r, args_of("CLIENT ID"), on_greet_id, (union call_cb){.greeting = cb}, ctx);
}

/* The library ---------------------------------------------------------------------------------- */

static struct slice own_text(void)
{
    return (struct slice){(const char *)shoal_lua, shoal_lua_len};
}

static void on_loaded(struct call *call, const struct redisReply *reply, const struct err *err)
{
    err = call_error(call, reply, err);
    if (err == &call->err) {
        err_wrap(&call->err, "loading Shoal's functions into Redis");
    }
    call->cb.done(call->ctx, err);
}

static void load(struct call *call)
{
    struct args a = args_of("FUNCTION LOAD REPLACE");

    args_slice(&a, own_text());
    call_again(call, a, on_loaded);
}

/* Does the text stand somewhere in the answer? */
static bool holds(const struct redisReply *reply, struct slice text)
{
    bool found = slice_eq(reply_slice(reply), text);

    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements && !found; i++) {
        found = holds(reply->element[i], text);
    }
    return found;
}

static void on_load_list(struct call *call, const struct redisReply *reply, const struct err *err)
{
    err = call_error(call, reply, err);
    if (err == NULL && !holds(reply, own_text())) {
        load(call);
    } else {
        call->cb.done(call->ctx, err);
    }
}

static void on_load_version(struct call *call, const struct redisReply *reply,
                            const struct err *err)
{
    uint64_t revision = 0;
    if (!refusal_is(reply, REFUSAL_NO_LIBRARY)) {
        err = call_read(call, err, reply_version(reply, &revision, &call->err));
    }
    if (err != NULL || revision > REGISTRY_REVISION) {
        call->cb.done(call->ctx, err);
    } else if (revision < REGISTRY_REVISION) {
        load(call);
    } else { /* is it that one, in fact? Somebody may have left something out */
        call_again(call, args_of("FUNCTION LIST LIBRARYNAME shoal1 WITHCODE"), on_load_list);
    }
}

int registry_load(struct registry *r, registry_done_cb cb, void *ctx)
{
    return call_ask(r, args_of(ASK_VERSION), on_load_version, (union call_cb){.done = cb}, ctx);
}

static void on_check_version(struct call *call, const struct redisReply *reply,
                             const struct err *err)
{
    uint64_t revision;
    int rc = refusal_is(reply, REFUSAL_NO_LIBRARY)
                 ? err_set(&call->err, ERR_ABSENT,
                           "no coordinator has set up this Redis yet; start shoal-coordinator with "
                           "the same --redis-url")
                 : reply_version(reply, &revision, &call->err);
    call->cb.done(call->ctx, call_read(call, err, rc));
}

int registry_check(struct registry *r, registry_done_cb cb, void *ctx)
{
    return call_ask(r, args_of(ASK_VERSION), on_check_version, (union call_cb){.done = cb}, ctx);
}

/* What was forgotten --------------------------------------------------------------------------- */

int registry_restate(struct registry *r, const char *node, const char *incarnation,
                     struct slice report, bool last, uint64_t back_ms, registry_done_cb cb,
                     void *ctx)
{
    struct args a = node_args(r, "restate", node, incarnation);
    args_text(&a, last ? "1" : "0");
    args_number(&a, (int64_t)back_ms);
    args_slice(&a, report);
    return call_ask_done(r, a, cb, ctx);
}

/* Other processes' links ----------------------------------------------------------------------- */

/* CLIENT ... ID <link>; for 0, which Redis refuses as an id, a command that changes nothing and
 * whose answer (a number) reads as "no such client". */
static struct args client_args(const char *words, uint64_t link_id)
{
    struct args a = args_of(link_id != 0 ? words : "CLIENT ID");
    if (link_id != 0) {
        args_number(&a, (int64_t)link_id);
    }
    return a;
}

int registry_kill_link(struct registry *r, uint64_t link_id, registry_done_cb cb, void *ctx)
{
    return call_ask_done(r, client_args("CLIENT KILL ID", link_id), cb, ctx);
}

static void on_paused(struct call *call, const struct redisReply *reply, const struct err *err)
{
    (void)reply; /* refused: killed all the same */
    if (err == NULL) {
        (void)!registry_kill_link(call->registry, call->link_id, NULL, NULL);
    }
}

int registry_kill_listener(struct registry *r, uint64_t link_id)
{
    struct call *call = call_create(r, on_paused, (union call_cb){0}, NULL);
    call->link_id = link_id;
    return call_send(call, args_of(PAUSE));
}

static void on_alive(struct call *call, const struct redisReply *reply, const struct err *err)
{
    err = call_error(call, reply, err);
    call->cb.yes_no(call->ctx, err == NULL && reply_slice(reply).len > 0, err);
}

int registry_link_alive(struct registry *r, uint64_t link_id, registry_bool_cb cb, void *ctx)
{
    return call_ask(r, client_args("CLIENT LIST ID", link_id), on_alive,
                    (union call_cb){.yes_no = cb}, ctx);
}
