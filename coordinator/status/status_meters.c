/* Status meters: rows, and what of the document each of them shows. */
#include "coordinator/status/status_meters.h"

#include "coordinator/status/status.h"

#include "shared/send_status.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const node_states[] = {"active",   "blind",   "proving",
                                          "draining", "leaving", "silent"};

static const char *send_result(size_t i)
{
    return send_status_name((enum send_status)i);
}

static const char *node_state(size_t i)
{
    return node_states[i];
}

static const char *channel_state(size_t i)
{
    return status_channel_states[i];
}

#define METER_LABEL_NODE_STATE    {"state", ARRAY_LEN(node_states), node_state}
#define METER_DIM_NODE_STATE      [ARRAY_LEN(node_states)]
#define METER_LABEL_RESULT        {"result", SEND_STATUSES, send_result}
#define METER_DIM_RESULT          [SEND_STATUSES]
#define METER_LABEL_CHANNEL_STATE {"state", STATUS_CHANNEL_STATES, channel_state}
#define METER_DIM_CHANNEL_STATE   [STATUS_CHANNEL_STATES]

/* The first are always told, the others only as long as they can be known: what was so last would
 * hide from an alert what became of it. */
#define METERS_OF_SIGHT(X)                                                                         \
    X(redis_up, GAUGE, "", NONE,                                                                   \
      "1: the cluster can be read from Redis; 0: nothing of it is told")                           \
    X(cluster_read_timestamp_seconds, GAUGE, "seconds", NONE,                                      \
      "when what is said of the cluster here was read, since 1970, by Redis's clock")
#define METERS_OF_CLUSTER(X)                                                                       \
    X(cluster_leader, GAUGE, "", NONE, "1: a coordinator leads")                                   \
    X(leader_elections_total, COUNTER, "", NONE, "times that a coordinator took the lead")         \
    X(cluster_healthy, GAUGE, "", NONE, "1: nothing is wrong; else see cluster_problems")          \
    X(cluster_stopped, GAUGE, "", NONE, "1: it was asked to stop")                                 \
    X(cluster_nodes, GAUGE, "", NODE_STATE, "nodes; silent: past its lease")                       \
    X(cluster_shards, GAUGE, "", NONE, "shards there are")                                         \
    X(cluster_shards_limit, GAUGE, "", NONE, "shards there may be (max_shard_count)")              \
    X(cluster_shards_homeless, GAUGE, "", NONE, "shards that no node holds")                       \
    X(cluster_channels, GAUGE, "", CHANNEL_STATE, "wanted channels; waiting: for a shard")         \
    X(cluster_sends_total, COUNTER, "", RESULT, "sends that ended so")
#define METERS_OF_PROBLEM(X)                                                                       \
    X(cluster_problems, GAUGE, "", NONE, "what is wrong: see the table of problems")
#define METERS_OF_NODE(X)                                                                          \
    X(cluster_node_shards, GAUGE, "", NONE, "shards it holds")                                     \
    X(cluster_node_capacity_shards, GAUGE, "", NONE, "shards it may hold")                         \
    X(cluster_node_lines_per_second, GAUGE, "", NONE, "lines it reads")                            \
    X(cluster_node_latency_seconds, GAUGE, "seconds", NONE,                                        \
      "from reading a line to Redis's answer, the worst of two seconds")                           \
    X(cluster_node_buffer_bytes, GAUGE, "bytes", NONE, "chat that Redis has not taken yet")        \
    X(cluster_node_buffer_limit_bytes, GAUGE, "bytes", NONE, "so much of it may be held")
#define METERS_OF_JOINS(X)                                                                         \
    X(cluster_joins_left_seconds, GAUGE, "seconds", NONE,                                          \
      "until its channels are joined, at its pace; 0: all are, or it has no limit")
#define METERS_OF_ACCOUNT(X)                                                                       \
    X(account_usable, GAUGE, "", NONE, "1: it can log in, as far as is known")                     \
    X(account_token_left_seconds, GAUGE, "seconds", NONE, "how long its token is valid yet")       \
    X(account_rooms, GAUGE, "", NONE, "rooms it is in, as Twitch counts them")                     \
    X(account_rooms_limit, GAUGE, "", NONE, "rooms it may be in")                                  \
    X(account_muted, GAUGE, "", NONE, "1: Twitch says nothing of it")
