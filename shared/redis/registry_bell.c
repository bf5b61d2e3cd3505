/* Registry, bells: waiting until something is added to a stream, without reading it. */
#include "shared/redis/registry_call.h"

/* XREAD blocks until there is an entry, and CLIENT REPLY SKIP keeps it from being sent, however
 * large it is; what is answered is TIME, which Redis carries out after. */
static int await(struct call *call, const char *read, int len)
{
    const struct slice parts[] = {SLICE("*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$4\r\nSKIP\r\n"),
                                  {read, (size_t)len},
                                  SLICE("*1\r\n$4\r\nTIME\r\n")};

    BUG_ON(len < 0);
    return call_send_raw(call, parts, ARRAY_LEN(parts));
}

static void on_rung(struct call *call, const struct redisReply *reply, const struct err *err)
{
    struct wall now = {0};

    err = call_read(call, err, reply_time(reply, &now, &call->err));
    call->cb.rung(call->ctx, now, err);
}

int registry_await_requests(struct registry *r, const struct registry_place *after,
                            uint64_t block_ms, registry_rung_cb cb, void *ctx)
{
    char *read = NULL;
    int len = redisFormatCommand(
        &read, "XREAD COUNT 1 BLOCK %llu STREAMS %s:admin %s:requests %s %s",
        (unsigned long long)block_ms, r->tag, r->tag, after->admin, after->requests);
    int rc = await(call_create(r, on_rung, (union call_cb){.rung = cb}, ctx), read, len);

    redisFreeCommand(read);
    return rc;
}

int registry_await_sends(struct registry *r, struct wall since, uint64_t block_ms,
                         registry_rung_cb cb, void *ctx)
{
    char *read = NULL;
    int len = redisFormatCommand(&read, "XREAD COUNT 1 BLOCK %llu STREAMS %s:outbox %llu-0",
                                 (unsigned long long)block_ms, r->tag,
                                 (unsigned long long)(since.ms > 0 ? since.ms - 1 : 0));
    int rc = await(call_create(r, on_rung, (union call_cb){.rung = cb}, ctx), read, len);

    redisFreeCommand(read);
    return rc;
}
