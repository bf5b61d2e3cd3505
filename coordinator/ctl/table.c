/* Table: widths first, then lines. */
#include "coordinator/ctl/table.h"

#include "shared/json.h"
#include "shared/text.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#define LEAST_WIDTH 6  /* of a column that is cut */
#define TEXT_INDENT 10 /* of what stands behind a label */

/* A field as safe text, in `out`. */
static void field_text(const cJSON *record, const char *field, struct buf *out)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(record, field);

    buf_clear(out);
    if (cJSON_IsNumber(value)) {
        double number = cJSON_GetNumberValue(value);
        buf_printf(out, floor(number) == number ? "%.0f" : "%.1f", number);
    } else if (cJSON_IsBool(value)) {
        buf_append_str(out, cJSON_IsTrue(value) ? "yes" : "no");
    } else if (cJSON_IsString(value)) {
        text_append_safe(out, slice_of(value->valuestring));
    }
    if (out->len == 0) {
        buf_append_char(out, '-');
    }
}

/* As many of its characters as `most` columns of a terminal hold, and in *width how many they take:
 * a Chinese character takes two, an accent that is put over the one before takes none. Asks for the
 * locale of table_print. */
static struct slice shorten(struct slice text, size_t most, size_t *width)
{
    size_t at = 0;

    *width = 0;
    while (at < text.len) {
        mbstate_t state = {0};
        wchar_t character;
        size_t len = mbrtowc(&character, text.ptr + at, text.len - at, &state);
        int columns;
        if (len == 0 || len > text.len - at) {
            len = 1; /* no character in this locale */
            columns = ((unsigned char)text.ptr[at] & 0xc0) != 0x80;
        } else {
            columns = wcwidth(character);
        }
        if (columns > 0 && (size_t)columns > most - *width) {
            break;
        }
        *width += columns > 0 ? (size_t)columns : 0;
        at += len;
    }
    return (struct slice){text.ptr, at};
}

static size_t width_of(struct slice text)
{
    size_t width;

    (void)shorten(text, SIZE_MAX, &width);
    return width;
}

/* The text, or as much of it as `width` columns (1 or more) hold with a mark that there is more. No
 * blanks at the ends of lines: the last column is as wide as its text. */
static void cell(FILE *out, struct slice text, size_t width, bool right, bool last)
{
    size_t taken;
    struct slice shown = shorten(text, width, &taken);
    bool more = shown.len < text.len;

    if (more) {
        shown = shorten(text, width - 1, &taken);
    }
    int blanks = (int)(width - taken - more);

    if (right) {
        fprintf(out, "%*s", blanks, "");
    }
    fwrite(shown.ptr, 1, shown.len, out);
    fputs(more ? "~" : "", out);
    if (!last) {
        fprintf(out, "%*s", (right ? 0 : blanks) + 2, "");
    }
}

/* Take from the widest of the columns of text what all of them are wider than `most` (0: any), and
 * where that is not enough leave out the last ones. Returns how many are left. */
static size_t fit(size_t *width, const struct table_column *columns, size_t n, size_t most)
{
    size_t all = 2 * (n - 1);

    for (size_t i = 0; i < n; i++) {
        all += width[i];
    }
    while (most > 0 && all > most) {
        size_t widest = n;
        for (size_t i = 0; i < n; i++) {
            bool cuts = !columns[i].right && width[i] > LEAST_WIDTH;
            widest = cuts && (widest == n || width[i] > width[widest]) ? i : widest;
        }
        if (widest < n) {
            width[widest]--;
            all--;
        } else if (n > 1) {
            all -= width[--n] + 2;
        } else {
            break;
        }
    }
    return n;
}

static void widths(size_t *width, const struct table_column *columns, size_t n,
                   const cJSON *records, struct buf *text)
{
    const cJSON *record;

    for (size_t i = 0; i < n; i++) {
        width[i] = strlen(columns[i].title);
    }
    cJSON_ArrayForEach(record, records)
    {
        for (size_t i = 0; i < n; i++) {
            field_text(record, columns[i].field, text);
            size_t w = width_of(buf_slice(text));
            width[i] = w > width[i] ? w : width[i];
        }
    }
}

/* The widths of characters, whatever the user's locale is; without this one a character counts as
 * one column. Returns what was before, for leave_utf8. */
static locale_t enter_utf8(locale_t *utf8)
{
    *utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    return uselocale(*utf8);
}

