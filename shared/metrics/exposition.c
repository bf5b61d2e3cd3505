/* Exposition: rows and their values as text. See exposition.h.
 *
 * Where the formats differ: OpenMetrics names a counter without its _total in what is said of it,
 * knows UNIT and the type info, and ends with a word of its own. */
#include "shared/metrics/exposition.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define LABEL_BYTES 128

/* Accept --------------------------------------------------------------------------------------- */

static bool has(struct slice s, const char *word)
{
    return s.len > 0 && memmem(s.ptr, s.len, word, strlen(word)) != NULL;
}

/* Quality of an entry in thousandths: "q=0.5" is 500; 1000 where it says nothing. What is not
 * understood is 0. */
static int quality(struct slice entry)
{
    const char *q = entry.len > 0 ? memmem(entry.ptr, entry.len, "q=", 2) : NULL;
    int value = 0;
    int unit = 1000;

    if (q == NULL) {
        return 1000;
    }
    for (q += 2; q < entry.ptr + entry.len && unit > 0; q++) {
        if (*q >= '0' && *q <= '9') {
            value += (*q - '0') * unit;
            unit /= 10;
        } else if (*q != '.') {
            break;
        }
    }
    return value;
}

bool exposition_is_openmetrics(struct slice accept)
{
    int openmetrics = 0;
    int text = 0;

    while (accept.len > 0) {
        const char *comma = memchr(accept.ptr, ',', accept.len);
        struct slice entry = {accept.ptr,
                              comma != NULL ? (size_t)(comma - accept.ptr) : accept.len};
        size_t used = entry.len + (comma != NULL);
        int q = quality(entry);
        if (has(entry, "application/openmetrics-text") && !has(entry, "version=0")) {
            openmetrics = q > openmetrics ? q : openmetrics;
        } else if (has(entry, "text/plain")) {
            text = q > text ? q : text;
        }
        accept = (struct slice){accept.ptr + used, accept.len - used};
    }
    return openmetrics > 0 && openmetrics >= text;
}

const char *exposition_content_type(bool openmetrics)
{
    return openmetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                       : "text/plain; version=0.0.4; charset=utf-8";
}

/* Names and labels ----------------------------------------------------------------------------- */

/* The name of a row, without what it ends in: as its values are named, or, shorter, it itself. */
static void name(struct exposition *e, const struct meter *row, const char *without)
{
    size_t len = strlen(row->name);
    size_t end = without != NULL ? strlen(without) : 0;

    if (end > 0 && len > end && strcmp(row->name + len - end, without) == 0) {
        len -= end;
    }
    buf_append_str(e->out, strncmp(row->name, "process_", 8) == 0 ? "" : "shoal_");
    buf_append(e->out, row->name, len);
}

static void put_char(struct buf *out, char c)
{
    if (c == '\\' || c == '"') {
        buf_append_char(out, '\\');
        buf_append_char(out, c);
    } else {
        buf_append_char(out, (unsigned char)c < 0x20 || c == 0x7f ? '?' : c);
    }
}

static void put_value(struct buf *out, struct slice value)
{
    for (size_t i = 0; i < value.len && i < LABEL_BYTES;) {
        size_t left = (value.len < LABEL_BYTES ? value.len : LABEL_BYTES) - i;
        size_t n = utf8_length(value.ptr + i, left);
        if (n > 1) {
            buf_append(out, value.ptr + i, n);
        } else {
            put_char(out, n == 1 ? value.ptr[i] : '?');
        }
        i += n > 0 ? n : 1;
    }
}

/* The labels of a value: those of the one it belongs to, that of the row, and `le`. */
static void labels(struct exposition *e, const struct exposition_of *of, const char *of_row,
                   const char *value, const char *le)
{
    const char *before = "{";

    for (size_t i = 0; i < ARRAY_LEN(of->labels) && of->labels[i].name != NULL; i++) {
        buf_printf(e->out, "%s%s=\"", before, of->labels[i].name);
        put_value(e->out, of->labels[i].value);
        buf_append_char(e->out, '"');
        before = ",";
    }
    if (of_row != NULL) {
        buf_printf(e->out, "%s%s=\"", before, of_row);
        put_value(e->out, slice_of(value));
        buf_append_char(e->out, '"');
        before = ",";
    }
    if (le != NULL) {
        buf_printf(e->out, "%sle=\"%s\"", before, le);
        before = ",";
    }
    buf_append_str(e->out, *before == ',' ? "} " : " ");
}

/* Values --------------------------------------------------------------------------------------- */

