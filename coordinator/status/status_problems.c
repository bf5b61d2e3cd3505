/* Status, problems: what of the document is not as it should be, and the mend. First what ails the
 * whole, then its nodes, shards, channels, accounts, and Redis. */
#include "coordinator/status/status_private.h"

#include "shared/account_secret.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LOST_TOLD_MS  86400000 /* what an earlier registry held is gone: said for a day */
#define SHORT_TOLD_MS 120000   /* it is told again each minute while it is so */
#define STUCK_MS      60000    /* no join is confirmed for so long, though some are to be made */

#define BAD                                    true
#define NOTE                                   false
#define STATUS_PROBLEM_KIND(code, level, mend) [STATUS_##code] = {#code, level, mend},
const struct status_kind status_kinds[] = {STATUS_PROBLEMS(STATUS_PROBLEM_KIND)};

struct judge {
    const struct status_facts *f;
    const struct cluster_state *state;
    cJSON *document;
};

static cJSON *make_problem(enum status_problem kind, const char *mend, const char *text)
{
    cJSON *problem = cJSON_CreateObject();

    cJSON_AddStringToObject(problem, "problem", status_kinds[kind].code);
    cJSON_AddStringToObject(problem, "level", status_kinds[kind].bad ? "bad" : "note");
    cJSON_AddStringToObject(problem, "text", text);
    cJSON_AddStringToObject(problem, "mend", mend != NULL ? mend : status_kinds[kind].mend);
    return problem;
}

static void degrade(cJSON *document)
{
    cJSON_ReplaceItemInObjectCaseSensitive(document, "health", cJSON_CreateString("degraded"));
}

/* `where` is "node", "shard" or "account", and `which` its name; NULL: the whole. `mend` NULL: that
 * of the kind. */
static void add(const struct judge *j, enum status_problem kind, const char *where,
                const char *which, const char *mend, const char *fmt, ...) PRINTF_LIKE(6, 7);
static void add(const struct judge *j, enum status_problem kind, const char *where,
                const char *which, const char *mend, const char *fmt, ...)
{
    char text[600];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    cJSON *problem = make_problem(kind, mend, text);
    if (where != NULL) {
        cJSON_AddStringToObject(problem, where, which);
    }
    cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(j->document, "problems"), problem);
    if (status_kinds[kind].bad) {
        degrade(j->document);
    }
}

static const cJSON *member(const struct judge *j, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(j->document, name);
}

/* The whole ------------------------------------------------------------------------------------ */

static void judge_whole(const struct judge *j)
{
    const struct cluster_state *state = j->state;
    uint64_t lost_ms = wall_since((struct wall){state->lost_at_ms}, state->now);

    if (state->leader.id.len == 0) {
        add(j, STATUS_no_leader, NULL, NULL, NULL,
            "no coordinator leads: nothing is assigned or moved");
    }
    if (state->stopped) {
        add(j, STATUS_stopped, NULL, NULL, NULL, "the cluster is stopped");
    }
    if (state->lost_at_ms > 0 && state->lost_at_ms <= state->now.ms && lost_ms < LOST_TOLD_MS) {
        add(j, STATUS_data_lost, NULL, NULL, NULL,
            "Redis lost its data %" PRIu64 " s ago: %" PRIu64 " channels and %" PRIu64
            " shards are gone",
            lost_ms / 1000, state->lost_channels, state->lost_shards);
    }
}

/* Nodes ---------------------------------------------------------------------------------------- */

static bool is_silent(const cJSON *node)
{
    return strcmp(records_text(node, "state"), "silent") == 0;
}

