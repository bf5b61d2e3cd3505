/* Rights watch: when to ask, and what to make of the answer. */
#include "shared/redis/rights_watch.h"

#include "shared/log.h"

static void on_rights(void *ctx, const struct err *missing, bool transactions)
{
    struct rights_watch *w = ctx;

    w->asking = NULL;
    if (missing == NULL) {
        if (trouble_over(&w->trouble)) {
            log_info("redis", "redis.rights_are_back", NULL);
        }
        w->begun = true;
    } else if (w->begun && trouble_is_news(&w->trouble, missing, mono_ms())) {
        log_warn("redis", "redis.rights", "error", missing->text, NULL);
    }
    w->on_answer(w->ctx, w->begun ? NULL : missing, transactions);
}

bool rights_watch_look(struct rights_watch *w)
{
    struct link_group *group = w->link.group;

    if (w->asking == NULL && (!w->begun || (group != NULL && group->look_at_rights))) {
        if (group != NULL) {
            group->look_at_rights = false;
        }
        w->asking = rights_ask(w->loop, &w->link, w->cluster, w->who, "*", on_rights, w);
    }
    return w->asking != NULL;
}

void rights_watch_stop(struct rights_watch *w)
{
    if (w->asking != NULL) {
        rights_close(w->asking);
        w->asking = NULL;
    }
}