/* A value of a row: the i-th of its label's. */
struct sample {
    const struct meter *row;
    const struct exposition_of *of;
    const char *label; /* its value */
};

static void begin(struct exposition *e, const struct sample *s, const char *suffix, const char *le)
{
    name(e, s->row, NULL);
    buf_append_str(e->out, suffix);
    labels(e, s->of, s->row->label.name, s->label, le);
}

static void number(struct buf *out, double value)
{
    if (isinf(value)) {
        buf_append_str(out, value > 0 ? "+Inf\n" : "-Inf\n");
    } else {
        buf_printf(out, "%.15g\n", value);
    }
}

/* "0.005", "1.0": OpenMetrics wants it so, and a series should not have two names. */
static void bound_text(uint64_t us, char out[24])
{
    double s = (double)us / 1e6;

    (void)snprintf(out, 24, us % 1000000 == 0 ? "%.1f" : "%g", s);
}

static void histogram(struct exposition *e, const struct sample *s, const struct histogram *h)
{
    uint64_t count = 0;
    char le[24];

    for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
        count += h->counts[i];
        bound_text(histogram_bounds_us[i], le);
        begin(e, s, "_bucket", le);
        buf_printf(e->out, "%" PRIu64 "\n", count);
    }
    count += h->counts[HISTOGRAM_BOUNDS];
    begin(e, s, "_bucket", "+Inf");
    buf_printf(e->out, "%" PRIu64 "\n", count);
    begin(e, s, "_sum", NULL);
    number(e->out, (double)h->sum_us / 1e6);
    begin(e, s, "_count", NULL);
    buf_printf(e->out, "%" PRIu64 "\n", count);
}

static void info(struct exposition *e, struct sample *s, const char *text)
{
    if (text != NULL) {
        s->label = text;
        begin(e, s, "", NULL);
        buf_append_str(e->out, "1\n");
    }
}

static void sample(struct exposition *e, struct sample *s, const void *at, size_t i)
{
    switch (s->row->type) {
    case METER_COUNTER:
        begin(e, s, "", NULL);
        buf_printf(e->out, "%" PRIu64 "\n", ((const uint64_t *)at)[i]);
        break;
    case METER_SECONDS:
        begin(e, s, "", NULL);
        number(e->out, (double)((const uint64_t *)at)[i] / 1e6);
        break;
    case METER_GAUGE:
        if (!isnan(((const double *)at)[i])) {
            begin(e, s, "", NULL);
            number(e->out, ((const double *)at)[i]);
        }
        break;
    case METER_HISTOGRAM:
        histogram(e, s, &((const struct histogram *)at)[i]);
        break;
    case METER_INFO:
        info(e, s, *(const char *const *)at);
        break;
    }
}

/* Rows ----------------------------------------------------------------------------------------- */

static void comment(struct exposition *e, const struct meter *row, const char *what,
                    const char *text)
{
    bool info = row->type == METER_INFO;

    buf_printf(e->out, "# %s ", what);
    name(e, row, e->openmetrics ? (info ? "_info" : "_total") : NULL);
    buf_printf(e->out, " %s\n", text);
}

static void head(struct exposition *e, const struct meter *row)
{
    static const char *const types[] = {[METER_COUNTER] = "counter",
                                        [METER_SECONDS] = "counter",
                                        [METER_GAUGE] = "gauge",
                                        [METER_HISTOGRAM] = "histogram",
                                        [METER_INFO] = "gauge"};
    const char *type = types[row->type];

    comment(e, row, "HELP", row->help);
    comment(e, row, "TYPE", e->openmetrics && row->type == METER_INFO ? "info" : type);
    if (e->openmetrics && row->unit[0] != '\0') {
        comment(e, row, "UNIT", row->unit);
    }
}

void exposition_write_each(struct exposition *e, const struct meter *rows,
                           const struct exposition_of *each, size_t n)
{
    for (const struct meter *row = rows; row->name != NULL && n > 0; row++) {
        head(e, row);
        for (size_t of = 0; of < n; of++) {
            for (size_t i = 0; i < row->label.n; i++) {
                struct sample s = {row, &each[of],
                                   row->label.value != NULL ? row->label.value(i) : ""};
                sample(e, &s, (const char *)each[of].meters + row->offset, i);
            }
        }
    }
}

void exposition_write(struct exposition *e, const struct meter *rows, const void *meters)
{
    exposition_write_each(e, rows, &(struct exposition_of){.meters = meters}, 1);
}

void exposition_end(struct exposition *e)
{
    buf_append_str(e->out, e->openmetrics ? "# EOF\n" : "");
}
