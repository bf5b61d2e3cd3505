/* shoalctl top: the cluster as it changes, on a terminal, by ncurses.
 *
 *   read -> status document -> draw -> a second later -> read ...
 *
 * Keys, and a terminal that is resized, are taken whenever the loop turns, also while Redis is
 * asked or away. However it ends (q, Ctrl-C, a signal, an error), the terminal is given back as it
 * was. */
#include "coordinator/ctl/commands.h"
#include "coordinator/ctl/ctl_records.h"
#include "coordinator/ctl/table.h"
#include "coordinator/ctl/top.h"
#include "coordinator/status/status.h"

#include <langinfo.h>
#include <locale.h>
#include <ncurses.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define EVERY_MS  1000
#define ESCAPE_MS 25 /* what comes so soon after an escape is one key with it */

struct terminal {
    struct top top;
    struct ctl *ctl;
    SCREEN *screen; /* NULL: it is not ours */
    uv_poll_t keys;
    uv_signal_t resized;
    uv_timer_t tick; /* redraws while an answer is awaited */
    cJSON *document;
    int row;
};

/* One for the life of the program: its handles are closed when the loop runs for the last time. */
static struct terminal terminal;

/* Drawing -------------------------------------------------------------------------------------- */

static void on_line(void *ctx, enum top_style style, struct slice text)
{
    static const chtype attributes[TOP_STYLES] = {
        [TOP_BAD] = A_BOLD, [TOP_TITLES] = A_REVERSE, [TOP_FAINT] = A_DIM};
    struct terminal *t = ctx;

    attrset(attributes[style] | (has_colors() ? COLOR_PAIR(style) : 0));
    move(t->row, 0);
    addnstr(text.ptr, (int)text.len);
    attrset(A_NORMAL);
    t->row++;
}

static void draw(struct terminal *t)
{
    if (t->screen == NULL) {
        return;
    }
    t->top.document = t->document;
    t->top.away = ctl_away(t->ctl);
    t->row = 0;
    erase();
    top_draw(&t->top, (size_t)COLS, (size_t)LINES, on_line, t);
    refresh();
}

/* Keys ----------------------------------------------------------------------------------------- */

static uint32_t key_of(int key)
{
    static const struct {
        int theirs;
        enum top_key ours;
    } keys[] = {
        {'\r', TOP_KEY_ENTER},
        {'\n', TOP_KEY_ENTER},
        {KEY_ENTER, TOP_KEY_ENTER},
        {27, TOP_KEY_ESCAPE},
        {KEY_BACKSPACE, TOP_KEY_BACKSPACE},
        {127, TOP_KEY_BACKSPACE},
        {8, TOP_KEY_BACKSPACE},
        {'\t', TOP_KEY_TAB},
        {KEY_BTAB, TOP_KEY_BACK_TAB},
        {KEY_UP, TOP_KEY_UP},
        {KEY_DOWN, TOP_KEY_DOWN},
        {KEY_PPAGE, TOP_KEY_PAGE_UP},
        {KEY_NPAGE, TOP_KEY_PAGE_DOWN},
        {KEY_HOME, TOP_KEY_HOME},
        {KEY_END, TOP_KEY_END},
    };

    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        if (keys[i].theirs == key) {
            return keys[i].ours;
        }
    }
    return key >= ' ' && key < 127 ? (uint32_t)key : TOP_KEY_OTHER;
}

static void on_keys(uv_poll_t *handle, int status, int events)
{
    struct terminal *t = handle->data;
    int key;

    (void)events;
    if (status != 0 || t->screen == NULL) {
        t->ctl->interrupted = true; /* the terminal is gone */
        return;
    }
    while ((key = getch()) != ERR) {
        top_press(&t->top, key_of(key));
    }
    t->ctl->interrupted = t->ctl->interrupted || t->top.quits;
    draw(t);
}

static void on_resized(uv_signal_t *handle, int signum)
{
    struct terminal *t = handle->data;

    (void)signum;
    if (t->screen != NULL && table_width() > 0) {
        resizeterm((int)table_height(), (int)table_width());
        draw(t);
    }
}

static void on_tick(uv_timer_t *handle)
{
    draw(handle->data);
}

