/* Greeting: [AUTH] [SELECT] [CLIENT SETNAME] PING, sent in one go. A server that refuses AUTH goes
 * on to refuse the rest, so the first refusal is the one that counts. */
#include "shared/redis/greeting.h"

#include "shared/redis/refusal.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

/* One command, and one reply to it. */
static unsigned append_command(struct buf *out, int argc, const char **argv)
{
    char *text = NULL;
    long long len = redisFormatCommandArgv(&text, argc, argv, NULL);

    BUG_ON(len < 0);
    buf_append(out, text, (size_t)len);
    OPENSSL_cleanse(text, (size_t)len);
    redisFreeCommand(text);
    return 1;
}

unsigned greeting_write(struct buf *out, const struct url *url, const char *name)
{
    unsigned replies = 0;

    if (url->user[0] != '\0') {
        replies += append_command(out, 3, (const char *[]){"AUTH", url->user, url->password});
    } else if (url->password[0] != '\0') {
        replies += append_command(out, 2, (const char *[]){"AUTH", url->password});
    }
    if (url->db != 0) {
        char db[16];

        snprintf(db, sizeof(db), "%u", url->db);
        replies += append_command(out, 2, (const char *[]){"SELECT", db});
    }
    if (name != NULL) {
        replies += append_command(out, 3, (const char *[]){"CLIENT", "SETNAME", name});
    }
    return replies + append_command(out, 1, (const char *[]){"PING"});
}

/* What is wrong with user or password, behind the name of the server. */
static const char *const told[REFUSAL_KINDS + 1] = {
    [REFUSAL_NO_LOGIN] = "asks for a password and redis_url has none; give it as "
                         "redis://USER:PASSWORD@HOST or redis://:PASSWORD@HOST",
    [REFUSAL_NO_PASSWORD] = "has no password set and redis_url gives one; leave it out or set one "
                            "in Redis",
    [REFUSAL_PROTECTED] = "is in protected mode and refuses this host; set a password or bind in "
                          "its configuration",
};

int greeting_check(const struct redisReply *reply, const struct url *url, const char *where,
                   struct err *err)
{
    const struct refusal *r = refusal_of(reply);
    enum refusal_kind kind = r != NULL ? r->kind : REFUSAL_KINDS;

    if (reply->type != REDIS_REPLY_ERROR) {
        return 0;
    }
    if (told[kind] != NULL) {
        return err_set(err, ERR_AUTH, "%s %s", where, told[kind]);
    }
    switch (kind) {
    case REFUSAL_CREDENTIALS:
        return err_set(err, ERR_AUTH,
                       "%s refuses the password of user '%s'; give the right one in redis_url: "
                       "redis://USER:PASSWORD@HOST",
                       where, url->user[0] != '\0' ? url->user : "default");
    case REFUSAL_RIGHT:
    case REFUSAL_NO_COMMAND: /* what is missing is named with all the rest (rights.h) */
        return strcasestr(reply->str, "select") == NULL
                   ? 0
                   : err_set(err, ERR_AUTH, "%s: %.200s: %s", where, reply->str, r->mend);
    case REFUSAL_LOADING:
    case REFUSAL_MASTERDOWN:
    case REFUSAL_READONLY:
    case REFUSAL_BUSY:
    case REFUSAL_CLIENTS:
        return err_set(err, kind == REFUSAL_LOADING ? ERR_LOADING : ERR_DOWN,
                       "%s is not ready yet: %.200s: %s", where, reply->str, r->mend);
    default:
        return err_set(err, ERR_REPLY, "%s refuses the greeting: %.200s", where, reply->str);
    }
}
