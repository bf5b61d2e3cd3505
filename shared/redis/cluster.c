/* Cluster: the tables of fields. */
#include "shared/redis/cluster.h"

#define TEXT(of, name, member)   {name, HASH_TEXT, offsetof(struct cluster_##of, member)}
#define NUMBER(of, name, member) {name, HASH_NUMBER, offsetof(struct cluster_##of, member)}

const struct hash_field cluster_node_fields[] = {
    TEXT(node, "state", state),
    TEXT(node, "error", error),
    TEXT(node, "host", host),
    TEXT(node, "version", version),
    TEXT(node, "users", users),
    NUMBER(node, "pid", pid),
    NUMBER(node, "link", link),
    NUMBER(node, "capacity", capacity),
    NUMBER(node, "shards", shards),
    NUMBER(node, "rev", rev),
    NUMBER(node, "since", since.ms),
    NUMBER(node, "renewed", renewed_ms),
    NUMBER(node, "read_until", read_until_ms),
    {0},
};

const struct hash_field cluster_shard_fields[] = {
    TEXT(shard, "user", user),
    TEXT(shard, "node", node),
    TEXT(shard, "sender", sender),
    TEXT(shard, "state", state),
    TEXT(shard, "run", run),
    TEXT(shard, "error", error),
    NUMBER(shard, "epoch", epoch),
    NUMBER(shard, "rev", rev),
    NUMBER(shard, "channels", channels),
    NUMBER(shard, "joined", joined),
    NUMBER(shard, "lines_s", lines_s),
    NUMBER(shard, "bytes_s", bytes_s),
    NUMBER(shard, "lag_ms", lag_ms),
    NUMBER(shard, "bad_lines", bad_lines),
    NUMBER(shard, "login_refused", login_refused),
    NUMBER(shard, "closes_idle", closes_idle),
    NUMBER(shard, "since", since.ms),
    {0},
};

const struct hash_field cluster_channel_fields[] = {
    TEXT(channel, "state", state),
    TEXT(channel, "reason", reason),
    TEXT(channel, "room", room),
    NUMBER(channel, "moderator", moderator),
    NUMBER(channel, "since", since.ms),
    NUMBER(channel, "next_try", next_try.ms),
    {0},
};
