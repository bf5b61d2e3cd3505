/* Metrics page: two texts, each made when somebody asks and the one before is no longer fresh. */
#include "shared/metrics/metrics_page.h"

#include "shared/web/web_limits.h"

#define FRESH_MS 250

void metrics_page_begin(struct metrics_page *p, uv_loop_t *loop,
                        void (*write)(void *ctx, struct exposition *e), void *ctx)
{
    process_meters_begin(&p->process, loop);
    p->write = write;
    p->ctx = ctx;
    for (size_t i = 0; i < ARRAY_LEN(p->formats); i++) {
        buf_init(&p->formats[i].text, WEB_ANSWER_MAX);
        p->formats[i].until_ms = 0;
    }
}

void metrics_page_end(struct metrics_page *p, struct teardown *t)
{
    if (p->write == NULL) {
        return;
    }
    p->write = NULL;
    for (size_t i = 0; i < ARRAY_LEN(p->formats); i++) {
        buf_finish(&p->formats[i].text);
    }
    teardown_handle(t, (uv_handle_t *)&p->process.timer);
}

struct slice metrics_page_text(struct metrics_page *p, bool openmetrics)
{
    struct buf *text = &p->formats[openmetrics].text;
    struct exposition e = {.out = text, .openmetrics = openmetrics};
    uint64_t now = mono_ms();

    if (now >= p->formats[openmetrics].until_ms) {
        buf_clear(text);
        process_meters_write(&p->process, &e);
        p->write(p->ctx, &e);
        exposition_end(&e);
        p->formats[openmetrics].until_ms = now + FRESH_MS;
    }
    return text->overflow ? SLICE("") : buf_slice(text);
}

void metrics_page_answer(struct metrics_page *p, struct web_request *r)
{
    bool openmetrics = exposition_is_openmetrics(web_request_header(r, "accept"));
    struct slice text = metrics_page_text(p, openmetrics);

    if (text.len == 0) {
        web_answer_error(r, 500, "all metrics together are over %d bytes", WEB_ANSWER_MAX);
        return;
    }
    web_answer(r, 200, exposition_content_type(openmetrics), text);
}
