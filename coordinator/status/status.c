/* Status: the members of the document, each from what was read. */
#include "coordinator/status/status_private.h"

#include "shared/send_status.h"

#include <stdlib.h>
#include <string.h>

/* A group of readers that is less behind is in time, however little is kept. */
#define LATE_MS 10000

static const char *setting(const struct status_facts *f, const char *name)
{
    return records_setting(f->records, name);
}

uint64_t status_limit(const struct status_facts *f, const char *name)
{
    return strtoull(setting(f, name), NULL, 10);
}

bool status_speaks(const cJSON *shard)
{
    return figures_speaks(records_text(shard, "shard"));
}

static void add_number(cJSON *object, const char *name, uint64_t value)
{
    cJSON_AddNumberToObject(object, name, (double)value);
}

/* Limits of a user's -------------------------------------------------------------------------- */

static const struct kind {
    const char *name;
    const char *limit;
    const char *window_ms;
    uint64_t verified; /* where the tier of the account is that, it has so much at least */
} kinds[CLUSTER_BUDGETS] = {
    [CLUSTER_LOGINS] = {"login", "login_limit", "login_window_ms", REGISTRY_VERIFIED_LOGINS},
    [CLUSTER_JOINS] = {"join", "join_limit", "join_window_ms", REGISTRY_VERIFIED_JOINS},
    [CLUSTER_MESSAGES] = {"message", "message_limit", "message_window_ms",
                          REGISTRY_VERIFIED_MESSAGES},
    [CLUSTER_MESSAGES_MOD] = {"message_mod", "message_mod_limit", "message_window_ms",
                              REGISTRY_VERIFIED_MESSAGES},
};

/* The user's slots in the window; 0: no limit. As the steps have it (03_settings.lua). */
static uint64_t limit_of(const struct status_facts *f, const char *user, const struct kind *kind)
{
    uint64_t most = status_limit(f, kind->limit);
    const char *tier = records_text(records_find(f->records->accounts, "account", user), "tier");
    bool more = most > 0 && most < kind->verified && strcmp(tier, "verified") == 0;

    return more ? kind->verified : most;
}

/* Channels, by state --------------------------------------------------------------------------- */

enum { WAITING, ASSIGNED }; /* the first of them; nodes tell the others */
const char *const status_channel_states[STATUS_CHANNEL_STATES] = {
    [WAITING] = "waiting", [ASSIGNED] = "assigned", "queued", "joining", "joined", "failed"};

/* Add how many of the shard's channels are in each state. Its node may have counted before channels
 * went or came; what it has not counted is assigned. */
static void count_states(const cJSON *shard, uint64_t of[STATUS_CHANNEL_STATES])
{
    uint64_t left = records_number(shard, "channels");

    for (size_t i = STATUS_CHANNEL_STATES - 1; i > ASSIGNED; i--) {
        uint64_t told = records_number(shard, status_channel_states[i]);
        told = told < left ? told : left;
        of[i] += told;
        left -= told;
    }
    of[ASSIGNED] += left;
}

static void add_states(const struct status_facts *f, cJSON *document)
{
    uint64_t of[STATUS_CHANNEL_STATES] = {[WAITING] = f->records->state->waiting};
    uint64_t channels = of[WAITING];
    const cJSON *shard;
    cJSON *told = cJSON_CreateObject();

    cJSON_ArrayForEach(shard, f->records->shards)
    {
        count_states(shard, of);
        channels += records_number(shard, "channels");
    }
    for (size_t i = 0; i < STATUS_CHANNEL_STATES; i++) {
        if (of[i] > 0) {
            add_number(told, status_channel_states[i], of[i]);
        }
    }
    add_number(document, "channels", channels);
    cJSON_AddItemToObject(document, "states", told);
}

/* Joins ---------------------------------------------------------------------------------------- */

static cJSON *joins_of(cJSON *joins, const char *user)
{
    cJSON *each = (cJSON *)records_find(joins, "user", user);

    if (each == NULL) {
        each = cJSON_CreateObject();
        cJSON_AddStringToObject(each, "user", user);
        cJSON_AddItemToArray(joins, each);
    }
    return each;
}

