/* Rng: a small seeded random generator, so that a run can be repeated. Not for secrets. */
#ifndef SIM_RNG_H
#define SIM_RNG_H

#include "shared/base.h"

#define UUID_CHARS 37 /* with the NUL */

struct rng {
    uint64_t state;
};

/* The same seed gives the same sequence. */
void rng_init(struct rng *r, uint64_t seed);
uint64_t rng_next(struct rng *r);
/* A number below `bound` (0 < bound < 2^32). */
uint64_t rng_below(struct rng *r, uint64_t bound);
/* A lower case UUID. The last 12 digits are `unique`, so that ids made with different numbers differ. */
void rng_uuid(struct rng *r, uint64_t unique, char out[UUID_CHARS]);
/* FNV-1a, 64 bits: `hash` is FNV_START or what an earlier call returned. */
uint64_t fnv(uint64_t hash, const void *data, size_t len);
#define FNV_START 0xcbf29ce484222325ULL

#endif
