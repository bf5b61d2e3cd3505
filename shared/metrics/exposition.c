/* Exposition: rows and their values as text. See exposition.h.
 *
 * Where the formats differ: OpenMetrics names a counter without its _total in what is said of it,
 * knows UNIT and the type info, and ends with a word of its own. */
#include "shared/metrics/exposition.h"

#include "shared/text.h"

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

/* `name`="`value`", quoted. */
static void put_label(struct buf *out, const char *before, const char *name, struct slice value)
{
    char text[2 * LABEL_BYTES];
    size_t len = 0;
    size_t most = value.len < LABEL_BYTES ? value.len : LABEL_BYTES;

    for (size_t i = 0; i < most;) {
        bool safe;
        size_t n = text_char(value.ptr + i, most - i, &safe);
        if (value.ptr[i] == '\\' || value.ptr[i] == '"') {
            text[len++] = '\\';
        }
        memcpy(text + len, safe ? value.ptr + i : "?", safe ? n : 1);
        len += safe ? n : 1;
        i += n;
    }
    buf_append_str(out, before);
    buf_append_str(out, name);
    buf_append_str(out, "=\"");
    buf_append(out, text, len);
    buf_append_char(out, '"');
}

/* The labels of a value: those of the one it belongs to, that of the row, and `le`. */
static void labels(struct exposition *e, const struct exposition_of *of, const char *of_row,
                   const char *value, const char *le)
{
    const char *before = "{";

    for (size_t i = 0; i < ARRAY_LEN(of->labels) && of->labels[i].name != NULL; i++) {
        put_label(e->out, before, of->labels[i].name, of->labels[i].value);
        before = ",";
    }
    if (of_row != NULL) {
        put_label(e->out, before, of_row, slice_of(value));
        before = ",";
    }
    if (le != NULL) {
        put_label(e->out, before, "le", slice_of(le));
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

/* By hand, as nearly all numbers are whole: there are some thousands of them in a text. */
static void whole(struct buf *out, uint64_t n)
{
    char digits[24];
    size_t at = sizeof(digits) - 1;

    digits[at] = '\n';
    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    buf_append(out, digits + at, sizeof(digits) - at);
}

static void number(struct buf *out, double value)
{
    if (value >= 0 && value < 1e15 && value == (double)(uint64_t)value) {
        whole(out, (uint64_t)value);
    } else if (isinf(value)) {
        buf_append_str(out, value > 0 ? "+Inf\n" : "-Inf\n");
    } else {
        buf_printf(out, "%.15g\n", value);
    }
}

/* As histogram_bounds_us. OpenMetrics wants "1.0", and a series should not have two names. */
static const char *const bounds[HISTOGRAM_BOUNDS] = {
    "0.0001", "0.00025", "0.0005", "0.001", "0.0025", "0.005", "0.01", "0.025", "0.05",  "0.1",
    "0.25",   "0.5",     "1.0",    "2.5",   "5.0",    "10.0",  "30.0", "60.0",  "300.0", "1800.0",
};

static void histogram(struct exposition *e, const struct sample *s, const struct histogram *h)
{
    uint64_t count = 0;

    for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
        count += h->counts[i];
        begin(e, s, "_bucket", bounds[i]);
        whole(e->out, count);
    }
    count += h->counts[HISTOGRAM_BOUNDS];
    begin(e, s, "_bucket", "+Inf");
    whole(e->out, count);
    begin(e, s, "_sum", NULL);
    number(e->out, (double)h->sum_us / 1e6);
    begin(e, s, "_count", NULL);
    whole(e->out, count);
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
        whole(e->out, ((const uint64_t *)at)[i]);
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