/* The terminal --------------------------------------------------------------------------------- */

static void give_back(void)
{
    if (terminal.screen != NULL) {
        endwin();
        delscreen(terminal.screen);
        terminal.screen = NULL;
    }
}

static void colours(void)
{
    if (has_colors()) {
        start_color();
        use_default_colors();
        init_pair(TOP_GOOD, COLOR_GREEN, -1);
        init_pair(TOP_WAITS, COLOR_YELLOW, -1);
        init_pair(TOP_BAD, COLOR_RED, -1);
        init_pair(TOP_TITLES, -1, -1);
        init_pair(TOP_FAINT, -1, -1);
    }
}

/* 0, or the terminal is none that ncurses knows. */
static int take(struct terminal *t)
{
    setlocale(LC_CTYPE, "");
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0) {
        setlocale(LC_CTYPE, "C.UTF-8"); /* what is shown is that */
    }
    t->screen = newterm(NULL, stdout, stdin);
    if (t->screen == NULL) {
        return -1;
    }
    set_escdelay(ESCAPE_MS);
    cbreak();
    noecho();
    nonl();
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    curs_set(0);
    colours();
    return 0;
}

/* SIGWINCH is watched before ncurses would. */
static void open_handles(struct terminal *t)
{
    uv_loop_t *loop = &t->ctl->loop.uv;

    BUG_ON(uv_signal_init(loop, &t->resized) != 0);
    BUG_ON(uv_poll_init(loop, &t->keys, STDIN_FILENO) != 0);
    BUG_ON(uv_timer_init(loop, &t->tick) != 0);
    t->resized.data = t->keys.data = t->tick.data = t;
    uv_signal_start(&t->resized, on_resized, SIGWINCH);
}

static void close_handles(struct terminal *t)
{
    uv_close((uv_handle_t *)&t->resized, NULL);
    uv_close((uv_handle_t *)&t->keys, NULL);
    uv_close((uv_handle_t *)&t->tick, NULL);
}

/* The command ---------------------------------------------------------------------------------- */

static int read_document(struct terminal *t)
{
    struct ctl *c = t->ctl;
    struct records r;
    int code = ctl_records(c, STATUS_RECORDS, &r);

    if (code == CTL_DONE) {
        cJSON_Delete(t->document);
        t->document = status_document(&(struct status_facts){
            .records = &r, .cluster = options_string(c->options, "cluster")});
        t->top.document = t->document;
    }
    records_finish(&r);
    return code;
}

static int go_on(struct terminal *t)
{
    struct ctl *c = t->ctl;
    int code = CTL_DONE;

    uv_poll_start(&t->keys, UV_READABLE, on_keys);
    uv_timer_start(&t->tick, on_tick, EVERY_MS, EVERY_MS);
    c->endless = true;
    while (code == CTL_DONE && !c->interrupted) {
        uint64_t next_ms = mono_ms() + EVERY_MS;
        draw(t);
        while (mono_ms() < next_ms && !c->interrupted) {
            ctl_turn_for(c, next_ms - mono_ms());
        }
        if (!c->interrupted) {
            code = read_document(t);
        }
    }
    return code;
}

static int run_top(struct ctl *c)
{
    struct terminal *t = &terminal;

    if (isatty(STDIN_FILENO) == 0 || isatty(STDOUT_FILENO) == 0) {
        return ctl_fail(CTL_USAGE, "top needs a terminal; shoalctl status --watch needs none");
    }
    t->ctl = c;
    top_init(&t->top);
    int code = read_document(t); /* Redis is there, and lets us */
    if (code != CTL_DONE) {
        return code;
    }
    ctl_before_fail(give_back);
    open_handles(t);
    if (take(t) == 0) {
        code = go_on(t);
    } else {
        code = ctl_fail(CTL_FAILED,
                        "no terminal that is known: is TERM right? shoalctl status --watch needs "
                        "none");
    }
    give_back();
    ctl_before_fail(NULL);
    close_handles(t);
    cJSON_Delete(t->document);
    return code;
}

CTL_COMMAND(top, "", "The cluster as it changes: nodes, shards, accounts; h shows the keys.", NULL,
            RIGHTS_VIEW, run_top);
