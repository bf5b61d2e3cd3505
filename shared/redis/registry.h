/* Registry: the cluster's state in Redis, one typed call for each step
 * (steps/ *.lua).
 *
 * With its reader (cluster.h) the only room that knows key names and commands of the cluster's
 * state. A registry is a thin layer over one link: calls are sent at once and answered by callback
 * in order. Several registries on several links may serve one process (a node renews on its fan-out
 * link and claims sends on another).
 *
 * Every call returns 0 and calls back exactly once, or what the link refused it with (-ERR_DOWN,
 * -ERR_FULL) and never calls back. Callbacks get an answer, or NULL and an err: ERR_LOST (this
 * process is no longer the node or leader it was: LOST, DEPOSED), ERR_EMPTIED (renew alone: it is
 * not, as all of the registry is gone), ERR_DOWN / ERR_TIMEOUT / ERR_CANCELED (the link failed: the
 * step may or may not have been done), ERR_STRANGE (a broken answer), ERR_REPLY and its like (Redis
 * refused; refusal.h). Answers and the slices in them are valid during the callback. Times in ms.
 * Loop thread only. */
#ifndef SHOAL_REDIS_REGISTRY_H
#define SHOAL_REDIS_REGISTRY_H

#include "shared/redis/link.h"
#include "shared/redis/registry_limits.h" /* REGISTRY_MAX_CHANNELS of a request and others */
#include "shared/redis/registry_outcome.h"
#include "shared/send_status.h"

struct registry;

/* A registry of `cluster` on `link`; both borrowed for its life. */
struct registry *registry_create(struct link *link, const char *cluster);
void registry_destroy(struct registry *r);
struct link *registry_link(const struct registry *r);
/* "shoal:{main}": KEYS[1] of the functions. */
const char *registry_tag(const struct registry *r);

/* Topics --------------------------------------------------------------------------------------- */

/* By what is said on them: lines of a channel, sends to it, their results; what a node is told;
 * replies to requests; what happens. */
enum registry_topic {
    TOPIC_CHAT,
    TOPIC_SEND,
    TOPIC_SENT,
    TOPIC_NODE,
    TOPIC_REPLIES,
    TOPIC_EVENTS,
};
#define REGISTRY_TOPIC_CHARS 256
/* "shoal:main:chat:<name>", in the caller's buffer, cut where it is too small. `name`: a channel or
 * a node; "" for replies, for events, or for what all topics of that kind begin with. Returns
 * out. */
const char *registry_topic(const struct registry *r, enum registry_topic topic, const char *name,
                           char out[REGISTRY_TOPIC_CHARS]);
/* The key at which the fan-out keeps `seq`, the same way. */
const char *registry_fan_key(const struct registry *r, const char *node,
                             char out[REGISTRY_TOPIC_CHARS]);
/* What the keys of the streams that keep chat begin with, before their number, the same way. */
const char *registry_lines_key(const struct registry *r, char out[REGISTRY_TOPIC_CHARS]);

/* A new connection ----------------------------------------------------------------------------- */

struct registry_greeting {
    uint64_t link_id;       /* CLIENT ID of this link */
    char run_id[41];        /* of the server */
    char redis_version[32]; /* "7.0.15" */
};
typedef void (*registry_greeting_cb)(void *ctx, const struct registry_greeting *g,
                                     const struct err *err);
/* CLIENT ID and INFO server. */
MUST_USE int registry_greet(struct registry *r, registry_greeting_cb cb, void *ctx);

typedef void (*registry_done_cb)(void *ctx, const struct err *err); /* err NULL: done */
/* Load the library where Redis has none, an older revision, or this one with another text (FUNCTION
 * LOAD REPLACE). A server without functions: ERR_REFUSED with the text that says which Redis is
 * needed. */
MUST_USE int registry_load(struct registry *r, registry_done_cb cb, void *ctx);
/* Is the library there, at the contract's version? ERR_ABSENT "no coordinator has set up ..." if it
 * is not there yet; ERR_REFUSED where it cannot be, as above. */
MUST_USE int registry_check(struct registry *r, registry_done_cb cb, void *ctx);
/* CLIENT KILL ID. The caller has compared run ids: where the server is another now, ids started
 * anew and this one may be anybody's. Done also when there is no such client any more. Id 0 kills
 * nothing. cb may be NULL: the answer does not matter, order is kept. */
MUST_USE int registry_kill_link(struct registry *r, uint64_t link_id, registry_done_cb cb,
                                void *ctx);
