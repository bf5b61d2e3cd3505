/* Meter: what a process counts and measures, a row each, for /metrics.
 *
 *     #define METERS_OF_DOOR(X)                                                     \
 *         X(door_opened_total, COUNTER, "", NONE, "times it was opened")            \
 *         X(door_refused_total, COUNTER, "", REASON, "who was not let in, and why") \
 *         X(door_open_seconds, HISTOGRAM, "seconds", NONE, "how long it was open")
 *     struct meters_door { METERS_OF_DOOR(METER_MEMBER) };
 *     const struct meter meters_of_door[] = {METERS_OF_DOOR(DOOR_ROW){0}};
 *
 *     meters.door_opened_total++;
 *     meters.door_refused_total[REASON_LATE]++;
 *     histogram_add(&meters.door_open_seconds, us);
 *
 * A row is a member of the struct, and what /metrics shows: its name has its unit in it, a counter
 * ends in _total. To count is to add to an integer. exposition.h writes them. Loop thread only. */
#ifndef SHOAL_METRICS_METER_H
#define SHOAL_METRICS_METER_H

#include "shared/base.h"

enum meter_type {
    METER_COUNTER,   /* only grows while the process lives */
    METER_SECONDS,   /* so does this; in microseconds, shown in seconds */
    METER_GAUGE,     /* goes up and down; NAN: not known, and not shown */
    METER_HISTOGRAM, /* of times */
    METER_INFO       /* a text, which its label shows; NULL: not shown */
};

/* The bounds of all histograms: 100 us to 30 min. */
#define HISTOGRAM_BOUNDS 20
extern const uint64_t histogram_bounds_us[HISTOGRAM_BOUNDS];

struct histogram {
    uint64_t counts[HISTOGRAM_BOUNDS + 1]; /* up to each bound, beyond the one before; the rest */
    uint64_t sum_us;
    uint64_t last_us;  /* the newest since histogram_take_last, */
    uint64_t worst_us; /* and the longest since histogram_take_worst */
};
/* It took so long. */
void histogram_add(struct histogram *h, uint64_t us);
/* The longest, or the newest, since this was called last, by its one caller; 0: none since. */
uint64_t histogram_take_worst(struct histogram *h);
uint64_t histogram_take_last(struct histogram *h);

/* A label with a fixed set of values, of which a row has one number each. */
struct meter_label {
    const char *name; /* NULL: no label */
    size_t n;         /* values; 1 for a METER_INFO */
    const char *(*value)(size_t i);
};
/* Label L of a row: METER_LABEL_L is its struct meter_label, METER_DIM_L is [n]. These are for rows
 * without one. */
#define METER_LABEL_NONE {NULL, 1, NULL}
#define METER_DIM_NONE

struct meter {
    const char *name; /* without "shoal_"; those named process_* are called so everywhere */
    enum meter_type type;
    const char *unit; /* "seconds", "bytes" or "" */
    struct meter_label label;
    size_t offset; /* in the struct */
    const char *help;
};

#define METER_MEMBER_COUNTER                        uint64_t
#define METER_MEMBER_SECONDS                        uint64_t
#define METER_MEMBER_GAUGE                          double
#define METER_MEMBER_HISTOGRAM                      struct histogram
#define METER_MEMBER_INFO                           const char *
#define METER_MEMBER(name, type, unit, label, help) METER_MEMBER_##type name METER_DIM_##label;
/* A row of the meters of struct `of`; the rows are closed by one without name. */
#define METER_ROW(of, name, type, unit, label, help)                                               \
    {#name, METER_##type, unit, METER_LABEL_##label, offsetof(of, name), help},

#endif
