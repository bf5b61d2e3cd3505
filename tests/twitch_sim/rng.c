/* Splitmix64: enough for varied chat lines, and one multiplication wide. */
#include "tests/twitch_sim/rng.h"

void rng_init(struct rng *r, uint64_t seed)
{
    r->state = seed;
}

uint64_t rng_next(struct rng *r)
{
    uint64_t z = (r->state += 0x9e3779b97f4a7c15ULL);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

uint64_t rng_below(struct rng *r, uint64_t bound)
{
    BUG_ON(bound == 0 || bound > UINT32_MAX);
    return ((rng_next(r) >> 32) * bound) >> 32;
}

static char *hex_digits(char *out, uint64_t value, int digits)
{
    for (int i = digits - 1; i >= 0; i--) {
        *out++ = "0123456789abcdef"[(value >> (4 * i)) & 15];
    }
    return out;
}

void rng_uuid(struct rng *r, uint64_t unique, char out[UUID_CHARS])
{
    uint64_t bits = rng_next(r);
    char *p = hex_digits(out, bits >> 32, 8);

    *p++ = '-';
    p = hex_digits(p, bits >> 16, 4);
    *p++ = '-';
    *p++ = '4';
    p = hex_digits(p, bits, 3);
    *p++ = '-';
    p = hex_digits(p, 0x8000 | ((bits >> 12) & 0x3fff), 4);
    *p++ = '-';
    p = hex_digits(p, unique, 12);
    *p = '\0';
}

uint64_t fnv(uint64_t hash, const void *data, size_t len)
{
    const unsigned char *p = data;

    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ p[i]) * 0x100000001b3ULL;
    }
    return hash;
}
