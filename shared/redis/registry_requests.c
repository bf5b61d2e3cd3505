#include "shared/redis/registry_call.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Requests: the steps that carry them out, and the streams they stand in. Entries are read by a
 * step, which hands on no more than fits a request: whoever may add to them could else fill this
 * process. A step cannot wait, so something else rings when there is one. */

/* Carrying out --------------------------------------------------------------------------------- */

static void request_args(struct args *a, const struct registry *r, const struct registry_leader *me,
                         const char *step, const struct registry_request *request)
{
    leader_args(a, r, me, step);
    args_slice(a, request->entry);
    args_slice(a, request->id);
}

static void on_outcome(struct call *call, const struct redisReply *reply, const struct err *err)
{
    struct registry_outcome outcome = {0};
    struct err space;
    err = call_read(err, reply_outcome(reply, &outcome, &space), &space);
    call->cb.outcome(call->ctx, err == NULL ? &outcome : NULL, err);
    registry_outcome_finish(&outcome);
}

static int send_texts(struct registry *r, struct args *a, const struct slice *texts, size_t n,
                      registry_outcome_cb cb, void *ctx)
{
    for (size_t i = 0; i < n; i++) {
        args_slice(a, texts[i]);
    }
    return call_ask(r, a, on_outcome, (union call_cb){.outcome = cb}, ctx);
}

int registry_assign(struct registry *r, const struct registry_leader *me,
                    const struct registry_request *request, const char *mode,
                    const struct registry_wish *wishes, size_t n, registry_outcome_cb cb, void *ctx)
{
    struct args a = {0};
    char(*counts)[24] =
        xcalloc(n + 1, sizeof(*counts)); /* one a group, which args_number has no room for */
    request_args(&a, r, me, "assign", request);
    args_text(&a, mode);
    /* Those that may go to the same place are one group. */
    for (size_t from = 0, to; from < n; from = to) {
        for (to = from + 1; to < n && slice_eq(wishes[to].where, wishes[from].where); to++) {
        }
        args_slice(&a, wishes[from].where);
        snprintf(counts[from], sizeof(*counts), "%zu", to - from);
        args_text(&a, counts[from]);
        for (size_t i = from; i < to; i++) {
            args_slice(&a, wishes[i].channel);
        }
    }
    /* Which copies them. */
    int failed = call_ask(r, &a, on_outcome, (union call_cb){.outcome = cb}, ctx);
    free(counts);
    return failed;
}

int registry_carry_out(struct registry *r, const struct registry_leader *me,
                       const struct registry_request *request, const char *step,
                       const struct slice *args, size_t n, registry_outcome_cb cb, void *ctx)
{
    struct args a = {0};
    request_args(&a, r, me, step, request);
    return send_texts(r, &a, args, n, cb, ctx);
}

int registry_do(struct registry *r, const struct registry_leader *me, const char *step,
                const struct slice *args, size_t n, registry_outcome_cb cb, void *ctx)
{
    struct args a = {0};
    leader_args(&a, r, me, step);
    return send_texts(r, &a, args, n, cb, ctx);
}

/* Reading -------------------------------------------------------------------------------------- */

/* The text of an entry's id in `out`; false: it is none. */
static bool take_id(const struct redisReply *reply, char *out, size_t size)
{
    struct slice id = reply_slice(reply);
    snprintf(out, size, "%.*s", (int)(id.len < size ? id.len : size - 1), id.ptr);
    return id.len > 0 && id.len < size;
}

/* {last of admin, last of requests, {entries}} */
static int reply_requests(const struct redisReply *reply, struct registry_requests *out,
                          struct reply_memory *memory, struct err *err)
{
    int rc = reply_check(reply, err);
    if (rc != 0) {
        return rc;
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3 ||
        !take_id(reply->element[0], out->last.admin, sizeof(out->last.admin)) ||
        !take_id(reply->element[1], out->last.requests, sizeof(out->last.requests))) {
        return reply_broken(err, "requests");
    }
    return reply_entries(reply->element[2], &out->entries, &out->n, memory, err);
}

static void on_requests(struct call *call, const struct redisReply *reply, const struct err *err)
{
    struct registry_requests got = {0};
    struct reply_memory memory = {0};
    struct err space;

    err = call_read(err, reply_requests(reply, &got, &memory, &space), &space);
    call->cb.requests(call->ctx, err == NULL ? &got : NULL, err);
    reply_memory_finish(&memory);
}

int registry_read_requests(struct registry *r, const struct registry_leader *me,
                           const struct registry_place *after, registry_requests_cb cb, void *ctx)
{
    struct args a = {0};

    leader_args(&a, r, me, "requests");
    args_text(&a, after->admin);
    args_text(&a, after->requests);
    return call_ask(r, &a, on_requests, (union call_cb){.requests = cb}, ctx);
}

int registry_refuse(struct registry *r, const struct registry_leader *me, struct slice why,
                    const struct registry_refusal *refusals, size_t n, registry_done_cb cb,
                    void *ctx)
{
    struct args a = {0};

    leader_args(&a, r, me, "refuse");
    args_slice(&a, why);
    for (size_t i = 0; i < n; i++) {
        args_slice(&a, refusals[i].request.entry);
        args_slice(&a, refusals[i].request.id);
        args_slice(&a, refusals[i].op);
    }
    return call_send_done(r, &a, cb, ctx);
}

/* The bell ------------------------------------------------------------------------------------- */

/* XREAD blocks until there is an entry, and CLIENT REPLY SKIP keeps it from being sent, however
 * large it is; what is answered is the PING, which Redis carries out after. */
int registry_await_requests(struct registry *r, const struct registry_place *after,
                            uint64_t block_ms, registry_done_cb cb, void *ctx)
{
    char admin[256];
    char requests[256];
    char block[24];
    snprintf(block, sizeof(block), "%" PRIu64, block_ms);
    const char *skip[] = {"CLIENT", "REPLY", "SKIP"};
    const char *read[] = {"XREAD",
                          "COUNT",
                          "1",
                          "BLOCK",
                          block,
                          "STREAMS",
                          registry_key(r, admin, sizeof(admin), "admin"),
                          registry_key(r, requests, sizeof(requests), "requests"),
                          after->admin,
                          after->requests};
    char *text[2] = {NULL, NULL};
    struct slice parts[3] = {[2] = SLICE("*1\r\n$4\r\nPING\r\n")};
    struct call *call = call_create(r, call_done, (union call_cb){.done = cb}, ctx);

    parts[0].len = (size_t)redisFormatCommandArgv(&text[0], ARRAY_LEN(skip), skip, NULL);
    parts[1].len = (size_t)redisFormatCommandArgv(&text[1], ARRAY_LEN(read), read, NULL);
    parts[0].ptr = text[0];
    parts[1].ptr = text[1];
    int rc = call_send_raw(call, parts, ARRAY_LEN(parts));
    redisFreeCommand(text[0]);
    redisFreeCommand(text[1]);
    return rc;
}
