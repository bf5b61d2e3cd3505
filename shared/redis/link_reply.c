/* Link, replies: what bytes say, matched with the commands in their order, and what Redis
 * refuses. */
#include "shared/redis/link_private.h"

#include "shared/redis/greeting.h"
#include "shared/redis/refusal.h"

/* What Redis refuses is told; 0, or an error where the link is of no use after it. */
static int look_at_refusal(struct link *link, const struct redisReply *reply, struct err *err)
{
    const struct refusal *r = refusal_of(reply);

    if (r == NULL) {
        return 0;
    }
    if (link->o.group != NULL && r->then != REFUSAL_DROPS_SERVER) {
        link_group_tell(link->o.group, link->name, reply);
    }
    if (r->then == REFUSAL_STAYS) {
        return 0;
    }
    (void)refusal_err(reply, err);
    err_wrap(err, "%s", conn_where(link->conn));
    if (r->then == REFUSAL_DROPS_SERVER) {
        /* It is told by what tells that the server is gone, and tried again as soon. */
        err->code = ERR_DOWN;
        if (link->o.group != NULL) {
            link_group_drop(link->o.group, link, UINT64_MAX, err->text);
        }
    }
    return -(int)err->code;
}

static int take_reply(struct link *link, const struct redisReply *reply, struct err *err)
{
    struct pending *head = pending_head(&link->pending);

    if (link->machine.state == LINK_GREETING) {
        if (greeting_check(reply, link->o.url, conn_where(link->conn), err) != 0) {
            return -(int)err->code;
        }
        link->greetings--;
        if (link->greetings == 0) {
            link_greeted(link);
        }
        return 0;
    }
    if (link->o.raw_pushes) {
        link->o.on_push(link->o.ctx, reply);
        return look_at_refusal(link, reply, err);
    }
    if (head == NULL) {
        return err_set(err, ERR_PROTOCOL, "sent a reply that nobody asked for");
    }
    link->second_look = false;
    struct pending p = pending_pop(&link->pending);
    const struct redisReply *skipped = reply_reader_skipped_error(link->reader);

    if (reply->type == REDIS_REPLY_ERROR && skipped != NULL) {
        reply = skipped; /* of a transaction: why it could not be carried out */
    }
    if (p.cb != NULL) {
        p.cb(p.ctx, reply, NULL);
    }
    int rc = p.is_try ? 0 : look_at_refusal(link, reply, err);
    reply_reader_forget(link->reader);
    return rc;
}

/* Replies nobody is told of are not made into objects. *more: bytes are needed before anything else
 * can be read. 0, or -ERR_PROTOCOL. */
static int skip_replies(struct link *link, bool *more, struct err *err)
{
    struct pending *head = pending_head(&link->pending);
    bool done = true;

    while (done && head != NULL && head->replies > 1) {
        int rc = reply_reader_skip(link->reader, &done, err);
        if (rc != 0) {
            return rc;
        }
        head->replies -= done;
        link->second_look = false;
    }
    *more = !done;
    return 0;
}

static int next_reply(struct link *link, struct redisReply **reply, struct err *err)
{
    const struct pending *head = pending_head(&link->pending);

    return head != NULL && head->is_brief ? reply_reader_next_brief(link->reader, reply, err)
                                          : reply_reader_next(link->reader, reply, err);
}

int link_take_bytes(struct link *link, const char *data, size_t len, struct err *err)
{
    struct redisReply *reply = NULL;
    bool more = false;
    int rc = reply_reader_feed(link->reader, data, len, err);

    while (rc == 0 && !link->teardown.begun && !link->reset_wanted) {
        rc = skip_replies(link, &more, err);
        if (rc != 0 || more) {
            break;
        }
        rc = next_reply(link, &reply, err);
        if (rc != 0 || reply == NULL) {
            break;
        }
        rc = take_reply(link, reply, err);
        freeReplyObject(reply);
    }
    return rc;
}
