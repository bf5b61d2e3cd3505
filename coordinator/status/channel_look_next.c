/* Channel look, next: what holds the channel up, the widest first: whether anybody decides, whether
 * a node holds its shard and sees Twitch, whether the shard is connected; then its own state. */
#include "coordinator/status/channel_look.h"
#include "coordinator/status/records.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct facts {
    const cJSON *channel;
    const cJSON *document;
    const char *name;
    const char *state;
    const char *shard;
    struct buf *out;
};

/* "12 s", "52 min", "5 h". */
static void append_time(struct buf *out, uint64_t ms)
{
    static const struct {
        uint64_t ms;
        const char *unit;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "min"}};

    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (ms >= 2 * units[i].ms) {
            buf_printf(out, "%" PRIu64 " %s", ms / units[i].ms, units[i].unit);
            return;
        }
    }
    buf_printf(out, "%" PRIu64 " s", (ms + 999) / 1000);
}

static const cJSON *member(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

static bool is_led(const struct facts *f)
{
    return records_text(member(f->document, "leader"), "id")[0] != '\0';
}

static bool has_nodes(const struct facts *f)
{
    return cJSON_GetArraySize(member(f->document, "nodes")) > 0;
}

/* It has no shard. */
static void append_waits(const struct facts *f)
{
    const char *reason = records_text(f->channel, "reason");

    if (!has_nodes(f)) {
        buf_append_str(f->out, "gets a shard when a node is up");
    } else {
        buf_printf(f->out, "a shard is looked for every second until there is one%s%s",
                   reason[0] != '\0' ? ": " : "", reason);
    }
}

/* What keeps its account from logging in, and what mends it; NULL: nothing. */
static const char *account_mend(const struct facts *f)
{
    static const struct {
        const char *state;
        const char *mend;
    } mends[] = {
        {"new", "when Twitch was asked about it"},
        {"refused", "when Twitch says that its token is valid; it is asked again and again"},
        {"locked", "when the coordinator has the key its tokens are sealed with (--account-keys)"},
        {"login_required", "after shoalctl account login"},
        {"revoking", "never: its tokens are being ended; part the channel and join it again"},
    };
    const cJSON *account =
        records_find(member(f->document, "accounts"), "account", records_text(f->channel, "user"));
    const char *state = records_text(account, "state");

    for (size_t i = 0; i < ARRAY_LEN(mends); i++) {
        if (strcmp(state, mends[i].state) == 0) {
            return mends[i].mend;
        }
    }
    return NULL;
}

/* Its node, or that it has none, holds it up: told, and true. */
static bool append_node(const struct facts *f)
{
    const char *node = records_text(f->channel, "node");
    const char *state = records_text(f->channel, "node_state");

    if (node[0] == '\0' && !has_nodes(f)) {
        buf_printf(f->out, "is read when a node is up, which takes %s", f->shard);
    } else if (node[0] == '\0') {
        buf_printf(f->out, "is read when a node has room for %s", f->shard);
    } else if (state[0] == '\0' || strcmp(state, "silent") == 0) {
        buf_printf(f->out, "node %s has not renewed its lease: it comes back, or %s goes to %s",
                   node, f->shard, is_led(f) ? "another node" : "another when a coordinator leads");
    } else if (strcmp(state, "blind") == 0) {
        buf_printf(f->out, "node %s does not see Twitch: %s goes to a node that does, or waits%s%s",
                   node, f->shard, records_text(f->channel, "node_error")[0] != '\0' ? ": " : "",
                   records_text(f->channel, "node_error"));
    } else {
        return false;
    }
    return true;
}

/* Its shard is not connected: told, and true. */
static bool append_shard(const struct facts *f)
{
    const char *state = records_text(f->channel, "shard_state");
    const char *error = records_text(f->channel, "shard_error");
    const char *mend = account_mend(f);

    if (strcmp(state, "ready") == 0) {
        return false;
    }
    if (mend != NULL) {
        buf_printf(f->out, "is joined when %s can log in as %s: %s", f->shard,
                   records_text(f->channel, "user"), mend);
    } else {
        buf_printf(f->out, "is joined when %s is connected; it is %s%s%s", f->shard,
                   state[0] != '\0' ? state : "idle", error[0] != '\0' ? ": " : "", error);
    }
    return true;
}

static void append_queue(const struct facts *f)
{
    const cJSON *joins = member(f->channel, "joins");
    uint64_t left_ms = records_number(joins, "left_ms");
    uint64_t before = records_number(joins, "assigned") + records_number(joins, "queued");

    if (left_ms == 0) {
        buf_append_str(f->out, "is joined at once");
        return;
    }
    buf_append_str(f->out, "is joined within about ");
    append_time(f->out, left_ms);
    buf_printf(f->out, ": %" PRIu64 " channels are to be joined as %s, at its pace", before,
               records_text(f->channel, "user"));
}

static void append_failed(const struct facts *f)
{
    uint64_t next_ms = records_number(f->channel, "next_try");
    uint64_t at_ms = records_number(f->channel, "at");

    if (next_ms > at_ms) {
        buf_append_str(f->out, "is tried again in ");
        append_time(f->out, next_ms - at_ms);
        buf_printf(f->out, "; shoalctl retry %s tries now", f->name);
    } else {
        buf_append_str(f->out, "is tried again now");
    }
}

static void append_state(const struct facts *f)
{
    if (strcmp(f->state, "joined") == 0) {
        buf_printf(f->out, "is read until shoalctl part %s", f->name);
    } else if (strcmp(f->state, "failed") == 0) {
        append_failed(f);
    } else if (strcmp(f->state, "joining") == 0) {
        buf_append_str(f->out, "Twitch answers the JOIN within 10 s, or it is sent once more");
    } else {
        append_queue(f);
    }
}

/* The cluster holds it up: told, and true. */
static bool append_cluster(const struct facts *f)
{
    bool waits = f->shard[0] == '\0';

    if (cJSON_IsTrue(member(f->document, "stopped"))) {
        buf_append_str(f->out, "is joined after shoalctl start: the cluster is stopped");
    } else if (waits && !is_led(f)) {
        buf_append_str(f->out, "gets a shard when a coordinator leads");
    } else if (waits) {
        append_waits(f);
    } else {
        return append_node(f) || append_shard(f);
    }
    return true;
}

void channel_look_next(const cJSON *channel, const cJSON *document, struct buf *out)
{
    const struct facts f = {.channel = channel,
                            .document = document,
                            .name = records_text(channel, "channel"),
                            .state = records_text(channel, "state"),
                            .shard = records_text(channel, "shard"),
                            .out = out};

    if (!cJSON_IsTrue(member(channel, "wanted"))) {
        buf_printf(out, "is not read; shoalctl join %s reads it", f.name);
    } else if (document == NULL || !append_cluster(&f)) {
        append_state(&f);
    }
}
