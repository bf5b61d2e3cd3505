/* Link group: a list of links, and what was told in their name. */
#include "shared/redis/link_group.h"

#include "shared/log.h"
#include "shared/redis/link_private.h"

#include <stdio.h>
#include <string.h>
#include <utlist.h>

void link_group_drop(struct link_group *g, const struct link *but, uint64_t before_ms,
                     const char *why)
{
    struct link *link;

    DL_FOREACH(g->links, link)
    {
        if (link == but || !link_is_up(link) || link->up_ms >= before_ms) {
            continue;
        }
        if (link->o.on_leave != NULL) {
            link->o.on_leave(link->o.ctx, why);
        } else {
            link_reset(link, why);
        }
    }
}

void link_group_server(struct link_group *g, const struct link *link, const char *run_id)
{
    if (g == NULL || strcmp(g->run_id, run_id) == 0) {
        return;
    }
    if (g->run_id[0] != '\0' && link->down_ms > 0) {
        link_group_drop(g, link, link->down_ms, "another server is behind redis_url now");
    }
    snprintf(g->run_id, sizeof(g->run_id), "%s", run_id);
}

void link_group_tell(struct link_group *g, const char *link_name, const struct redisReply *reply)
{
    const struct refusal *r = refusal_of(reply);
    struct err err;

    if (r->kind == REFUSAL_RIGHT || r->kind == REFUSAL_NO_COMMAND) {
        g->look_at_rights = true;
        return;
    }
    if (r->kind == REFUSAL_NO_LIBRARY) {
        return; /* a cluster that is not set up yet, which is told in other words */
    }
    err_set(&err, ERR_UNABLE, "%.*s", (int)reply->len, reply->str);
    if (trouble_is_news(&g->told[r->kind], &err, mono_ms())) {
        log_warn("redis", "redis.refused", "link", link_name, "error", err.text, "mend", r->mend,
                 NULL);
    }
}
