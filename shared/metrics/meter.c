/* Meter: histograms. All have the same bounds: what is measured in one place can be compared with
 * what is measured in another. */
#include "shared/metrics/meter.h"

const uint64_t histogram_bounds_us[HISTOGRAM_BOUNDS] = {
    100,    250,    500,     1000,    2500,    5000,     10000,    25000,    50000,     100000,
    250000, 500000, 1000000, 2500000, 5000000, 10000000, 30000000, 60000000, 300000000, 1800000000,
};

void histogram_add(struct histogram *h, uint64_t us)
{
    size_t i = 0;

    while (i < HISTOGRAM_BOUNDS && us > histogram_bounds_us[i]) {
        i++;
    }
    h->counts[i]++;
    h->sum_us += us;
    h->last_us = us;
    h->worst_us = us > h->worst_us ? us : h->worst_us;
}

uint64_t histogram_take_worst(struct histogram *h)
{
    uint64_t worst_us = h->worst_us;

    h->worst_us = 0;
    return worst_us;
}

uint64_t histogram_take_last(struct histogram *h)
{
    uint64_t last_us = h->last_us;

    h->last_us = 0;
    return last_us;
}
