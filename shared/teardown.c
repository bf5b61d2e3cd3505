/* Teardown: counts what is still to go. See teardown.h. */
#include "shared/teardown.h"

void teardown_begin(struct teardown *t, void (*finish)(void *owner), void *owner,
                    void (*on_closed)(void *ctx), void *ctx)
{
    BUG_ON(t->begun);
    *t = (struct teardown){
        .begun = true, .finish = finish, .owner = owner, .on_closed = on_closed, .ctx = ctx};
}

void *teardown_part(struct teardown *t)
{
    BUG_ON(!t->begun);
    t->parts++;
    return t;
}

void teardown_part_gone(void *part)
{
    struct teardown *t = part;

    BUG_ON(t->parts == 0);
    if (--t->parts == 0) {
        struct teardown last = *t; /* it goes with its owner */
        last.finish(last.owner);
        if (last.on_closed != NULL) {
            last.on_closed(last.ctx);
        }
    }
}

static void on_handle_closed(uv_handle_t *handle)
{
    teardown_part_gone(handle->data);
}

void teardown_handle(struct teardown *t, uv_handle_t *handle)
{
    handle->data = teardown_part(t);
    uv_close(handle, on_handle_closed);
}
