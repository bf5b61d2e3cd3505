/* What the files of the sender share: sender.c (what is served), sender_topics.c (when it listens),
 * sender_outbox.c (what waits in the outbox), sender_heard.c (what was heard, until it is entered),
 * sender_turn.c (which lane claims next), sender_lane.c (what is done with a send until it is
 * written) and sender_answer.c (and from then on). */
#ifndef SHOAL_NODE_SENDER_PRIVATE_H
#define SHOAL_NODE_SENDER_PRIVATE_H

#include "node/sender.h"
#include "shared/due.h"
#include "shared/irc/parse.h"
#include "shared/machine.h"

#include <uthash.h>
#include <utlist.h>

#define ENTRY_CHARS      48
#define SENDER_RETRY_MS  250
#define SENDER_RESCAN_MS 10000 /* should a hint ever be lost */
#define TURN_KINDS       5     /* HELD_BY_ALL, ..., HELD_BY_MUTED */
#define TURNS            7     /* see sender_turn.c */

/* What is done with the head of a lane:
 *
 *   empty -> waiting -> claiming -> claimed -> written -> storing -> empty, or waiting: the next
 *
 *   claiming -> waiting                 held back by the account's budget: first in its line again
 *   claiming -> paused -> waiting       held back by the channel's own budget
 *   claiming -> written                 its slot is now
 *   claiming -> doubt                   the claim was not answered: the head may be claimed
 *   claiming, claimed, written
 *            -> unclaiming              surely not written: no lease, too late, or no connection
 *   written -> unclaiming               Twitch refused it for now: it waits, and is tried again
 *   unclaiming -> paused                taken back: somebody, perhaps this node, claims it again
 *   unclaiming -> doubt -> unclaiming   that was not answered: again, until it is
 *   storing -> unstored -> storing      the registry did not take the result: again, until it does
 *   anything -> empty                   nobody here may say it any more
 *
 * Paused, claimed, unstored and doubt wait for their time in the heap, waiting waits in a line
 * (sender_turn.c), the others for an answer. */
enum lane_state {
    LANE_EMPTY,
    LANE_WAITING,
    LANE_PAUSED,
    LANE_CLAIMING, /* from here on the head is claimed, or may be */
    LANE_CLAIMED,
    LANE_WRITTEN,
    LANE_STORING,
    LANE_UNSTORED,
    LANE_UNCLAIMING,
    LANE_DOUBT,
};

/* A look at the outbox:
 *
 *   idle -> (wanted) -> asked -> idle
 *                         +----> again: something came that the answer may not know
 *
 * What is new is taken at once; the look at all that waits is wanted until all that is new is
 * taken. */
enum look_state { LOOK_IDLE, LOOK_WANTED, LOOK_ASKED, LOOK_AGAIN };

enum send_priority { PRIORITY_HIGH, PRIORITY_NORMAL, PRIORITY_LOW };

struct send {
    UT_hash_handle hh;
    struct send *prev;
    struct send *next;
    struct lane *lane;
    char entry[ENTRY_CHARS];
    enum send_priority priority; /* their order in a lane, and then: */
    uint64_t ms;                 /* the two numbers of the entry */
    uint64_t seq;
    bool begun;        /* a part of it was said: nothing comes before the rest */
    uint64_t taken_ms; /* known since then */
    uint64_t pass;     /* the newest look at all that waits which found it */
    /* from the claim on: */
    char *user;
    char *shard;
    enum registry_say_by say_by;
    char *room_id;
    char *id;
    char *text;
    char *reply_to;
    bool as_command;
    int64_t parts_said;      /* -1: the text is not split */
    unsigned parts;          /* written: there are so many */
    bool more;               /* a part was said, and it is not the last: that is stored */
    uint64_t deadline_ms;    /* its time is over then */
    uint64_t pace_ms;        /* of its channel, should Twitch find it too fast */
    uint64_t again_ms;       /* refused for now: it may be tried again then; 0: it is not */
    char *passing;           /* and why (the msg-id); owned */
    enum send_status status; /* the result to store, with: */
    char *reason;            /* NULL: there is none yet */
    const char *standing;    /* or NULL */
    char *notice;
    char *message_id;
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
    struct served *served;  /* the shard whose channel it is; NULL: it is not served here */
    uint64_t mark;          /* of the last sender_serve that named it */
    bool listens;           /* to its topic */
    uint64_t listen_ms;     /* served: it wants to listen since then */
    unsigned heard;         /* sends heard on its topic that are not entered yet */
    struct machine machine; /* its state is an enum lane_state */
    struct due_item due;
    uint64_t slot_ms; /* of the claimed head */
    uint64_t said_ms; /* the head was written, or would have been */
    struct send *queue;
    size_t nqueued;
    /* Its turn: */
    struct lane *prev;
    struct lane *next;
    struct line *line;             /* waiting: it waits in; claiming: whose turn it took */
    enum registry_held_by held_by; /* what held its head back last */
    size_t turn;                   /* waiting: which of the line's queues */
};

