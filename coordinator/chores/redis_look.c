/* Redis look: the findings that are wrong, as log lines and events. */
#include "coordinator/chores/redis_look.h"

#include "shared/log.h"

#include <stdio.h>

static void tell(struct redis_look *r, const struct look_finding *f)
{
    char text[400];

    log_warn("coordinator", "redis.unsafe", "what", f->what, "found", f->text, "mend", f->mend,
             NULL);
    snprintf(text, sizeof(text), "%s: %s; %s", f->what, f->text, f->mend);
    const struct slice args[] = {SLICE("where"), SLICE("redis"), SLICE("error"), slice_of(text)};
    leader_tell(r->leader, "tell_error", args, ARRAY_LEN(args));
}

static void on_done(void *ctx, const struct look *l)
{
    struct redis_look *r = ctx;

    for (size_t i = 0; i < l->n; i++) {
        if (l->finding[i].verdict == LOOK_WRONG) {
            tell(r, &l->finding[i]);
        } else if (l->finding[i].verdict == LOOK_UNKNOWN) {
            log_info("coordinator", "redis.unknown", "what", l->finding[i].what, "why",
                     l->finding[i].text, NULL);
        }
    }
}

void redis_look_begin(struct redis_look *r, struct leader *leader, unsigned db)
{
    r->leader = leader;
    if (!look_is_under_way(&r->look) &&
        look_begin(&r->look, leader_registry(leader), db, on_done, r) != 0) {
        log_debug("coordinator", "redis.unseen", "why", "the link to Redis is down", NULL);
    }
}