#define METERS_OF_BUDGET(X)                                                                        \
    X(budget_used, GAUGE, "", NONE, "slots of the budget that are used in its window")             \
    X(budget_limit, GAUGE, "", NONE, "slots there are")
#define METERS_OF_KEPT(X)                                                                          \
    X(history_entries, GAUGE, "", NONE, "entries of the streams that keep chat")                   \
    X(history_bytes, GAUGE, "bytes", NONE, "memory they take")                                     \
    X(history_limit_bytes, GAUGE, "bytes", NONE, "memory they may take (history_bytes)")           \
    X(history_age_seconds, GAUGE, "seconds", NONE, "age of the oldest entry")                      \
    X(history_limit_seconds, GAUGE, "seconds", NONE, "what is older goes (history_ms)")            \
    X(history_rewinds_total, COUNTER, "", NONE, "times that Redis lost some that it had answered")
#define METERS_OF_GROUP(X)                                                                         \
    X(history_group_behind_seconds, GAUGE, "seconds", NONE,                                        \
      "age of the first entry that it was not given; 0: it was given all")                         \
    X(history_group_pending_entries, GAUGE, "", NONE, "entries that it has not acknowledged")      \
    X(history_group_cuts_total, COUNTER, "", NONE, "times that entries went which it was not given")

/* A struct and its rows. */
#define METERS(name, LIST)                                                                         \
    struct meters_##name {                                                                         \
        LIST(METER_MEMBER)                                                                         \
    };
METERS(sight, METERS_OF_SIGHT)
METERS(cluster, METERS_OF_CLUSTER)
METERS(problem, METERS_OF_PROBLEM)
METERS(node, METERS_OF_NODE)
METERS(joins, METERS_OF_JOINS)
METERS(account, METERS_OF_ACCOUNT)
METERS(budget, METERS_OF_BUDGET)
METERS(kept, METERS_OF_KEPT)
METERS(group, METERS_OF_GROUP)
#define SIGHT_ROW(...)   METER_ROW(struct meters_sight, __VA_ARGS__)
#define CLUSTER_ROW(...) METER_ROW(struct meters_cluster, __VA_ARGS__)
#define PROBLEM_ROW(...) METER_ROW(struct meters_problem, __VA_ARGS__)
#define NODE_ROW(...)    METER_ROW(struct meters_node, __VA_ARGS__)
#define JOINS_ROW(...)   METER_ROW(struct meters_joins, __VA_ARGS__)
#define ACCOUNT_ROW(...) METER_ROW(struct meters_account, __VA_ARGS__)
#define BUDGET_ROW(...)  METER_ROW(struct meters_budget, __VA_ARGS__)
#define KEPT_ROW(...)    METER_ROW(struct meters_kept, __VA_ARGS__)
#define GROUP_ROW(...)   METER_ROW(struct meters_group, __VA_ARGS__)
static const struct meter rows_of_sight[] = {METERS_OF_SIGHT(SIGHT_ROW){0}};
static const struct meter rows_of_cluster[] = {METERS_OF_CLUSTER(CLUSTER_ROW){0}};
static const struct meter rows_of_problem[] = {METERS_OF_PROBLEM(PROBLEM_ROW){0}};
static const struct meter rows_of_node[] = {METERS_OF_NODE(NODE_ROW){0}};
static const struct meter rows_of_joins[] = {METERS_OF_JOINS(JOINS_ROW){0}};
static const struct meter rows_of_account[] = {METERS_OF_ACCOUNT(ACCOUNT_ROW){0}};
static const struct meter rows_of_budget[] = {METERS_OF_BUDGET(BUDGET_ROW){0}};
static const struct meter rows_of_kept[] = {METERS_OF_KEPT(KEPT_ROW){0}};
static const struct meter rows_of_group[] = {METERS_OF_GROUP(GROUP_ROW){0}};

static const cJSON *member(const cJSON *document, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(document, name);
}

static double number(const cJSON *record, const char *name)
{
    return (double)records_number(record, name);
}

/* NAN where it is not told. */
static double told(const cJSON *record, const char *name)
{
    return cJSON_IsNumber(member(record, name)) ? number(record, name) : NAN;
}