/* An account whose budget was used up. */
struct account {
    UT_hash_handle hh;
    char user[IRC_CHANNEL_CHARS];
    uint64_t until_ms[TURN_KINDS];
};

/* The lanes that wait for their turn to be said on one shard of this node. */
struct line {
    UT_hash_handle hh;
    char *shard;
    struct account *account; /* as the last claim that was held back told; NULL: none was */
    struct lane *queues[TURNS];
    size_t lanes;      /* that wait in it, or claim */
    unsigned claiming; /* claims under way */
    bool probing;      /* the last one was held back: one at a time */
    uint64_t again_ms; /* it could not be said: look again then */
};

/* What the timer calls for, beside lanes and turns: see sender_rescan and the others. */
enum sender_job { JOB_RESCAN, JOB_TAKE, JOB_TOPICS, JOB_HEARD, SENDER_JOBS };

struct sender {
    struct sender_options options;
    char process[INCARNATION_CHARS]; /* who enters sends: this process, whatever its incarnation */
    char topic_prefix[REGISTRY_TOPIC_CHARS];
    size_t topic_prefix_len;
    uv_timer_t timer;
    uint64_t armed_ms;            /* when the timer fires; UINT64_MAX: it does not */
    bool stopped;                 /* it does not any more */
    uint64_t job_ms[SENDER_JOBS]; /* when they are due; UINT64_MAX: they are not */
    struct due due;               /* lanes */
    struct lane *lanes;
    size_t under_way; /* lanes whose head is claimed, or may be */
    struct served *served;
    struct send *sends;
    struct line *lines;
    struct account *accounts;
    char *unjoined; /* the shard that sends to channels nobody joined, if it is here */
    uint64_t marks;
    uint64_t generation; /* grows with each reset: answers to older calls do not count */
    /* Looking at the outbox: */
    struct machine take;      /* what is new; its state is an enum look_state */
    uint64_t found_ms;        /* when something was in it last */
    struct machine list;      /* all that waits; the same */
    uint64_t passes;          /* looks at all that waits */
    uint64_t list_from;       /* the portion of it that is asked for, */
    uint64_t list_generation; /* since then */
    uint64_t ttl_ms;          /* send_ttl_ms */
    /* Topics: */
    bool asking_topics;
    bool leaving; /* listens to nothing any more */
    /* What was heard, see sender_heard.c: */
    struct heard *heard; /* to be entered; those first that may have been: the answer was lost */
    struct heard *asked; /* answers are to come */
    size_t nheard;       /* in both */
    size_t heard_bytes;
    size_t nasked;
    uint64_t last_number;
    uint64_t heard_order;
    bool heard_refused; /* the last answer was an error */
    bool refusing;      /* the bounds were reached, which was told */
};

/* In sender.c: the timer fires at `at_ms` at the latest; and the job is due then, not before. */
void sender_at(struct sender *s, uint64_t at_ms);
void sender_job_at(struct sender *s, enum sender_job job, uint64_t at_ms);

/* In sender_outbox.c: an entry, with its priority, that waits for this node to say it; take what is
 * new. */
