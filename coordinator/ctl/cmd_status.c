/* shoalctl status: one screen that says whether the cluster is well, and if not, why. */
#include "coordinator/ctl/commands.h"
#include "coordinator/ctl/ctl_records.h"
#include "coordinator/ctl/status_screen.h"
#include "coordinator/ctl/table.h"
#include "coordinator/status/status.h"

#include <stdio.h>
#include <stdlib.h>

#define WATCH_MS 1000
#define LOOK_MS  60000 /* between two looks at Redis itself */

struct status {
    struct ctl *ctl;
    bool away;        /* and that was said */
    struct look look; /* at Redis, when that was last done */
    uint64_t look_again_ms;
    cJSON *document; /* the newest */
};

static int read_status(struct ctl *c, struct status *s)
{
    struct records r;
    int code = ctl_records(c, STATUS_RECORDS, &r);

    if (code == CTL_DONE && mono_ms() >= s->look_again_ms) {
        code = doctor_look(c, &s->look);
        s->look_again_ms = mono_ms() + LOOK_MS;
    }
    if (code == CTL_DONE) {
        cJSON_Delete(s->document);
        s->document = status_document(
            &(struct status_facts){&r, options_string(c->options, "cluster"), &s->look});
    }
    records_finish(&r);
    return code;
}

/* On a terminal each screen takes the place of the last one, all at once: nothing flickers, and the
 * last one stays. */
static void show(const struct ctl *c, const struct status *s, bool again)
{
    struct status_screen screen = {.document = s->document, .width = table_width()};
    bool redraws = again && screen.width > 0;
    char *text = NULL;
    size_t len = 0;

    if (c->json) {
        table_json(s->document);
        return;
    }
    screen.height = table_height();
    screen.out = open_memstream(&text, &len);
    BUG_ON(screen.out == NULL);
    status_screen(&screen);
    BUG_ON(fclose(screen.out) != 0);
    fputs(redraws ? "\x1b[H\x1b[2J" : "", stdout);
    fwrite(text, 1, len, stdout);
    fputs(again && !redraws ? "\n" : "", stdout);
    free(text);
}

/* While an answer is awaited what was shown last must not look as if it were of now. */
static void on_tick(uv_timer_t *timer)
{
    struct status *s = timer->data;
    const char *why = ctl_away(s->ctl);

    if (why != NULL && !s->away) {
        (void)ctl_fail(0, "Redis does not answer: %s; what is shown was before that", why);
    }
    s->away = why != NULL;
}

/* On the loop until ctl_close: so it outlives the command. */
static uv_timer_t tick;

static void watch_begin(struct status *s)
{
    s->ctl->endless = true;
    BUG_ON(uv_timer_init(&s->ctl->loop.uv, &tick) != 0);
    tick.data = s;
    uv_timer_start(&tick, on_tick, WATCH_MS, WATCH_MS);
}

static int rest(struct ctl *c, uint64_t until_ms)
{
    int code = ctl_flush();

    while (code == CTL_DONE && mono_ms() < until_ms && !c->interrupted) {
        ctl_turn_for(c, until_ms - mono_ms());
    }
    return code;
}

static int run_status(struct ctl *c)
{
    bool watch = options_bool(c->options, "watch");
    struct status s = {.ctl = c};
    int code;

    if (watch) {
        watch_begin(&s);
    }
    do {
        uint64_t began_ms = mono_ms();
        code = read_status(c, &s);
        if (code == CTL_DONE) {
            show(c, &s, watch);
            code = watch ? rest(c, began_ms + WATCH_MS) : CTL_DONE;
        }
    } while (code == CTL_DONE && watch && !c->interrupted);
    if (watch) {
        uv_close((uv_handle_t *)&tick, NULL);
    }
    if (s.document != NULL && (code == CTL_DONE || code == CTL_ENDED || c->interrupted)) {
        code = !status_is_healthy(s.document) ? CTL_FAILED : watch ? CTL_ENDED : CTL_DONE;
    }
    cJSON_Delete(s.document);
    return code;
}

static const struct option_spec options[] = {
    {"watch", OPTION_BOOL, 0, "false", 0, 0, NULL,
     "status: show it anew each second, until Ctrl-C.", NULL},
    {0},
};

CTL_COMMAND(status, "",
            "The cluster at a glance: load of the shards, joins, budgets, and what is wrong, with "
            "the mend. Exit status 1 where a problem is bad.",
            options, RIGHTS_VIEW, run_status);
