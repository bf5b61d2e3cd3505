/* Options: the keys that a configuration file may hold, whichever program reads it.
 *
 * One file may serve all programs, so each passes over what only another one knows. A program that
 * shares the file refuses to start when a key of its own table is not here, so the list is never
 * short. */
#include "shared/options_private.h"

static const char *const shared_keys[] = {
    "redis_url",
    "redis_url_file",
    "redis_tls_ca",
    "cluster",
    "log_level",
    "log_format",
    "node_id",
    "twitch_url",
    "twitch_tls_ca",
    "tokens",
    "shard_capacity",
    "buffer_bytes",
    "drain_timeout",
    "id",
    "connect_timeout",
    "initial_channels",
    "shard_manager",
    "manager_timeout",
    "set",
    "account_keys",
    "client_id",
    "client_secret",
    "twitch_id_url",
    "twitch_api_url",
    "http_proxy",
    "http_listen",
    "http_tls_cert",
    "http_tls_key",
    "http_host",
    "http_admin_token",
    "http_metrics_only",
    "json",
    "timeout",
    "no_wait",
    "user",
    "reply_to",
    "ttl",
    "command",
    "priority",
    "split",
    "raw",
    "all",
    "follow",
    "since",
    "token_file",
    "reads",
    "says",
    "watch",
};

bool option_key_is_shared(const char *key)
{
    return slice_is_one_of(slice_of(key), shared_keys, ARRAY_LEN(shared_keys));
}
