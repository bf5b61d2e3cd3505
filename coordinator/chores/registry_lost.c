/* Registry lost: names are kept while the new view is read, which takes some milliseconds. */
#include "coordinator/chores/registry_lost.h"

#include "shared/buf.h"
#include "shared/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMED_BYTES 400 /* of the channels that are gone, so much is named */

static void add(char ***names, size_t *n, const char *name)
{
    *names = xrealloc(*names, (*n + 1) * sizeof(**names));
    (*names)[(*n)++] = xstrdup(name);
}

static void names_finish(char **names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(names[i]);
    }
    free(names);
}

void registry_lost_finish(struct registry_lost *l)
{
    names_finish(l->channels, l->nchannels);
    names_finish(l->shards, l->nshards);
    *l = (struct registry_lost){0};
}

void registry_lost_begin(struct registry_lost *l, const struct cluster_view *view)
{
    l->due = true;
    for (const struct shard *s = cluster_view_shards(view); s != NULL; s = s->hh.next) {
        add(&l->shards, &l->nshards, s->id);
        for (const struct view_channel *c = s->channels; c != NULL; c = c->next) {
            add(&l->channels, &l->nchannels, c->name);
        }
    }
}

static void publish(struct leader *leader, uint64_t channels, uint64_t shards, const char *names)
{
    char counts[2][24];
    snprintf(counts[0], sizeof(counts[0]), "%llu", (unsigned long long)channels);
    snprintf(counts[1], sizeof(counts[1]), "%llu", (unsigned long long)shards);
    struct slice args[] = {slice_of(counts[0]), slice_of(counts[1]), slice_of(names)};

    leader_tell(leader, "tell_lost", args, ARRAY_LEN(args));
}

void registry_lost_tell(struct registry_lost *l, const struct cluster_view *view,
                        struct leader *leader)
{
    struct buf named;
    uint64_t channels = 0;
    uint64_t shards = 0;

    if (!l->due) {
        return;
    }
    buf_init(&named, NAMED_BYTES);
    for (size_t i = 0; i < l->nchannels; i++) {
        if (view == NULL || cluster_view_shard_of(view, l->channels[i]) == NULL) {
            channels++;
            if (named.len + strlen(l->channels[i]) + 2 < NAMED_BYTES) {
                buf_printf(&named, "%s%s", named.len > 0 ? " " : "", l->channels[i]);
            }
        }
    }
    for (size_t i = 0; i < l->nshards; i++) {
        shards += view == NULL || cluster_view_shard(view, l->shards[i]) == NULL;
    }
    buf_append_char(&named, '\0');
    log_error(
        "coordinator", "registry.lost", "channels", log_u64(channels), "shards", log_u64(shards),
        "first", named.data, "mend",
        "Redis lost what it held, or was emptied: join the channels again; see its persistence "
        "(appendonly) and maxmemory-policy",
        NULL);
    publish(leader, channels, shards, named.data);
    buf_finish(&named);
    registry_lost_finish(l);
}