/* The same for one that listens: what PUBLISH has counted for it until then has left Redis, so that
 * whoever reads the other end reads it. Redis frees a client that is killed with all it would have
 * written at the end of its turn: writes (PUBLISH is one) are held up for 100 ms (CLIENT PAUSE),
 * and it is killed in a later turn. Where that is not allowed it is killed all the same. */
MUST_USE int registry_kill_listener(struct registry *r, uint64_t link_id);
/* Is that client connected? (CLIENT LIST ID) */
typedef void (*registry_bool_cb)(void *ctx, bool yes, const struct err *err);
MUST_USE int registry_link_alive(struct registry *r, uint64_t link_id, registry_bool_cb cb,
                                 void *ctx);

/* Nodes ---------------------------------------------------------------------------------------- */

struct registry_node {
    const char *node;
    const char *incarnation;
    uint64_t link_id;
    const char *run_id;
    const char *host;
    const char *pid;
    const char *version;
    uint64_t capacity;    /* shards it can hold */
    const char *users;    /* "a,b": users it has tokens for */
    uint64_t takeover;    /* the holder's link, which is known to be gone or killed; 0: none */
    const char *registry; /* as the picture told it last; "": not yet */
    const char *state;    /* register: "active", "blind" or "proving" */
};

/* What is asked of a shard: nothing yet, to be connected, or to be closed and to say so. */
enum shard_run { SHARD_NEW, SHARD_STARTED, SHARD_STOPPED };

/* A shard as the registry has it, with its channels. */
struct registry_shard {
    struct slice id;
    uint64_t epoch;
    uint64_t rev;
    struct slice user;
    enum shard_run run;  /* held only */
    struct slice sender; /* `served` only: the shard, on this node, that sends for it */
    size_t nchannels;
    const struct slice *channels;
    bool more; /* within the registry: other channels follow. False as the caller gets it */
    /* Held only, for each channel: how many ms ago it was read last; 0: it is read, as this node
     * reported; -1: it was never read since it is wanted. */
    const int64_t *unread_ms;
    /* Held only: when somebody asked to try a failed channel again (Redis's clock); 0: nobody
     * did. */
    const int64_t *retry_ms;
};

#define REGISTRY_ID_CHARS 32

/* The settings that nodes are told (`node` in 03_settings.lua): X(name, what it is where it is not
 * told). */
#define REGISTRY_SETTINGS(X)                                                                       \
    X(lease_ms, SETTING_LEASE_MS)                                                                  \
    X(failed_retry_ms, SETTING_FAILED_RETRY_MS)                                                    \
    X(resume_delay_ms, SETTING_RESUME_DELAY_MS)                                                    \
    X(compare_ms, SETTING_COMPARE_MS) /* so often all is asked for, changed or not */              \
    X(blind_ms, SETTING_BLIND_MS) /* a node none of whose connections worked so long is blind */   \
    X(send_ttl_ms, SETTING_SEND_TTL_MS)                                                            \
    X(history_ms, SETTING_HISTORY_MS) /* 0: nothing is kept */                                     \
    X(history_streams, SETTING_HISTORY_STREAMS)                                                    \
    X(accounts, 0) /* grows when an account is another: registry_accounts */                       \
    X(told, 0)     /* grows when what all nodes are told is another */
#define REGISTRY_SETTING(name, otherwise) uint64_t name;
/* 0: switched off; lease_ms never is. */
struct registry_settings {
    REGISTRY_SETTINGS(REGISTRY_SETTING)
};

/* What a node should hold and serve. */
struct registry_picture {
    struct slice registry; /* tells this registry from one that begins anew where all was lost */
    struct registry_settings settings;
    uint64_t rev;
    uint64_t seq;                /* how far this node's fan-out has come */
    struct slice default_sender; /* the shard that sends to channels nobody joined; may be empty */
    /* One holds shards that a node could take which says (seen_ms) that it sees Twitch. */
    bool others_blind;
    struct wall now;   /* Redis's time */
    bool must_restate; /* Redis was restarted, or is another: registry_restate is waited for */
    /* Redis's time up to which it had all then: what it answered later may be forgotten. */
    struct wall kept;
    bool changed; /* the fields below are filled: rev differs from the one asked with */
    size_t nheld; /* ids of all shards placed here */
    const struct slice *held;
    size_t nheld_changed;
    const struct registry_shard *held_changed; /* those that changed since */
    size_t nserved;                            /* ids of all shards whose sends this node serves */
    const struct slice *served;
    size_t nserved_changed;
    const struct registry_shard *served_changed;
};

struct registry_holder { /* who has the node id (register refused) */
    struct slice host;
    struct slice pid;
    uint64_t link_id;
    int64_t remaining_ms; /* of its lease; negative: past it */
    uint64_t lease_ms;
    struct slice run_id; /* of the server that link_id is of */
};