static double count_of(const cJSON *records, const char *field, const char *value)
{
    const cJSON *record;
    double n = 0;

    cJSON_ArrayForEach(record, records)
    {
        n += strcmp(records_text(record, field), value) == 0;
    }
    return n;
}

/* Lists ---------------------------------------------------------------------------------------- */

/* Write those rows of each of the records, which these fields of it tell apart; `fill` takes one of
 * them. */
struct list {
    const struct meter *rows;
    size_t size;           /* of the struct */
    const char *labels[2]; /* and the fields they are; NULL: there is no (second) one */
    void (*fill)(void *meters, const cJSON *record, const cJSON *document);
};

static void write_list(struct exposition *e, const struct list *list, const cJSON *records,
                       const cJSON *document)
{
    size_t n = (size_t)cJSON_GetArraySize(records);
    char *meters = xcalloc(n + 1, list->size);
    struct exposition_of *each = xcalloc(n + 1, sizeof(*each));
    const cJSON *record;
    size_t i = 0;

    cJSON_ArrayForEach(record, records)
    {
        void *of = meters + i * list->size;
        list->fill(of, record, document);
        each[i].meters = of;
        for (size_t k = 0; k < ARRAY_LEN(list->labels) && list->labels[k] != NULL; k++) {
            each[i].labels[k].name = list->labels[k];
            each[i].labels[k].value = slice_of(records_text(record, list->labels[k]));
        }
        i++;
    }
    exposition_write_each(e, list->rows, each, n);
    free(each);
    free(meters);
}

static void fill_node(void *meters, const cJSON *node, const cJSON *document)
{
    (void)document;
    *(struct meters_node *)meters = (struct meters_node){
        .cluster_node_shards = number(node, "shards"),
        .cluster_node_capacity_shards = number(node, "capacity"),
        .cluster_node_lines_per_second = number(node, "lines_s"),
        .cluster_node_latency_seconds = number(node, "latency_ms") / 1000,
        .cluster_node_buffer_bytes = number(node, "buffer_bytes"),
        .cluster_node_buffer_limit_bytes = told(node, "buffer_limit"),
    };
}

static void fill_joins(void *meters, const cJSON *joins, const cJSON *document)
{
    double to_do = number(joins, "assigned") + number(joins, "queued") + number(joins, "joining");

    (void)document;
    ((struct meters_joins *)meters)->cluster_joins_left_seconds =
        to_do > 0 ? told(joins, "left_ms") / 1000 : 0;
}

static void fill_account(void *meters, const cJSON *account, const cJSON *document)
{
    const char *name = records_text(account, "account");
    bool usable = strcmp(records_text(account, "state"), "usable") == 0;

    *(struct meters_account *)meters = (struct meters_account){
        .account_usable = usable,
        .account_token_left_seconds = told(account, "left_ms") / 1000,
        .account_rooms = number(account, "rooms"),
        .account_rooms_limit =
            number(account, "room_limit") > 0 ? number(account, "room_limit") : NAN,
        .account_muted = count_of(member(document, "muted"), "account", name),
    };
}

static void fill_budget(void *meters, const cJSON *budget, const cJSON *document)
{
    (void)document;
    *(struct meters_budget *)meters = (struct meters_budget){.budget_used = number(budget, "used"),
                                                             .budget_limit = told(budget, "limit")};
}

static void fill_group(void *meters, const cJSON *group, const cJSON *document)
{
    (void)document;
    *(struct meters_group *)meters = (struct meters_group){
        .history_group_behind_seconds = number(group, "behind_ms") / 1000,
        .history_group_pending_entries = number(group, "pending"),
        .history_group_cuts_total = records_number(group, "cuts"),
    };
}

#define LIST(of, ...) {rows_of_##of, sizeof(struct meters_##of), {__VA_ARGS__}, fill_##of}
static const struct list nodes = LIST(node, "node");
static const struct list joins = LIST(joins, "user");
static const struct list accounts = LIST(account, "account");
static const struct list budgets = LIST(budget, "budget");
static const struct list groups = LIST(group, "group", "key");

