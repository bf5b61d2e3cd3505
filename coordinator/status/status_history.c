/* Status history: a ring of points. */
#include "coordinator/status/status_history.h"

#include "coordinator/status/records.h"

#include <math.h>

static const char *const curves[STATUS_CURVES] = {
    [STATUS_LINES_S] = "lines_s", [STATUS_LATENCY_MS] = "latency_ms", [STATUS_LAG_MS] = "lag_ms"};

bool status_history_is_due(const struct status_history *h, uint64_t now_ms)
{
    return now_ms >= h->due_ms;
}

static double *add_unknown(struct status_history *h)
{
    double *point = h->point[h->next];

    h->next = (h->next + 1) % STATUS_POINTS;
    h->n += h->n < STATUS_POINTS;
    h->at_ms += STATUS_STEP_MS;
    for (size_t i = 0; i < STATUS_CURVES; i++) {
        point[i] = NAN;
    }
    return point;
}

static void take(double *point, const cJSON *nodes)
{
    const cJSON *node;

    for (size_t i = 0; i < STATUS_CURVES; i++) {
        point[i] = 0;
        cJSON_ArrayForEach(node, nodes)
        {
            double value = (double)records_number(node, curves[i]);
            point[i] = i == STATUS_LINES_S ? point[i] + value : fmax(point[i], value);
        }
    }
}

void status_history_add(struct status_history *h, uint64_t now_ms, const cJSON *nodes,
                        struct wall at)
{
    if (h->due_ms == 0) {
        h->due_ms = now_ms;
    }
    uint64_t missed = (now_ms - h->due_ms) / STATUS_STEP_MS;

    h->due_ms += (missed + 1) * STATUS_STEP_MS;
    for (uint64_t i = 0; i < missed && i < STATUS_POINTS; i++) {
        add_unknown(h);
    }
    double *point = add_unknown(h);
    if (nodes != NULL) {
        take(point, nodes);
        h->at_ms = at.ms;
    }
}

cJSON *status_history_json(const struct status_history *h)
{
    cJSON *history = cJSON_CreateObject();

    cJSON_AddNumberToObject(history, "step_ms", STATUS_STEP_MS);
    cJSON_AddNumberToObject(history, "at", (double)h->at_ms);
    for (size_t i = 0; i < STATUS_CURVES; i++) {
        cJSON *curve = cJSON_AddArrayToObject(history, curves[i]);
        for (size_t k = 0; k < h->n; k++) {
            double value = h->point[(h->next + STATUS_POINTS - h->n + k) % STATUS_POINTS][i];
            cJSON_AddItemToArray(curve,
                                 isnan(value) ? cJSON_CreateNull() : cJSON_CreateNumber(value));
        }
    }
    return history;
}