static void leave_utf8(locale_t utf8, locale_t before)
{
    uselocale(before);
    if (utf8 != NULL) {
        freelocale(utf8);
    }
}

void table_widths(const struct table_column *columns, size_t n, const cJSON *records,
                  size_t width[TABLE_MAX_COLUMNS])
{
    struct buf text;
    locale_t utf8;
    locale_t before = enter_utf8(&utf8);

    buf_init(&text, 64 * 1024);
    widths(width, columns, n, records, &text);
    buf_finish(&text);
    leave_utf8(utf8, before);
}

struct slice table_cut(struct slice text, size_t width)
{
    locale_t utf8;
    locale_t before = enter_utf8(&utf8);
    size_t taken;
    struct slice shown = shorten(text, width, &taken);

    leave_utf8(utf8, before);
    return shown;
}

void table_print(FILE *out, size_t most_width, const struct table_column *columns, size_t n,
                 const cJSON *records)
{
    size_t width[TABLE_MAX_COLUMNS];
    const cJSON *record;
    struct buf text;
    locale_t utf8;
    locale_t before = enter_utf8(&utf8);

    BUG_ON(n > TABLE_MAX_COLUMNS);
    buf_init(&text, 64 * 1024);
    widths(width, columns, n, records, &text);
    n = fit(width, columns, n, most_width);
    for (size_t i = 0; i < n; i++) {
        cell(out, slice_of(columns[i].title), width[i], columns[i].right, i + 1 == n);
    }
    fputc('\n', out);
    cJSON_ArrayForEach(record, records)
    {
        for (size_t i = 0; i < n; i++) {
            field_text(record, columns[i].field, &text);
            cell(out, buf_slice(&text), width[i], columns[i].right, i + 1 == n);
        }
        fputc('\n', out);
    }
    buf_finish(&text);
    leave_utf8(utf8, before);
}

void table_text(FILE *out, size_t width, const char *label, const char *text)
{
    char *shown = text_shown(text);
    locale_t utf8;
    locale_t before = enter_utf8(&utf8);
    size_t at = TEXT_INDENT;
    const char *word = shown;

    fprintf(out, "%-*s", TEXT_INDENT, label);
    while (*word != '\0') {
        size_t blanks = strspn(word, " ");
        size_t len = blanks + strcspn(word + blanks, " ");
        size_t columns = width_of((struct slice){word, len});
        if (width > 0 && at + columns > width && at > TEXT_INDENT) {
            fprintf(out, "\n%*s", TEXT_INDENT, "");
            word += blanks;
            len -= blanks;
            columns -= blanks;
            at = TEXT_INDENT;
        }
        fwrite(word, 1, len, out);
        word += len;
        at += columns;
    }
    fputc('\n', out);
    free(shown);
    leave_utf8(utf8, before);
}

static struct winsize terminal(void)
{
    struct winsize size = {0};

    return isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0
               ? size
               : (struct winsize){0};
}

size_t table_width(void)
{
    return terminal().ws_col;
}

size_t table_height(void)
{
    return terminal().ws_row;
}

void table_json(const cJSON *what)
{
    const cJSON *each;

    if (cJSON_IsArray(what)) {
        cJSON_ArrayForEach(each, what)
        {
            table_json(each);
        }
        return;
    }
    struct buf line;

    buf_init(&line, (size_t)1 << 30);
    json_append_tree(&line, what);
    puts(line.data);
    buf_finish(&line);
}

void table_age(uint64_t ms, char *out, size_t size)
{
    static const struct {
        uint64_t ms;
        char unit;
    } units[] = {{86400000, 'd'}, {3600000, 'h'}, {60000, 'm'}};

    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (ms >= 2 * units[i].ms) {
            snprintf(out, size, "%llu%c", (unsigned long long)(ms / units[i].ms), units[i].unit);
            return;
        }
    }
    snprintf(out, size, "%llus", (unsigned long long)(ms / 1000));
}

void table_bar(uint64_t used, uint64_t most, size_t width, char *out)
{
    size_t full = 0;

    if (most > 0 && used >= most) {
        full = width;
    } else if (most > 0 && used > 0) {
        full = (size_t)((double)used / (double)most * (double)width);
        full = full == 0 ? 1 : full;
    }
    out[0] = '[';
    memset(out + 1, '#', full);
    memset(out + 1 + full, '.', width - full);
    out[width + 1] = ']';
    out[width + 2] = '\0';
}