/* `picture` on success; `holder` (and neither picture nor err) where another process holds the node
 * id. None of the three where so much is taken over that it goes on: call again, with the same. */
typedef void (*registry_register_cb)(void *ctx, const struct registry_picture *picture,
                                     const struct registry_holder *holder, const struct err *err);
MUST_USE int registry_register(struct registry *r, const struct registry_node *n,
                               registry_register_cb cb, void *ctx);
typedef void (*registry_renew_cb)(void *ctx, const struct registry_picture *picture,
                                  const struct err *err);
/* Renew with the rev seen last (-1: tell everything) and a report of what changed at this node,
 * JSON or empty:
 * {"shards":{ID:{"epoch","silent_ms",FIGURE:VALUE}},
 * "channels":{NAME:{"shard","state","reason","next_try_ms","since_ms","moderator","vip","room",
 * "unread_ms"}},"active":[NAME,...],"gaps":[{"channel","from_ms","to_ms","lines","reason"}],
 * "node":{FIELD:VALUE},"quiet_ms","waits_ms","at_ms"};
 * all members optional, figures those of figures.h that nodes tell. active: at most 1,000 channels
 * that had lines since this was last told. at_ms: when the report was written, by Redis's clock;
 * without it, now. Times go by no clock but Redis's: since_ms, from_ms, to_ms are how long ago it
 * was, next_try_ms in how long it will be (0: there is none). unread_ms: how long ago a channel
 * that was read and is not any more was read last. silent_ms: how long nothing at all was read on
 * the connection, 0: not for long; it goes on to be silent while nothing comes but answers to
 * PINGs. quiet_ms: on each shard that is silent something was read so long ago or later. waits_ms:
 * how long the oldest line that is not fanned out yet has waited. Of the node: "users" it can log
 * in as now; "state" ("active", "proving", "blind" with "why" and for how long, "failing_ms";
 * "draining"); "seen_ms": how long ago it has heard of Twitch; its figures. */
MUST_USE int registry_renew(struct registry *r, const struct registry_node *n, int64_t seen_rev,
                            struct slice report, registry_renew_cb cb, void *ctx);
struct registry_rest {   /* what a node knows that has nothing to tell; times are Redis's */
    int64_t seen_rev;    /* what it is told, up to that rev */
    uint64_t told;       /* and the settings, of registry_settings */
    uint64_t lease_ms;   /* one of them */
    struct wall now;     /* what its clock shows, or a little less */
    struct wall renewed; /* when the last renewal was, as it was told or taken to be */
    struct wall quiet;   /* up to which something was read on each silent shard; 0: there is none */
};
struct registry_rested {
    bool kept; /* nothing is new, and the node has the lease from when it asked */
    struct wall now;
    uint64_t again_ms; /* kept: it asks again in so many ms at the latest */
};
typedef void (*registry_rest_cb)(void *ctx, const struct registry_rested *answer,
                                 const struct err *err);
/* Renew where that is all there is to know: without a step, as nodes do little else most of the
 * time. Only on the link that the node is registered with: whoever takes something from a node
 * kills that first, so what comes on it is the holder's, and Redis looks at nothing; it writes only
 * where the node is registered. Not kept: call registry_renew at once, which finds out what is new
 * (the deadline may be a later one by then, counted from rest->now). */
MUST_USE int registry_rest(struct registry *r, const struct registry_node *n,
                           const struct registry_rest *rest, registry_rest_cb cb, void *ctx);
/* Tell what this node said, was told and drew lately, in portions; nothing is claimed or drawn
 * until all nodes have told the last one (two leases at most). back_ms: how far back this node saw
 * the registry go. {"sends":[{"entry",
 * "channel","status","id","shard","ago_ms","wait_ms","reason","text","told"}],
 * "draws":[{"user","kind","ago_ms","wait_ms"}]}: status "claimed", "unclaimed" or the result; told:
 * 1 where the registry had the result already; ago_ms: how long ago it was claimed or drawn,
 * wait_ms: as it was answered then. */
MUST_USE int registry_restate(struct registry *r, const char *node, const char *incarnation,
                              struct slice report, bool last, uint64_t back_ms, registry_done_cb cb,
                              void *ctx);
/* Leave in order; calls again by itself until all shards are placed elsewhere. `said`: everything
 * that was read is fanned out, and it was reported up to when each channel was read. */
MUST_USE int registry_leave(struct registry *r, const char *node, const char *incarnation,
                            bool said, registry_done_cb cb, void *ctx);