extern const struct machine_type sender_look;
void sender_queue(struct sender *s, const char *channel, struct slice told);
/* The head is under way no more, and is to be tried again: behind what came meanwhile and has a
 * higher priority. */
void lane_head_waits(struct lane *lane);
void outbox_take(struct sender *s);

/* What a registry call in flight remembers; never a pointer into the tables. */
struct lane_call {
    struct sender *sender;
    uint64_t generation;
    char channel[IRC_CHANNEL_CHARS];
    char entry[ENTRY_CHARS];
};

/* In sender_lane.c: the lane of a channel; a new one if need be. */
struct lane *lane_get(struct sender *s, const char *channel);
/* A call about the head of the lane; and the lane, when it was answered, or NULL if that is
 * history. Frees the call. */
struct lane_call *lane_call_create(struct sender *s, const struct lane *lane);
struct lane *lane_call_finish(struct lane_call *call, struct sender **s);
/* Into a state that waits, so long. */
void lane_later(struct sender *s, struct lane *lane, enum lane_state to, uint64_t wait_ms);
/* The head is dealt with: on with the next. */
void lane_pop(struct sender *s, struct lane *lane);
/* The one setter of its state. */
void lane_move(struct sender *s, struct lane *lane, enum lane_state to);
/* Is its head claimed, or may it be? */
bool lane_is_under_way(const struct lane *lane);
/* The head, if any, waits for its turn, where somebody here may say it. The lane may be gone
 * afterwards. */
void lane_next(struct sender *s, struct lane *lane);
/* Do what is due. The lane may be gone afterwards. */
void lane_run(struct sender *s, struct lane *lane);
/* Who says what waits in it may be another now. The lane may be gone afterwards. */
void lane_look(struct sender *s, struct lane *lane);
/* Claim the head: it is its turn. False: the link is down. */
bool lane_claim(struct sender *s, struct lane *lane);
/* The written head leaves only now: may it? */
bool lane_may_leave(struct sender *s, struct lane *lane);
/* Nobody here may say what is queued: found again by a rescan if that changes. The lane may be gone
 * afterwards. */
void lane_forget(struct sender *s, struct lane *lane);
/* Take out a send that is not under way. */
void lane_drop(struct sender *s, struct lane *lane, struct send *send);
void lane_free_if_idle(struct sender *s, struct lane *lane);

/* In sender_answer.c: the head was answered: its result is stored, or it goes on with its next
 * part, or waits to be tried again. */
void lane_result(struct sender *s, struct lane *lane, const struct send_outcome *outcome);
/* Store what it was answered, again. */
void lane_store(struct sender *s, struct lane *lane);
/* The head was surely not said: somebody, perhaps this node, claims it again. */
void lane_unclaim(struct sender *s, struct lane *lane);
/* It has its result. */
void sender_count(const struct send *send, enum send_status status);
/* Forget what it was answered. */
void outcome_forget(struct send *send);

/* In sender_turn.c: the lane, whose head may be claimed, waits for its turn; waits no more, and
 * claims nothing; its claim was answered; it is held back by the account's budget as the claim
 * says, and waits for its turn again. */
void turn_wait(struct sender *s, struct lane *lane);
void turn_leave(struct lane *lane);
void turn_over(struct sender *s, struct lane *lane, bool claimed);
void turn_held(struct sender *s, struct lane *lane, const struct registry_claim *claim);
/* Is the account muted, as the last claim for it said? */
bool turn_is_muted(const struct sender *s, const char *user);
/* Let those claim whose turn it is, and see to it that this is called again when it is
 * another's. */
void turns_run(struct sender *s);
void turns_reset(struct sender *s);

/* In sender_topics.c: the lane is served from now on; listen to its topic, or no more; and listen
 * to those that nobody else does. */
void topics_want(struct sender *s, struct lane *lane);
void topics_listen(struct sender *s, struct lane *lane, bool listens);
void topics_look(struct sender *s);

/* In sender_heard.c: a message on a channel's topic; enter what can be entered now; forget
 * everything. */
void heard_add(struct sender *s, const char *channel, struct slice payload);
void heard_run(struct sender *s);
void heard_reset(struct sender *s);

#endif
