/* Greeting: [AUTH] [SELECT] [CLIENT SETNAME] PING, sent in one go. A server that refuses AUTH goes
 * on to refuse the rest, so the first refusal is the one that counts. */
#include "shared/redis/greeting.h"

#include "shared/redis/refusal.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

static void append_command(struct buf *out, int argc, const char **argv)
{
    char *text = NULL;
    long long len = redisFormatCommandArgv(&text, argc, argv, NULL);

    BUG_ON(len < 0);
    buf_append(out, text, (size_t)len);
    OPENSSL_cleanse(text, (size_t)len);
    redisFreeCommand(text);
}

unsigned greeting_write(struct buf *out, const struct url *url, const char *name)
{
    unsigned replies = 1;

    if (url->user[0] != '\0') {
        append_command(out, 3, (const char *[]){"AUTH", url->user, url->password});
        replies++;
    } else if (url->password[0] != '\0') {
        append_command(out, 2, (const char *[]){"AUTH", url->password});
        replies++;
    }
    if (url->db != 0) {
        char db[16];

        snprintf(db, sizeof(db), "%u", url->db);
        append_command(out, 2, (const char *[]){"SELECT", db});
        replies++;
    }
    if (name != NULL) {
        append_command(out, 3, (const char *[]){"CLIENT", "SETNAME", name});
        replies++;
    }
    append_command(out, 1, (const char *[]){"PING"});
    return replies;
}

static int refuse_credentials(const struct url *url, const char *where, struct err *err)
{
    const char *user = url->user[0] != '\0' ? url->user : "default";

    return err_set(err, ERR_AUTH,
                   "%s refuses the password of user '%s'; give the right one in redis_url: "
                   "redis://USER:PASSWORD@HOST",
                   where, user);
}

int greeting_check(const struct redisReply *reply, const struct url *url, const char *where,
                   struct err *err)
{
    const struct refusal *r = refusal_of(reply);

    if (reply->type != REDIS_REPLY_ERROR) {
        return 0;
    }
    switch (r != NULL ? r->kind : REFUSAL_KINDS) {
    case REFUSAL_CREDENTIALS:
        return refuse_credentials(url, where, err);
    case REFUSAL_NO_LOGIN:
        return err_set(err, ERR_AUTH,
                       "%s asks for a password and redis_url has none; give it as "
                       "redis://USER:PASSWORD@HOST or redis://:PASSWORD@HOST",
                       where);
    case REFUSAL_NO_PASSWORD:
        return err_set(err, ERR_AUTH,
                       "%s has no password set and redis_url gives one; leave it out or set one "
                       "in Redis",
                       where);
    case REFUSAL_PROTECTED:
        return err_set(err, ERR_AUTH,
                       "%s is in protected mode and refuses this host; set a password or bind in "
                       "its configuration",
                       where);
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
        return err_set(err, r->kind == REFUSAL_LOADING ? ERR_LOADING : ERR_DOWN,
                       "%s is not ready yet: %.200s: %s", where, reply->str, r->mend);
    default:
        return err_set(err, ERR_REPLY, "%s refuses the greeting: %.200s", where, reply->str);
    }
}
