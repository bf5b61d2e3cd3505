/* The file is read as it is sent, with getline: it may be larger than memory. A timer of 5 ms sends what
 * is due, or at full speed as much as connections take; it waits while one of them is behind.
 *
 * A line goes to the channel it names, to each connection joined there; one that names none, or whose
 * channel nobody joined, is skipped and counted. */
#include "tests/twitch_sim/replay.h"

#include "tests/twitch_sim/room.h"

#include "shared/irc/parse.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 20000 /* lines a turn at full speed */

struct replay {
    struct sim *sim;
    uv_timer_t timer;
    FILE *file;
    double rate;
    uint64_t when_joined;
    char *line;
    size_t cap;
    uint64_t paced_from;
    uint64_t paced_lines;
    struct replay_state state;
};

int replay_init(struct sim *s, const char *path, double rate, uint64_t when_joined, struct err *err)
{
    struct replay *r = xcalloc(1, sizeof(*r));

    r->sim = s;
    r->rate = rate;
    r->when_joined = when_joined;
    uv_timer_init(&s->loop.uv, &r->timer);
    r->timer.data = r;
    s->replay = r;
    if (path) {
        r->file = fopen(path, "re");
        if (!r->file) {
            return err_set(err, ERR_USAGE, "replay file %s: %s", path, strerror(errno));
        }
        r->state.loaded = true;
    }
    return 0;
}

/* Send the next line; false at the end. */
static bool next_line(struct replay *r)
{
    ssize_t n = getline(&r->line, &r->cap, r->file);
    struct slice raw = {r->line, n > 0 ? (size_t)n : 0};
    struct irc_line line;
    char channel[IRC_CHANNEL_CHARS];
    struct room *room = NULL;

    if (n < 0) {
        return false;
    }
    while (raw.len > 0 && (raw.ptr[raw.len - 1] == '\n' || raw.ptr[raw.len - 1] == '\r')) {
        raw.len--;
    }
    if (raw.len == 0) {
        return true;
    }
    if (irc_parse(raw, &line, NULL) == 0 &&
        irc_channel_normalise(irc_channel(&line), channel, sizeof(channel))) {
        room = room_find(r->sim, channel);
    }
    if (room && room_send(r->sim, room, raw, room_audience(line.command), NULL, NULL) > 0) {
        r->state.lines++;
    } else {
        r->state.skipped++;
    }
    return true;
}

static void on_timer(uv_timer_t *handle)
{
    struct replay *r = handle->data;
    uint64_t now = mono_ms();
    uint64_t due = r->rate > 0 ? (uint64_t)((double)(now - r->paced_from) * r->rate / 1000.0)
                               : r->paced_lines + BATCH;

    while (r->paced_lines < due && r->sim->ncongested == 0) {
        if (!next_line(r)) {
            uv_timer_stop(&r->timer);
            r->state.running = false;
            r->state.done = true;
            room_flush_record(r->sim);
            return;
        }
        r->paced_lines++;
    }
    if (r->rate > 0 && r->paced_lines < due) {
        r->paced_from = now;
        r->paced_lines = 0;
    }
}

bool replay_start(struct sim *s)
{
    struct replay *r = s->replay;

    if (!r->file) {
        return false;
    }
    rewind(r->file);
    r->state.running = true;
    r->state.done = false;
    r->state.lines = r->state.skipped = 0;
    r->paced_from = mono_ms();
    r->paced_lines = 0;
    uv_timer_start(&r->timer, on_timer, 0, r->rate > 0 ? 5 : 1);
    return true;
}

void replay_on_join(struct sim *s)
{
    struct replay *r = s->replay;

    if (r->when_joined > 0 && s->njoined >= r->when_joined) {
        r->when_joined = 0;
        replay_start(s);
    }
}

struct replay_state replay_look(const struct sim *s)
{
    return s->replay->state;
}

void replay_close(struct sim *s)
{
    uv_close((uv_handle_t *)&s->replay->timer, NULL);
}

void replay_free(struct sim *s)
{
    if (s->replay->file) {
        fclose(s->replay->file);
    }
    free(s->replay->line);
    free(s->replay);
    s->replay = NULL;
}