/* Leader --------------------------------------------------------------------------------------- */

struct registry_leader { /* who calls */
    const char *id;
    const char *incarnation;
    char token[24]; /* of the last "leading"; set by the caller */
    uint64_t link_id;
    const char *run_id;
    const char *host;
    const char *pid;
};

struct registry_expired {
    struct slice node;
    uint64_t link_id;
    struct slice run_id;
};

struct registry_lead {
    bool leading;
    /* standby: */
    struct slice leader_id; /* "" where it is not known */
    uint64_t remaining_ms;
    /* leading: */
    struct slice token;
    uint64_t lease_ms;
    uint64_t shards_rev;      /* grows when the senders may have to be chosen anew */
    int64_t next_deadline_ms; /* until the next node's lease ends, if it does not renew; -1: none */
    uint64_t nodes;
    uint64_t waiting;  /* wanted channels without a shard */
    uint64_t homeless; /* shards without a node */
    bool setup_done;
    bool stopped;      /* the cluster was asked to stop, and not to start since */
    struct slice user; /* empty: not chosen yet */
    size_t nexpired;
    const struct registry_expired *expired;
    size_t nidle;
    const struct slice *idle; /* shards that may close */
    /* both: */
    struct slice registry; /* as in registry_picture */
    /* leading: */
    bool damaged;      /* something is not as it should be: compare soon */
    bool accounts_due; /* registry_due_accounts has some */
    bool sends;        /* the outbox holds something: registry_send_take is to look at it */
    struct wall now;   /* Redis's time */
};
typedef void (*registry_lead_cb)(void *ctx, const struct registry_lead *lead,
                                 const struct err *err);
/* Take or renew the lead. */
MUST_USE int registry_lead(struct registry *r, const struct registry_leader *me,
                           registry_lead_cb cb, void *ctx);
MUST_USE int registry_resign(struct registry *r, const struct registry_leader *me,
                             registry_done_cb cb, void *ctx);

/* The first word of the answer and what follows it. */
typedef void (*registry_word_cb)(void *ctx, struct slice word, struct slice rest,
                                 const struct err *err);
/* "expired", "more" (call again), "renewed", "grace", "link", or "kept" (no live node could take
 * any of it). The link must have been killed before. */
MUST_USE int registry_expire(struct registry *r, const struct registry_leader *me,
                             struct slice node, uint64_t link_id, registry_word_cb cb, void *ctx);
#define REGISTRY_COMPARE_FROM "1 0"
struct registry_compared {
    uint64_t repairs;    /* in this portion */
    bool more;           /* there is another portion */
    struct slice cursor; /* where it begins */
};
typedef void (*registry_compared_cb)(void *ctx, const struct registry_compared *compared,
                                     const struct err *err);
/* One portion of comparing all that the registry holds with itself, and putting right what differs.
 * `cursor`: REGISTRY_COMPARE_FROM at first. */
MUST_USE int registry_compare(struct registry *r, const struct registry_leader *me,
                              struct slice cursor, registry_compared_cb cb, void *ctx);
/* "added", "exists", "refused" WHY, "later" WHY (it passes: no node that is up has a token for the
 * user): a shard that is not started, with those channels; all or nothing. */
MUST_USE int registry_add_shard(struct registry *r, const struct registry_leader *me,
                                const char *shard, struct slice user, const struct slice *channels,
                                size_t n, registry_word_cb cb, void *ctx);

typedef void (*registry_names_cb)(void *ctx, const struct slice *names, size_t n,
                                  const struct err *err);
/* Some of the channels without a shard, at most so many. */
MUST_USE int registry_waiting(struct registry *r, size_t most, registry_names_cb cb, void *ctx);

/* A request's entry in its stream ("admin:5-0": of the stream `admin`) and its id; both empty for
 * what the leader does by itself. A request whose id is empty, or cannot be used, is answered under
 * its entry; so is one whose id another request had. */
struct registry_request {
    struct slice entry;
    struct slice id;
};
/* A channel of an assign, and where it may go: "" to the least-loaded open shard of the cluster's
 * readers, or a new one; "@USER" the same of that user; "+USER" the same, and one that is on a
 * shard of another user is refused (all of a request have that); "=SHARD" to that shard; "!WHY"
 * nowhere; "?WHY" nowhere yet, though it is wanted; "-" where it is already. */
struct registry_wish {
    struct slice channel;
    struct slice where;
};
typedef void (*registry_outcome_cb)(void *ctx, const struct registry_outcome *outcome,
                                    const struct err *err);
