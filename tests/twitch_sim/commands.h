/* Commands: what the control port understands.
 *
 * A command is a word, then arguments: plain words and key=value. TARGET is `all`, `conn=ID`,
 * `user=LOGIN`, `channel=NAME` (its members) or `random=N`. Every answer is a JSON object with "ok";
 * if that is false, "error" says why.
 *
 *   help                                   the commands
 *   stats [channels=0]                     all counters (stats.c)
 *   connections                            one entry an open connection
 *   received CHANNEL [from=N]              what clients said there, from the N-th on
 *   flush                                  write the record to its file now
 *   channel NAME state=ok|banned|suspended|missing|tos
 *   mode CHANNEL NAME=VALUE...             slow, emote-only, followers-only, subs-only, r9k: told to
 *                                          the channel, and enforced from now on
 *   ban CHANNEL user=LOGIN [off]           that user only; `timeout CHANNEL user=LOGIN s=N`
 *   user LOGIN token=T [verified=1] [mod=a,b] [vip=a,b]   add or change an account; this token never ends
 *   revoke LOGIN                           the user takes back all: its tokens are refused from now on, and
 *                                          its refresh tokens; connections stay
 *   app NAME [SECRET] [public]             register an application, or change it: NAME is its client id;
 *                                          public: it has no secret
 *   grant LOGIN CLIENT SCOPE,SCOPE... [ttl=MS]   tokens of a user for an application: access_token,
 *                                          refresh_token; the account is made if it is not there
 *   device allow USER_CODE LOGIN           what the user does with a device code; `device deny USER_CODE`
 *   token expire TOKEN|LOGIN               that access token, or all of the user, have ended
 *   token ttl MS                           life of access tokens from now on; 0: as at Twitch
 *   http PATH|* FAULT [times=N]            what goes wrong with requests to a path, or to those that have no
 *                                          fault of their own; `http PATH off`, `http off`. Not carried out:
 *                                          status=CODE[,retry=S], silence (no answer). Carried out:
 *                                          slow [ms=10] (a byte at a time), malformed[=http|json], huge
 *                                          (10 MB), close (no answer), late=MS (answered later)
 *   http log [requests]                    requests by path and grant type; how often and when each refresh
 *                                          token was used, and how long each access token lived (named by
 *                                          the first 12 digits of their SHA-256); logins with dead ones
 *   limit NAME=VALUE...                    the names of the limit options, or all=off
 *   silence TARGET s=N                     what they send is not said (of user=: the whole account,
 *                                          which with `told` is answered msg_ratelimit)
 *   slow TARGET read=BYTES write=BYTES     bytes a second, 0: full speed
 *   pause TARGET ms=N                      read nothing for that long
 *   half-open TARGET                       neither read nor write any more, without closing
 *   lag TARGET ms=N                        everything to them is late by N ms
 *   swap TARGET on|off                     swap neighbouring lines
 *   disconnect TARGET [how=close|reset]
 *   reconnect TARGET [ms=N]                RECONNECT, and the close N ms later
 *   outage on|off                          refuse new connections
 *   upgrade status=N [location=URL]        answer upgrades so; `upgrade ok`: no more
 *   inject CHANNEL line=REST               a room line, as it is, to its members
 *   raw TARGET line=REST                   a line to connections
 *   garbage TARGET [kind=utf8|binary|opcode|bytes|nul|cr]   bytes no server should send
 *   longline TARGET [bytes=100000]
 *   generate [count=N] [rate=R] [seed=N] [only=privmsg] [channels=a,b] [stamp=1]; `stop`
 *                                          stamp: a first tag sim-us, microseconds since 1970
 *   flood TARGET count=N [bytes=N] [seed=N]   N lines of its channels to each, made and framed before
 *                                          they are sent; bytes: filled up to so many; not recorded
 *   replay                                 begin --replay
 *   wait generate|flood|replay|connections=N|logins=N|joined=N|members=CHANNEL:N [ms=N]
 *                                          answers when it is so; not ok after ms (10000) */
#ifndef SIM_COMMANDS_H
#define SIM_COMMANDS_H

#include "tests/twitch_sim/sim.h"

#include "shared/json.h"

#define COMMAND_ARGS 32

/* A command line taken apart; everything points into the line. */
struct command {
    char *name;
    char *words[COMMAND_ARGS]; /* without '=' */
    size_t nwords;
    char *keys[COMMAND_ARGS];
    char *values[COMMAND_ARGS];
    size_t npairs;
};

/* Take a line apart in place; "line=" takes all the rest. False if there is nothing on it. */
bool command_parse(char *line, struct command *cmd);
/* A value, or NULL. */
const char *command_value(const struct command *cmd, const char *key);
/* A numeric value within 0..10^15, or `fallback`. */
uint64_t command_number(const struct command *cmd, const char *key, uint64_t fallback);

/* Is it one of the plain words? */
bool command_has(const struct command *cmd, const char *word);

/* Carry it out and write the members of the answer (the braces and "ok" are the caller's). 0, or
 * -ERR_X. */
int command_run(struct sim *s, const struct command *cmd, struct json *out, struct err *err);
/* Is the condition of a `wait` command true? -ERR_USAGE if it is none. */
int command_wait(struct sim *s, const struct command *cmd, bool *done, struct err *err);

#endif
