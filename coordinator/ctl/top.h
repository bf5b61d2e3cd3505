/* Top: the cluster as it changes, on a terminal: what is shown, and what keys do to it.
 *
 *   status document + keys -> lines, each with a style -> cmd_top.c puts them on the terminal
 *
 * Pure: it knows no terminal. A line has no control characters, whatever came from Redis. */
#ifndef SHOAL_CTL_TOP_H
#define SHOAL_CTL_TOP_H

#include "shared/base.h"

#include <cjson/cJSON.h>

enum top_view { TOP_SHARDS, TOP_NODES, TOP_ACCOUNTS, TOP_VIEWS };

/* Keys beside characters, which are themselves. */
enum top_key {
    TOP_KEY_ENTER = 0x110000,
    TOP_KEY_ESCAPE,
    TOP_KEY_BACKSPACE,
    TOP_KEY_TAB,
    TOP_KEY_BACK_TAB,
    TOP_KEY_UP,
    TOP_KEY_DOWN,
    TOP_KEY_PAGE_UP,
    TOP_KEY_PAGE_DOWN,
    TOP_KEY_HOME,
    TOP_KEY_END,
    TOP_KEY_OTHER
};

enum top_style {
    TOP_PLAIN,
    TOP_GOOD,   /* healthy */
    TOP_WAITS,  /* on its way */
    TOP_BAD,    /* wrong */
    TOP_TITLES, /* of a table */
    TOP_FAINT,  /* what one may press */
    TOP_STYLES
};

struct top {
    enum top_view view;
    size_t sort[TOP_VIEWS]; /* the column each is sorted by */
    bool turned[TOP_VIEWS]; /* the other way round */
    size_t first;           /* row that is shown first */
    size_t page;            /* rows there was room for */
    char filter[40];        /* rows that have it somewhere; "": all */
    bool typing;            /* the filter is being typed */
    bool help;              /* instead of the table */
    bool quits;             /* somebody wants to leave */
    const cJSON *document;  /* the newest status document; borrowed */
    const char *away;       /* why Redis does not answer; NULL: it does */
};

void top_init(struct top *t);
/* A key: a character, or one of top_key. */
void top_press(struct top *t, uint32_t key);
/* Tell each line of a screen of so many columns and lines, from the first on; `text` is one line no
 * wider than that. */
void top_draw(struct top *t, size_t columns, size_t lines,
              void (*line)(void *ctx, enum top_style style, struct slice text), void *ctx);

#endif
