/* Bell: how far waiting is for something that is added to a stream (registry_await_requests,
 * registry_await_sends). Intake and outbox have one each, on a link of its own, since it blocks. */
#ifndef SHOAL_COORDINATOR_BELL_H
#define SHOAL_COORDINATOR_BELL_H

#include "shared/machine.h"

#define BELL_BLOCK_MS 2000 /* a command has 3 s on a link */

/* BELL_RANG: it is waited for again after what it rang for was taken, or after a while. */
enum bell { BELL_IDLE, BELL_AWAITED, BELL_RANG };

extern const struct machine_type bell_machine;

/* It was answered, awaited since then (mono_ms): did something ring it, or was its time over? What
 * was added in the last moment may be taken for that: then it rings at once when it is awaited
 * again, behind the same place. */
bool bell_has_rung(uint64_t since_ms);

#endif
