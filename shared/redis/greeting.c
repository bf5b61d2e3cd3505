/* Greeting: [AUTH] [SELECT] [CLIENT SETNAME] PING, sent in one go. A server that refuses AUTH goes on
 * to refuse the rest, so the first refusal is the one that counts. */
#include "shared/redis/greeting.h"

#include "shared/redis/link.h"

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

/* Does the server say that it cannot serve yet? */
static bool is_not_ready(const struct redisReply *reply)
{
    static const char *const words[] = {"LOADING", "MASTERDOWN", "BUSY",
                                        "ERR max number of clients"};

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (reply_is_error(reply, words[i])) {
            return true;
        }
    }
    return false;
}

int greeting_check(const struct redisReply *reply, const struct url *url, const char *where,
                   struct err *err)
{
    if (reply->type != REDIS_REPLY_ERROR) {
        return 0;
    }
    if (reply_is_error(reply, "WRONGPASS") || reply_is_error(reply, "ERR invalid password")) {
        return refuse_credentials(url, where, err);
    }
    if (reply_is_error(reply, "NOAUTH")) {
        return err_set(err, ERR_AUTH,
                       "%s asks for a password and redis_url has none; give it as "
                       "redis://USER:PASSWORD@HOST or redis://:PASSWORD@HOST",
                       where);
    }
    if (reply_is_error(reply, "ERR AUTH") ||
        reply_is_error(reply, "ERR Client sent AUTH, but no password is set")) {
        return err_set(err, ERR_AUTH,
                       "%s has no password set and redis_url gives one; leave it out or set one "
                       "in Redis",
                       where);
    }
    if (reply_is_error(reply, "NOPERM")) {
        return err_set(err, ERR_AUTH, "%s lacks permissions for this user: %.200s; extend its ACL",
                       where, reply->str);
    }
    if (reply_is_error(reply, "DENIED")) {
        return err_set(err, ERR_AUTH,
                       "%s is in protected mode and refuses this host; set a password or bind in "
                       "its configuration",
                       where);
    }
    if (is_not_ready(reply)) {
        return err_set(err, ERR_DOWN, "%s is not ready yet: %.200s", where, reply->str);
    }
    return err_set(err, ERR_REPLY, "%s refuses the greeting: %.200s", where, reply->str);
}
