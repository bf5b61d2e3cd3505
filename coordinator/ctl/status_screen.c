/* Status screen: a head, tables, and what is wrong at the end, where it is seen. */
#include "coordinator/ctl/status_screen.h"

#include "coordinator/ctl/table.h"
#include "coordinator/ctl/words.h"
#include "coordinator/status/records.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define BAR_CHARS  20
#define BAR_NARROW 8 /* where the terminal has less than that many columns: */
#define WIDE       84
#define LEAST_ROWS 3 /* of a table that does not fit */
#define MOST_ALIKE 5 /* problems of one kind */

static void say(const struct status_screen *s, const char *label, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
static void say(const struct status_screen *s, const char *label, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    char *text = xvasprintf(fmt, args);
    va_end(args);
    table_text(s->out, s->width, label, text);
    free(text);
}

static const cJSON *member(const struct status_screen *s, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(s->document, name);
}

static const char *text_of(const struct status_screen *s, const char *name)
{
    return records_text(s->document, name);
}

static const char *setting(const struct status_screen *s, const char *name)
{
    return records_text(member(s, "settings"), name);
}

/* 0 where it is switched off. */
static uint64_t limit(const struct status_screen *s, const char *name)
{
    return strtoull(setting(s, name), NULL, 10);
}

/* Head ----------------------------------------------------------------------------------------- */

static void show_leader(const struct status_screen *s)
{
    const cJSON *leader = member(s, "leader");
    char age[24];

    if (records_text(leader, "id")[0]) {
        table_age(records_number(leader, "leads_ms"), age, sizeof(age));
        say(s, "leader", "%s on %s, pid %" PRIu64 ", for %s", records_text(leader, "id"),
            records_text(leader, "host"), records_number(leader, "pid"), age);
    } else {
        say(s, "leader", "none");
    }
}

static void show_channels(const struct status_screen *s)
{
    struct buf text;

    buf_init(&text, 4096);
    buf_printf(&text, "%" PRIu64, records_number(s->document, "channels"));
    words_states(&text, s->document);
    say(s, "channels", "%s", text.data);
    buf_finish(&text);
}

/* Those that go on. */
static void show_joins(const struct status_screen *s)
{
    const cJSON *joins;

    cJSON_ArrayForEach(joins, member(s, "joins"))
    {
        char when[WORDS_IN_CHARS];
        if (cJSON_HasObjectItem(joins, "left_ms")) {
            words_in(records_number(joins, "left_ms"), when);
            say(s, "joins", "%s: %" PRIu64 " joined, %" PRIu64 " to go%s",
                records_text(joins, "user"), records_number(joins, "joined"),
                words_joins_left(joins), when);
        }
    }
}

/* Mebibytes. */
static double mib(uint64_t bytes)
{
    return (double)bytes / (1 << 20);
}

static void show_kept(const struct status_screen *s)
{
    const cJSON *kept = member(s, "kept");
    char age[24];

    if (records_number(kept, "streams") == 0) {
        say(s, "history", "off");
        return;
    }
    table_age(records_number(kept, "age_ms"), age, sizeof(age));
    say(s, "history", "%" PRIu64 " entries, %.1f of at most %.1f MiB, the oldest %s old",
        records_number(kept, "entries"), mib(records_number(kept, "bytes")),
        mib(limit(s, "history_bytes")), age);
}

static void show_head(const struct status_screen *s)
{
    bool bounded = limit(s, "max_shard_count") > 0;
    bool small = limit(s, "channels_per_shard") > 0;
    const char *user = text_of(s, "user");

    say(s, "cluster", "%s%s, %s", text_of(s, "cluster"),
        cJSON_IsTrue(member(s, "stopped")) ? "  (stopped)" : "", text_of(s, "health"));
    show_leader(s);
    say(s, "user", "%s", user[0] ? user : "not chosen yet");
    if (text_of(s, "speaker")[0]) {
        say(s, "speaker", "%s", text_of(s, "speaker"));
    }
    say(s, "shards", "%d%s%s, %s%s channels in each", cJSON_GetArraySize(member(s, "shards")),
        bounded ? " of at most " : "", bounded ? setting(s, "max_shard_count") : "",
        small ? "at most " : "any number of", small ? setting(s, "channels_per_shard") : "");
    show_channels(s);
    show_joins(s);
    show_kept(s);
}

/* Tables --------------------------------------------------------------------------------------- */

/* Add those records that are well, or those that are not, while there are less than `most`. */
static void choose(cJSON *some, size_t most, const cJSON *records, const char *well, bool is_well)
{
    const cJSON *record;

    cJSON_ArrayForEach(record, records)
    {
        bool fits = (strcmp(records_text(record, "state"), well) == 0) == is_well;
        if (fits && (size_t)cJSON_GetArraySize(some) < most) {
            cJSON_AddItemToArray(some, cJSON_Duplicate(record, true));
        }
    }
}

/* A copy of the records or, where there are more than `most` (0: any number), of so many. */
static cJSON *chosen(const cJSON *records, const char *well, size_t most)
{
    if (most == 0 || (size_t)cJSON_GetArraySize(records) <= most) {
        return cJSON_Duplicate(records, true);
    }
    cJSON *some = cJSON_CreateArray();
    choose(some, most, records, well, false);
    choose(some, most, records, well, true);
    return some;
}

static void show_table(const struct status_screen *s, const struct table_column *columns, size_t n,
                       const cJSON *all, const cJSON *some, const char *command)
{
    int more = cJSON_GetArraySize(all) - cJSON_GetArraySize(some);

    fputc('\n', s->out);
    table_print(s->out, s->width, columns, n, some);
    if (more > 0) {
        say(s, "", "and %d more: %s", more, command);
    }
}

static void show_nodes(const struct status_screen *s)
{
    static const struct table_column columns[] = {
        {"NODE", "node", false},        {"STATE", "state", false},    {"SHARDS", "shards", true},
        {"OF", "capacity", true},       {"LINES/S", "lines_s", true}, {"LAG_MS", "lag_ms", true},
        {"LEASE_MS", "lease_ms", true}, {"HOST", "host", false},
    };
    cJSON *nodes = chosen(member(s, "nodes"), "active", s->rows);

    show_table(s, columns, ARRAY_LEN(columns), member(s, "nodes"), nodes, "shoalctl nodes");
    cJSON_Delete(nodes);
}

static void show_shards(const struct status_screen *s)
{
    static const struct table_column columns[] = {
        {"SHARD", "shard", false},    {"NODE", "node", false}, {"STATE", "state", false},
        {"LOAD", "bar", false},       {"", "of", true},        {"JOINED", "joined", true},
        {"LINES/S", "lines_s", true},
    };
    size_t bar_chars = s->width > 0 && s->width < WIDE ? BAR_NARROW : BAR_CHARS;
    cJSON *shards = chosen(member(s, "shards"), "ready", s->rows);
    cJSON *shard;

    cJSON_ArrayForEach(shard, shards)
    {
        words_load(shard, s->document, bar_chars);
    }
    show_table(s, columns, ARRAY_LEN(columns), member(s, "shards"), shards, "shoalctl shards");
    cJSON_Delete(shards);
}

/* Where several users read. */
static void show_readers(const struct status_screen *s)
{
    static const struct table_column columns[] = {
        {"READER", "reader", false}, {"ROOMS", "rooms", true}, {"OF", "limit", true}};

    if (cJSON_GetArraySize(member(s, "readers")) > 1) {
        fputc('\n', s->out);
        table_print(s->out, s->width, columns, ARRAY_LEN(columns), member(s, "readers"));
    }
}

/* Groups that read the streams that keep chat. */
static void show_groups(const struct status_screen *s)
{
    static const struct table_column columns[] = {{"GROUP", "group", false},
                                                  {"OF", "key", false},
                                                  {"BEHIND_MS", "behind_ms", true},
                                                  {"PENDING", "pending", true},
                                                  {"CUTS", "cuts", true}};
    const cJSON *all = cJSON_GetObjectItemCaseSensitive(member(s, "kept"), "groups");
    cJSON *groups = chosen(all, "", s->rows);

    if (cJSON_GetArraySize(all) > 0) {
        show_table(s, columns, ARRAY_LEN(columns), all, groups, "shoalctl status --json");
    }
    cJSON_Delete(groups);
}

/* The end -------------------------------------------------------------------------------------- */

static void show_budgets(const struct status_screen *s)
{
    const cJSON *budget;
    struct buf text;

    buf_init(&text, 4096);
    cJSON_ArrayForEach(budget, member(s, "budgets"))
    {
        uint64_t most = records_number(budget, "limit");
        uint64_t window = records_number(budget, "window_ms");
        buf_printf(&text, "%s %" PRIu64 "/", records_text(budget, "budget"),
                   records_number(budget, "used"));
        if (most > 0) {
            buf_printf(&text, "%" PRIu64, most);
        } else {
            buf_append_str(&text, "off");
        }
        if (window > 0) {
            buf_printf(&text, " in %" PRIu64 " s", window / 1000);
        }
        buf_append_str(&text, budget->next != NULL ? ", " : "");
    }
    fputc('\n', s->out);
    say(s, "budgets", "%s", text.data);
    buf_finish(&text);
}

static void show_problems(const struct status_screen *s)
{
    const cJSON *problem;
    const cJSON *problems = member(s, "problems");
    size_t alike = 0; /* of the same code, one behind the other */

    cJSON_ArrayForEach(problem, problems)
    {
        const char *code = records_text(problem, "problem");
        fputs(problem == problems->child ? "\n" : "", s->out);
        if (++alike <= MOST_ALIKE) {
            say(s, strcmp(records_text(problem, "level"), "bad") == 0 ? "problem" : "note",
                "%s; mend: %s", records_text(problem, "text"), records_text(problem, "mend"));
        }
        if (problem->next == NULL || strcmp(records_text(problem->next, "problem"), code) != 0) {
            if (alike > MOST_ALIKE) {
                say(s, "", "and %zu more of that kind (%s): shoalctl status --json",
                    alike - MOST_ALIKE, code);
            }
            alike = 0;
        }
    }
}

static void draw(const struct status_screen *s)
{
    show_head(s);
    show_nodes(s);
    show_shards(s);
    show_readers(s);
    show_groups(s);
    show_budgets(s);
    show_problems(s);
}

/* Lines that it takes with so few rows, and the one where the cursor stays. */
static size_t least_lines(const struct status_screen *s)
{
    struct status_screen small = *s;
    char *text = NULL;
    size_t len = 0;
    size_t lines = 1;

    small.rows = LEAST_ROWS;
    small.out = open_memstream(&text, &len);
    BUG_ON(small.out == NULL);
    draw(&small);
    BUG_ON(fclose(small.out) != 0);
    for (size_t i = 0; i < len; i++) {
        lines += text[i] == '\n';
    }
    free(text);
    return lines;
}

void status_screen(struct status_screen *s)
{
    size_t taken = s->height > 0 ? least_lines(s) : 0;

    s->rows = s->height > 0 ? LEAST_ROWS : 0;
    if (s->height > taken) {
        s->rows += (s->height - taken) / 2;
    }
    draw(s);
}
