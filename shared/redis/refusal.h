/* Refusal: what an error reply of Redis means, decoded in this one place.
 *
 * One table (refusal.c) says for each kind how the reply begins, whether the connection is of any
 * use after it, and what mends it. The link acts by it (link.h): a refusal that spoils the
 * connection drops it, one that shows the wrong server drops every link of the process, and each
 * kind is told once a minute with its mend. An error of no such kind (BADARG, WRONGTYPE, LOST, ...)
 * is the caller's business. Pure. */
#ifndef SHOAL_REDIS_REFUSAL_H
#define SHOAL_REDIS_REFUSAL_H

#include "shared/err.h"

#include <hiredis/hiredis.h>

enum refusal_kind {
    REFUSAL_CREDENTIALS,  /* wrong user or password */
    REFUSAL_NO_LOGIN,     /* a password is asked for */
    REFUSAL_NO_PASSWORD,  /* there is none, and one was given */
    REFUSAL_PROTECTED,    /* protected mode */
    REFUSAL_RIGHT,        /* the user's ACL */
    REFUSAL_NO_LIBRARY,   /* Shoal's functions are not there */
    REFUSAL_NO_FUNCTIONS, /* Redis has no functions */
    REFUSAL_NO_COMMAND,   /* a command is not there, or renamed */
    REFUSAL_READONLY,     /* a replica */
    REFUSAL_MASTERDOWN,   /* a replica without its primary */
    REFUSAL_LOADING,
    REFUSAL_CLIENTS, /* too many of them */
    REFUSAL_BUSY,    /* a script or function hangs */
    REFUSAL_OOM,
    REFUSAL_MISCONF,
    REFUSAL_NOREPLICAS,
    REFUSAL_CLUSTER, /* a node of Redis Cluster */
    REFUSAL_KINDS,
};

/* What it does to the connection it came on. */
enum refusal_then {
    REFUSAL_STAYS,        /* that command was not carried out, the next may be */
    REFUSAL_DROPS,        /* it is of no use: come back later */
    REFUSAL_DROPS_SERVER, /* nor is any other to that server */
};

struct refusal {
    enum refusal_kind kind;
    const char *begins;   /* of the reply */
    const char *contains; /* "": anything */
    enum refusal_then then;
    const char *mend; /* for people */
};

/* What the reply is; NULL: no error, or none of the table. */
const struct refusal *refusal_of(const struct redisReply *reply);
/* Is it that kind? */
bool refusal_is(const struct redisReply *reply, enum refusal_kind kind);
/* Is what stands at the key of another type than Shoal's? */
bool refusal_is_wrong_type(const struct redisReply *reply);
/* An error reply as an err: its text and the mend. ERR_ABSENT where the library is not loaded,
 * ERR_REFUSED where Redis has no functions, ERR_MEMORY where its memory is full, ERR_UNABLE for
 * every other one of the table (the link tells those), ERR_LOST for LOST and DEPOSED, else
 * ERR_REPLY. 0 where it is no error. */
int refusal_err(const struct redisReply *reply, struct err *err);

#endif
