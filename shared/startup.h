/* Startup: when a daemon that cannot get at Redis gives up, and what it says then.
 *
 * Before Redis was usable for the first time, the first failure is logged as a warning and the
 * daemon goes on trying; it gives up after a while, and at once where trying again cannot help (the
 * password is wrong, Redis has no functions). A Redis that still loads its data is waited for:
 * gigabytes take minutes, and the while begins when it was last seen to. After it was usable once,
 * a daemon never exits for Redis's reasons. Embedded in its owner, which must outlive the close of
 * the timer. Loop thread only. */
#ifndef SHOAL_STARTUP_H
#define SHOAL_STARTUP_H

#include "shared/err.h"

#include <uv.h>

struct startup {
    uv_timer_t timer;
    uint64_t patience_ms;
    bool over;       /* Redis was usable, or on_give_up was called */
    bool warned;     /* the first failure was logged */
    struct err last; /* why it did not work, the last time */
    void (*on_give_up)(void *ctx, const struct err *why);
    void *ctx;
};

/* Begin to wait: on_give_up is called once after `patience_ms` or sooner, unless startup_succeeded
 * comes first; it begins anew with each ERR_LOADING. `why` is one clear message;
 * err_exit_code(why->code) is the exit code. */
void startup_begin(struct startup *s, uv_loop_t *loop, uint64_t patience_ms,
                   void (*on_give_up)(void *ctx, const struct err *why), void *ctx);
/* Something failed; may be called at any time, and does nothing after startup is over. */
void startup_failed(struct startup *s, const struct err *why);
/* Redis is usable. */
void startup_succeeded(struct startup *s);
bool startup_is_over(const struct startup *s);
/* Let go of the timer, so that the loop can end; idempotent. */
void startup_close(struct startup *s);

#endif
