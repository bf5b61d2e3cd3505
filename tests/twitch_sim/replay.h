/* Replay: recorded chat, sent again in its order. */
#ifndef SIM_REPLAY_H
#define SIM_REPLAY_H

#include "tests/twitch_sim/sim.h"

struct replay_state {
    bool loaded;
    bool running;
    bool done;
    uint64_t lines;   /* sent */
    uint64_t skipped; /* nobody was joined, or no room line */
};

/* Look whether the file can be read. `rate` in lines/s, 0: as fast as it goes. `when_joined`: begin
 * once that many channels are joined; 0: when told. */
MUST_USE int replay_init(struct sim *s, const char *path, double rate, uint64_t when_joined,
                         struct err *err);
/* Begin from the first line; false if there is no file. */
bool replay_start(struct sim *s);
/* A channel was joined. */
void replay_on_join(struct sim *s);
struct replay_state replay_look(const struct sim *s);
void replay_close(struct sim *s);
void replay_free(struct sim *s);

#endif
