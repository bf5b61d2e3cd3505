/* Lines into messages (--coalesce), lines over messages (--cut), messages into fragments (--fragment);
 * all sizes are random below what is set. */
#include "tests/twitch_sim/frame.h"

#include <string.h>

#define COALESCE_MOST 32768 /* bytes of lines that may share a message */

void frame_put(struct buf *out, unsigned first_byte, const char *payload, size_t len)
{
    unsigned char head[10];
    size_t n = 2;

    head[0] = (unsigned char)first_byte;
    if (len < 126) {
        head[1] = (unsigned char)len;
    } else if (len < 65536) {
        head[1] = 126;
        head[2] = (unsigned char)(len >> 8);
        head[3] = (unsigned char)len;
        n = 4;
    } else {
        head[1] = 127;
        for (int i = 0; i < 8; i++) {
            head[2 + i] = (unsigned char)((uint64_t)len >> (8 * (7 - i)));
        }
        n = 10;
    }
    buf_append(out, head, n);
    buf_append(out, payload, len);
}

/* One WebSocket message, in fragments if that is set. */
static void put_message(struct conn *c, struct buf *out, const char *payload, size_t len)
{
    size_t most = c->sim->settings.fragment;
    unsigned opcode = 1;

    while (most > 0 && len > 1) {
        size_t n = 1 + rng_below(&c->sim->rng, most);

        if (n >= len) {
            break;
        }
        frame_put(out, opcode, payload, n);
        opcode = 0;
        payload += n;
        len -= n;
    }
    frame_put(out, 0x80 | opcode, payload, len);
}

/* Whole lines as one message, or cut over several (between characters: each must be UTF-8). */
static void put_lines(struct conn *c, struct buf *out, const char *lines, size_t len)
{
    size_t most = c->sim->settings.cut;

    while (most > 0 && len > 1) {
        size_t n = 1 + rng_below(&c->sim->rng, most);

        while (n < len && ((unsigned char)lines[n] & 0xc0) == 0x80) {
            n++;
        }
        if (n >= len) {
            break;
        }
        put_message(c, out, lines, n);
        lines += n;
        len -= n;
    }
    put_message(c, out, lines, len);
}

/* How many bytes of whole lines the next message takes; `q` is not empty. */
static size_t next_message(struct conn *c, const char *at, size_t left)
{
    size_t most = c->sim->settings.coalesce;
    size_t lines = most > 1 ? 1 + rng_below(&c->sim->rng, most) : 1;
    size_t len = 0;

    for (size_t i = 0; i < lines && len < left && (len == 0 || len < COALESCE_MOST); i++) {
        const char *end = memchr(at + len, '\n', left - len);

        BUG_ON(!end);
        len = (size_t)(end + 1 - at);
    }
    return len;
}

/* Move lines into frames, at most about `most` bytes. */
void frame_lines(struct conn *c, struct buf *out, size_t most)
{
    size_t used = 0;

    while (used < c->lines.len && out->len < most) {
        const char *at = c->lines.data + c->lines.head + used;
        size_t len = next_message(c, at, c->lines.len - used);

        put_lines(c, out, at, len);
        used += len;
    }
    if (used > 0) {
        queue_consume(&c->lines, used);
    }
}
