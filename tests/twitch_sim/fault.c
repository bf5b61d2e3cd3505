/* Faults are fields of the connection; what they do to lines on their way out is in conn.c, what they do
 * to reading, and how much a second allows, is here. */
#include "tests/twitch_sim/fault.h"

#include <libwebsockets.h>

void fault_half_open(struct conn *c)
{
    c->half_open = true;
    conn_drop_queues(c);
    lws_rx_flow_control(c->wsi, 0);
}

void fault_lag(struct conn *c, uint64_t ms)
{
    c->lag_ms = ms;
}

void fault_swap(struct conn *c, bool on)
{
    c->swap = on;
}

void fault_rates(struct conn *c, uint64_t read_rate, uint64_t write_rate)
{
    c->read_rate = read_rate;
    c->write_rate = write_rate;
    c->read_credit = c->write_credit = 0;
    conn_want_write(c);
}

static void set_reading(struct conn *c, bool on)
{
    if (c->read_stopped == on) {
        c->read_stopped = !on;
        lws_rx_flow_control(c->wsi, on);
    }
}

void fault_pause(struct conn *c, uint64_t ms)
{
    c->paused_until = mono_ms() + ms;
    set_reading(c, false);
}

void fault_was_read(struct conn *c, size_t n)
{
    if (c->read_rate > 0) {
        c->read_credit -= (int64_t)n;
        if (c->read_credit <= 0) {
            set_reading(c, false);
        }
    }
}

/* What a rate allows after `elapsed_ms` more, at most what it allows in a second. */
static int64_t more_credit(int64_t credit, uint64_t rate, uint64_t elapsed_ms)
{
    credit += (int64_t)(rate * elapsed_ms / 1000 + 1);
    return credit < (int64_t)rate ? credit : (int64_t)rate;
}

void fault_tick(struct conn *c, uint64_t now, uint64_t elapsed_ms)
{
    if (c->write_rate > 0) {
        c->write_credit = more_credit(c->write_credit, c->write_rate, elapsed_ms);
        if (c->lines.len + c->wire.len > 0) {
            conn_want_write(c);
        }
    }
    if (c->read_rate > 0) {
        c->read_credit = more_credit(c->read_credit, c->read_rate, elapsed_ms);
    }
    if (c->read_stopped && now >= c->paused_until && (c->read_rate == 0 || c->read_credit > 0)) {
        set_reading(c, true);
    }
}