static void judge_node(const struct judge *j, const cJSON *node)
{
    const char *name = records_text(node, "node");
    uint64_t held = records_number(node, "buffer_bytes");
    uint64_t most = records_number(node, "buffer_limit");

    if (is_silent(node) && records_text(node, "silent")[0]) {
        add(j, STATUS_node_fenced, "node", name, NULL,
            "node %s has not renewed its lease, and no other node can take its %" PRIu64 " shards",
            name, records_number(node, "shards"));
    } else if (is_silent(node)) {
        add(j, STATUS_node_silent, "node", name, NULL, "node %s has not renewed its lease", name);
    }
    if (records_text(node, "error")[0]) {
        add(j, STATUS_node_blind, "node", name, NULL,
            "node %s is blind, it does not see Twitch: %s", name, records_text(node, "error"));
    }
    if (most > 0 && held > most / 2) {
        add(j, STATUS_buffer_filling, "node", name, NULL,
            "node %s holds %" PRIu64 " of %" PRIu64 " bytes of chat that Redis has not taken", name,
            held, most);
    }
}

static void judge_nodes(const struct judge *j)
{
    const cJSON *nodes = member(j, "nodes");
    const cJSON *node;
    size_t up = 0;

    cJSON_ArrayForEach(node, nodes)
    {
        up += !is_silent(node);
    }
    if (up == 0) {
        add(j, STATUS_no_node, NULL, NULL, NULL, "no node is up");
    }
    cJSON_ArrayForEach(node, nodes)
    {
        judge_node(j, node);
    }
}

/* Shards and channels -------------------------------------------------------------------------- */

static void judge_shard(const struct judge *j, const cJSON *shard)
{
    const char *name = records_text(shard, "shard");
    const char *error = records_text(shard, "error");
    uint64_t each = status_limit(j->f, "channels_per_shard");
    uint64_t channels = records_number(shard, "channels");

    if (each > 0 && channels > each) {
        add(j, STATUS_over_limit, "shard", name, NULL,
            "%s has %" PRIu64 " channels; channels_per_shard is %" PRIu64, name, channels, each);
    }
    if (error[0] && strcmp(records_text(shard, "state"), "ready") != 0) {
        bool refused = records_number(shard, "login_refused") == 1;
        /* A speaker's has no channels that nobody reads now. */
        add(j, status_speaks(shard) ? STATUS_speaker_missing : STATUS_shard_error, "shard", name,
            refused ? "give its user a token that Twitch takes (shoalctl account login)"
                    : "it is tried again; look at the log of its node",
            "%s: %s", name, error);
    }
}

static void judge_shards(const struct judge *j)
{
    uint64_t most = status_limit(j->f, "max_shard_count");
    const cJSON *shards = member(j, "shards");
    uint64_t count = (uint64_t)cJSON_GetArraySize(shards);
    const cJSON *shard;

    if (j->state->homeless > 0) {
        add(j, STATUS_shards_homeless, NULL, NULL, NULL, "%" PRIu64 " shards have no node",
            j->state->homeless);
    }
    if (most > 0 && count > most) {
        add(j, STATUS_over_limit, NULL, NULL, NULL,
            "there are %" PRIu64 " shards; max_shard_count is %" PRIu64, count, most);
    }
    cJSON_ArrayForEach(shard, shards)
    {
        judge_shard(j, shard);
    }
}

static void judge_channels(const struct judge *j)
{
    uint64_t failed = records_number(member(j, "states"), "failed");
    struct slice why = j->state->waiting_reason;

    if (j->state->waiting > 0) {
        add(j, STATUS_channels_waiting, NULL, NULL, NULL,
            "%" PRIu64 " channels wait for a shard: %s", j->state->waiting,
            why.len > 0 ? why.ptr : "");
    }
    if (failed > 0) {
        add(j, STATUS_channels_failed, NULL, NULL, NULL, "%" PRIu64 " channels failed to join",
            failed);
    }
}

/* When the user's ready shards made a join last, or got one to make; and have they some to make? */
static bool joins_wait(const struct judge *j, const char *user, struct wall *moved)
{
    const cJSON *shard;
    bool wait = false;

    cJSON_ArrayForEach(shard, member(j, "shards"))
    {
        if (strcmp(records_text(shard, "user"), user) != 0 ||
            strcmp(records_text(shard, "state"), "ready") != 0) {
            continue;
        }
        uint64_t settled = records_number(shard, "joined") + records_number(shard, "failed");
        struct wall at = {records_number(shard, "moved")};
        wait = wait || settled < records_number(shard, "channels");
        moved->ms = at.ms > moved->ms ? at.ms : moved->ms;
    }
    return wait;
}

