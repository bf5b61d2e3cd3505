/* Pairs: lines taken apart by inih.
 *
 * inih gives no line numbers to its handler, cuts long lines into pieces and reads an indented line
 * as the continuation of the one above (so that indenting a key would hide it in another's value).
 * So the lines are handed to it one by one, counted, measured and with their indent removed. */
#include "shared/pairs.h"

#include "shared/utf8.h"

#include <string.h>

#include <ini.h>

struct reading {
    struct slice rest;
    const char *path;
    const char *form;
    size_t line;
    pairs_cb *on_pair;
    void *ctx;
    int rc; /* the first failure */
    struct err *err;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Take the next line off the rest, without its newline, indent and trailing blanks. */
static struct slice take_line(struct reading *r)
{
    const char *newline = memchr(r->rest.ptr, '\n', r->rest.len);
    struct slice line = {r->rest.ptr, newline ? (size_t)(newline - r->rest.ptr) : r->rest.len};
    size_t used = line.len + (newline ? 1 : 0);
    r->rest = (struct slice){r->rest.ptr + used, r->rest.len - used};
    r->line++;
    while (line.len > 0 && is_blank(line.ptr[line.len - 1])) {
        line.len--;
    }
    while (line.len > 0 && is_blank(line.ptr[0])) {
        line.ptr++;
        line.len--;
    }
    return line;
}

/* fgets for inih: the next line into `out`, or NULL at the end and after a failure. */
static char *next_line(char *out, int size, void *stream)
{
    struct reading *r = stream;
    if (r->rc < 0 || r->rest.len == 0) {
        return NULL;
    }
    struct slice line = take_line(r);
    char first = line.len > 0 ? line.ptr[0] : '\0';
    if (first == '#' || first == ';') {
        line.len = 1; /* a comment may be as long as it likes */
    }
    if (first == '[') {
        r->rc = err_set(r->err, ERR_USAGE, "%s:%zu: sections are not known here; remove the line",
                        r->path, r->line);
        return NULL;
    }
    if (line.len + 3 > (size_t)size) {
        r->rc = err_set(r->err, ERR_USAGE,
                        "%s:%zu: the line is longer than %d bytes, and no line may be", r->path,
                        r->line, size - 3);
        return NULL;
    }
    memcpy(out, line.ptr, line.len);
    out[line.len] = '\n';
    out[line.len + 1] = '\0';
    return out;
}

static int on_ini_pair(void *user, const char *section, const char *name, const char *value)
{
    (void)section;
    struct reading *r = user;
    if (r->rc < 0) {
        return 0;
    }
    if (!value || !*name) {
        r->rc = err_set(r->err, ERR_USAGE, "%s:%zu: not of the form %s", r->path, r->line, r->form);
        return 0;
    }
    r->rc = r->on_pair(r->ctx, name, value, r->line, r->err);
    return r->rc == 0;
}

/* A file that is no text is told in one message, not in one about its first odd key. */
static int check_text(struct slice content, const char *path, struct err *err)
{
    size_t line = 1;
    for (size_t i = 0; i < content.len;) {
        unsigned char c = (unsigned char)content.ptr[i];
        size_t len = utf8_length(content.ptr + i, content.len - i);
        bool control = (c < 0x20 && c != '\n' && c != '\r' && c != '\t') || c == 0x7f;
        if (len == 0 || control) {
            return err_set(err, ERR_USAGE,
                           "%s:%zu: holds the byte 0x%02x, so it is not a UTF-8 text file", path,
                           line, c);
        }
        line += c == '\n';
        i += len;
    }
    return 0;
}

int pairs_parse(struct slice content, const char *path, const char *form, pairs_cb *on_pair,
                void *ctx, struct err *err)
{
    int rc = check_text(content, path, err);
    if (rc < 0) {
        return rc;
    }
    struct reading r = {
        .rest = content, .path = path, .form = form, .on_pair = on_pair, .ctx = ctx, .err = err};
    int bad_line = ini_parse_stream(next_line, &r, on_ini_pair, &r);
    if (r.rc < 0) {
        return r.rc;
    }
    if (bad_line != 0) {
        return err_set(err, ERR_USAGE, "%s:%d: not of the form %s", path, bad_line, form);
    }
    return 0;
}
