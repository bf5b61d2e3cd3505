/* shoalctl events: what happened in the cluster, from its log, and what happens, as it comes.
 *
 * All of it is read from the log, behind the last event that was read: so there is no hole and no
 * double between what was and what comes, nor where Redis was away meanwhile. */
#include "coordinator/ctl/commands.h"
#include "coordinator/ctl/since.h"
#include "coordinator/ctl/table.h"
#include "shared/redis/registry_look.h"
#include "shared/text.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PORTION    1000 /* events read at a time */
#define AWAIT_MS   5000 /* of each question, where there are none */
#define MAX_FIELDS 64   /* of an event */

struct events {
    struct ctl *ctl;
    char after[REGISTRY_EVENT_ID_CHARS]; /* the last one that was read */
    size_t n;                            /* came with the newest answer */
    bool told;                           /* they are printed; else only counted */
};

static bool is_wanted(const struct ctl *c, const char *name)
{
    bool wanted = c->nargs == 0;

    for (size_t i = 0; i < c->nargs && !wanted; i++) {
        wanted = fnmatch(ctl_arg(c, i), name, 0) == 0;
    }
    return wanted;
}

/* A time that is one of these is shown as such. */
static bool append_time(struct buf *out, const cJSON *field)
{
    static const char *const times[] = {"from", "to", "until", "expires_at"};
    char text[SINCE_CHARS];

    if (!cJSON_IsNumber(field) || field->valuedouble < 1e12 || field->valuedouble > 1e14 ||
        !slice_is_one_of(slice_of(field->string), times, ARRAY_LEN(times))) {
        return false;
    }
    since_format((struct wall){(uint64_t)field->valuedouble}, text);
    buf_append_str(out, text + strlen("2026-11-27 "));
    return true;
}

/* In quotes where it would not end at the next blank; left out where there is nothing. */
static void append_field(struct buf *out, const cJSON *field)
{
    const char *text = cJSON_GetStringValue(field);

    if (text != NULL && text[0] == '\0') {
        return;
    }
    buf_append_char(out, ' ');
    text_append_safe(out, slice_of(field->string));
    buf_append_char(out, '=');
    if (text != NULL && strpbrk(text, " =\"\\") == NULL) {
        text_append_safe(out, slice_of(text));
    } else if (!append_time(out, field)) {
        char *value = cJSON_PrintUnformatted(field);
        text_append_safe(out, slice_of(value));
        free(value);
    }
}

static int by_name(const void *left, const void *right)
{
    return strcmp((*(const cJSON *const *)left)->string, (*(const cJSON *const *)right)->string);
}

/* By name: Lua has no order, and each event of a kind should look like the others. */
static void append_fields(struct buf *out, const cJSON *event)
{
    const cJSON *fields[MAX_FIELDS];
    const cJSON *field;
    size_t n = 0;

    cJSON_ArrayForEach(field, event)
    {
        if (n < MAX_FIELDS && strcmp(field->string, "event") != 0 &&
            strcmp(field->string, "at") != 0) {
            fields[n++] = field;
        }
    }
    qsort(fields, n, sizeof(const cJSON *), by_name);
    for (size_t i = 0; i < n; i++) {
        append_field(out, fields[i]);
    }
}

/* "2026-11-27 14:05:30 NAME field=value ..." */
static void print_event(const char *name, const cJSON *event)
{
    double at_ms = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(event, "at"));
    char at[SINCE_CHARS];
    struct buf out;

    buf_init(&out, CTL_LINE_MAX);
    since_format((struct wall){at_ms > 0 && at_ms < 1e14 ? (uint64_t)at_ms : 0}, at);
    buf_printf(&out, "%s ", at);
    text_append_safe(&out, slice_of(name));
    append_fields(&out, event);
    ctl_print(&out);
    buf_finish(&out);
}

static void tell(const struct ctl *c, struct slice text)
{
    cJSON *event = cJSON_ParseWithLength(text.ptr, text.len);
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(event, "event"));

    if (name != NULL && is_wanted(c, name)) {
        if (c->json) {
            table_json(event);
        } else {
            print_event(name, event);
        }
    }
    cJSON_Delete(event);
}

static void on_events(void *ctx, const struct registry_entry *entries, size_t n,
                      const struct err *err)
{
    struct events *e = ctx;

    e->n = n;
    for (size_t i = 0; i < n; i++) {
        snprintf(e->after, sizeof(e->after), "%.*s", (int)entries[i].id.len, entries[i].id.ptr);
        if (e->told) {
            tell(e->ctl, registry_field(&entries[i], "event"));
        }
    }
    ctl_answered(e->ctl, err);
}

/* Where to begin: at a time, with what comes from now on, or with all there is. */
static int begin(struct events *e, bool follow)
{
    const char *since = options_string(e->ctl->options, "since");
    struct wall from = {0};
    int code = CTL_DONE;

    snprintf(e->after, sizeof(e->after), "%s", REGISTRY_FROM_BEGINNING);
    if (since != NULL && since_parse(since, wall_now(), &from, NULL) == 0) {
        snprintf(e->after, sizeof(e->after), "%" PRIu64 "-0", from.ms);
    }
    while (since == NULL && follow && ctl_asks(e->ctl, &code)) {
        ctl_asked(e->ctl,
                  registry_events_before(e->ctl->registry, REGISTRY_FROM_NEWEST, 1, on_events, e));
    }
    e->told = true;
    return code;
}

static int run_events(struct ctl *c)
{
    bool follow = options_bool(c->options, "follow");
    struct events e = {.ctl = c};
    int code = begin(&e, follow);

    c->endless = follow;
    for (e.n = 1; code == CTL_DONE && (follow || e.n > 0);) {
        while (ctl_asks(c, &code)) {
            ctl_asked(c, registry_events_after(c->registry, e.after, PORTION, follow ? AWAIT_MS : 0,
                                               on_events, &e));
        }
        code = code == CTL_DONE ? ctl_flush() : code;
    }
    return code;
}

static const struct option_spec options[] = {
    {"follow", OPTION_BOOL, 0, "false", 0, 0, NULL,
     "events: go on with what comes (from now on, without --since).", NULL},
    SINCE_OPTION,
    {0},
};

CTL_COMMAND(events, "[NAME...]", "Show what happened in the cluster ('node.*' gap: those).",
            options, RIGHTS_EVENTS, run_events);
