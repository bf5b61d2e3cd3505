/* Registry lost: names are kept while the new view is read, which takes some milliseconds. */
#include "coordinator/chores/registry_lost.h"

#include "shared/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NAMED_BYTES 400 /* of the channels that are gone, so much is named */

void registry_lost_finish(struct registry_lost *l)
{
    buf_finish(&l->channels);
    buf_finish(&l->shards);
    l->due = false;
}

void registry_lost_begin(struct registry_lost *l, const struct cluster_view *view)
{
    l->due = true;
    l->channels.max = l->shards.max = SIZE_MAX / 2;
    for (const struct shard *s = cluster_view_shards(view); s != NULL; s = s->hh.next) {
        buf_append(&l->shards, s->id, strlen(s->id) + 1);
        for (const struct view_channel *c = s->channels; c != NULL; c = c->next) {
            buf_append(&l->channels, c->name, strlen(c->name) + 1);
        }
    }
}

void registry_lost_tell(struct registry_lost *l, const struct cluster_view *view,
                        struct leader *leader)
{
    struct buf named;
    char counts[2][24];
    uint64_t channels = 0;
    uint64_t shards = 0;

    if (!l->due) {
        return;
    }
    buf_init(&named, NAMED_BYTES);
    for (size_t at = 0; at < l->channels.len; at += strlen(l->channels.data + at) + 1) {
        const char *name = l->channels.data + at;
        if (view == NULL || cluster_view_shard_of(view, name) == NULL) {
            channels++;
            if (named.len + strlen(name) + 2 < NAMED_BYTES) {
                buf_printf(&named, "%s%s", named.len > 0 ? " " : "", name);
            }
        }
    }
    for (size_t at = 0; at < l->shards.len; at += strlen(l->shards.data + at) + 1) {
        shards += view == NULL || cluster_view_shard(view, l->shards.data + at) == NULL;
    }
    buf_append_char(&named, '\0');
    log_error(
        "coordinator", "registry.lost", "channels", log_u64(channels), "shards", log_u64(shards),
        "first", named.data, "mend",
        "Redis lost what it held, or was emptied: join the channels again; see its persistence "
        "(appendonly) and maxmemory-policy",
        NULL);
    snprintf(counts[0], sizeof(counts[0]), "%" PRIu64, channels);
    snprintf(counts[1], sizeof(counts[1]), "%" PRIu64, shards);
    const struct slice args[] = {slice_of(counts[0]), slice_of(counts[1]), slice_of(named.data)};
    leader_tell(leader, "tell_lost", args, ARRAY_LEN(args));
    buf_finish(&named);
    registry_lost_finish(l);
}
