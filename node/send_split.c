/* Send split: grapheme clusters are those of utf8proc. */
#include "node/send_split.h"

#include "shared/irc/write.h"

#include <utf8proc.h>

struct cluster {
    size_t bytes;
    unsigned chars;
    bool blank;
};

/* The next character; a byte that is no UTF-8 counts as one. */
static size_t next_char(struct slice rest, utf8proc_int32_t *c)
{
    utf8proc_ssize_t n =
        utf8proc_iterate((const utf8proc_uint8_t *)rest.ptr, (utf8proc_ssize_t)rest.len, c);

    if (n <= 0) {
        *c = 0xfffd;
        return 1;
    }
    return (size_t)n;
}

static struct slice behind(struct slice text, size_t at)
{
    return (struct slice){text.ptr + at, text.len - at};
}

static struct cluster next_cluster(struct slice rest)
{
    utf8proc_int32_t state = 0;
    utf8proc_int32_t last;
    struct cluster cluster = {.bytes = next_char(rest, &last), .chars = 1};

    cluster.blank = last == ' ';
    while (cluster.bytes < rest.len) {
        utf8proc_int32_t c;
        size_t n = next_char(behind(rest, cluster.bytes), &c);
        if (utf8proc_grapheme_break_stateful(last, c, &state)) {
            break;
        }
        cluster.bytes += n;
        cluster.chars++;
        cluster.blank = false; /* it carries a mark */
        last = c;
    }
    return cluster;
}

static size_t skip_blanks(struct slice text, size_t at)
{
    while (at < text.len) {
        struct cluster cluster = next_cluster(behind(text, at));
        if (!cluster.blank) {
            break;
        }
        at += cluster.bytes;
    }
    return at;
}

/* Where the part that begins at `from` ends, without the blanks at its end; and where the next one
 * begins. False: the first cluster does not fit. */
static bool part_end(struct slice text, size_t from, size_t *end, size_t *next)
{
    /* Before what Twitch would take for a command a character is put (irc_write_privmsg). */
    unsigned most = SEND_PART_CHARS - irc_is_command(behind(text, from));
    unsigned chars = 0;
    size_t blank = 0; /* where the blanks that were read last begin; 0: there were none */
    bool in_blanks = false;
    size_t at = from;

    while (at < text.len) {
        struct cluster cluster = next_cluster(behind(text, at));
        if (cluster.blank && !in_blanks) {
            blank = at;
        }
        in_blanks = cluster.blank;
        if (chars + cluster.chars > most) {
            break;
        }
        chars += cluster.chars;
        at += cluster.bytes;
    }
    if (at < text.len) {
        *end = blank > from ? blank : at;
        *next = skip_blanks(text, *end);
        return *end > from;
    }
    *end = in_blanks && from > 0 ? blank : at;
    *next = at;
    return true;
}

int send_split(struct slice text, unsigned part, struct slice *out, unsigned *parts,
               struct err *err)
{
    size_t from = 0;
    size_t end;
    size_t next;

    *out = text;
    *parts = 0;
    do {
        if (!part_end(text, from, &end, &next)) {
            return err_set(err, ERR_PROTOCOL,
                           "text: a single character in it is longer than %d characters.",
                           SEND_PART_CHARS);
        }
        if (*parts == SEND_PARTS_MOST) {
            return err_set(err, ERR_PROTOCOL, "text: does not fit into %d parts of %d characters.",
                           SEND_PARTS_MOST, SEND_PART_CHARS);
        }
        if (*parts == part) {
            *out = (struct slice){text.ptr + from, end - from};
        }
        (*parts)++;
        from = next;
    } while (from < text.len);
    return 0;
}