/* The accounts, and the readers that are users of a tokens file; the caller deletes them. */
static cJSON *all_accounts(const cJSON *document)
{
    cJSON *all = cJSON_Duplicate(member(document, "accounts"), true);
    const cJSON *reader;

    cJSON_ArrayForEach(reader, member(document, "readers"))
    {
        const char *name = records_text(reader, "reader");
        if (records_find(all, "account", name) == NULL) {
            cJSON *account = cJSON_CreateObject();
            cJSON_AddStringToObject(account, "account", name);
            cJSON_AddStringToObject(account, "state", "usable");
            cJSON_AddNumberToObject(account, "rooms", number(reader, "rooms"));
            cJSON_AddNumberToObject(account, "room_limit", number(reader, "limit"));
            cJSON_AddItemToArray(all, account);
        }
    }
    return all;
}

/* The whole ------------------------------------------------------------------------------------ */

/* NAN where the setting is switched off. */
static double limit_of(const cJSON *document, const char *setting)
{
    double most = strtod(records_text(member(document, "settings"), setting), NULL);

    return most > 0 ? most : NAN;
}

static void write_cluster(const cJSON *document, struct exposition *e)
{
    struct meters_cluster m = {
        .cluster_leader = records_text(member(document, "leader"), "id")[0] != '\0',
        .leader_elections_total = records_number(document, "elections"),
        .cluster_healthy = status_is_healthy(document),
        .cluster_stopped = cJSON_IsTrue(member(document, "stopped")),
        .cluster_shards = cJSON_GetArraySize(member(document, "shards")),
        .cluster_shards_limit = limit_of(document, "max_shard_count"),
        .cluster_shards_homeless = number(document, "homeless"),
    };

    for (size_t i = 0; i < ARRAY_LEN(node_states); i++) {
        m.cluster_nodes[i] = count_of(member(document, "nodes"), "state", node_states[i]);
    }
    for (size_t i = 0; i < STATUS_CHANNEL_STATES; i++) {
        m.cluster_channels[i] = number(member(document, "states"), status_channel_states[i]);
    }
    for (size_t i = 0; i < SEND_STATUSES; i++) {
        m.cluster_sends_total[i] =
            records_number(member(document, "sends"), send_status_name((enum send_status)i));
    }
    exposition_write(e, rows_of_cluster, &m);
}

static void write_kept(const cJSON *document, struct exposition *e)
{
    const cJSON *kept = member(document, "kept");
    struct meters_kept m = {
        .history_entries = number(kept, "entries"),
        .history_bytes = number(kept, "bytes"),
        .history_limit_bytes = limit_of(document, "history_bytes"),
        .history_age_seconds = number(kept, "age_ms") / 1000,
        .history_limit_seconds = limit_of(document, "history_ms") / 1000,
        .history_rewinds_total = records_number(kept, "rewinds"),
    };

    if (number(kept, "streams") > 0) {
        exposition_write(e, rows_of_kept, &m);
        write_list(e, &groups, member(kept, "groups"), document);
    }
}

static void write_problems(const cJSON *document, struct exposition *e)
{
    struct meters_problem meters[STATUS_PROBLEM_KINDS];
    struct exposition_of each[STATUS_PROBLEM_KINDS];

    for (size_t i = 0; i < STATUS_PROBLEM_KINDS; i++) {
        const struct status_kind *kind = &status_kinds[i];
        meters[i].cluster_problems = count_of(member(document, "problems"), "problem", kind->code);
        each[i] = (struct exposition_of){
            &meters[i],
            {{"problem", slice_of(kind->code)}, {"level", slice_of(kind->bad ? "bad" : "note")}}};
    }
    exposition_write_each(e, rows_of_problem, each, ARRAY_LEN(each));
}

void status_meters_write(const cJSON *document, struct exposition *e)
{
    const char *down = status_kinds[STATUS_redis_down].code;
    struct meters_sight sight = {
        .redis_up =
            document != NULL && count_of(member(document, "problems"), "problem", down) == 0,
        .cluster_read_timestamp_seconds = told(document, "at") / 1000,
    };

    exposition_write(e, rows_of_sight, &sight);
    if (sight.redis_up == 0) {
        return;
    }
    cJSON *all = all_accounts(document);
    write_cluster(document, e);
    write_problems(document, e);
    write_list(e, &nodes, member(document, "nodes"), document);
    write_list(e, &joins, member(document, "joins"), document);
    write_list(e, &accounts, all, document);
    write_list(e, &budgets, member(document, "budgets"), document);
    write_kept(document, e);
    cJSON_Delete(all);
}
