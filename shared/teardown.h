/* Teardown: an owner lets go of its parts; when the last of them is gone, so is it.
 *
 *     teardown_begin(&x->teardown, x_finish, x, on_closed, ctx);
 *     teardown_handle(&x->teardown, (uv_handle_t *)&x->timer);
 *     link_close(x->link, teardown_part_gone, teardown_part(&x->teardown));
 *
 * Each part goes later, from the loop. Embedded in its owner, all zeros before. Loop thread
 * only. */
#ifndef SHOAL_TEARDOWN_H
#define SHOAL_TEARDOWN_H

#include "shared/base.h"

#include <uv.h>

struct teardown {
    bool begun;     /* read it */
    unsigned parts; /* to go */
    void (*finish)(void *owner);
    void *owner;
    void (*on_closed)(void *ctx);
    void *ctx;
};

/* Begin, once. When all parts are gone `finish` is called, which frees the owner, and then
 * `on_closed`, which may be NULL. */
void teardown_begin(struct teardown *t, void (*finish)(void *owner), void *owner,
                    void (*on_closed)(void *ctx), void *ctx);
/* One part more: call teardown_part_gone with what this returns when the part is gone. */
void *teardown_part(struct teardown *t);
void teardown_part_gone(void *part);
/* Close a handle; it is a part, and its data is not the owner's any more. */
void teardown_handle(struct teardown *t, uv_handle_t *handle);

#endif
