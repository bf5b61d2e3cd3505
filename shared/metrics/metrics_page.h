/* Metrics page: what GET /metrics answers, of either daemon: what the process tells of itself, and
 * what its owner writes. A text is kept for a quarter of a second, so that a flood of scrapes costs
 * little.
 *
 * In the memory of whom it belongs to. Loop thread only. */
#ifndef SHOAL_METRICS_METRICS_PAGE_H
#define SHOAL_METRICS_METRICS_PAGE_H

#include "shared/metrics/process_meters.h"
#include "shared/teardown.h"
#include "shared/web/web.h"

struct metrics_page {
    struct process_meters process;
    void (*write)(void *ctx, struct exposition *e);
    void *ctx;
    struct {
        struct buf text;
        uint64_t until_ms; /* it is fresh */
    } formats[2];          /* plain, OpenMetrics */
};

/* `write`: write all meters of the owner. */
void metrics_page_begin(struct metrics_page *p, uv_loop_t *loop,
                        void (*write)(void *ctx, struct exposition *e), void *ctx);
/* Its timer is a part of `t`; nothing is asked of it any more. Not begun (all zeros) is fine. */
void metrics_page_end(struct metrics_page *p, struct teardown *t);
/* In the format that the client likes. */
void metrics_page_answer(struct metrics_page *p, struct web_request *r);
/* The text in that format, valid until the next call; empty: it is too long to be shown. */
struct slice metrics_page_text(struct metrics_page *p, bool openmetrics);

#endif
