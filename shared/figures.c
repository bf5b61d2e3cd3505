#include "shared/figures.h"

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
