/* Some lines of a connection's channels are made and framed once, and then handed out over and over, until
 * there were as many as were asked for. They pass by everything that happens to a line elsewhere: lag and
 * swap, how lines become messages, the rooms' counts and the record. */
#include "tests/twitch_sim/flood.h"

#include "tests/twitch_sim/frame.h"
#include "tests/twitch_sim/lines.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define LINE_MOST 8192
#define ROUND     512 /* lines that are made: few enough to stay in the cache */

struct flood {
    struct buf frames;
    size_t ends[ROUND]; /* of each frame */
    size_t next;        /* line */
    uint64_t left;      /* lines */
};

/* One line and CR LF into `whole`, which has LINE_MOST bytes: as it comes, or filled up to `bytes`. */
static size_t make_line(struct lines *lines, struct room *room, size_t bytes, char *whole)
{
    uint64_t now_ms = wall_now().ms;
    enum audience audience;
    struct slice line;

    do {
        line = lines_next(lines, room, true, now_ms, &audience);
    } while (bytes > 0 && line.len > bytes);
    BUG_ON(line.len + 2 > LINE_MOST);
    memcpy(whole, line.ptr, line.len);
    while (line.len < bytes) {
        whole[line.len++] = 'x';
    }
    memcpy(whole + line.len, "\r\n", 2);
    return line.len + 2;
}

static void make_round(struct flood *f, const struct conn *c, size_t bytes, uint64_t seed)
{
    struct lines *lines = lines_create(seed);
    const struct membership *m = c->rooms;
    char whole[LINE_MOST];

    for (size_t i = 0; i < ROUND; i++) {
        frame_put(&f->frames, 0x81, whole, make_line(lines, m->room, bytes, whole));
        f->ends[i] = f->frames.len;
        m = m->hh.next != NULL ? m->hh.next : c->rooms;
    }
    lines_destroy(lines);
}

void flood_start(struct conn *c, uint64_t count, size_t bytes, uint64_t seed)
{
    flood_finish(c);
    if (c->rooms == NULL || count == 0) {
        return;
    }
    c->flood = xcalloc(1, sizeof(*c->flood));
    c->flood->left = count;
    buf_init(&c->flood->frames, SIZE_MAX / 2);
    make_round(c->flood, c, bytes, seed);
    conn_want_write(c);
}

bool flood_waits(const struct conn *c)
{
    return c->flood != NULL && c->flood->left > 0;
}

bool flood_runs(const struct sim *s)
{
    const struct conn *c;

    DL_FOREACH(s->conns, c)
    {
        if (flood_waits(c)) {
            return true;
        }
    }
    return false;
}

struct slice flood_take(struct conn *c, size_t most)
{
    struct flood *f = c->flood;
    size_t first = f->next;
    size_t from = first > 0 ? f->ends[first - 1] : 0;
    size_t last = first;

    while (last + 1 < ROUND && last + 1 - first < f->left && f->ends[last + 1] - from <= most) {
        last++;
    }
    uint64_t n = last + 1 - first;
    f->left -= n;
    f->next = (last + 1) % ROUND;
    c->lines_out += n;
    c->sim->count.lines_out += n;
    return (struct slice){f->frames.data + from, f->ends[last] - from};
}

void flood_finish(struct conn *c)
{
    if (c->flood != NULL) {
        buf_finish(&c->flood->frames);
        free(c->flood);
        c->flood = NULL;
    }
}
