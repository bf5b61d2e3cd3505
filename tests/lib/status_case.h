/* Status case: what was read of a cluster that is well, for a test to change, and the status document
 * that is made of it. */
#ifndef SHOAL_TESTS_STATUS_CASE_H
#define SHOAL_TESTS_STATUS_CASE_H

#include "coordinator/status/status.h"

#define NOW 1700000000000 /* ms */

extern struct records records;
extern struct cluster_state whole;
extern struct look look;
extern cJSON *document; /* the newest; NULL: none was made */

/* Set up and tear down: a node, a shard of alice with ten channels, all joined. */
int begin_status(void **unused);
int end_status(void **unused);
/* Make the document of what there is. */
void make(void);
/* A member of the document. */
const cJSON *member(const char *name);
/* Put a setting in force. */
void setting(const char *name, const char *value);
/* Change a field of the array's first record. */
void put_text(cJSON *array, const char *name, const char *value);
void put_number(cJSON *array, const char *name, double value);

#endif
