#include "shared/redis/refusal.h"
#include "shared/redis/registry_call.h"

#include <stdlib.h>
#include <string.h>

#define PAUSE_MS 100 /* the kill is asked for after the answer to the pause, and comes within it */

/* What a new connection needs before steps may be called: who it is at the server (greet), and the
 * library of steps (load by the coordinator, check by everybody else). */

/* The library, made from steps/ *.lua at build time (shared/CMakeLists.txt). */
extern const unsigned char shoal_lua[];
extern const size_t shoal_lua_len;

/* Greeting ------------------------------------------------------------------------------------- */

static void on_greet_info(struct call *call, const struct redisReply *reply, const struct err *err)
{
    struct err space;
    err = call_read(err, reply_info(reply, &call->greeting, &space), &space);
    call->cb.greeting(call->ctx, err == NULL ? &call->greeting : NULL, err);
}

static void on_greet_id(struct call *call, const struct redisReply *reply, const struct err *err)
{
    struct err space;
    err = call_error(reply, err, &space);
    if (err == NULL && (reply->type != REDIS_REPLY_INTEGER || reply->integer <= 0)) {
        reply_broken(&space, "CLIENT ID");
        err = &space;
    }
    if (err == NULL) {
        call->greeting.link_id = (uint64_t)reply->integer;
        call->answered = on_greet_info;
        struct args a = {0};
        args_text(&a, "INFO");
        args_text(&a, "server");
        err = call_send_again(call, &a, &space);
        if (err == NULL) {
            return;
        }
    }
    call->cb.greeting(call->ctx, NULL, err);
}

int registry_greet(struct registry *r, registry_greeting_cb cb, void *ctx)
{
    struct args a = {0};
    args_text(&a, "CLIENT");
    args_text(&a, "ID");
    return call_ask(r, &a, on_greet_id, (union call_cb){.greeting = cb}, ctx);
}

/* The library ---------------------------------------------------------------------------------- */

static struct slice own_text(void)
{
    return (struct slice){(const char *)shoal_lua, shoal_lua_len};
}

static void on_loaded(struct call *call, const struct redisReply *reply, const struct err *err)
{
    struct err space;
    err = call_error(reply, err, &space);
    if (err == &space) {
        err_wrap(&space, "loading Shoal's functions into Redis");
    }
    call->cb.done(call->ctx, err);
}

static void version_args(struct args *a)
{
    args_text(a, "FCALL");
    args_text(a, "shoal1_version");
    args_text(a, "0");
}

static void load(struct call *call)
{
    struct err err;
    struct args a = {0};

    call->answered = on_loaded;
    args_text(&a, "FUNCTION");
    args_text(&a, "LOAD");
    args_text(&a, "REPLACE");
    args_slice(&a, own_text());
    if (call_send_again(call, &a, &err) != NULL) {
        call->cb.done(call->ctx, &err);
    }
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
    struct err space;
    err = call_error(reply, err, &space);
    if (err == NULL && !holds(reply, own_text())) {
        load(call);
    } else {
        call->cb.done(call->ctx, err);
    }
}

static void on_load_version(struct call *call, const struct redisReply *reply,
                            const struct err *err)
{
    struct err space;
    struct slice contract;
    uint64_t revision = 0;
    bool missing = refusal_is(reply, REFUSAL_NO_LIBRARY);
    if (!missing) {
        err = call_error(reply, err, &space);
        if (err == NULL && reply_version(reply, &contract, &revision, &space) != 0) {
            err = &space;
        }
    }
    if (err == NULL && (missing || revision < REGISTRY_REVISION)) {
        load(call);
        return;
    }
    if (err == NULL &&
        revision == REGISTRY_REVISION) { /* is it, in fact? Somebody may have left something out */
        call->answered = on_load_list;
        struct args a = {0};
        args_text(&a, "FUNCTION");
        args_text(&a, "LIST");
        args_text(&a, "LIBRARYNAME");
        args_text(&a, "shoal1");
        args_text(&a, "WITHCODE");
        err = call_send_again(call, &a, &space);
        if (err == NULL) {
            return;
        }
    }
    call->cb.done(call->ctx, err);
}

int registry_load(struct registry *r, registry_done_cb cb, void *ctx)
{
    struct args a = {0};
    version_args(&a);
    return call_ask(r, &a, on_load_version, (union call_cb){.done = cb}, ctx);
}

static void on_check_version(struct call *call, const struct redisReply *reply,
                             const struct err *err)
{
    struct err space;
    struct slice contract;
    uint64_t revision;
    if (refusal_is(reply, REFUSAL_NO_LIBRARY)) {
        err_set(&space, ERR_ABSENT,
                "no coordinator has set up this Redis yet; start shoal-coordinator with the same "
                "--redis-url");
        err = &space;
    } else {
        err = call_error(reply, err, &space);
        if (err == NULL && reply_version(reply, &contract, &revision, &space) != 0) {
            err = &space;
        }
    }
    call->cb.done(call->ctx, err);
}

int registry_check(struct registry *r, registry_done_cb cb, void *ctx)
{
    struct args a = {0};
    version_args(&a);
    return call_ask(r, &a, on_check_version, (union call_cb){.done = cb}, ctx);
}

/* What was forgotten --------------------------------------------------------------------------- */

int registry_restate(struct registry *r, const char *node, const char *incarnation,
                     struct slice report, bool last, uint64_t back_ms, registry_done_cb cb,
                     void *ctx)
{
    struct args a = {0};
    node_args(&a, r, "restate", node, incarnation);
    args_text(&a, last ? "1" : "0");
    args_number(&a, (int64_t)back_ms);
    args_slice(&a, report);
    return call_send_done(r, &a, cb, ctx);
}

/* Other processes' links ----------------------------------------------------------------------- */

/* CLIENT <what> ID <link>; for 0, which Redis refuses as an id, a command that changes nothing and
 * whose answer (a number) reads as "no such client". */
static void client_args(struct args *a, const char *what, uint64_t link_id)
{
    args_text(a, "CLIENT");
    if (link_id != 0) {
        args_text(a, what);
    }
    args_text(a, "ID");
    if (link_id != 0) {
        args_number(a, (int64_t)link_id);
    }
}

int registry_kill_link(struct registry *r, uint64_t link_id, registry_done_cb cb, void *ctx)
{
    struct args a = {0};
    client_args(&a, "KILL", link_id);
    return call_send_done(r, &a, cb, ctx);
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
    struct args a = {0};
    args_text(&a, "CLIENT");
    args_text(&a, "PAUSE");
    args_number(&a, PAUSE_MS);
    args_text(&a, "WRITE");
    struct call *call = call_create(r, on_paused, (union call_cb){0}, NULL);
    call->link_id = link_id;
    return call_send(call, &a);
}

static void on_alive(struct call *call, const struct redisReply *reply, const struct err *err)
{
    struct err space;
    err = call_error(reply, err, &space);
    call->cb.yes_no(call->ctx, err == NULL && reply_slice(reply).len > 0, err);
}

int registry_link_alive(struct registry *r, uint64_t link_id, registry_bool_cb cb, void *ctx)
{
    struct args a = {0};
    client_args(&a, "LIST", link_id);
    return call_ask(r, &a, on_alive, (union call_cb){.yes_no = cb}, ctx);
}
