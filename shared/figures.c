#include "shared/figures.h"

#include <string.h>

#define ROW(kind, name, type, by, unit, column, help)                                              \
    {#name,  FIGURE_##type, offsetof(struct figures_##kind, name), FIGURE_BY_##by, unit,           \
     column, help},
#define NODE_ROW(...)    ROW(node, __VA_ARGS__)
#define SHARD_ROW(...)   ROW(shard, __VA_ARGS__)
#define CHANNEL_ROW(...) ROW(channel, __VA_ARGS__)
#define ACCOUNT_ROW(...) ROW(account, __VA_ARGS__)

const struct figure figures_of_node[] = {FIGURES_OF_NODE(NODE_ROW){0}};
const struct figure figures_of_shard[] = {FIGURES_OF_SHARD(SHARD_ROW){0}};
const struct figure figures_of_channel[] = {FIGURES_OF_CHANNEL(CHANNEL_ROW){0}};
const struct figure figures_of_account[] = {FIGURES_OF_ACCOUNT(ACCOUNT_ROW){0}};

const struct figure *figure_find(const struct figure *figures, struct slice name)
{
    while (figures->name != NULL && !slice_is(name, figures->name)) {
        figures++;
    }
    return figures->name != NULL ? figures : NULL;
}

struct slice figure_text(const struct figure *f, const void *of)
{
    return *(const struct slice *)((const char *)of + f->offset);
}

int64_t figure_number(const struct figure *f, const void *of)
{
    return *(const int64_t *)((const char *)of + f->offset); /* all of them are 64 bits */
}

void figures_rest(const struct figure *figures, void *of)
{
    for (const struct figure *f = figures; f->name != NULL; f++) {
        if (f->type == FIGURE_LIVE) {
            *(uint64_t *)((char *)of + f->offset) = 0;
        }
    }
}

bool figures_speaks(const char *shard)
{
    static const char prefix[] = "speaker-shard-"; /* as 03_speakers.lua names them */

    return strncmp(shard, prefix, sizeof(prefix) - 1) == 0;
}

static bool has_moved(const struct figure *f, uint64_t told, uint64_t now)
{
    uint64_t least = told < now ? told : now;
    uint64_t most = told < now ? now : told;

    if (f->type != FIGURE_LIVE) {
        return told != now;
    }
    return most - least > most / 10 &&
           (strcmp(f->unit, "ms") != 0 || most - least > FIGURE_MOVES_MS);
}

bool figures_moved(const struct figure *figures, const void *told, const void *now)
{
    bool moved = false;

    for (const struct figure *f = figures; f->name != NULL && !moved; f++) {
        moved = f->by == FIGURE_BY_NODE && f->type != FIGURE_TEXT &&
                has_moved(f, (uint64_t)figure_number(f, told), (uint64_t)figure_number(f, now));
    }
    return moved;
}
