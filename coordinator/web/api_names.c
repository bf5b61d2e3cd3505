/* Api, names of channels: all of them, read at once for whoever asks at the same time, so that a
 * page of a list costs no more than what stands on it. */
#include "coordinator/web/api_private.h"

#include <stdlib.h>
#include <utlist.h>

#define NAMES_MS 2000

void api_channels_free(struct cluster_channel *channels, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free((char *)channels[i].name);
        free((char *)channels[i].shard);
    }
    free(channels);
}

static void on_name(void *ctx, const struct cluster_channel *channel)
{
    struct api_names *names = &((struct api *)ctx)->names;

    if (names->nfresh == names->room) {
        names->room = names->room == 0 ? 1024 : 2 * names->room;
        names->fresh = xrealloc(names->fresh, names->room * sizeof(*names->fresh));
    }
    names->fresh[names->nfresh++] =
        (struct cluster_channel){xstrdup(channel->name), xstrdup(channel->shard)};
}

static void on_read(void *ctx, const struct err *err)
{
    struct api *a = ctx;
    struct api_names *names = &a->names;
    struct api_wait *waits = names->waits;
    struct api_wait *w;
    struct api_wait *next;

    if (err == NULL) {
        api_channels_free(names->channel, names->n);
        names->channel = names->fresh;
        names->n = names->nfresh;
        names->read_ms = mono_ms();
    } else {
        api_channels_free(names->fresh, names->nfresh);
    }
    names->fresh = NULL;
    names->nfresh = names->room = 0;
    names->waits = NULL;
    DL_FOREACH_SAFE(waits, w, next)
    {
        if (err == NULL) {
            w->take(w, NULL);
        } else {
            api_wait_unread(w, err);
        }
    }
}

void api_wait_for_names(struct api_wait *w, void (*take)(struct api_wait *w, const cJSON *document))
{
    struct api_names *names = &w->api->names;

    w->take = take;
    if (names->read_ms != 0 && mono_ms() - names->read_ms < NAMES_MS) {
        take(w, NULL);
        return;
    }
    DL_APPEND(names->waits, w);
    if (!cluster_reader_is_busy(names->reader)) {
        cluster_reader_begin(names->reader);
    }
}

void api_names_begin(struct api *a)
{
    const struct cluster_reader_options options = {
        .registry = a->registry, .on_channel_name = on_name, .on_done = on_read, .ctx = a};

    a->names.reader = cluster_reader_create(&options);
}

void api_names_end(struct api *a)
{
    cluster_reader_destroy(a->names.reader);
    api_channels_free(a->names.channel, a->names.n);
}
