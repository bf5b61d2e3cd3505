/* Outbox: one blocking read after the other. */
#include "node/outbox.h"

#include "shared/log.h"
#include "shared/trouble.h"

#include <stdio.h>
#include <stdlib.h>

#define BLOCK_MS 5000

struct outbox {
    struct link *link;
    struct registry *registry;
    char after[48];
    struct trouble trouble;
    void (*on_entry)(void *ctx, const struct registry_entry *entry);
    void *ctx;
    void (*on_closed)(void *ctx);
    void *closed_ctx;
};

static void read_more(struct outbox *o);

static void on_entries(void *ctx, const struct registry_entry *entries, size_t n,
                       const struct err *err)
{
    struct outbox *o = ctx;

    if (err != NULL) {
        if (err->code == ERR_REPLY && trouble_is_news(&o->trouble, err, mono_ms())) {
            log_warn("node", "outbox.read", "error", err->text, NULL);
        }
        if (!err_is_silence(err)) {
            link_refuse(o->link, err->text);
        }
        return; /* on_up begins anew */
    }
    trouble_over(&o->trouble);
    for (size_t i = 0; i < n; i++) {
        o->on_entry(o->ctx, &entries[i]);
    }
    if (n > 0) {
        snprintf(o->after, sizeof(o->after), "%.*s", (int)entries[n - 1].id.len,
                 entries[n - 1].id.ptr);
    }
    read_more(o);
}

static void read_more(struct outbox *o)
{
    if (registry_read_stream(o->registry, "outbox", o->after, BLOCK_MS, on_entries, o) != 0) {
        log_debug("node", "outbox.down", NULL);
    }
}

static void on_up(void *ctx)
{
    struct outbox *o = ctx;

    snprintf(o->after, sizeof(o->after), "0-0");
    read_more(o);
}

static void on_down(void *ctx, const struct err *why)
{
    (void)ctx;
    log_debug("node", "redis.down", "link", "outbox", "error", why->text, NULL);
}

struct outbox *outbox_create(uv_loop_t *loop, const struct link_options *link, const char *cluster,
                             void (*on_entry)(void *ctx, const struct registry_entry *entry),
                             void *ctx)
{
    struct outbox *o = xcalloc(1, sizeof(*o));
    struct link_options own = *link;

    o->on_entry = on_entry;
    o->ctx = ctx;
    own.on_up = on_up;
    own.on_down = on_down;
    own.ctx = o;
    o->link = link_create(loop, &own);
    o->registry = registry_create(o->link, cluster);
    return o;
}

static void on_link_closed(void *ctx)
{
    struct outbox *o = ctx;
    void (*on_closed)(void *ctx) = o->on_closed;
    void *closed_ctx = o->closed_ctx;

    registry_destroy(o->registry);
    free(o);
    on_closed(closed_ctx);
}

void outbox_close(struct outbox *o, void (*on_closed)(void *ctx), void *ctx)
{
    o->on_closed = on_closed;
    o->closed_ctx = ctx;
    link_close(o->link, on_link_closed, o);
}
