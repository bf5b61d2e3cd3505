/* History: XADD by hand, as publish.c writes PUBLISH: this is done for each room line. */
#include "node/history.h"

#include "node/publish.h"
#include "shared/redis/registry_history.h"

#include <stdio.h>
#include <string.h>

/* An entry that is being made. */
struct entry {
    unsigned lines;
    size_t bytes; /* with the LF behind each line but the last */
    uint64_t seq;
};

/* The lines of a block, and the stream of each. */
struct sorted {
    unsigned n;
    struct slice lines[HISTORY_LINES_MOST];
    unsigned char streams[HISTORY_LINES_MOST];
    struct entry entries[REGISTRY_HISTORY_STREAMS];
};

void history_keep(struct history *h, const struct registry *registry, const char *node,
                  const char *incarnation, uint64_t streams)
{
    h->streams = streams < REGISTRY_HISTORY_STREAMS ? (unsigned)streams : REGISTRY_HISTORY_STREAMS;
    registry_lines_key(registry, h->key);
    h->node = node;
    snprintf(h->by, sizeof(h->by), "%.8s", incarnation);
}

static void sort_lines(const struct history *h, struct slice commands, struct slice topic_prefix,
                       struct sorted *out)
{
    memset(out->entries, 0, h->streams * sizeof(out->entries[0]));
    for (out->n = 0; commands.len > 0; out->n++) {
        BUG_ON(out->n == HISTORY_LINES_MOST);
        unsigned k = registry_history_stream(
            publish_take(&commands, topic_prefix, &out->lines[out->n]), h->streams);
        struct entry *e = &out->entries[k];
        out->streams[out->n] = (unsigned char)k;
        e->bytes += out->lines[out->n].len + (e->lines > 0);
        e->lines++;
        e->seq = out->n; /* for now, among the lines of the block */
    }
}

static unsigned digits(uint64_t n)
{
    unsigned count = 1;

    for (; n > 9; n /= 10) {
        count++;
    }
    return count;
}

static void put_head(const struct history *h, struct buf *out, unsigned k, const struct entry *e,
                     const char *by, uint64_t seq)
{
    buf_printf(out,
               "*9\r\n$4\r\nXADD\r\n$%zu\r\n%s%u\r\n$1\r\n*\r\n$2\r\nby\r\n$%zu\r\n%s/%s\r\n"
               "$3\r\nseq\r\n$%u\r\n%llu\r\n$5\r\nlines\r\n$%zu\r\n",
               strlen(h->key) + digits(k), h->key, k, strlen(h->node) + 1 + strlen(by), h->node, by,
               digits(seq), (unsigned long long)seq, e->bytes);
}

unsigned history_put(const struct history *h, struct buf *out, struct slice commands,
                     struct slice topic_prefix, const char *by, uint64_t last_seq)
{
    struct sorted sorted;
    unsigned commands_put = 0;

    if (h->streams == 0) {
        return 0;
    }
    sort_lines(h, commands, topic_prefix, &sorted);
    for (unsigned k = 0; k < h->streams; k++) {
        struct entry *e = &sorted.entries[k];
        if (e->lines == 0) {
            continue;
        }
        put_head(h, out, k, e, by, last_seq + 1 - sorted.n + e->seq);
        for (unsigned i = 0; i < sorted.n && e->lines > 0; i++) {
            if (sorted.streams[i] == k) {
                buf_append_slice(out, sorted.lines[i]);
                e->lines--;
                buf_append(out, e->lines > 0 ? "\n" : "\r\n", e->lines > 0 ? 1 : 2);
            }
        }
        commands_put++;
    }
    return commands_put;
}
