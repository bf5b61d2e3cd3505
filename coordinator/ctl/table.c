/* Table: widths first, then lines. */
#include "coordinator/ctl/table.h"

#include "shared/text.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

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

/* Columns of a terminal: a Chinese character takes two, an accent that is put over the one before
 * takes none. Asks for the locale of table_print. */
static size_t width_of(struct slice text)
{
    size_t width = 0;

    for (size_t i = 0; i < text.len;) {
        mbstate_t state = {0};
        wchar_t character;
        size_t len = mbrtowc(&character, text.ptr + i, text.len - i, &state);
        if (len == 0 || len > text.len - i) {
            len = 1; /* no character in this locale */
            width += ((unsigned char)text.ptr[i] & 0xc0) != 0x80;
        } else {
            int columns = wcwidth(character);
            width += columns > 0 ? (size_t)columns : 0;
        }
        i += len;
    }
    return width;
}

/* No blanks at the ends of lines: the last column is as wide as its text. */
static void cell(FILE *out, struct slice text, size_t width, bool right, bool last)
{
    int blanks = (int)(width - width_of(text));

    if (right) {
        fprintf(out, "%*s", blanks, "");
    }
    fwrite(text.ptr, 1, text.len, out);
    if (!last) {
        fprintf(out, "%*s", (right ? 0 : blanks) + 2, "");
    }
}

void table_print(FILE *out, const struct table_column *columns, size_t n, const cJSON *records)
{
    size_t width[TABLE_MAX_COLUMNS];
    const cJSON *record;
    struct buf text;
    /* The widths of characters, whatever the user's locale is; without this one a character counts
     * as one column. */
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    locale_t before = uselocale(utf8);

    BUG_ON(n > TABLE_MAX_COLUMNS);
    buf_init(&text, 64 * 1024);
    for (size_t i = 0; i < n; i++) {
        width[i] = strlen(columns[i].title);
    }
    cJSON_ArrayForEach(record, records)
    {
        for (size_t i = 0; i < n; i++) {
            field_text(record, columns[i].field, &text);
            size_t w = width_of(buf_slice(&text));
            width[i] = w > width[i] ? w : width[i];
        }
    }
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
    uselocale(before);
    if (utf8 != NULL) {
        freelocale(utf8);
    }
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
    char *text = cJSON_PrintUnformatted(what); /* escapes C0 alone */
    struct buf line;

    BUG_ON(text == NULL);
    buf_init(&line, 6 * strlen(text) + 1);
    text_append_json(&line, slice_of(text));
    puts(line.data);
    buf_finish(&line);
    free(text);
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