static void judge_joins(const struct judge *j)
{
    uint64_t window_ms = status_limit(j->f, "join_window_ms");
    uint64_t most_ms = 2 * window_ms > STUCK_MS ? 2 * window_ms : STUCK_MS;
    const cJSON *each;

    cJSON_ArrayForEach(each, member(j, "joins"))
    {
        const char *user = records_text(each, "user");
        struct wall moved = {0};
        bool to_do = cJSON_HasObjectItem(each, "left_ms"); /* or all shards would be looked at */
        if (to_do && joins_wait(j, user, &moved) && moved.ms > 0 &&
            wall_since(moved, j->state->now) > most_ms) {
            add(j, STATUS_joins_stuck, "account", user, NULL,
                "no channel of user %s was joined for %" PRIu64 " s, though some are to be", user,
                wall_since(moved, j->state->now) / 1000);
        }
    }
}

/* Users ---------------------------------------------------------------------------------------- */

static void judge_readers(const struct judge *j)
{
    const cJSON *reader;

    cJSON_ArrayForEach(reader, member(j, "readers"))
    {
        const char *name = records_text(reader, "reader");
        uint64_t most = records_number(reader, "limit");
        uint64_t rooms = records_number(reader, "rooms");
        if (most > 0 && rooms > most) {
            add(j, STATUS_room_limit, "account", name, NULL,
                "user %s is in %" PRIu64 " rooms; room_limit is %" PRIu64, name, rooms, most);
        }
        if (records_text(reader, "error")[0]) {
            add(j, STATUS_reader_refused, "account", name, NULL, "reader %s takes no channels: %s",
                name, records_text(reader, "error"));
        }
    }
}

static void judge_account(const struct judge *j, const cJSON *account)
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
    const char *name = records_text(account, "account");
    const char *state = records_text(account, "state");
    const char *error = records_text(account, "error");
    bool is_app = strcmp(name, ACCOUNT_APP) == 0;

    for (size_t i = 0; i < ARRAY_LEN(mends); i++) {
        if (strcmp(state, mends[i].state) == 0) {
            add(j, STATUS_account_unusable, "account", name,
                is_app && i == 0 ? "--client-id and --client-secret of the coordinator"
                                 : mends[i].mend,
                "account %s is not usable, %s%s%.300s", name, state, error[0] ? ": " : "", error);
        }
    }
    if (records_number(account, "ending") == 1 && strcmp(state, "usable") == 0) {
        add(j, STATUS_token_ending, "account", name, NULL,
            "the token of account %s ends in %" PRIu64 " minutes, and it has no refresh token",
            name, records_number(account, "left_ms") / 60000);
    }
}

static void judge_accounts(const struct judge *j)
{
    const cJSON *account;

    cJSON_ArrayForEach(account, member(j, "accounts"))
    {
        judge_account(j, account);
    }
    for (size_t i = 0; i < j->state->nmuted; i++) {
        const struct cluster_muted *muted = &j->state->muted[i];
        add(j, STATUS_account_muted, "account", muted->user.ptr, NULL,
            "Twitch says nothing of account %s for %" PRIu64 " s: it was too fast", muted->user.ptr,
            muted->left_ms / 1000);
    }
}

static void judge_speaker(const struct judge *j)
{
    const char *speaker = records_text(j->document, "speaker");
    struct slice why = j->state->speaker_error;
    uint64_t wanted = status_limit(j->f, "speaker_shard_count");
    uint64_t there = 0;
    const cJSON *shard;

    cJSON_ArrayForEach(shard, member(j, "shards"))
    {
        there += status_speaks(shard);
    }
    if (speaker[0] && strcmp(speaker, "anonymous") != 0 && there < wanted) {
        add(j, STATUS_speaker_missing, "account", speaker, NULL,
            "speaker %s has %" PRIu64 " of %" PRIu64 " shards%s%s", speaker, there, wanted,
            why.len > 0 ? ": " : "", why.len > 0 ? why.ptr : "");
    }
}

