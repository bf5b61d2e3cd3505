/* Process meters: what both daemons tell of themselves, whatever they do: build, CPU, memory,
 * files, and how late their loop is.
 *
 * Measured when they are written, but for the loop: a timer of 100 ms says how late it is. Begin
 * them where somebody may ask (--http-listen). Loop thread only. */
#ifndef SHOAL_METRICS_PROCESS_METERS_H
#define SHOAL_METRICS_PROCESS_METERS_H

#include "shared/metrics/exposition.h"

#include <uv.h>

/* X(name, type, unit, label, help): see meter.h. */
#define METERS_OF_PROCESS(X)                                                                       \
    X(build_info, INFO, "", VERSION, "its version of Shoal")                                       \
    X(process_start_time_seconds, GAUGE, "seconds", NONE, "when it was started, since 1970")       \
    X(process_cpu_seconds_total, SECONDS, "seconds", NONE, "CPU time it used")                     \
    X(process_resident_memory_bytes, GAUGE, "bytes", NONE, "memory it has")                        \
    X(process_open_fds, GAUGE, "", NONE, "files and sockets it has open")                          \
    X(process_max_fds, GAUGE, "", NONE, "and may have open")                                       \
    X(loop_delay_seconds, HISTOGRAM, "seconds", NONE, "how late a timer of 100 ms was")

#define METER_LABEL_VERSION {"version", 1, NULL}
#define METER_DIM_VERSION

struct meters_process {
    METERS_OF_PROCESS(METER_MEMBER)
};

struct process_meters {
    struct meters_process values;
    uv_timer_t timer; /* who began closes it, by teardown_handle or uv_close */
    uint64_t due_us;  /* when it should fire */
};

/* The rows, closed by one without name. */
extern const struct meter meters_of_process[];

/* Start to measure. In the memory of whom it belongs to, until `timer` is closed. */
void process_meters_begin(struct process_meters *p, uv_loop_t *loop);
/* Look, and write all of it. */
void process_meters_write(struct process_meters *p, struct exposition *e);

#endif
