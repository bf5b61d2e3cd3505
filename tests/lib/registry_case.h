/* Registry case: what tests of single steps have in common: one world, its leader, and one node. */
#ifndef SHOAL_TESTS_REGISTRY_CASE_H
#define SHOAL_TESTS_REGISTRY_CASE_H

#include "tests/lib/registry_world.h"

extern struct world w;
extern struct registry_leader me;
extern struct world_node n1;

/* Setup (cmocka): a leader, and the node n1 with room for ten shards. */
int begin(void **state);
/* As begin, with a user that may speak and the channel foo on its main-shard. */
int begin_sending(void **state);
/* Teardown: whatever a test did, the invariants hold. */
int finish(void **state);

/* "NAME,VALUE": a setting, which must be taken. */
void set(const char *setting_and_value);
/* An entry in the outbox, as an application writes it; the id is good for eight more of them. */
const char *outbox(const char *fields);

#endif
