/* Subscriber rig: a subscriber of the running Redis that counts, and a link to publish on. */
#ifndef SHOAL_TESTS_SUBSCRIBER_RIG_H
#define SHOAL_TESTS_SUBSCRIBER_RIG_H

#include "shared/redis/subscriber.h"
#include "tests/lib/link_probe.h"

/* The probe owns the loop. */
struct fixture {
    struct link_probe p;
    struct subscriber_options options;
    struct subscriber *s;
    unsigned readies;
    unsigned settled;
    unsigned downs;
    unsigned closes;
    unsigned messages;
    unsigned published;
    char topic[64];
    char payload[64];
    struct err why;
    void (*at_message)(struct fixture *f);
    void (*at_ready)(struct fixture *f);
    void (*at_down)(struct fixture *f);
};

/* Everything but the subscriber. */
void fixture_init(struct fixture *f);
void fixture_start(struct fixture *f);
void fixture_close(struct fixture *f);
/* Close unless closed, and assert exactly one on_closed. */
void fixture_finish(struct fixture *f);

void publish(struct fixture *f, const char *topic, const char *payload);
/* How many Redis says got it. */
long long publish_and_count(struct fixture *f, const char *topic, const char *payload);
void add(struct fixture *f, const char *topic);

#endif
