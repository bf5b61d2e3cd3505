/* Options file: `key = value` lines, read whole and bounded, taken apart by inih.
 *
 * inih gives no line numbers to its handler, cuts long lines into pieces and reads an indented line
 * as the continuation of the one above (so that indenting a key would hide it in another's value).
 * So the lines are handed to it one by one, counted, measured and with their indent removed. */
#include "shared/options_impl.h"

#include "shared/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ini.h>

struct reading {
    struct slice rest;
    const char *path;
    size_t line;
    options_pair_cb *on_pair;
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
                        "%s:%zu: the line is longer than %d bytes; give so long a value by "
                        "environment variable or flag",
                        r->path, r->line, size - 3);
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
        r->rc = err_set(r->err, ERR_USAGE, "%s:%zu: not of the form key = value", r->path, r->line);
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

int options_file_parse(struct slice content, const char *path, options_pair_cb *on_pair, void *ctx,
                       struct err *err)
{
    int rc = check_text(content, path, err);
    if (rc < 0) {
        return rc;
    }
    if (content.len >= 3 && memcmp(content.ptr, "\xef\xbb\xbf", 3) == 0) {
        content = (struct slice){content.ptr + 3, content.len - 3}; /* some editors' mark */
    }
    struct reading r = {.rest = content, .path = path, .on_pair = on_pair, .ctx = ctx, .err = err};
    int bad_line = ini_parse_stream(next_line, &r, on_ini_pair, &r);
    if (r.rc < 0) {
        return r.rc;
    }
    if (bad_line != 0) {
        return err_set(err, ERR_USAGE, "%s:%d: not of the form key = value", path, bad_line);
    }
    return 0;
}

static int read_all(int fd, const char *path, struct buf *content, struct err *err)
{
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        return err_set(err, ERR_USAGE, "%s: is a directory, not a configuration file", path);
    }
    for (;;) {
        char chunk[4096];
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return err_set(err, ERR_USAGE, "%s: cannot be read: %s", path, strerror(errno));
        }
        if (n == 0) {
            return 0;
        }
        buf_append(content, chunk, (size_t)n);
        if (content->overflow) {
            return err_set(err, ERR_USAGE,
                           "%s: is larger than %d KiB, so it is not a configuration file", path,
                           OPTIONS_FILE_MAX_BYTES / 1024);
        }
    }
}

int options_file_read(const char *path, bool may_lack, options_pair_cb *on_pair, void *ctx,
                      struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        if (may_lack && (errno == ENOENT || errno == ENOTDIR)) {
            return 0;
        }
        return err_set(err, ERR_USAGE, "%s: cannot be opened: %s; name another file with --config",
                       path, strerror(errno));
    }
    struct buf content;
    buf_init(&content, OPTIONS_FILE_MAX_BYTES);
    int rc = read_all(fd, path, &content, err);
    close(fd);
    if (rc == 0) {
        rc = options_file_parse(buf_slice(&content), path, on_pair, ctx, err);
    }
    buf_finish(&content);
    return rc;
}
