/* shoalctl status: one screen that says whether the cluster is well, and if not, why. */
#include "coordinator/ctl/commands.h"
#include "coordinator/ctl/table.h"
#include "coordinator/ctl/records.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BAR_CHARS    20
#define LOST_TOLD_MS 86400000

struct status {
    struct records records; /* first: on_state finds us by it */
    cJSON *leader;          /* {"id","host","pid","leads_ms"} or {} */
    cJSON *states;          /* state of channels -> how many */
    cJSON *budgets;         /* {"budget","used","limit","window_ms"} */
    cJSON *warnings;        /* texts */
    uint64_t waiting;
    uint64_t homeless;
    bool stopped;
};

static const char *setting(const struct status *s, const char *name)
{
    return records_setting(&s->records, name);
}

/* 0 where it is switched off. */
static uint64_t limit(const struct status *s, const char *name)
{
    return strtoull(setting(s, name), NULL, 10);
}

static void warn(struct status *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void warn(struct status *s, const char *fmt, ...)
{
    char text[600];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    cJSON_AddItemToArray(s->warnings, cJSON_CreateString(text));
}

/* Gathering ------------------------------------------------------------------------------------ */

static void count_up(cJSON *counts, const char *name)
{
    cJSON *count = cJSON_GetObjectItemCaseSensitive(counts, name);

    if (count != NULL) {
        cJSON_SetNumberValue(count, count->valuedouble + 1);
    } else {
        cJSON_AddNumberToObject(counts, name, 1);
    }
}

/* How many slots of a budget lie in the window that ends now (a slot may also be ahead). */
static void add_budget(struct status *s, const char *name, const struct cluster_budget *slots,
                       struct wall now)
{
    char field[48];
    uint64_t used = 0;

    snprintf(field, sizeof(field), "%s_limit", name);
    uint64_t most = limit(s, field);
    snprintf(field, sizeof(field), "%.20s_window_ms",
             strcmp(name, "message_mod") == 0 ? "message" : name);
    uint64_t window = limit(s, field);
    for (size_t i = 0; i < slots->n; i++) {
        used += slots->at_ms[i] + window > now.ms;
    }
    cJSON *budget = cJSON_CreateObject();
    cJSON_AddStringToObject(budget, "budget", name);
    cJSON_AddNumberToObject(budget, "used", (double)used);
    if (most > 0) {
        cJSON_AddNumberToObject(budget, "limit", (double)most);
    }
    cJSON_AddNumberToObject(budget, "window_ms", (double)window);
    cJSON_AddItemToArray(s->budgets, budget);
}

static void add_rooms(struct status *s, uint64_t used)
{
    /* Twitch caps the rooms of named accounts only. */
    bool named = strcmp(setting(s, "user"), "anonymous") != 0;
    uint64_t most = named ? limit(s, "room_limit") : 0;
    cJSON *budget = cJSON_CreateObject();

    cJSON_AddStringToObject(budget, "budget", "rooms");
    cJSON_AddNumberToObject(budget, "used", (double)used);
    if (most > 0) {
        cJSON_AddNumberToObject(budget, "limit", (double)most);
        if (used > most) {
            warn(s, "user %s is in %llu rooms; room_limit is %llu", setting(s, "user"),
                 (unsigned long long)used, (unsigned long long)most);
        }
    }
    cJSON_AddItemToArray(s->budgets, budget);
}

static void take_leader(struct status *s, const struct cluster_leader *leader)
{
    if (leader->id.len > 0) {
        cJSON_AddStringToObject(s->leader, "id", leader->id.ptr);
        cJSON_AddStringToObject(s->leader, "host", leader->host.ptr);
        cJSON_AddNumberToObject(s->leader, "pid", (double)leader->pid);
        cJSON_AddNumberToObject(s->leader, "leads_ms", (double)leader->leads_ms);
    }
}

static void on_state(struct records *r, const struct cluster_state *state)
{
    static const char *const budgets[CLUSTER_BUDGETS] = {"login", "join", "message", "message_mod"};
    struct status *s = (struct status *)r;
    uint64_t lost_ms = state->lost_at_ms;

    take_leader(s, &state->leader);
    s->waiting = state->waiting;
    s->homeless = state->homeless;
    s->stopped = state->stopped;
    for (size_t i = 0; i < CLUSTER_BUDGETS; i++) {
        add_budget(s, budgets[i], &state->budget[i], state->now);
    }
    add_rooms(s, state->rooms);
    /* What an earlier registry held is gone: said for a day. */
    if (lost_ms > 0 && lost_ms <= state->now.ms && state->now.ms - lost_ms < LOST_TOLD_MS) {
        warn(s,
             "Redis lost its data %llu s ago: %llu channels and %llu shards are gone; join the "
             "channels again",
             (unsigned long long)((state->now.ms - lost_ms) / 1000),
             (unsigned long long)state->lost_channels, (unsigned long long)state->lost_shards);
    }
}

static void warn_of_channels(struct status *s)
{
    const cJSON *channel;
    const char *why = "";
    uint64_t failed = 0;

    cJSON_ArrayForEach(channel, s->records.channels)
    {
        const char *state = records_text(channel, "state");
        count_up(s->states, state[0] ? state : "unknown");
        if (strcmp(state, "waiting") == 0) {
            why = records_text(channel, "reason");
        }
        failed += strcmp(state, "failed") == 0;
    }
    if (s->waiting > 0) {
        warn(s, "%llu channels wait for a shard: %s", (unsigned long long)s->waiting, why);
    }
    if (failed > 0) {
        warn(s, "%llu channels failed to join; shoalctl channels says why",
             (unsigned long long)failed);
    }
}

static void warn_of_shards(struct status *s)
{
    uint64_t each = limit(s, "channels_per_shard");
    uint64_t most = limit(s, "max_shard_count");
    uint64_t count = (uint64_t)cJSON_GetArraySize(s->records.shards);
    const cJSON *shard;

    if (most > 0 && count > most) {
        warn(s, "there are %llu shards; max_shard_count is %llu", (unsigned long long)count,
             (unsigned long long)most);
    }
    cJSON_ArrayForEach(shard, s->records.shards)
    {
        uint64_t channels = records_number(shard, "channels");
        if (each > 0 && channels > each) {
            warn(s, "%s has %llu channels; channels_per_shard is %llu",
                 records_text(shard, "shard"), (unsigned long long)channels,
                 (unsigned long long)each);
        }
        if (records_text(shard, "error")[0] && strcmp(records_text(shard, "state"), "ready") != 0) {
            warn(s, "%s: %s", records_text(shard, "shard"), records_text(shard, "error"));
        }
    }
    if (s->homeless > 0) {
        warn(s, "%llu shards have no node", (unsigned long long)s->homeless);
    }
}

static void warn_of_rest(struct status *s)
{
    const cJSON *node;

    if (s->leader->child == NULL) {
        warn(s, "no coordinator leads: nothing is assigned or moved");
    }
    if (s->stopped) {
        warn(s, "the cluster is stopped; shoalctl start connects it again");
    }
    if (cJSON_GetArraySize(s->records.nodes) == 0) {
        warn(s, "no node is up");
    }
    cJSON_ArrayForEach(node, s->records.nodes)
    {
        if (records_text(node, "error")[0]) {
            warn(s, "node %s is blind, it does not see Twitch: %s", records_text(node, "node"),
                 records_text(node, "error"));
        }
        if (strcmp(records_text(node, "state"), "silent") == 0) {
            warn(s, "node %s has not renewed its lease", records_text(node, "node"));
        }
    }
}

/* What is wrong with Redis itself: the same looks as shoalctl doctor. */
static int warn_of_redis(struct ctl *c, struct status *s)
{
    struct look l;
    int code = doctor_look(c, &l);

    for (size_t i = 0; code == CTL_DONE && i < l.n; i++) {
        if (l.finding[i].verdict == LOOK_WRONG) {
            warn(s, "Redis: %s: %s; mend: %s", l.finding[i].what, l.finding[i].text,
                 l.finding[i].mend);
        }
    }
    return code;
}

static int gather(struct ctl *c, struct status *s)
{
    s->records.on_state = on_state;
    int code = records_read(c, RECORDS_SETTINGS | RECORDS_NODES | RECORDS_SHARDS | RECORDS_CHANNELS,
                            &s->records);

    if (code == CTL_DONE) {
        warn_of_rest(s);
        warn_of_channels(s);
        warn_of_shards(s);
        code = warn_of_redis(c, s);
    }
    return code;
}

/* Showing -------------------------------------------------------------------------------------- */

/* "3 of at most 5, 25 channels each", in words where there is no limit. */
static void show_limits(const struct status *s)
{
    char most[64] = "";
    char each[80] = "any number of channels in each";

    if (limit(s, "max_shard_count") > 0) {
        snprintf(most, sizeof(most), " of at most %.40s", setting(s, "max_shard_count"));
    }
    if (limit(s, "channels_per_shard") > 0) {
        snprintf(each, sizeof(each), "at most %.40s channels in each",
                 setting(s, "channels_per_shard"));
    }
    ctl_say("shards    %d%s, %s", cJSON_GetArraySize(s->records.shards), most, each);
}

static void show_head(struct ctl *c, const struct status *s)
{
    char age[24];
    const cJSON *state;
    struct buf states;

    ctl_say("cluster   %s%s", options_string(c->options, "cluster"),
            s->stopped ? "  (stopped)" : "");
    if (s->leader->child != NULL) {
        table_age(records_number(s->leader, "leads_ms"), age, sizeof(age));
        ctl_say("leader    %s on %s, pid %llu, for %s", records_text(s->leader, "id"),
                records_text(s->leader, "host"),
                (unsigned long long)records_number(s->leader, "pid"), age);
    } else {
        ctl_say("leader    none");
    }
    ctl_say("user      %s", setting(s, "user")[0] ? setting(s, "user") : "not chosen yet");
    show_limits(s);
    buf_init(&states, 4096);
    buf_printf(&states, "channels  %d", cJSON_GetArraySize(s->records.channels));
    const char *mark = ": ";
    cJSON_ArrayForEach(state, s->states)
    {
        buf_printf(&states, "%s%.0f %s", mark, state->valuedouble, state->string);
        mark = ", ";
    }
    ctl_say("%s", states.data);
    buf_finish(&states);
}

static void show_shards(const struct status *s)
{
    static const struct table_column columns[] = {
        {"SHARD", "shard", false},    {"NODE", "node", false}, {"STATE", "state", false},
        {"LOAD", "bar", false},       {"", "of", true},        {"JOINED", "joined", true},
        {"LINES/S", "lines_s", true},
    };
    uint64_t each = limit(s, "channels_per_shard");
    cJSON *shard;

    cJSON_ArrayForEach(shard, s->records.shards)
    {
        char bar[BAR_CHARS + 3];
        char of[48];
        uint64_t channels = records_number(shard, "channels");
        table_bar(channels, each, BAR_CHARS, bar);
        snprintf(of, sizeof(of), each > 0 ? "%llu/%llu" : "%llu", (unsigned long long)channels,
                 (unsigned long long)each);
        cJSON_AddStringToObject(shard, "bar", bar);
        cJSON_AddStringToObject(shard, "of", of);
    }
    putchar('\n');
    table_print(stdout, columns, ARRAY_LEN(columns), s->records.shards, true);
}

static void show_budgets(const struct status *s)
{
    const cJSON *budget;

    fputs("\nbudgets  ", stdout);
    cJSON_ArrayForEach(budget, s->budgets)
    {
        uint64_t most = records_number(budget, "limit");
        uint64_t window = records_number(budget, "window_ms");
        printf(" %s %llu/", records_text(budget, "budget"),
               (unsigned long long)records_number(budget, "used"));
        if (most > 0) {
            printf("%llu", (unsigned long long)most);
        } else {
            fputs("off", stdout);
        }
        if (window > 0) {
            printf(" in %llu s", (unsigned long long)(window / 1000));
        }
        fputs(budget->next != NULL ? "," : "\n", stdout);
    }
}

static void show(struct ctl *c, const struct status *s)
{
    static const struct table_column nodes[] = {
        {"NODE", "node", false},  {"STATE", "state", false},      {"SHARDS", "shards", true},
        {"OF", "capacity", true}, {"LEASE_MS", "lease_ms", true}, {"HOST", "host", false},
    };
    const cJSON *text;

    show_head(c, s);
    putchar('\n');
    table_print(stdout, nodes, ARRAY_LEN(nodes), s->records.nodes, true);
    show_shards(s);
    show_budgets(s);
    cJSON_ArrayForEach(text, s->warnings)
    {
        fputs(text == s->warnings->child ? "\n" : "", stdout);
        ctl_say("warning   %s", text->valuestring);
    }
}

/* One object: what programs want to watch. */
static void show_json(struct ctl *c, const struct status *s)
{
    cJSON *all = cJSON_CreateObject();

    cJSON_AddStringToObject(all, "cluster", options_string(c->options, "cluster"));
    cJSON_AddStringToObject(all, "user", setting(s, "user"));
    cJSON_AddBoolToObject(all, "stopped", s->stopped);
    cJSON_AddItemToObject(all, "leader", cJSON_Duplicate(s->leader, true));
    cJSON_AddItemToObject(all, "nodes", cJSON_Duplicate(s->records.nodes, true));
    cJSON_AddItemToObject(all, "shards", cJSON_Duplicate(s->records.shards, true));
    cJSON_AddNumberToObject(all, "channels", cJSON_GetArraySize(s->records.channels));
    cJSON_AddItemToObject(all, "states", cJSON_Duplicate(s->states, true));
    cJSON_AddItemToObject(all, "budgets", cJSON_Duplicate(s->budgets, true));
    cJSON_AddNumberToObject(all, "waiting", (double)s->waiting);
    cJSON_AddNumberToObject(all, "homeless", (double)s->homeless);
    cJSON_AddItemToObject(all, "warnings", cJSON_Duplicate(s->warnings, true));
    table_json_line(all);
    cJSON_Delete(all);
}

static int run_status(struct ctl *c)
{
    struct status s = {.leader = cJSON_CreateObject(),
                       .states = cJSON_CreateObject(),
                       .budgets = cJSON_CreateArray(),
                       .warnings = cJSON_CreateArray()};
    int code = gather(c, &s);

    if (code == CTL_DONE && c->json) {
        show_json(c, &s);
    } else if (code == CTL_DONE) {
        show(c, &s);
    }
    records_finish(&s.records);
    cJSON_Delete(s.leader);
    cJSON_Delete(s.states);
    cJSON_Delete(s.budgets);
    cJSON_Delete(s.warnings);
    return code;
}

CTL_COMMAND(status, "", "The cluster at a glance: leader, load of the shards, budgets, warnings.",
            NULL, RIGHTS_VIEW, run_status);
