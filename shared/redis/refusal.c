/* Refusal: the table, and how it is read. The first row that fits counts.
 *
 * Functions hide the kind of what was refused inside them behind "ERR The user executing the script
 * can't ...". */
#include "shared/redis/refusal.h"

#include <string.h>

#define GIVE_RIGHTS "give the user what it lacks (deploy/redis/users.acl)"

static const struct refusal table[] = {
    {REFUSAL_CREDENTIALS, "WRONGPASS", "", REFUSAL_DROPS, "give the right one in redis_url"},
    {REFUSAL_CREDENTIALS, "ERR invalid password", "", REFUSAL_DROPS,
     "give the right one in redis_url"},
    {REFUSAL_NO_LOGIN, "NOAUTH", "", REFUSAL_DROPS, "give user and password in redis_url"},
    {REFUSAL_NO_PASSWORD, "ERR AUTH", "", REFUSAL_DROPS, "leave the password out of redis_url"},
    {REFUSAL_NO_PASSWORD, "ERR Client sent AUTH, but no password is set", "", REFUSAL_DROPS,
     "leave the password out of redis_url"},
    {REFUSAL_PROTECTED, "DENIED", "", REFUSAL_DROPS, "set a password or bind in Redis"},
    {REFUSAL_RIGHT, "NOPERM", "", REFUSAL_STAYS, GIVE_RIGHTS},
    {REFUSAL_RIGHT, "ERR", "The user executing the script can't", REFUSAL_STAYS, GIVE_RIGHTS},
    {REFUSAL_RIGHT, "ERR", "ACL failure in script", REFUSAL_STAYS, GIVE_RIGHTS},
    {REFUSAL_NO_LIBRARY, "ERR Function not found", "", REFUSAL_STAYS,
     "the leading coordinator loads them"},
    /* Redis 6 quotes with a backtick. The command comes first, what it was given behind it. */
    {REFUSAL_NO_FUNCTIONS, "ERR unknown command 'FCALL", "", REFUSAL_STAYS, "use Redis 7 or newer"},
    {REFUSAL_NO_FUNCTIONS, "ERR unknown command `FCALL", "", REFUSAL_STAYS, "use Redis 7 or newer"},
    {REFUSAL_NO_FUNCTIONS, "ERR unknown command 'FUNCTION", "", REFUSAL_STAYS,
     "use Redis 7 or newer"},
    {REFUSAL_NO_FUNCTIONS, "ERR unknown command `FUNCTION", "", REFUSAL_STAYS,
     "use Redis 7 or newer"},
    {REFUSAL_NO_COMMAND, "ERR unknown command ", "", REFUSAL_STAYS,
     "take it out of rename-command, and use Redis 7 or newer"},
    {REFUSAL_NO_COMMAND, "ERR unknown subcommand ", "", REFUSAL_STAYS, "use Redis 7 or newer"},
    {REFUSAL_NO_COMMAND, "ERR", "Unknown Redis command called from script", REFUSAL_STAYS,
     "take it out of rename-command, and use Redis 7 or newer"},
    {REFUSAL_READONLY, "READONLY", "", REFUSAL_DROPS_SERVER,
     "this is a read-only replica; redis_url should name the primary"},
    {REFUSAL_READONLY, "UNBLOCKED", "instance state changed", REFUSAL_DROPS_SERVER,
     "this became a replica; redis_url should name the primary"},
    {REFUSAL_MASTERDOWN, "MASTERDOWN", "", REFUSAL_DROPS_SERVER,
     "this is a replica; redis_url should name the primary"},
    {REFUSAL_LOADING, "LOADING", "", REFUSAL_DROPS, "it serves when it has loaded its data"},
    {REFUSAL_CLIENTS, "ERR max number of clients", "", REFUSAL_DROPS, "raise its maxclients"},
    {REFUSAL_BUSY, "BUSY", "", REFUSAL_STAYS, "end what hangs: FUNCTION KILL or SCRIPT KILL"},
    {REFUSAL_OOM, "OOM", "", REFUSAL_STAYS, "raise its maxmemory, or free some"},
    {REFUSAL_OOM, "ERR", "used memory > 'maxmemory'", REFUSAL_STAYS,
     "raise its maxmemory, or free some"},
    {REFUSAL_MISCONF, "MISCONF", "", REFUSAL_STAYS,
     "Redis cannot save to its disk: mend that, or turn off stop-writes-on-bgsave-error"},
    {REFUSAL_NOREPLICAS, "NOREPLICAS", "", REFUSAL_STAYS,
     "bring its replicas back, or lower min-replicas-to-write"},
    {REFUSAL_CLUSTER, "MOVED", "", REFUSAL_STAYS, "Shoal needs one primary, not Redis Cluster"},
    {REFUSAL_CLUSTER, "CLUSTERDOWN", "", REFUSAL_STAYS,
     "Shoal needs one primary, not Redis Cluster"},
};

static bool contains(struct slice text, const char *words)
{
    return *words == '\0' || memmem(text.ptr, text.len, words, strlen(words)) != NULL;
}

static bool begins(struct slice text, const char *words)
{
    size_t len = strlen(words);

    return text.len >= len && memcmp(text.ptr, words, len) == 0;
}

/* The text of the error; where EXEC itself is refused, the cause stands behind other words. */
static struct slice text_of(const struct redisReply *reply)
{
    static const char because[] = "EXECABORT Transaction discarded because of: ";
    struct slice text = {reply->str != NULL ? reply->str : "", (size_t)reply->len};

    if (begins(text, because)) {
        text.ptr += sizeof(because) - 1;
        text.len -= sizeof(because) - 1;
    }
    return text;
}

const struct refusal *refusal_of(const struct redisReply *reply)
{
    if (reply == NULL || reply->type != REDIS_REPLY_ERROR) {
        return NULL;
    }
    struct slice text = text_of(reply);

    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (begins(text, table[i].begins) && contains(text, table[i].contains)) {
            return &table[i];
        }
    }
    return NULL;
}

bool refusal_is(const struct redisReply *reply, enum refusal_kind kind)
{
    const struct refusal *r = refusal_of(reply);

    return r != NULL && r->kind == kind;
}

bool refusal_is_wrong_type(const struct redisReply *reply)
{
    return reply->type == REDIS_REPLY_ERROR && begins(text_of(reply), "WRONGTYPE ");
}

int refusal_err(const struct redisReply *reply, struct err *err)
{
    if (reply->type != REDIS_REPLY_ERROR) {
        return 0;
    }
    const struct refusal *r = refusal_of(reply);
    struct slice text = text_of(reply);
    int len = text.len > 300 ? 300 : (int)text.len;

    if (r == NULL) {
        bool lost = begins(text, "LOST ") || begins(text, "DEPOSED ");
        bool emptied = begins(text, "EMPTIED ");
        enum err_code code = lost ? ERR_LOST : emptied ? ERR_EMPTIED : ERR_REPLY;
        return err_set(err, code, "%.*s", len, text.ptr);
    }
    if (r->kind == REFUSAL_NO_FUNCTIONS) {
        return err_set(
            err, ERR_REFUSED,
            "this Redis has no functions (FUNCTION, FCALL, FCALL_RO), or hides them; Shoal "
            "needs Redis 7 or newer, or Valkey");
    }
    if (r->kind == REFUSAL_NO_LIBRARY) {
        return err_set(err, ERR_ABSENT, "Shoal's functions are not loaded in this Redis; %s",
                       r->mend);
    }
    return err_set(err, r->kind == REFUSAL_OOM ? ERR_MEMORY : ERR_UNABLE, "%.*s: %s", len, text.ptr,
                   r->mend);
}
