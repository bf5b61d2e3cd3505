/* Meters: the node's numbers, their rows, and the names of what they are told apart by. */
#include "node/meters.h"

#define ROW(...) METER_ROW(struct meters_node, __VA_ARGS__)

static const char *const causes[RECONNECT_CAUSES] = {
    [RECONNECT_CONNECT] = "connect", [RECONNECT_LOGIN] = "login",   [RECONNECT_REFUSED] = "refused",
    [RECONNECT_LOST] = "lost",       [RECONNECT_SILENT] = "silent", [RECONNECT_ASKED] = "asked",
};

static const char *const gap_reasons[GAP_REASONS] = {
    [GAP_NOT_JOINED] = "not_joined",
    [GAP_BUFFER_FULL] = "buffer_full",
    [GAP_LEASE_LOST] = "lease_lost",
    [GAP_REGISTRY_LOST] = "registry_lost",
};

static const char *result_name(size_t i)
{
    return send_status_name((enum send_status)i);
}

static const char *cause_name(size_t i)
{
    return causes[i];
}

static const char *gap_reason_name(size_t i)
{
    return gap_reasons[i];
}

struct meters_node meters;

const struct meter meters_of_node[] = {METERS_OF_NODE(ROW){0}};

void meters_gap(const char *reason, uint64_t lines)
{
    size_t i = slice_index(slice_of(reason), gap_reasons, GAP_REASONS);

    BUG_ON(i == GAP_REASONS); /* they are words of ours */
    meters.gaps_total[i]++;
    meters.gap_lines_total[i] += lines;
}