/* `mode` "join", "initial" or "waiting" (those that do not wait are passed over). Channels as users
 * write them; the step normalises and validates. */
MUST_USE int registry_assign(struct registry *r, const struct registry_leader *me,
                             const struct registry_request *request, const char *mode,
                             const struct registry_wish *wishes, size_t n, registry_outcome_cb cb,
                             void *ctx);
/* Steps that a request asks for, or the leader by itself. Answered as registry_assign. `step` is:
 *   "part" CHANNEL...     they are wanted no more
 *   "retry" CHANNEL...    those that failed are tried again at once
 *   "set" NAME VALUE, "unset" NAME, "start", "stop"
 *   "account_put" ACCOUNT SECRET, "account_set" ACCOUNT NAME VALUE, "account_remove" ACCOUNT
 *   "refuse_op" OP        an op that is none of these, or not for the stream it came in */
MUST_USE int registry_carry_out(struct registry *r, const struct registry_leader *me,
                                const struct registry_request *request, const char *step,
                                const struct slice *args, size_t n, registry_outcome_cb cb,
                                void *ctx);
/* Steps that the leader takes by itself. Answered as registry_assign. `step` is:
 *   "create" MANAGER NAME VALUE...   a cluster that is not set up takes the manager and settings
 *   "abandon" NAME...                setting it up failed: as if these had never been given
 *   "setup_done"
 *   "remove_channels" SHARD CHANNEL...  they are wanted no more; those of other shards are refused
 *   "close_idle" SHARD...            shards that close when idle, if they still are
 *   "place_homeless"                 shards that no node holds, a portion
 *   "shard_start" SHARD, "shard_stop" SHARD
 *   "senders" SHARD SENDER...        at most 100 pairs; a SENDER of another user is passed over
 *   "tell_error" NAME VALUE...       an event
 *   "tell_lost" CHANNELS SHARDS NAMES  so many of an earlier registry are gone: an event */
MUST_USE int registry_do(struct registry *r, const struct registry_leader *me, const char *step,
                         const struct slice *args, size_t n, registry_outcome_cb cb, void *ctx);

/* Budgets -------------------------------------------------------------------------------------- */

typedef void (*registry_draw_cb)(void *ctx, const uint64_t *waits_ms, size_t n,
                                 const struct err *err);
/* Up to n slots of the user's budget, "login" or "join": ms from now to each. */
MUST_USE int registry_draw(struct registry *r, const char *node, const char *incarnation,
                           struct slice user, const char *kind, size_t n, registry_draw_cb cb,
                           void *ctx);

/* Entries of streams --------------------------------------------------------------------------- */

struct registry_entry {
    struct slice id;
    size_t nfields;             /* pairs */
    const struct slice *fields; /* name, value, name, value, ... */
};
/* The value of a field, or the empty slice. */
struct slice registry_field(const struct registry_entry *e, const char *name);

/* Requests ------------------------------------------------------------------------------------- */

/* How far the two streams have been read: ids of entries, REGISTRY_FROM_BEGINNING at first. */
#define REGISTRY_FROM_BEGINNING "0-0"
struct registry_place {
    char admin[48];
    char requests[48];
};
/* A portion of what waits. The ids of entries of `admin` begin with "admin:". No entry is larger
 * than a request may be (64 KiB): one that is has its reply, and no fields here. */
struct registry_requests {
    struct registry_place last;
    size_t n; /* 0: nothing waits */
    const struct registry_entry *entries;
};
typedef void (*registry_requests_cb)(void *ctx, const struct registry_requests *requests,
                                     const struct err *err);
/* What stands behind `after`, administration first, a portion a call. */
MUST_USE int registry_read_requests(struct registry *r, const struct registry_leader *me,
                                    const struct registry_place *after, registry_requests_cb cb,
                                    void *ctx);
typedef void (*registry_rung_cb)(void *ctx, struct wall now, const struct err *err);
/* Calls back when there is an entry behind `after`, or after block_ms (less than the link's
 * deadline), or at once where Redis lets nobody wait. Nothing of the entry is read. Blocks the
 * link: use one of its own. now: Redis's time after that. */
MUST_USE int registry_await_requests(struct registry *r, const struct registry_place *after,
                                     uint64_t block_ms, registry_rung_cb cb, void *ctx);
struct registry_refusal {
    struct registry_request request;
    struct slice op; /* as the reply repeats it */
};
/* Answer requests with an error without looking at them. */
MUST_USE int registry_refuse(struct registry *r, const struct registry_leader *me, struct slice why,
                             const struct registry_refusal *refusals, size_t n, registry_done_cb cb,
                             void *ctx);

#endif
