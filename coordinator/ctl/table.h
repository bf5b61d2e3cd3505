/* Table: records as aligned columns for people, or one JSON object a line for programs.
 *
 * A record is a cJSON object of strings and numbers. What comes from outside is printed without
 * control characters: a terminal would obey them. */
#ifndef SHOAL_CTL_TABLE_H
#define SHOAL_CTL_TABLE_H

#include "shared/buf.h"

#include <cjson/cJSON.h>
#include <stdio.h>

#define TABLE_MAX_COLUMNS 24

struct table_column {
    const char *title; /* "CHANNEL" */
    const char *field; /* of the record */
    bool right;        /* aligned to the right: numbers */
};

/* The columns and lines of the terminal that standard output is; 0: it is none. */
size_t table_width(void);
size_t table_height(void);
/* Print titles and an array of records, in `most_width` columns (0: any): where they do not fit,
 * the widest texts are cut, which "~" at their ends tells, and the last columns left out. */
void table_print(FILE *out, size_t most_width, const struct table_column *columns, size_t n,
                 const cJSON *records);
/* How wide each column is where nothing is cut. */
void table_widths(const struct table_column *columns, size_t n, const cJSON *records,
                  size_t width[TABLE_MAX_COLUMNS]);
/* As much of a safe text as so many columns hold. */
struct slice table_cut(struct slice text, size_t width);
/* Print "LABEL     TEXT", safely, and go on below the text where it is wider than `width` (0: any):
 * what is broken is broken at blanks. */
void table_text(FILE *out, size_t width, const char *label, const char *text);
/* Print one record, or each of an array, as a JSON line on standard output; what a terminal would
 * obey as \uXXXX. */
void table_json(const cJSON *what);
/* "12s", "3m", "5h", "2d": the age of something, for people. */
void table_age(uint64_t ms, char *out, size_t size);
/* "[#####.....]": `used` of `most` (0: no limit, gives an empty bar) in `width` characters, into
 * `out` of width + 3. Something is never drawn as nothing, and only a full one is drawn full. */
void table_bar(uint64_t used, uint64_t most, size_t width, char *out);

#endif
