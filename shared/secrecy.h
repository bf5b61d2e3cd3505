/* Secrecy: what this process holds in memory (tokens, Redis's password) does not leave it by the
 * kernel's hand. */
#ifndef SHOAL_SECRECY_H
#define SHOAL_SECRECY_H

/* From here on no core dump is written of this process, and no other one of the same user may read
 * its memory or environment or trace it (root may). Where a sanitizer is built in, the limit on
 * core dumps is all: LeakSanitizer traces its own process. Call it first in main. Children inherit
 * the limit alone. */
void secrecy_begin(void);

#endif
