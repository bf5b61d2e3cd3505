/* Generate: made-up chat over the joined channels, as fast as the slowest connection reads, or paced. */
#ifndef SIM_GENERATE_H
#define SIM_GENERATE_H

#include "tests/twitch_sim/sim.h"

struct generate_order {
    uint64_t count;    /* lines, 0: without end */
    double rate;       /* lines a second, 0: as fast as it goes */
    uint64_t seed;     /* 0: go on with the random numbers there are */
    bool only_privmsg; /* nothing but PRIVMSG */
    bool stamp;        /* first tag: sim-us=<microseconds since 1970>, for latencies */
    char *channels;    /* comma separated, NULL: all that are joined; borrowed */
};

struct generate_state {
    bool running;
    bool waiting;    /* for a slow connection, or for somebody to join */
    uint64_t lines;  /* of this order */
    uint64_t total;  /* of all orders */
    uint64_t orders; /* finished */
    uint64_t elapsed_ms;
};

void generate_init(struct sim *s, uint64_t seed);
/* Begin; what ran before is replaced. */
void generate_start(struct sim *s, const struct generate_order *order);
void generate_stop(struct sim *s);
/* A queue became short again, or a channel was joined. */
void generate_wake(struct sim *s);
struct generate_state generate_look(const struct sim *s);
/* Close the handles; generate_free after the loop ended. */
void generate_close(struct sim *s);
void generate_free(struct sim *s);

#endif
