/* Status: the cluster as people see it, in one document: what it is made of, how it does, what is
 * wrong with it and the mend.
 *
 * `shoalctl status --json`, GET /api/v1/status, the dashboard and /metrics of coordinators are made
 * of this one document, so that they say the same. It is a pure function of what was read. What its
 * members and the problems are stands in deploy/README.md. Channels are not read for it: how many
 * are in which state is counted by the nodes, so that ten thousand of them cost nothing. */
#ifndef SHOAL_COORDINATOR_STATUS_H
#define SHOAL_COORDINATOR_STATUS_H

#include "coordinator/status/records.h"
#include "shared/redis/look.h"

/* What the records hold for it. */
#define STATUS_RECORDS                                                                             \
    (RECORDS_NODES | RECORDS_SHARDS | RECORDS_ACCOUNTS | RECORDS_READERS | RECORDS_WHOLE)

/* X(code, level, mend): what may be wrong. Where the mend depends on what it is, it is "" here.
 * With one that is BAD the cluster is degraded; a NOTE is worth knowing. */
#define STATUS_PROBLEMS(X)                                                                         \
    X(redis_down, BAD, "look at Redis, and at the network between it and this host")               \
    X(no_leader, BAD, "start a shoal-coordinator, or look at its log")                             \
    X(stopped, BAD, "shoalctl start")                                                              \
    X(no_node, BAD, "start a shoal-node")                                                          \
    X(node_silent, BAD, "look at the node's log, and at the network between it and Redis")         \
    X(node_fenced, BAD, "let the node reach Redis again, or start another one")                    \
    X(node_blind, BAD, "let the node reach Twitch again; its shards go to nodes that do")          \
    X(shards_homeless, BAD, "start another shoal-node, or raise --shard-capacity")                 \
    X(shard_error, BAD, "")                                                                        \
    X(channels_waiting, BAD, "the reason names the setting, or what is missing")                   \
    X(channels_failed, NOTE, "shoalctl channels says why; shoalctl retry --all tries now")         \
    X(joins_stuck, BAD, "look at the logs of the nodes: Twitch confirms no join")                  \
    X(over_limit, BAD, "raise the setting, or part channels")                                      \
    X(room_limit, BAD, "part channels, or let another account read some (setting readers)")        \
    X(reader_refused, BAD, "shoalctl account list says how it is; or take it out of readers")      \
    X(account_unusable, BAD, "")                                                                   \
    X(token_ending, BAD, "shoalctl account login")                                                 \
    X(account_muted, BAD, "wait, and send less: the message limits are those of the settings")     \
    X(speaker_missing, BAD, "see the reason; nothing is said until one is connected")              \
    X(data_lost, BAD, "join the channels again")                                                   \
    X(redis_misconfigured, BAD, "")                                                                \
    X(buffer_filling, BAD, "look why Redis takes chat too slowly, or not at all")                  \
    X(history_short, BAD, "give Redis more memory, or lower history_bytes")                        \
    X(history_missing, BAD, "give Redis more memory")                                              \
    X(reader_behind, NOTE, "let it read faster; XGROUP DESTROY if nobody reads as it any more")    \
    X(budget_exhausted, NOTE, "it passes; with more accounts there is more (setting readers)")

#define STATUS_PROBLEM_ID(code, level, mend) STATUS_##code,
enum status_problem { STATUS_PROBLEMS(STATUS_PROBLEM_ID) STATUS_PROBLEM_KINDS };

struct status_kind {
    const char *code;
    bool bad;
    const char *mend;
};
extern const struct status_kind status_kinds[STATUS_PROBLEM_KINDS];

struct status_facts {
    const struct records *records; /* STATUS_RECORDS, read */
    const char *cluster;
    const struct look *look; /* at Redis itself; NULL: nobody looked */
};

/* The document; the caller deletes it. */
cJSON *status_document(const struct status_facts *f);
/* Redis cannot be read any more, or not yet: the document of the last time says so from now on. */
void status_is_out_of_reach(cJSON *document, const char *why);
#define STATUS_CHANNEL_STATES 6
/* How a channel may be, in the order it comes to be so; without a shard it waits, the first. */
extern const char *const status_channel_states[STATUS_CHANNEL_STATES];
/* Is the shard one of those that hold no channels, and only speak? */
bool status_speaks(const cJSON *shard);
/* False: something is wrong. */
bool status_is_healthy(const cJSON *document);

#endif
