/* Exposition: meters as Prometheus reads them: its text format 0.0.4, or OpenMetrics 1.0. (Debian
 * has a client library of Prometheus for C++, and none for C.)
 *
 *     struct exposition e = {.out = &buf, .openmetrics = exposition_is_openmetrics(accept)};
 *     exposition_write(&e, meters_of_door, &meters);
 *     exposition_write_each(&e, meters_of_window, windows, nwindows);
 *     exposition_end(&e);
 *
 * Each row is written once, with HELP, TYPE and (OpenMetrics) UNIT: so all that have a row in
 * common are written in one call. Labels are input: what is not safe (text.h) becomes '?', and
 * 128 bytes are shown. The bound is that of the buf. */
#ifndef SHOAL_METRICS_EXPOSITION_H
#define SHOAL_METRICS_EXPOSITION_H

#include "shared/buf.h"
#include "shared/metrics/meter.h"

struct exposition {
    struct buf *out; /* (borrowed) */
    bool openmetrics;
};

/* One of several that have the same rows, and what tells it apart. */
struct exposition_of {
    const void *meters; /* their struct */
    struct {
        const char *name; /* NULL: no (second) label */
        struct slice value;
    } labels[2];
};

/* What the client's Accept header asks for: OpenMetrics 1.0 where it likes that as much as plain
 * text, or more. */
bool exposition_is_openmetrics(struct slice accept);
/* The Content-Type that goes with it. */
const char *exposition_content_type(bool openmetrics);

/* `rows` are closed by one without name. */
void exposition_write(struct exposition *e, const struct meter *rows, const void *meters);
/* The same of `n`; of none nothing is written. */
void exposition_write_each(struct exposition *e, const struct meter *rows,
                           const struct exposition_of *each, size_t n);
/* Nothing follows. */
void exposition_end(struct exposition *e);

#endif
