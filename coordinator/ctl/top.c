/* Top: head, table, and what keys do. */
#include "coordinator/ctl/top.h"

#include "coordinator/ctl/table.h"
#include "coordinator/ctl/top_private.h"
#include "coordinator/ctl/words.h"
#include "coordinator/status/status.h"
#include "shared/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_LOW 12 /* lines of a terminal below which the head is one line */

/* A screen being told, line by line. */
struct screen {
    struct top *top;
    size_t columns;
    size_t left; /* lines */
    void (*line)(void *ctx, enum top_style style, struct slice text);
    void *ctx;
};

static void tell(struct screen *s, enum top_style style, const char *text)
{
    if (s->left > 0) {
        s->left--;
        s->line(s->ctx, style, table_cut(slice_of(text), s->columns));
    }
}

static void say(struct screen *s, enum top_style style, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void say(struct screen *s, enum top_style style, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    char *text = xvasprintf(fmt, args);
    va_end(args);
    char *shown = text_shown(text);
    tell(s, style, shown);
    free(shown);
    free(text);
}

static const cJSON *member(const struct screen *s, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(s->top->document, name);
}

/* Head ----------------------------------------------------------------------------------------- */

static void head_cluster(struct screen *s)
{
    const cJSON *leader = member(s, "leader");
    const char *id = records_text(leader, "id");
    bool healthy = status_is_healthy(s->top->document);
    char age[24];

    table_age(records_number(leader, "leads_ms"), age, sizeof(age));
    if (s->top->away != NULL) {
        say(s, TOP_BAD, "%s  Redis does not answer: %s", records_text(s->top->document, "cluster"),
            s->top->away);
    } else {
        say(s, healthy ? TOP_GOOD : TOP_BAD, "%s  %s%s  %s%s%s%s",
            records_text(s->top->document, "cluster"), records_text(s->top->document, "health"),
            cJSON_IsTrue(member(s, "stopped")) ? " (stopped)" : "", id[0] ? "leader " : "no leader",
            id, id[0] ? " for " : "", id[0] ? age : "");
    }
}

static uint64_t sum(const cJSON *rows, const char *field)
{
    uint64_t all = 0;
    const cJSON *row;

    cJSON_ArrayForEach(row, rows)
    {
        all += records_number(row, field);
    }
    return all;
}

static void head_channels(struct screen *s)
{
    struct buf text;

    buf_init(&text, 4096);
    buf_printf(&text, "%" PRIu64 " lines/s  %" PRIu64 " channels",
               sum(member(s, "shards"), "lines_s"), records_number(s->top->document, "channels"));
    words_states(&text, s->top->document);
    say(s, TOP_PLAIN, "%s", text.data);
    buf_finish(&text);
}

static void head_joins(struct screen *s)
{
    const cJSON *joins;
    uint64_t left = 0;
    uint64_t longest_ms = 0;
    char when[WORDS_IN_CHARS];

    cJSON_ArrayForEach(joins, member(s, "joins"))
    {
        uint64_t left_ms = records_number(joins, "left_ms");
        longest_ms = left_ms > longest_ms ? left_ms : longest_ms;
        left += words_joins_left(joins);
    }
    words_in(longest_ms, when);
    if (left > 0) {
        say(s, TOP_WAITS, "%" PRIu64 " joins to go%s", left, when);
    } else {
        say(s, TOP_PLAIN, "no joins to go");
    }
}

/* The first of the bad ones, else of all. */
static void head_problem(struct screen *s)
{
    const cJSON *problems = member(s, "problems");
    const cJSON *first = records_find(problems, "level", "bad");
    int more = cJSON_GetArraySize(problems) - 1;

    if (first == NULL) {
        first = problems != NULL ? problems->child : NULL;
    }
    if (first == NULL) {
        tell(s, TOP_PLAIN, "");
    } else if (more > 0) {
        say(s, strcmp(records_text(first, "level"), "bad") == 0 ? TOP_BAD : TOP_PLAIN,
            "%s (and %d more: shoalctl status)", records_text(first, "text"), more);
    } else {
        say(s, strcmp(records_text(first, "level"), "bad") == 0 ? TOP_BAD : TOP_PLAIN, "%s",
            records_text(first, "text"));
    }
}

static void head(struct screen *s)
{
    bool low = s->left < HEAD_LOW;

    head_cluster(s);
    if (!low) {
        head_channels(s);
        head_joins(s);
        head_problem(s);
    }
}

/* Table ---------------------------------------------------------------------------------------- */

static void tabs(struct screen *s, size_t rows, size_t all)
{
    const struct top *t = s->top;
    struct buf text;

    buf_init(&text, 4096);
    for (size_t i = 0; i < TOP_VIEWS; i++) {
        const char *name = top_tables[i].name;
        buf_printf(&text, i == t->view ? "[%s %d] " : " %s %d  ", name,
                   cJSON_GetArraySize(member(s, name)));
    }
    if (t->typing) {
        buf_printf(&text, " /%s_", t->filter);
    } else if (t->filter[0] != '\0') {
        buf_printf(&text, " /%s: %zu of %zu", t->filter, rows, all);
    }
    tell(s, TOP_PLAIN, text.data);
    buf_finish(&text);
}

/* The lines of the printed table, from that of the titles on; as many as there is room for. */
static void table_lines(struct screen *s, char *text, const cJSON *rows)
{
    struct top *t = s->top;
    const cJSON *row = rows->child;
    char *rest = text;

    tell(s, TOP_TITLES, strsep(&rest, "\n"));
    for (size_t i = 0; row != NULL && s->left > 1; i++, row = row->next) {
        char *line = strsep(&rest, "\n");
        if (i >= t->first) {
            tell(s, top_tables[t->view].style(row), line);
        }
    }
}

static void table(struct screen *s)
{
    struct top *t = s->top;
    const cJSON *all = member(s, top_tables[t->view].name);
    cJSON *rows = top_rows(t, all);
    size_t n = (size_t)cJSON_GetArraySize(rows);
    struct top_columns columns;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    BUG_ON(out == NULL);
    tabs(s, n, (size_t)cJSON_GetArraySize(all));
    t->page = s->left > 3 ? s->left - 2 : 1; /* titles and keys */
    t->first = n > t->page && t->first > n - t->page ? n - t->page : n <= t->page ? 0 : t->first;
    top_columns(t, rows, s->columns, &columns);
    table_print(out, s->columns, columns.shown, columns.n, rows);
    BUG_ON(fclose(out) != 0);
    table_lines(s, text, rows);
    free(text);
    cJSON_Delete(rows);
}

static void help(struct screen *s)
{
    static const char *const texts[] = {
        "",
        "Tab 1 2 3   shards, nodes, accounts",
        "< >         sorted by another column,",
        "r           or the other way round",
        "/           rows that have a text",
        "            (Enter ends it, Escape: all)",
        "arrows j k  up and down,",
        "            also Page, Home, End",
        "h ?         this help",
        "q           quit",
    };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (s->left > 1) {
            tell(s, TOP_PLAIN, texts[i]);
        }
    }
}

