/* Sender rig: the sender of the node n1, on whose main-shard foo is, and what it wrote. */
#ifndef SHOAL_TESTS_SENDER_RIG_H
#define SHOAL_TESTS_SENDER_RIG_H

#include "node/sender.h"
#include "tests/lib/registry_case.h"

/* The sender's surroundings, and what it wrote. */
extern struct sender_rig {
    struct link *link;
    struct registry *registry;
    struct subscriber *subscriber;
    struct sender *sender;
    struct restate *restate;
    bool may_act;
    bool can_send;
    int refuse; /* what the next writes answer */
    unsigned looks;
    unsigned writes;
    char shard[64];
    char entry[48];
    char said[4096]; /* every text, each with a blank */
    uint64_t wrote_ms[8];
    unsigned closed;
    bool count_up; /* texts are numbers that count up; they are answered at once */
} rig;

/* Setup and teardown (cmocka): a user that may speak, foo on its main-shard, which is on n1; and
 * n1's sender. */
int begin_sender(void **state);
int finish_sender(void **state);

/* Stop it, and then close what it uses; the teardown does it where the test has not. */
void stop_sender(void);
void serve_foo(void);
/* An application's XADD, and the sender hears of it. */
const char *outbox_heard(const char *fields);
/* A field of the result of a send to foo. */
const char *result(const char *id, const char *field);
bool is_claimed(const char *channel);
/* Twitch's, to what was written last. */
void answer(enum send_status status, const char *reason);
/* Twitch refuses it for now; 0: it does not say for how long. */
void refuse_for_now(const char *reason, uint64_t passes_in_ms);

#endif
