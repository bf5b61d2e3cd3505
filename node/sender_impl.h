/* What the files of the sender share: sender.c (what comes in, what is served), sender_topics.c (when it listens)
 * and sender_lane.c (what is done with what came). */
#ifndef SHOAL_NODE_SENDER_IMPL_H
#define SHOAL_NODE_SENDER_IMPL_H

#include "node/sender.h"
#include "shared/irc/parse.h"

#include <uthash.h>
#include <utlist.h>

#define ENTRY_CHARS 48

enum lane_state {
    LANE_IDLE,     /* nothing under way; the head, if any, is claimed at due_ms */
    LANE_CLAIMING, /* the registry was asked */
    LANE_CLAIMED,  /* is written at due_ms */
    LANE_WRITTEN,  /* waits for Twitch's answer */
    LANE_STORING,  /* the registry was told the result, or is told again at due_ms */
};

struct send {
    UT_hash_handle hh;
    struct send *prev;
    struct send *next;
    struct lane *lane;
    char entry[ENTRY_CHARS];
    /* from the claim on: */
    char *shard;
    char *id;
    char *text;
    char *reply_to;
    bool as_command;
    const char *status; /* the result to store */
    char *reason;
    char *notice;
};

/* A shard whose sends are said here. */
struct served {
    UT_hash_handle hh;
    char *id;
    char *sender;  /* the shard of this node that sends for it */
    size_t lanes;  /* its channels */
    uint64_t mark; /* of the last sender_keep that named it */
};

struct lane {
    UT_hash_handle hh;
    char channel[IRC_CHANNEL_CHARS];
    struct served *served; /* the shard whose channel it is; NULL: it is not served here */
    uint64_t mark;         /* of the last sender_serve that named it */
    bool listens;          /* to its topic */
    uint64_t listen_by_ms; /* served: listens from then on, whoever else does */
    enum lane_state state;
    uint64_t due_ms;  /* mono; UINT64_MAX: waits for an answer */
    uint64_t slot_ms; /* of the claimed head */
    struct send *queue;
    unsigned nqueued;
    bool more;  /* there were more than fit: the outbox is read again when these are dealt with */
    bool asked; /* a registry call for the head is under way */
    bool doubt; /* a claim of the head was not answered: it may be claimed */
};

struct sender {
    struct sender_options options;
    char topic_prefix[64];
    size_t topic_prefix_len;
    uv_timer_t timer;
    struct lane *lanes;
    struct served *served;
    struct send *sends;
    char *unjoined; /* the shard that sends to channels nobody joined, if it is here */
    uint64_t marks;
    uint64_t generation; /* grows with each reset: answers to older calls are none */
    bool scanning;
    bool rescan_again;
    uint64_t rescan_due_ms;
    bool asking_topics;
    uint64_t topics_due_ms; /* served lanes do not listen yet: look then */
    bool closing;
};

/* What a registry call in flight remembers; never a pointer into the tables. */
struct sender_call {
    struct sender *sender;
    uint64_t generation;
    char channel[IRC_CHANNEL_CHARS];
    char entry[ENTRY_CHARS];
};

/* In sender_lane.c: */
struct sender_call *sender_call_create(struct sender *s, const char *channel, const char *entry);
/* The lane of a channel; a new one if need be. */
struct lane *lane_get(struct sender *s, const char *channel);
/* Do what is due. The lane may be gone afterwards. */
void lane_run(struct sender *s, struct lane *lane);
/* The head has its result; it is stored. */
void lane_result(struct sender *s, struct lane *lane, const char *status, struct slice reason,
                 struct slice text);
/* Nobody here may say what is queued: found again by a rescan if that changes. The lane may be gone
 * afterwards. */
void lane_forget(struct sender *s, struct lane *lane);
void lane_free_if_idle(struct sender *s, struct lane *lane);

/* In sender_topics.c: the lane is served from now on, or no more; and listen to those that nobody else does. */
void topics_want(struct sender *s, struct lane *lane);
void topics_forget(struct sender *s, struct lane *lane);
void topics_look(struct sender *s);

/* In sender.c: fire when the next lane is due. */
void sender_arm(struct sender *s);

#endif
