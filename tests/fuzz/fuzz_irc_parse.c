/* Fuzz target: parser, splitter, classification and formatter, fed with anything.
 *
 * What must hold: every slice lies inside its line; what is split has no line end in it; what the
 * formatter writes is whole lines, ended by the only CR LF in them, and parses again. */
#include "shared/irc/parse.h"
#include "shared/irc/room_line.h"
#include "shared/irc/splitter.h"
#include "shared/irc/write.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(struct slice s, struct slice line)
{
    BUG_ON(s.ptr < line.ptr || s.len > line.len || s.ptr + s.len > line.ptr + line.len);
}

static void check_tags(const struct irc_line *line)
{
    struct slice cursor = line->tags;
    struct slice key;
    struct slice value;

    while (irc_tag_next(&cursor, &key, &value)) {
        char *out = xmalloc(value.len + 1);

        check_inside(key, line->tags);
        check_inside(value, line->tags);
        BUG_ON(irc_tag_unescape(value, out) > value.len);
        free(out);
    }
    (void)!irc_tag(line, "room-id", &value);
}

static void check_line(struct slice raw)
{
    struct irc_line line;
    struct slice channel;

    if (irc_parse(raw, &line, NULL) != 0) {
        return;
    }
    BUG_ON(line.command.len == 0 || line.nparams > IRC_MAX_PARAMS);
    check_inside(line.tags, raw);
    check_inside(line.prefix, raw);
    check_inside(line.nick, raw);
    check_inside(line.command, raw);
    for (size_t i = 0; i < line.nparams; i++) {
        check_inside(line.params[i], raw);
    }
    channel = irc_channel(&line);
    check_inside(channel, raw);
    BUG_ON(irc_classify(&line, SLICE("bot")) == IRC_ROOM_LINE && !irc_channel_valid(channel));
    check_tags(&line);
}

static bool on_line(void *ctx, struct slice line)
{
    size_t *lines = ctx;
    char *copy = xmalloc(line.len); /* of exactly that size, so that ASan sees a byte too many */

    BUG_ON(line.len == 0 || line.len > IRC_MAX_LINE_BYTES);
    BUG_ON(memchr(line.ptr, '\n', line.len) != NULL);
    memcpy(copy, line.ptr, line.len);
    check_line((struct slice){copy, line.len});
    free(copy);
    (*lines)++;
    return true;
}

/* Cut the input at places that it names itself; the number of lines must not depend on them. */
static void check_splitter(struct slice input)
{
    struct irc_splitter whole;
    struct irc_splitter cut;
    size_t whole_lines = 0;
    size_t cut_lines = 0;
    size_t at = 0;

    irc_splitter_init(&whole);
    BUG_ON(!irc_splitter_piece(&whole, input, true, on_line, &whole_lines));

    irc_splitter_init(&cut);
    while (at < input.len) {
        size_t n = (unsigned char)input.ptr[at] % 61 + 1;

        n = n > input.len - at ? input.len - at : n;
        at += n;
        BUG_ON(!irc_splitter_piece(&cut, (struct slice){input.ptr + at - n, n}, at == input.len,
                                   on_line, &cut_lines));
    }
    BUG_ON(whole_lines != cut_lines || whole.too_long != cut.too_long);
    irc_splitter_finish(&whole);
    irc_splitter_finish(&cut);
}

static void check_written(int rc, struct buf *out, size_t lines)
{
    size_t ends = 0;

    if (rc != 0) {
        BUG_ON(out->len != 0);
        return;
    }
    BUG_ON(out->len < 3 || memcmp(out->data + out->len - 2, "\r\n", 2) != 0);
    BUG_ON(out->len > IRC_MAX_SENT_BYTES || memchr(out->data, '\0', out->len) != NULL);
    for (size_t i = 0; i < out->len; i++) {
        ends += out->data[i] == '\r' || out->data[i] == '\n' ? 1 : 0;
    }
    BUG_ON(ends != 2 * lines);
    if (lines == 1) {
        struct irc_line line;

        BUG_ON(irc_parse((struct slice){out->data, out->len - 2}, &line, NULL) != 0);
    }
    buf_clear(out);
}

/* The input, cut into `n` slices at its first bytes of value 0xff. */
static void cut_words(struct slice input, struct slice *words, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *end = input.len == 0 ? NULL : memchr(input.ptr, 0xff, input.len);

        words[i] = input;
        if (end != NULL && i + 1 < n) {
            words[i].len = (size_t)(end - input.ptr);
            input = (struct slice){end + 1, input.len - words[i].len - 1};
        } else {
            input = (struct slice){input.ptr + input.len, 0};
        }
    }
}

static void check_formatter(struct slice input)
{
    struct slice w[4];
    struct buf out;
    size_t written = 0;
    char channel[IRC_CHANNEL_CHARS];

    cut_words(input, w, ARRAY_LEN(w));
    buf_init(&out, 16384);
    check_written(irc_write_privmsg(&out, w[0], w[1], w[2], w[3], false, NULL), &out, 1);
    check_written(irc_write_privmsg(&out, SLICE("bar"), w[0], w[1], w[2], true, NULL), &out, 1);
    check_written(irc_write_join(&out, w, ARRAY_LEN(w), &written, NULL), &out, 1);
    check_written(irc_write_join(&out, w, 1, &written, NULL), &out, 1);
    check_written(irc_write_part(&out, w[0], NULL), &out, 1);
    check_written(irc_write_ping(&out, w[0], NULL), &out, 1);
    check_written(irc_write_pong(&out, w[0], NULL), &out, 1);
    check_written(irc_write_login(&out, SLICE("bot"), w[0], NULL), &out, w[0].len == 0 ? 2 : 3);
    check_written(irc_write_login(&out, w[0], SLICE("abc"), NULL), &out, 3);
    if (irc_channel_normalise(w[0], channel, sizeof(channel))) {
        BUG_ON(!irc_channel_valid(slice_of(channel)));
    }
    buf_finish(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = {(const char *)data, size};

    if (size == 0) {
        return 0;
    }
    check_line(input);
    check_splitter(input);
    check_formatter(input);
    return 0;
}
