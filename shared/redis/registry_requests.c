#include "shared/redis/registry_call.h"

#include <stdio.h>

/* Requests: the steps that carry them out, and the streams they stand in. Entries are read by a
 * step, which hands on no more than fits a request: whoever may add to them could else fill this
 * process. A step cannot wait, so something else rings when there is one. */

/* Carrying out --------------------------------------------------------------------------------- */

static struct args request_args(const struct registry *r, const struct registry_leader *me,
                                const char *step, const struct registry_request *request)
{
    struct args a = leader_args(r, me, step);
    args_slice(&a, request->entry);
    args_slice(&a, request->id);
    return a;
}

static void on_outcome(struct call *call, const struct redisReply *reply, const struct err *err)
{
    struct registry_outcome outcome = {0};
    err = call_read(call, err, reply_outcome(reply, &outcome, &call->err));
    call->cb.outcome(call->ctx, err == NULL ? &outcome : NULL, err);
    registry_outcome_finish(&outcome);
}

static int ask_outcome(struct registry *r, struct args a, registry_outcome_cb cb, void *ctx)
{
    return call_ask(r, a, on_outcome, (union call_cb){.outcome = cb}, ctx);
}

int registry_assign(struct registry *r, const struct registry_leader *me,
                    const struct registry_request *request, const char *mode,
                    const struct registry_wish *wishes, size_t n, registry_outcome_cb cb, void *ctx)
{
    struct args a = request_args(r, me, "assign", request);
    args_text(&a, mode);
    /* Those that may go to the same place are one group. */
    for (size_t from = 0, to; from < n; from = to) {
        for (to = from + 1; to < n && slice_eq(wishes[to].where, wishes[from].where); to++) {
        }
        args_slice(&a, wishes[from].where);
        args_number(&a, (int64_t)(to - from));
        for (size_t i = from; i < to; i++) {
            args_slice(&a, wishes[i].channel);
        }
    }
    return ask_outcome(r, a, cb, ctx);
}

int registry_carry_out(struct registry *r, const struct registry_leader *me,
                       const struct registry_request *request, const char *step,
                       const struct slice *args, size_t n, registry_outcome_cb cb, void *ctx)
{
    struct args a = request_args(r, me, step, request);
    args_slices(&a, args, n);
    return ask_outcome(r, a, cb, ctx);
}

int registry_do(struct registry *r, const struct registry_leader *me, const char *step,
                const struct slice *args, size_t n, registry_outcome_cb cb, void *ctx)
{
    struct args a = leader_args(r, me, step);
    args_slices(&a, args, n);
    return ask_outcome(r, a, cb, ctx);
}

/* Reading -------------------------------------------------------------------------------------- */

/* The text of an entry's id in `out`; false: it is none. */
static bool take_id(struct reader *r, char *out, size_t size)
{
    int len = snprintf(out, size, "%s", reader_text(r));
    return len > 0 && (size_t)len < size;
}

/* {last of admin, last of requests, {entries}} */
static int reply_requests(const struct redisReply *reply, struct registry_requests *out,
                          struct reply_memory *memory, struct err *err)
{
    struct reader r = reader_of(reply);
    bool placed = take_id(&r, out->last.admin, sizeof(out->last.admin)) &&
                  take_id(&r, out->last.requests, sizeof(out->last.requests));
    const struct redisReply *entries = reader_next(&r);
    r.bad = r.bad || !placed || reader_left(&r) > 0;
    int rc = reply_end(&r, err, "requests");
    return rc == 0 ? reply_entries(entries, &out->entries, &out->n, memory, err) : rc;
}

static void on_requests(struct call *call, const struct redisReply *reply, const struct err *err)
{
    struct registry_requests got = {0};

    err = call_read(call, err, reply_requests(reply, &got, &call->memory, &call->err));
    call->cb.requests(call->ctx, err == NULL ? &got : NULL, err);
}

int registry_read_requests(struct registry *r, const struct registry_leader *me,
                           const struct registry_place *after, registry_requests_cb cb, void *ctx)
{
    struct args a = leader_args(r, me, "requests");
    args_text(&a, after->admin);
    args_text(&a, after->requests);
    return call_ask(r, a, on_requests, (union call_cb){.requests = cb}, ctx);
}

int registry_refuse(struct registry *r, const struct registry_leader *me, struct slice why,
                    const struct registry_refusal *refusals, size_t n, registry_done_cb cb,
                    void *ctx)
{
    struct args a = leader_args(r, me, "refuse");
    args_slice(&a, why);
    for (size_t i = 0; i < n; i++) {
        args_slice(&a, refusals[i].request.entry);
        args_slice(&a, refusals[i].request.id);
        args_slice(&a, refusals[i].op);
    }
    return call_ask_done(r, a, cb, ctx);
}
