/* Person: somebody of the made-up crowd that talks in made-up chat. */
#ifndef SIM_PERSON_H
#define SIM_PERSON_H

#include "tests/twitch_sim/user.h"

#include "tests/twitch_sim/rng.h"

struct person {
    char login[LOGIN_CHARS];
    char display[64];
    char color[8];
    char badges[96];
    char badge_info[32];
    char id[16];
    int moderator;
    int subscriber;
    int turbo;
};

/* Fill in a zeroed person; `number` makes the login unique. */
void person_make(struct rng *rng, struct person *p, size_t number);

#endif
