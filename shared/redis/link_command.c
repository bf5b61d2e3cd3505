/* Link, commands: what is sent, in the form in which Redis reads it. */
#include "shared/redis/link_private.h"

#include <string.h>

static int send_argv(struct link *link, int argc, const char **argv, const size_t *argvlen)
{
    char *text = NULL;
    size_t total = 0;

    if (!link_is_up(link)) {
        return -ERR_DOWN;
    }
    for (int i = 0; i < argc; i++) {
        total += argvlen != NULL ? argvlen[i] : strlen(argv[i]);
    }
    if (total > LINK_UNSENT_MAX) {
        return -ERR_FULL; /* hiredis 0.14 counts in int */
    }
    long long len = redisFormatCommandArgv(&text, argc, argv, argvlen);

    BUG_ON(len < 0);
    bool taken = conn_write(link->conn, text, (size_t)len);
    redisFreeCommand(text);
    return taken ? 0 : -ERR_FULL;
}

/* Send a command that one reply answers. */
static int send_command(struct link *link, int argc, const char **argv, const size_t *argvlen,
                        const struct pending *command, uint64_t block_ms)
{
    BUG_ON(link->o.raw_pushes);
    int rc = send_argv(link, argc, argv, argvlen);

    if (rc == 0) {
        link_expect(link, command, block_ms);
    }
    return rc;
}

int link_command_blocking(struct link *link, uint64_t block_ms, int argc, const char **argv,
                          const size_t *argvlen, link_reply_cb cb, void *ctx)
{
    const struct pending command = {.cb = cb, .ctx = ctx, .replies = 1};

    return send_command(link, argc, argv, argvlen, &command, block_ms);
}

int link_try_argv(struct link *link, int argc, const char **argv, const size_t *argvlen,
                  link_reply_cb cb, void *ctx)
{
    const struct pending command = {.cb = cb, .ctx = ctx, .replies = 1, .is_try = true};

    return send_command(link, argc, argv, argvlen, &command, 0);
}

int link_command_argv(struct link *link, int argc, const char **argv, const size_t *argvlen,
                      link_reply_cb cb, void *ctx)
{
    return link_command_blocking(link, 0, argc, argv, argvlen, cb, ctx);
}

int link_send_raw(struct link *link, const struct slice *parts, const struct link_raw *raw,
                  size_t n, link_reply_cb cb)
{
    size_t nparts = 0;

    for (size_t i = 0; i < n; i++) {
        nparts += raw[i].nparts;
        BUG_ON(raw[i].replies == 0);
    }
    BUG_ON(link->o.raw_pushes);
    if (!link_is_up(link)) {
        return -ERR_DOWN;
    }
    if (!conn_writev(link->conn, parts, nparts)) {
        return -ERR_FULL;
    }
    for (size_t i = 0; i < n; i++) {
        const struct pending command = {.cb = cb,
                                        .ctx = raw[i].ctx,
                                        .replies = raw[i].replies,
                                        .is_brief = raw[i].replies > 1 && !raw[i].whole};
        link_expect(link, &command, 0);
    }
    return 0;
}

int link_send_push(struct link *link, int argc, const char **argv, const size_t *argvlen)
{
    BUG_ON(!link->o.raw_pushes);
    return send_argv(link, argc, argv, argvlen);
}

struct slice reply_slice(const struct redisReply *reply)
{
    if (reply == NULL || (reply->type != REDIS_REPLY_STRING && reply->type != REDIS_REPLY_STATUS &&
                          reply->type != REDIS_REPLY_ERROR)) {
        return (struct slice){"", 0};
    }
    return (struct slice){reply->str, reply->len};
}