void top_draw(struct top *t, size_t columns, size_t lines,
              void (*line)(void *ctx, enum top_style style, struct slice text), void *ctx)
{
    struct screen s = {t, columns, lines, line, ctx};

    head(&s);
    if (t->help) {
        help(&s);
    } else {
        table(&s);
    }
    while (s.left > 1) {
        tell(&s, TOP_PLAIN, "");
    }
    tell(&s, TOP_FAINT,
         t->help ? "any key goes back" : "q quit  h help  Tab view  < > sort  r reverse  / filter");
}

/* Keys ----------------------------------------------------------------------------------------- */

void top_init(struct top *t)
{
    *t = (struct top){.page = 1};
    for (size_t i = 0; i < TOP_VIEWS; i++) {
        t->sort[i] = top_tables[i].sort;
    }
}

static void press_typing(struct top *t, uint32_t key)
{
    size_t len = strlen(t->filter);

    if (key == TOP_KEY_ENTER) {
        t->typing = false;
    } else if (key == TOP_KEY_ESCAPE) {
        t->typing = false;
        t->filter[0] = '\0';
    } else if (key == TOP_KEY_BACKSPACE && len > 0) {
        t->filter[len - 1] = '\0';
    } else if (key >= ' ' && key < 0x7f && len + 1 < sizeof(t->filter)) {
        t->filter[len] = (char)key; /* names are ASCII */
        t->filter[len + 1] = '\0';
    }
}

/* Which rows are shown first: at most SIZE_MAX, which drawing brings back to the last page. */
static void press_move(struct top *t, uint32_t key)
{
    size_t by = key == TOP_KEY_PAGE_UP || key == TOP_KEY_PAGE_DOWN ? t->page : 1;

    switch (key) {
    case TOP_KEY_UP:
    case TOP_KEY_PAGE_UP:
    case 'k':
        t->first = t->first > by ? t->first - by : 0;
        break;
    case TOP_KEY_DOWN:
    case TOP_KEY_PAGE_DOWN:
    case 'j':
        t->first += by;
        break;
    case TOP_KEY_HOME:
        t->first = 0;
        break;
    case TOP_KEY_END:
        t->first = SIZE_MAX / 2;
        break;
    default:
        break;
    }
}

static void press_view(struct top *t, size_t view)
{
    t->view = (enum top_view)(view % TOP_VIEWS);
    t->first = 0;
}

static void press_sort(struct top *t, size_t by)
{
    size_t n = top_tables[t->view].n;

    t->sort[t->view] = (t->sort[t->view] + by) % n;
    t->turned[t->view] = false;
    t->first = 0;
}

static void press_command(struct top *t, uint32_t key)
{
    size_t n = top_tables[t->view].n;

    if (key == 'q') {
        t->quits = true;
    } else if (key == 'h' || key == '?') {
        t->help = true;
    } else if (key == '/') {
        t->typing = true;
        t->first = 0;
    } else if (key == TOP_KEY_ESCAPE) {
        t->filter[0] = '\0';
    } else if (key == TOP_KEY_TAB) {
        press_view(t, t->view + 1);
    } else if (key == TOP_KEY_BACK_TAB) {
        press_view(t, t->view + TOP_VIEWS - 1);
    } else if (key >= '1' && key < '1' + TOP_VIEWS) {
        press_view(t, key - '1');
    } else if (key == '<' || key == '>') {
        press_sort(t, key == '>' ? 1 : n - 1);
    } else if (key == 'r') {
        t->turned[t->view] = !t->turned[t->view];
    } else {
        press_move(t, key);
    }
}

void top_press(struct top *t, uint32_t key)
{
    if (t->help) {
        t->help = false;
        t->quits = key == 'q';
    } else if (t->typing) {
        press_typing(t, key);
    } else {
        press_command(t, key);
    }
}
