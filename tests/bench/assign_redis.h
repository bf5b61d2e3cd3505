/* What the programs of bench_assign ask of their Redis, and a cluster without limits in it. */
#ifndef SHOAL_BENCH_ASSIGN_REDIS_H
#define SHOAL_BENCH_ASSIGN_REDIS_H

#include <hiredis/hiredis.h>

#include <stddef.h>
#include <stdint.h>

#define BENCH_NODES 10

/* Connects to a server on that loopback port. One connection a program; any error of it, and any
 * error that Redis answers, ends the program with a message. */
void bench_connect(uint16_t port);
void bench_close(void);

double bench_now_s(void);

/* Sends a command; bench_take answers it. */
void bench_send(int argc, const char **argv, const size_t *len);
/* The next reply, to be freed by freeReplyObject. */
redisReply *bench_take(void);
void bench_drop(unsigned replies);
/* Calls a function of the registry and drops the answer: its name and arguments, with blanks between;
 * "-" is an empty one. */
void bench_step(const char *words);
/* Loads a library of functions over a former one. */
void bench_load(const char *text, size_t len);

/* An empty cluster with that many shards on BENCH_NODES nodes, "n0", "n1", ... under the incarnations
 * "inc0", ..., no limits but `channels_per_shard`, and a leader: incarnation "inc", token "1". */
void bench_begin(unsigned shards, const char *channels_per_shard);

/* Assigning 100,000 channels, as many as `channels` says, from nothing to all joined: see
 * assign_cold.c. Prints members of a JSON object. */
void bench_cold(unsigned channels);

#endif
