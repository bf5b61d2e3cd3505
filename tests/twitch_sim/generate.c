/* The generator's clock: an idle handle that makes a batch of lines an iteration while nobody is
 * behind (rate 0), or a timer of 1 ms that makes what is due.
 *
 * It waits while a connection's queue is over queue_bytes (the connection wakes it), and while no
 * channel is joined (a join wakes it). A line that nobody would get is not made again elsewhere and
 * does not count. */
#include "tests/twitch_sim/generate.h"

#include "tests/twitch_sim/lines.h"

#include "shared/irc/parse.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BATCH 256 /* lines an iteration */

struct generator {
    struct sim *sim;
    struct lines *lines;
    uv_idle_t idle;
    uv_timer_t timer;
    struct generate_order order;
    struct room **only; /* the channels of the order; NULL: all */
    size_t nonly;
    struct generate_state state;
    uint64_t started;
    uint64_t paced_from; /* pacing starts anew after a wait */
    uint64_t paced_lines;
};

static struct room *pick_room(struct generator *g)
{
    struct sim *s = g->sim;

    if (!g->only) {
        return s->njoined ? s->joined[rng_below(&s->rng, s->njoined)] : NULL;
    }
    for (size_t i = 0; i < g->nonly; i++) {
        struct room *r = g->only[rng_below(&s->rng, g->nonly)];

        if (r->n > 0) {
            return r;
        }
    }
    return NULL;
}

static void finish(struct generator *g)
{
    g->state.running = g->state.waiting = false;
    g->state.orders++;
    g->state.elapsed_ms = mono_ms() - g->started;
    uv_idle_stop(&g->idle);
    uv_timer_stop(&g->timer);
    free(g->only);
    g->only = NULL;
    room_flush_record(g->sim);
}

/* The line with the time as its first tag. Lines without tags stay as they are, and a ROOMSTATE: how many
 * tags it has tells whether something changed. */
static struct slice stamp_line(struct sim *s, struct slice line)
{
    struct irc_line parsed;
    struct timespec now;

    if (line.ptr[0] != '@' || irc_parse(line, &parsed, NULL) != 0 ||
        slice_is(parsed.command, "ROOMSTATE")) {
        return line;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    buf_clear(&s->line);
    buf_printf(&s->line, "@sim-us=%lld;",
               (long long)now.tv_sec * 1000000 + (long long)(now.tv_nsec / 1000));
    buf_append(&s->line, line.ptr + 1, line.len - 1);
    return buf_slice(&s->line);
}

/* Make up to `n` lines; stops early when it has to wait or is done. Returns how many it made. */
static uint64_t make_lines(struct generator *g, uint64_t n)
{
    struct sim *s = g->sim;
    uint64_t now = wall_now().ms;
    uint64_t made = 0;

    for (uint64_t tries = 0; made < n && tries < 4 * n; tries++) {
        struct room *r = s->ncongested == 0 || s->settings.drop_slow ? pick_room(g) : NULL;
        enum audience audience;
        struct slice line;

        if (!r) {
            g->state.waiting = true;
            break;
        }
        line = lines_next(g->lines, r, g->order.only_privmsg, now, &audience);
        if (g->order.stamp) {
            line = stamp_line(s, line);
        }
        if (room_send(s, r, line, audience, NULL, NULL) == 0) {
            continue;
        }
        made++;
        g->state.total++;
        if (++g->state.lines == g->order.count) {
            finish(g);
            break;
        }
    }
    return made;
}

static void on_idle(uv_idle_t *handle)
{
    struct generator *g = handle->data;

    make_lines(g, BATCH);
    if (g->state.waiting) {
        uv_idle_stop(&g->idle);
    }
}

static void on_timer(uv_timer_t *handle)
{
    struct generator *g = handle->data;
    uint64_t now = mono_ms();
    uint64_t due = (uint64_t)((double)(now - g->paced_from) * g->order.rate / 1000.0);

    if (due > g->paced_lines) {
        g->paced_lines += make_lines(g, due - g->paced_lines);
    }
    if (g->state.running && g->paced_lines < due) {
        /* What could not be made now is not made up for in a burst later. */
        g->paced_from = now;
        g->paced_lines = 0;
    }
    g->state.waiting = false;
}

void generate_init(struct sim *s, uint64_t seed)
{
    struct generator *g = xcalloc(1, sizeof(*g));

    g->sim = s;
    g->lines = lines_create(seed);
    uv_idle_init(&s->loop.uv, &g->idle);
    uv_timer_init(&s->loop.uv, &g->timer);
    g->idle.data = g->timer.data = g;
    s->generator = g;
}

static void choose_channels(struct generator *g, const char *names)
{
    char *copy;
    char *save = NULL;

    free(g->only);
    g->only = NULL;
    g->nonly = 0;
    if (!names) {
        return;
    }
    copy = xstrdup(names);
    for (char *name = strtok_r(copy, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
        char channel[IRC_CHANNEL_CHARS];

        if (irc_channel_normalise(slice_of(name), channel, sizeof(channel))) {
            g->only = xrealloc(g->only, (g->nonly + 1) * sizeof(*g->only));
            g->only[g->nonly++] = room_make(g->sim, channel);
        }
    }
    free(copy);
}

void generate_start(struct sim *s, const struct generate_order *order)
{
    struct generator *g = s->generator;

    if (g->state.running) {
        finish(g);
    }
    choose_channels(g, order->channels);
    g->order = *order;
    g->order.channels = NULL;
    if (order->seed) {
        lines_seed(g->lines, order->seed);
    }
    g->state.running = true;
    g->state.waiting = false;
    g->state.lines = 0;
    g->started = g->paced_from = mono_ms();
    g->paced_lines = 0;
    if (order->rate > 0) {
        uv_timer_start(&g->timer, on_timer, 0, 1);
    } else {
        uv_idle_start(&g->idle, on_idle);
    }
}

void generate_stop(struct sim *s)
{
    if (s->generator->state.running) {
        finish(s->generator);
    }
}

void generate_wake(struct sim *s)
{
    struct generator *g = s->generator;

    if (g && g->state.running && g->state.waiting && g->order.rate <= 0 && !s->stopping) {
        g->state.waiting = false;
        uv_idle_start(&g->idle, on_idle);
    }
}

struct generate_state generate_look(const struct sim *s)
{
    struct generate_state state = s->generator->state;

    if (state.running) {
        state.elapsed_ms = mono_ms() - s->generator->started;
    }
    return state;
}

void generate_close(struct sim *s)
{
    uv_close((uv_handle_t *)&s->generator->idle, NULL);
    uv_close((uv_handle_t *)&s->generator->timer, NULL);
}

void generate_free(struct sim *s)
{
    lines_destroy(s->generator->lines);
    free(s->generator->only);
    free(s->generator);
    s->generator = NULL;
}
