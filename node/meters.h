/* Meters: what the node counts, where it happens.
 *
 *     meters.twitch_lines_total++;
 *     histogram_add(&meters.fanout_seconds, us);
 *
 * They are the process's: nothing that is renewed or lost sets them back. What is only looked at
 * when somebody asks is in node_metrics.c, and so is who writes all of it. Loop thread only. */
#ifndef SHOAL_NODE_METERS_H
#define SHOAL_NODE_METERS_H

#include "node/join_reason.h"
#include "shared/metrics/meter.h"
#include "shared/send_status.h"

/* Why a connection had to be made anew. */
enum reconnect_cause {
    RECONNECT_CONNECT, /* it could not be opened */
    RECONNECT_LOGIN,   /* the login was not answered, or could not be written */
    RECONNECT_REFUSED, /* Twitch refused the login, or there is no token to log in with */
    RECONNECT_LOST,    /* it broke, or Twitch closed it */
    RECONNECT_SILENT,  /* PING was not answered */
    RECONNECT_ASKED,   /* Twitch asked for it */
    RECONNECT_CAUSES
};

/* What gaps are told with; see shared/contract.md. */
enum gap_reason { GAP_NOT_JOINED, GAP_BUFFER_FULL, GAP_LEASE_LOST, GAP_REGISTRY_LOST, GAP_REASONS };

/* X(name, type, unit, label, help): see shared/metrics/meter.h. */
#define METERS_OF_NODE(X)                                                                          \
    X(twitch_lines_total, COUNTER, "", NONE, "lines read from Twitch, of all kinds")               \
    X(twitch_bytes_total, COUNTER, "bytes", NONE, "bytes of these lines")                          \
    X(twitch_bad_lines_total, COUNTER, "", NONE, "lines that are too long or do not parse")        \
    X(fanout_lines_total, COUNTER, "", NONE, "room lines that Redis has taken")                    \
    X(fanout_bytes_total, COUNTER, "bytes", NONE, "bytes sent for them, as commands of Redis")     \
    X(history_broken_total, COUNTER, "", NONE, "entries that a history stream did not take")       \
    X(fanout_transactions_total, COUNTER, "", NONE, "transactions that carried them")              \
    X(fanout_dropped_lines_total, COUNTER, "", NONE,                                               \
      "room lines that were dropped: the buffer was full, or the lease lost")                      \
    X(fanout_seconds, HISTOGRAM, "seconds", NONE,                                                  \
      "from reading the oldest line of a transaction to the answer of Redis")                      \
    X(chat_age_seconds, HISTOGRAM, "seconds", NONE,                                                \
      "from Twitch's tmi-sent-ts to reading, of one line of each transaction, by this host's "     \
      "clock")                                                                                     \
    X(join_failures_total, COUNTER, "", JOIN_REASON,                                               \
      "joins that Twitch refused or did not answer, by msg-id")                                    \
    X(join_wait_seconds, HISTOGRAM, "seconds", NONE,                                               \
      "how long a channel waited for its turn, until JOIN was written")                            \
    X(join_answer_seconds, HISTOGRAM, "seconds", NONE, "from JOIN to Twitch's confirmation")       \
    X(sends_total, COUNTER, "", RESULT, "sends that were here, by their result")                   \
    X(send_seconds, HISTOGRAM, "seconds", NONE, "from when the node knew of a send to its result") \
    X(reconnects_total, COUNTER, "", CAUSE, "connections that had to be made anew, by cause")      \
    X(lease_renewals_total, COUNTER, "", NONE, "renewals of the lease that were answered")         \
    X(lease_failures_total, COUNTER, "", NONE, "renewals that were not, or with an error")         \
    X(lease_fenced_total, COUNTER, "", NONE, "times the own deadline had passed")                  \
    X(lease_lost_total, COUNTER, "", NONE, "times Redis said that the lease is gone")              \
    X(redis_round_trip_seconds, HISTOGRAM, "seconds", NONE,                                        \
      "from a renewal of the lease to its answer")                                                 \
    X(gaps_total, COUNTER, "", GAP_REASON, "gaps in what a channel's subscribers got")             \
    X(gap_lines_total, COUNTER, "", GAP_REASON, "lines in them that had been read")

#define METER_LABEL_JOIN_REASON {"reason", JOIN_REASONS, join_reason_name}
#define METER_DIM_JOIN_REASON   [JOIN_REASONS]
#define METER_LABEL_RESULT      {"result", SEND_STATUSES, result_name}
#define METER_DIM_RESULT        [SEND_STATUSES]
#define METER_LABEL_CAUSE       {"cause", RECONNECT_CAUSES, cause_name}
#define METER_DIM_CAUSE         [RECONNECT_CAUSES]
#define METER_LABEL_GAP_REASON  {"reason", GAP_REASONS, gap_reason_name}
#define METER_DIM_GAP_REASON    [GAP_REASONS]

struct meters_node {
    METERS_OF_NODE(METER_MEMBER)
};

extern struct meters_node meters;
/* The rows, closed by one without name. */
extern const struct meter meters_of_node[];

/* A gap is told, with so many lines that had been read. */
void meters_gap(const char *reason, uint64_t lines);

#endif