static void add_to_joins(cJSON *each, const cJSON *shard)
{
    uint64_t of[STATUS_CHANNEL_STATES];

    for (size_t i = ASSIGNED; i < STATUS_CHANNEL_STATES; i++) {
        of[i] = records_number(each, status_channel_states[i]);
    }
    count_states(shard, of);
    for (size_t i = ASSIGNED; i < STATUS_CHANNEL_STATES; i++) {
        cJSON_DeleteItemFromObjectCaseSensitive(each, status_channel_states[i]);
        add_number(each, status_channel_states[i], of[i]);
    }
}

static void add_time_to_go(const struct status_facts *f, cJSON *each)
{
    uint64_t most = limit_of(f, records_text(each, "user"), &kinds[CLUSTER_JOINS]);
    uint64_t to_write = records_number(each, "assigned") + records_number(each, "queued");
    uint64_t left_ms =
        most > 0 ? to_write * status_limit(f, "join_window_ms") / most : 0; /* it is soon done */

    if (!f->records->state->stopped && to_write + records_number(each, "joining") > 0) {
        add_number(each, "left_ms", left_ms);
    }
}

static void add_joins(const struct status_facts *f, cJSON *document)
{
    cJSON *joins = cJSON_AddArrayToObject(document, "joins");
    const cJSON *shard;
    cJSON *each;

    cJSON_ArrayForEach(shard, f->records->shards)
    {
        if (records_number(shard, "channels") > 0) {
            add_to_joins(joins_of(joins, records_text(shard, "user")), shard);
        }
    }
    cJSON_ArrayForEach(each, joins)
    {
        add_time_to_go(f, each);
    }
}

/* Budgets -------------------------------------------------------------------------------------- */

/* `most` and `window_ms`: 0 where there is none. */
static void add_budget(cJSON *budgets, const char *name, uint64_t used, uint64_t most,
                       uint64_t window_ms)
{
    cJSON *budget = cJSON_CreateObject();

    cJSON_AddStringToObject(budget, "budget", name);
    add_number(budget, "used", used);
    if (most > 0) {
        add_number(budget, "limit", most);
    }
    if (window_ms > 0) {
        add_number(budget, "window_ms", window_ms);
    }
    cJSON_AddItemToArray(budgets, budget);
}

static void add_budgets(const struct status_facts *f, cJSON *document)
{
    const struct cluster_state *state = f->records->state;
    const char *user = setting(f, "user");
    const char *speaker = setting(f, "speaker");
    cJSON *budgets = cJSON_AddArrayToObject(document, "budgets");

    for (size_t i = 0; i < CLUSTER_BUDGETS; i++) {
        uint64_t window_ms = status_limit(f, kinds[i].window_ms);
        uint64_t used = 0;
        /* How many slots lie in the window that ends now (a slot may also be ahead). */
        for (size_t k = 0; k < state->budget[i].n; k++) {
            used += state->budget[i].at_ms[k] + window_ms > state->now.ms;
        }
        bool says = i == CLUSTER_MESSAGES || i == CLUSTER_MESSAGES_MOD;
        add_budget(budgets, kinds[i].name, used,
                   limit_of(f, says && speaker[0] ? speaker : user, &kinds[i]), window_ms);
    }
    /* Twitch caps the rooms of named accounts only. */
    bool named = strcmp(user, "anonymous") != 0;
    uint64_t most = named ? status_limit(f, "room_limit") : 0;
    add_budget(budgets, "rooms", state->rooms, most, 0);
}

/* The rest ------------------------------------------------------------------------------------- */

static void add_leader(const struct cluster_leader *leader, cJSON *document)
{
    cJSON *told = cJSON_AddObjectToObject(document, "leader");

    if (leader->id.len > 0) {
        cJSON_AddStringToObject(told, "id", leader->id.ptr);
        cJSON_AddStringToObject(told, "host", leader->host.ptr);
        add_number(told, "pid", leader->pid);
        add_number(told, "leads_ms", leader->leads_ms);
    }
}

static void add_settings(const struct status_facts *f, cJSON *document)
{
    cJSON *settings = cJSON_AddObjectToObject(document, "settings");
    const cJSON *each;

    cJSON_ArrayForEach(each, f->records->settings)
    {
        cJSON_AddStringToObject(settings, records_text(each, "name"), records_text(each, "value"));
    }
}

