/* Top, what its files share: top.c has the screen and the keys, top_rows.c the tables. */
#ifndef SHOAL_CTL_TOP_PRIVATE_H
#define SHOAL_CTL_TOP_PRIVATE_H

#include "coordinator/ctl/table.h"
#include "coordinator/ctl/top.h"

struct top_column {
    struct table_column shown;
    const char *by; /* the field it is sorted by */
};

struct top_table {
    const char *name; /* of the list in the document, and for people */
    const struct top_column *columns;
    size_t n;
    size_t sort;                                  /* the column it is sorted by at first */
    void (*add)(cJSON *row, const struct top *t); /* what is shown and not in the document */
    enum top_style (*style)(const cJSON *row);
};
extern const struct top_table top_tables[TOP_VIEWS];

/* Copies of the rows that the filter leaves, sorted, with what is shown; the caller deletes it. */
cJSON *top_rows(const struct top *t, const cJSON *all);
struct top_columns {
    size_t n;
    struct table_column shown[TABLE_MAX_COLUMNS];
    char titles[TABLE_MAX_COLUMNS][24];
};
/* The columns of the view that `width` has room for, the first ones first; the one that sorts is
 * marked. */
void top_columns(const struct top *t, const cJSON *rows, size_t width, struct top_columns *out);

#endif
