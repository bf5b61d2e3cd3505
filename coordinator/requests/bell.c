/* Bell: its states. See bell.h. */
#include "coordinator/requests/bell.h"

static const struct machine_state bells[] = {
    [BELL_IDLE] = {"idle", MACHINE_BIT(BELL_AWAITED)},
    [BELL_AWAITED] = {"awaited", MACHINE_BIT(BELL_IDLE) | MACHINE_BIT(BELL_RANG)},
    [BELL_RANG] = {"rang", MACHINE_BIT(BELL_IDLE)},
};
const struct machine_type bell_machine = {NULL, bells, ARRAY_LEN(bells), NULL, NULL};

bool bell_has_rung(uint64_t since_ms)
{
    return mono_ms() - since_ms < BELL_BLOCK_MS;
}
