/* Status, what its files share: status.c gathers, status_problems.c judges. */
#ifndef SHOAL_COORDINATOR_STATUS_PRIVATE_H
#define SHOAL_COORDINATOR_STATUS_PRIVATE_H

#include "coordinator/status/status.h"

/* Judge what was gathered into the document: its problems. */
void status_add_problems(const struct status_facts *f, cJSON *document);
/* The setting as a number; 0 where it is switched off. */
uint64_t status_limit(const struct status_facts *f, const char *name);

#endif
