/* Initial channels: read, split, checked, each kept once. */
#include "coordinator/options/initial_channels.h"

#include "coordinator/options/command_output.h"
#include "shared/buf.h"
#include "shared/file.h"
#include "shared/irc/parse.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX_BYTES  ((size_t)16 << 20)
#define COMMAND_MS      60000
#define BAD_NAMES_BYTES 100 /* of a message that names them */
#define BYTE_ORDER_MARK "\xef\xbb\xbf"

static bool is_separator(char c)
{
    return c == ',' || c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

size_t channel_names_split(struct slice text, struct slice *out, size_t max)
{
    size_t n = 0;
    size_t at = 0;
    while (at < text.len && n < max) {
        if (is_separator(text.ptr[at])) {
            at++;
            continue;
        }
        size_t start = at;
        while (at < text.len && !is_separator(text.ptr[at])) {
            at++;
        }
        out[n++] = (struct slice){text.ptr + start, at - start};
    }
    return n;
}

/* What a file ("@...") holds, or a program ("!...") prints. */
static int read_text(const char *value, char **out, struct err *err)
{
    struct file file = {0};
    int failed =
        value[0] == '@'
            ? file_read(value + 1, "a list of channels", FILE_MAX_BYTES, &file, err)
            : command_output(value + 1, FILE_MAX_BYTES, COMMAND_MS, &file.text, &file.len, err);

    if (!failed && memchr(file.text, '\0', file.len) != NULL) {
        failed = err_set(err, ERR_USAGE,
                         value[0] == '@' ? "%s holds a NUL byte; is it a list of channels?"
                                         : "\"%.200s\" prints a NUL byte; does it print channels?",
                         value + 1);
        file_finish(&file);
    } else if (failed == -ERR_ABSENT) {
        failed = err_set(err, ERR_IO, "%s", err != NULL ? err->text : "");
    }
    *out = file.text; /* ours from here on */
    return failed;
}

static bool is_name(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* Comments become spaces, so that the rest can be split like a command line. */
static void blank_comments(char *text)
{
    bool at_start = true;
    for (char *p = text; *p; p++) {
        if (*p == '#' && at_start && !is_name(p[1])) {
            while (*p && *p != '\n') {
                *p++ = ' ';
            }
            if (!*p) {
                return;
            }
        }
        at_start = is_separator(*p) && *p != ',';
    }
}

/* The name in its place in the text becomes the login. */
static bool normalise(char *text, struct slice *name)
{
    char login[IRC_CHANNEL_CHARS];

    if (!irc_channel_normalise(*name, login, sizeof(login))) {
        return false;
    }
    size_t len = strlen(login);
    name->ptr += name->len - len;
    name->len = len;
    /* NOLINTNEXTLINE(bugprone-not-null-terminated-result): more text follows */
    memcpy(text + (name->ptr - text), login, len);
    return true;
}

static int by_place(const void *left, const void *right)
{
    const struct slice *a = left;
    const struct slice *b = right;
    return (a->ptr > b->ptr) - (a->ptr < b->ptr);
}

static int by_name_and_place(const void *left, const void *right)
{
    const struct slice *a = left;
    const struct slice *b = right;
    int order = (a->len > b->len) - (a->len < b->len);
    order = order ? order : memcmp(a->ptr, b->ptr, a->len);
    return order ? order : by_place(left, right);
}

/* Each name once, in the order of first mention: that is their order in the text. */
static size_t keep_once(struct slice *names, size_t n)
{
    size_t kept = 0;
    qsort(names, n, sizeof(*names), by_name_and_place);
    for (size_t i = 0; i < n; i++) {
        if (kept == 0 || !slice_eq(names[kept - 1], names[i])) {
            names[kept++] = names[i];
        }
    }
    qsort(names, kept, sizeof(*names), by_place);
    return kept;
}

/* "FILE:LINE: " of a name in the text of a file or program, else nothing. */
static void append_place(struct buf *out, const char *value, const char *text, struct slice name)
{
    unsigned line = 1;

    if (value[0] != '@' && value[0] != '!') {
        return;
    }
    for (const char *p = text; p < name.ptr; p++) {
        line += *p == '\n';
    }
    buf_printf(out, "%.100s:%u: ", value + (value[0] == '@'), line);
}

/* All of `bad`, as far as they fit into a message. */
static int bad_names(const char *value, const char *text, const struct slice *bad, size_t n,
                     struct err *err)
{
    struct buf out;
    size_t told = 0;

    buf_init(&out, 4096);
    for (; told < n && (told == 0 || out.len < BAD_NAMES_BYTES); told++) {
        buf_append_str(&out, told ? ", " : "");
        append_place(&out, value, text, bad[told]);
        buf_printf(&out, "\"%.*s\"", (int)(bad[told].len > 60 ? 60 : bad[told].len), bad[told].ptr);
    }
    if (told < n) {
        buf_printf(&out, " and %zu more", n - told);
    }
    int failed = err_set(err, ERR_USAGE, "%.*s %s: 1 to 25 of a-z, 0-9 and _", (int)out.len,
                         out.data, n == 1 ? "is not a channel name" : "are not channel names");
    buf_finish(&out);
    return failed;
}

/* `text` is taken; `value` is where it came from, for messages. */
static int parse_text(const char *value, char *text, struct initial_channels *out, struct err *err)
{
    struct slice all = slice_of(text);
    size_t most = all.len / 2 + 1;
    struct slice *names = xcalloc(most, sizeof(*names));
    size_t n = channel_names_split(all, names, most);
    size_t bad = 0; /* these first */
    for (size_t i = 0; i < n; i++) {
        if (!normalise(text, &names[i])) {
            names[bad++] = names[i];
        }
    }
    if (bad > 0) {
        int failed = bad_names(value, text, names, bad, err);
        free(names);
        free(text);
        return failed;
    }
    out->n = keep_once(names, n);
    out->names = names;
    out->text = text;
    return 0;
}

int initial_channels_parse_lines(const char *name, char *text, struct initial_channels *out,
                                 struct err *err)
{
    char *start = text;

    *out = (struct initial_channels){0};
    while (is_separator(*start)) {
        start++;
    }
    if (strncmp(start, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK)) == 0) {
        memset(start, ' ', strlen(BYTE_ORDER_MARK));
    }
    blank_comments(text);
    return parse_text(name, text, out, err);
}

int initial_channels_parse(const char *value, struct initial_channels *out, struct err *err)
{
    char *text = NULL;

    *out = (struct initial_channels){0};
    if (value == NULL) {
        return 0;
    }
    if (value[0] != '@' && value[0] != '!') {
        return parse_text(value, xstrdup(value), out, err);
    }
    int failed = read_text(value, &text, err);
    return failed ? failed : initial_channels_parse_lines(value, text, out, err);
}

void initial_channels_finish(struct initial_channels *c)
{
    free(c->names);
    free(c->text);
    *c = (struct initial_channels){0};
}

int initial_channels_check(const char *value, struct err *err)
{
    struct initial_channels c;

    if (value[0] == '!') {
        return value[1] ? 0 : err_set(err, ERR_USAGE, "there is no command after \"!\"");
    }
    int failed = initial_channels_parse(value, &c, err);
    if (!failed) {
        initial_channels_finish(&c);
    }
    return failed;
}