static void add_sends(const struct cluster_state *state, cJSON *document)
{
    cJSON *sends = cJSON_AddObjectToObject(document, "sends");

    for (size_t i = 0; i < SEND_STATUSES; i++) {
        add_number(sends, send_status_name((enum send_status)i), state->sends[i]);
    }
}

static void add_muted(const struct cluster_state *state, cJSON *document)
{
    cJSON *muted = cJSON_AddArrayToObject(document, "muted");

    for (size_t i = 0; i < state->nmuted; i++) {
        cJSON *each = cJSON_CreateObject();
        cJSON_AddStringToObject(each, "account", state->muted[i].user.ptr);
        add_number(each, "left_ms", state->muted[i].left_ms);
        cJSON_AddItemToArray(muted, each);
    }
}

/* What readers of the streams there are, as the trim told it. One that was not given over half of
 * what is kept is late: it soon misses some. */
static void add_groups(const struct cluster_kept *kept, uint64_t age_ms, cJSON *told)
{
    static const char *const numbers[] = {"behind_ms", "pending", "cuts"};
    cJSON *groups = cJSON_AddArrayToObject(told, "groups");
    cJSON *all = cJSON_ParseWithLength(kept->groups.ptr, kept->groups.len);
    const cJSON *each;

    cJSON_ArrayForEach(each, all)
    {
        cJSON *group = cJSON_CreateObject();
        cJSON_AddStringToObject(group, "group", records_text(each, "group"));
        cJSON_AddStringToObject(group, "key", records_text(each, "key"));
        for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
            add_number(group, numbers[i], records_number(each, numbers[i]));
        }
        uint64_t behind_ms = records_number(each, "behind_ms");
        cJSON_AddBoolToObject(group, "late", behind_ms > LATE_MS && behind_ms > age_ms / 2);
        cJSON_AddItemToArray(groups, group);
    }
    cJSON_Delete(all);
}

static void add_kept(const struct cluster_state *state, cJSON *document)
{
    const struct cluster_kept *kept = &state->kept;
    cJSON *told = cJSON_AddObjectToObject(document, "kept");

    if (kept->streams == 0) {
        return;
    }
    add_number(told, "streams", kept->streams);
    add_number(told, "since", kept->since.ms);
    add_number(told, "entries", kept->entries);
    add_number(told, "bytes", kept->bytes);
    uint64_t age_ms = kept->oldest.ms > 0 ? wall_since(kept->oldest, state->now) : 0;
    if (kept->oldest.ms > 0) {
        add_number(told, "age_ms", age_ms);
    }
    add_number(told, "rewinds", kept->rewinds);
    add_groups(kept, age_ms, told);
}

static void add_copy(cJSON *document, const char *name, const cJSON *records)
{
    cJSON_AddItemToObject(document, name, cJSON_Duplicate(records, true));
}

cJSON *status_document(const struct status_facts *f)
{
    const struct records *r = f->records;
    cJSON *document = cJSON_CreateObject();

    cJSON_AddStringToObject(document, "cluster", f->cluster);
    add_number(document, "at", r->state->now.ms);
    cJSON_AddStringToObject(document, "health", "healthy");
    cJSON_AddArrayToObject(document, "problems");
    cJSON_AddStringToObject(document, "user", setting(f, "user"));
    cJSON_AddStringToObject(document, "speaker", setting(f, "speaker"));
    cJSON_AddBoolToObject(document, "stopped", r->state->stopped);
    add_leader(&r->state->leader, document);
    add_number(document, "elections", r->state->elections);
    add_copy(document, "nodes", r->nodes);
    add_copy(document, "shards", r->shards);
    add_copy(document, "accounts", r->accounts);
    add_copy(document, "readers", r->readers);
    add_states(f, document);
    add_number(document, "waiting", r->state->waiting);
    add_number(document, "homeless", r->state->homeless);
    add_joins(f, document);
    add_budgets(f, document);
    add_sends(r->state, document);
    add_muted(r->state, document);
    add_kept(r->state, document);
    add_settings(f, document);
    status_add_problems(f, document);
    return document;
}