static void judge_budgets(const struct judge *j)
{
    const cJSON *budget;

    cJSON_ArrayForEach(budget, member(j, "budgets"))
    {
        uint64_t most = records_number(budget, "limit");
        uint64_t used = records_number(budget, "used");
        bool refills = records_number(budget, "window_ms") > 0; /* rooms do not: see room_limit */
        if (refills && most > 0 && used >= most) {
            add(j, STATUS_budget_exhausted, NULL, NULL, NULL,
                "the budget of the user for %s is used up: %" PRIu64 " of %" PRIu64,
                records_text(budget, "budget"), used, most);
        }
    }
}

/* What is wrong with Redis itself: the same looks as shoalctl doctor. */
static void judge_redis(const struct judge *j)
{
    const struct look *l = j->f->look;

    for (size_t i = 0; l != NULL && i < l->n; i++) {
        if (l->finding[i].verdict == LOOK_WRONG) {
            add(j, STATUS_redis_misconfigured, NULL, NULL, l->finding[i].mend, "Redis: %s: %s",
                l->finding[i].what, l->finding[i].text);
        }
    }
}

/* Chat that is kept, and who reads it. */

static void judge_group(const struct judge *j, const cJSON *group)
{
    uint64_t behind_ms = records_number(group, "behind_ms");
    uint64_t cuts = records_number(group, "cuts");
    char missed[64] = "";

    if (cuts > 0) {
        snprintf(missed, sizeof(missed), ", and missed something %" PRIu64 " times", cuts);
    }
    if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(group, "late"))) {
        add(j, STATUS_reader_behind, NULL, NULL, NULL, "group %s of %s is %" PRIu64 " s behind%s",
            records_text(group, "group"), records_text(group, "key"), behind_ms / 1000, missed);
    }
}

static void judge_kept(const struct judge *j)
{
    const struct cluster_kept *kept = &j->state->kept;
    const cJSON *group;

    if (kept->short_at.ms > 0 && wall_since(kept->short_at, j->state->now) < SHORT_TOLD_MS) {
        add(j, STATUS_history_short, NULL, NULL, NULL,
            "Redis uses most of its maxmemory: what is kept of chat goes before its time");
    }
    if (kept->missing) {
        add(j, STATUS_history_missing, NULL, NULL, NULL,
            "Redis is full: chat is published, and not kept");
    }
    cJSON_ArrayForEach(group, cJSON_GetObjectItemCaseSensitive(member(j, "kept"), "groups"))
    {
        judge_group(j, group);
    }
}

void status_add_problems(const struct status_facts *f, cJSON *document)
{
    const struct judge j = {f, f->records->state, document};

    judge_whole(&j);
    judge_nodes(&j);
    judge_shards(&j);
    judge_channels(&j);
    judge_joins(&j);
    judge_readers(&j);
    judge_accounts(&j);
    judge_speaker(&j);
    judge_redis(&j);
    judge_kept(&j);
    judge_budgets(&j);
}

void status_is_out_of_reach(cJSON *document, const char *why)
{
    cJSON *problems = cJSON_GetObjectItemCaseSensitive(document, "problems");
    char text[400];

    snprintf(text, sizeof(text), "Redis cannot be read: %s", why);
    cJSON *problem = make_problem(STATUS_redis_down, NULL, text);
    if (strcmp(records_text(problems->child, "problem"), status_kinds[STATUS_redis_down].code) ==
        0) {
        cJSON_ReplaceItemInArray(problems, 0, problem);
    } else {
        cJSON_InsertItemInArray(problems, 0, problem);
    }
    degrade(document);
}

bool status_is_healthy(const cJSON *document)
{
    return strcmp(records_text(document, "health"), "healthy") == 0;
}
