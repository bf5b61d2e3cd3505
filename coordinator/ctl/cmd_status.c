/* shoalctl status: one screen that says whether the cluster is well, and if not, why. */
#include "coordinator/ctl/commands.h"
#include "coordinator/ctl/ctl_records.h"
#include "coordinator/ctl/table.h"
#include "shared/account_secret.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BAR_CHARS    20
#define LOST_TOLD_MS 86400000

struct status {
    struct records records;
    cJSON *all;      /* one object, what programs want to watch; it holds these: */
    cJSON *states;   /* state of channels -> how many */
    cJSON *budgets;  /* {"budget","used","limit","window_ms"} */
    cJSON *muted;    /* {"account","left_ms"} */
    cJSON *warnings; /* texts */
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

/* `most` and `window_ms`: 0 where there is none. */
static void add_budget(struct status *s, const char *name, uint64_t used, uint64_t most,
                       uint64_t window_ms)
{
    cJSON *budget = cJSON_CreateObject();

    cJSON_AddStringToObject(budget, "budget", name);
    cJSON_AddNumberToObject(budget, "used", (double)used);
    if (most > 0) {
        cJSON_AddNumberToObject(budget, "limit", (double)most);
    }
    if (window_ms > 0) {
        cJSON_AddNumberToObject(budget, "window_ms", (double)window_ms);
    }
    cJSON_AddItemToArray(s->budgets, budget);
}

static void gather_budgets(struct status *s)
{
    static const struct {
        const char *name;
        const char *limit;
        const char *window_ms;
    } budgets[CLUSTER_BUDGETS] = {
        [CLUSTER_LOGINS] = {"login", "login_limit", "login_window_ms"},
        [CLUSTER_JOINS] = {"join", "join_limit", "join_window_ms"},
        [CLUSTER_MESSAGES] = {"message", "message_limit", "message_window_ms"},
        [CLUSTER_MESSAGES_MOD] = {"message_mod", "message_mod_limit", "message_window_ms"},
    };
    const struct cluster_state *state = s->records.state;

    for (size_t i = 0; i < CLUSTER_BUDGETS; i++) {
        uint64_t window_ms = limit(s, budgets[i].window_ms);
        uint64_t used = 0;
        /* How many slots lie in the window that ends now (a slot may also be ahead). */
        for (size_t k = 0; k < state->budget[i].n; k++) {
            used += state->budget[i].at_ms[k] + window_ms > state->now.ms;
        }
        add_budget(s, budgets[i].name, used, limit(s, budgets[i].limit), window_ms);
    }
    /* Twitch caps the rooms of named accounts only. */
    bool named = strcmp(setting(s, "user"), "anonymous") != 0;
    uint64_t most = named ? limit(s, "room_limit") : 0;
    add_budget(s, "rooms", state->rooms, most, 0);
}

static void warn_of_readers(struct status *s)
{
    const cJSON *reader;

    cJSON_ArrayForEach(reader, s->records.readers)
    {
        const char *name = records_text(reader, "reader");
        uint64_t most = records_number(reader, "limit");
        uint64_t rooms = records_number(reader, "rooms");
        if (most > 0 && rooms > most) {
            warn(s, "user %s is in %" PRIu64 " rooms; room_limit is %" PRIu64, name, rooms, most);
        }
        if (records_text(reader, "error")[0]) {
            warn(s, "reader %s takes no channels: %s", name, records_text(reader, "error"));
        }
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
    if (s->records.state->waiting > 0) {
        warn(s, "%" PRIu64 " channels wait for a shard: %s", s->records.state->waiting, why);
    }
    if (failed > 0) {
        warn(s, "%" PRIu64 " channels failed to join; shoalctl channels says why", failed);
    }
}

static void warn_of_shards(struct status *s)
{
    uint64_t each = limit(s, "channels_per_shard");
    uint64_t most = limit(s, "max_shard_count");
    uint64_t count = (uint64_t)cJSON_GetArraySize(s->records.shards);
    const cJSON *shard;

    if (most > 0 && count > most) {
        warn(s, "there are %" PRIu64 " shards; max_shard_count is %" PRIu64, count, most);
    }
    cJSON_ArrayForEach(shard, s->records.shards)
    {
        uint64_t channels = records_number(shard, "channels");
        if (each > 0 && channels > each) {
            warn(s, "%s has %" PRIu64 " channels; channels_per_shard is %" PRIu64,
                 records_text(shard, "shard"), channels, each);
        }
        if (records_text(shard, "error")[0] && strcmp(records_text(shard, "state"), "ready") != 0) {
            warn(s, "%s: %s", records_text(shard, "shard"), records_text(shard, "error"));
        }
    }
    if (s->records.state->homeless > 0) {
        warn(s, "%" PRIu64 " shards have no node", s->records.state->homeless);
    }
}

static void warn_of_accounts(struct status *s)
{
    static const struct {
        const char *state;
        const char *mend;
    } mends[] = {
        {"login_required", "shoalctl account login"},
        {"locked", "the coordinator needs the key it is sealed with (--account-keys)"},
        {"refused", "it is tried again; can the coordinator reach Twitch?"},
        {"revoking", "it is tried again; shoalctl account remove forgets it as it is"},
    };
    const cJSON *account;

    cJSON_ArrayForEach(account, s->records.accounts)
    {
        const char *name = records_text(account, "account");
        const char *state = records_text(account, "state");
        const char *error = records_text(account, "error");
        bool is_app = strcmp(name, ACCOUNT_APP) == 0;
        char left[24];
        for (size_t i = 0; i < ARRAY_LEN(mends); i++) {
            if (strcmp(state, mends[i].state) == 0) {
                warn(s, "account %s is not usable, %s%s%.300s; mend: %s", name, state,
                     error[0] ? ": " : "", error,
                     is_app && i == 0 ? "--client-id and --client-secret of the coordinator"
                                      : mends[i].mend);
            }
        }
        if (records_number(account, "ending") == 1 && strcmp(state, "usable") == 0) {
            table_age(records_number(account, "left_ms"), left, sizeof(left));
            warn(s,
                 "the token of account %s ends in %s, and it has no refresh token; mend: shoalctl "
                 "account login",
                 name, left);
        }
    }
}

static bool speaks(const cJSON *shard)
{
    return strncmp(records_text(shard, "shard"), "speaker-shard-", 14) == 0;
}

static void warn_of_speaker(struct status *s)
{
    const char *speaker = setting(s, "speaker");
    struct slice why = s->records.state->speaker_error;
    uint64_t wanted = limit(s, "speaker_shard_count");
    uint64_t there = 0;
    const cJSON *shard;

    cJSON_ArrayForEach(shard, s->records.shards)
    {
        there += speaks(shard);
    }
    if (speaker[0] && strcmp(speaker, "anonymous") != 0 && there < wanted) {
        warn(s, "speaker %s has %" PRIu64 " of %" PRIu64 " shards%s%s", speaker, there, wanted,
             why.len > 0 ? ": " : "", why.len > 0 ? why.ptr : "");
    }
}

static void warn_of_rest(struct status *s)
{
    const struct cluster_state *state = s->records.state;
    uint64_t lost_ms = wall_since((struct wall){state->lost_at_ms}, state->now);
    const cJSON *node;

    /* What an earlier registry held is gone: said for a day. */
    if (state->lost_at_ms > 0 && state->lost_at_ms <= state->now.ms && lost_ms < LOST_TOLD_MS) {
        warn(s,
             "Redis lost its data %" PRIu64 " s ago: %" PRIu64 " channels and %" PRIu64
             " shards are gone; join the channels again",
             lost_ms / 1000, state->lost_channels, state->lost_shards);
    }
    if (state->leader.id.len == 0) {
        warn(s, "no coordinator leads: nothing is assigned or moved");
    }
    if (state->stopped) {
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

static void warn_of_muted(struct status *s)
{
    const struct cluster_state *state = s->records.state;

    for (size_t i = 0; i < state->nmuted; i++) {
        const struct cluster_muted *muted = &state->muted[i];
        cJSON *told = cJSON_CreateObject();
        cJSON_AddStringToObject(told, "account", muted->user.ptr);
        cJSON_AddNumberToObject(told, "left_ms", (double)muted->left_ms);
        cJSON_AddItemToArray(s->muted, told);
        warn(s, "Twitch says nothing of account %s for %" PRIu64 " s: it was too fast",
             muted->user.ptr, muted->left_ms / 1000);
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

/* Everything but what is gathered. */
static void create_all(struct ctl *c, struct status *s)
{
    const struct cluster_state *state = s->records.state;
    cJSON *all = cJSON_CreateObject();

    s->all = all;
    cJSON_AddStringToObject(all, "cluster", options_string(c->options, "cluster"));
    cJSON_AddStringToObject(all, "user", setting(s, "user"));
    cJSON_AddStringToObject(all, "speaker", setting(s, "speaker"));
    cJSON_AddBoolToObject(all, "stopped", state->stopped);
    cJSON *leader = cJSON_AddObjectToObject(all, "leader");
    if (state->leader.id.len > 0) {
        cJSON_AddStringToObject(leader, "id", state->leader.id.ptr);
        cJSON_AddStringToObject(leader, "host", state->leader.host.ptr);
        cJSON_AddNumberToObject(leader, "pid", (double)state->leader.pid);
        cJSON_AddNumberToObject(leader, "leads_ms", (double)state->leader.leads_ms);
    }
    cJSON_AddItemReferenceToObject(all, "nodes", s->records.nodes);
    cJSON_AddItemReferenceToObject(all, "shards", s->records.shards);
    cJSON_AddItemReferenceToObject(all, "accounts", s->records.accounts);
    cJSON_AddNumberToObject(all, "channels", cJSON_GetArraySize(s->records.channels));
    cJSON_AddItemReferenceToObject(all, "readers", s->records.readers);
    s->states = cJSON_AddObjectToObject(all, "states");
    s->budgets = cJSON_AddArrayToObject(all, "budgets");
    cJSON_AddNumberToObject(all, "waiting", (double)state->waiting);
    cJSON_AddNumberToObject(all, "homeless", (double)state->homeless);
    s->muted = cJSON_AddArrayToObject(all, "muted");
    s->warnings = cJSON_AddArrayToObject(all, "warnings");
}

/* Showing -------------------------------------------------------------------------------------- */

static void show_head(struct ctl *c, const struct status *s)
{
    const struct cluster_leader *leader = &s->records.state->leader;
    bool bounded = limit(s, "max_shard_count") > 0;
    bool small = limit(s, "channels_per_shard") > 0;
    char age[24];
    const cJSON *state;
    struct buf states;

    ctl_say("cluster   %s%s", options_string(c->options, "cluster"),
            s->records.state->stopped ? "  (stopped)" : "");
    if (leader->id.len > 0) {
        table_age(leader->leads_ms, age, sizeof(age));
        ctl_say("leader    %s on %s, pid %" PRIu64 ", for %s", leader->id.ptr, leader->host.ptr,
                leader->pid, age);
    } else {
        ctl_say("leader    none");
    }
    ctl_say("user      %s", setting(s, "user")[0] ? setting(s, "user") : "not chosen yet");
    if (setting(s, "speaker")[0]) {
        ctl_say("speaker   %s", setting(s, "speaker"));
    }
    ctl_say("shards    %d%s%s, %s%s channels in each", cJSON_GetArraySize(s->records.shards),
            bounded ? " of at most " : "", bounded ? setting(s, "max_shard_count") : "",
            small ? "at most " : "any number of", small ? setting(s, "channels_per_shard") : "");
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
        snprintf(of, sizeof(of), each > 0 ? "%" PRIu64 "/%" PRIu64 : "%" PRIu64, channels, each);
        if (speaks(shard)) {
            snprintf(of, sizeof(of), "speaks");
            bar[0] = '\0';
        }
        cJSON_AddStringToObject(shard, "bar", bar);
        cJSON_AddStringToObject(shard, "of", of);
    }
    putchar('\n');
    table_print(stdout, columns, ARRAY_LEN(columns), s->records.shards);
}

/* Where several users read. */
static void show_readers(const struct status *s)
{
    static const struct table_column columns[] = {
        {"READER", "reader", false}, {"ROOMS", "rooms", true}, {"OF", "limit", true}};

    if (cJSON_GetArraySize(s->records.readers) > 1) {
        putchar('\n');
        table_print(stdout, columns, ARRAY_LEN(columns), s->records.readers);
    }
}

static void show_budgets(const struct status *s)
{
    const cJSON *budget;

    fputs("\nbudgets  ", stdout);
    cJSON_ArrayForEach(budget, s->budgets)
    {
        uint64_t most = records_number(budget, "limit");
        uint64_t window = records_number(budget, "window_ms");
        printf(" %s %" PRIu64 "/", records_text(budget, "budget"), records_number(budget, "used"));
        if (most > 0) {
            printf("%" PRIu64, most);
        } else {
            fputs("off", stdout);
        }
        if (window > 0) {
            printf(" in %" PRIu64 " s", window / 1000);
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
    table_print(stdout, nodes, ARRAY_LEN(nodes), s->records.nodes);
    show_shards(s);
    show_readers(s);
    show_budgets(s);
    cJSON_ArrayForEach(text, s->warnings)
    {
        fputs(text == s->warnings->child ? "\n" : "", stdout);
        ctl_say("warning   %s", text->valuestring);
    }
}

static int run_status(struct ctl *c)
{
    struct status s = {0};
    int code = ctl_records(c,
                           RECORDS_NODES | RECORDS_SHARDS | RECORDS_CHANNELS | RECORDS_ACCOUNTS |
                               RECORDS_READERS | RECORDS_WHOLE,
                           &s.records);

    if (code == CTL_DONE) {
        create_all(c, &s);
        gather_budgets(&s);
        warn_of_rest(&s);
        warn_of_channels(&s);
        warn_of_shards(&s);
        warn_of_readers(&s);
        warn_of_muted(&s);
        warn_of_accounts(&s);
        warn_of_speaker(&s);
        code = warn_of_redis(c, &s);
    }
    if (code == CTL_DONE && c->json) {
        table_json(s.all);
    } else if (code == CTL_DONE) {
        show(c, &s);
    }
    cJSON_Delete(s.all);
    records_finish(&s.records);
    return code;
}

CTL_COMMAND(status, "", "The cluster at a glance: leader, load of the shards, budgets, warnings.",
            NULL, RIGHTS_VIEW, run_status);
