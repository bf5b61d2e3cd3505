/* File: open without waiting, look at what it is, read what it says its size is. */
#include "shared/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1024

static int cannot(const char *path, const char *what, struct err *err)
{
    bool absent = errno == ENOENT || errno == ENOTDIR;

    return err_set(err, absent ? ERR_ABSENT : ERR_IO, "cannot read %s from '%s': %s", what, path,
                   strerror(errno));
}

/* A descriptor of a regular file, or an error. */
static int open_regular(const char *path, const char *what, struct stat *st, struct err *err)
{
    /* O_NONBLOCK: the other end of a FIFO is not waited for. It means nothing to a regular file. */
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    int rc = fd;

    if (fd < 0 || fstat(fd, st) != 0) {
        rc = cannot(path, what, err);
    } else if (!S_ISREG(st->st_mode)) {
        rc = err_set(err, ERR_IO, "%s: %s, not %s", path,
                     S_ISDIR(st->st_mode) ? "is a directory" : "is not a regular file", what);
    }
    if (rc < 0 && fd >= 0) {
        close(fd);
    }
    return rc;
}

static int read_all(int fd, const char *path, const char *what, struct file *out, struct err *err)
{
    size_t size = out->len;

    out->text = xmalloc(size + 1);
    for (out->len = 0; out->len < size;) {
        ssize_t n = read(fd, out->text + out->len, size - out->len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return cannot(path, what, err);
        }
        if (n == 0) {
            break; /* it has become shorter */
        }
        out->len += (size_t)n;
    }
    out->text[out->len] = '\0';
    return 0;
}

static void skip_mark(struct file *f)
{
    static const char mark[] = "\xef\xbb\xbf"; /* that some editors put in front */

    if (f->len >= 3 && memcmp(f->text, mark, 3) == 0) {
        f->len -= 3;
        memmove(f->text, f->text + 3, f->len + 1);
        explicit_bzero(f->text + f->len, 3);
    }
}

int file_read(const char *path, const char *what, size_t most, struct file *out, struct err *err)
{
    struct stat st = {0};
    int fd = open_regular(path, what, &st, err);

    *out = (struct file){0};
    if (fd < 0) {
        return fd;
    }
    if ((uint64_t)st.st_size > most) {
        close(fd);
        return err_set(err, ERR_USAGE, "%s is larger than %zu KiB; is it %s?", path, most / 1024,
                       what);
    }
    out->len = (size_t)st.st_size;
    out->mode = st.st_mode;
    out->owner = st.st_uid;
    out->group = st.st_gid;
    int rc = read_all(fd, path, what, out, err);
    close(fd);
    if (rc != 0) {
        file_finish(out);
        return rc;
    }
    skip_mark(out);
    return 0;
}

int file_read_secret(const char *path, const char *what, size_t most, struct file *out,
                     struct err *err)
{
    struct err why = {0};

    if (file_read(path, what, most, out, &why) != 0) {
        return err_set(err, ERR_USAGE, "%s", why.text);
    }
    if (!file_is_secret(out)) {
        file_finish(out);
        return err_set(err, ERR_USAGE, "%s: others may read it (chmod 600 %s)", path, path);
    }
    return 0;
}

int file_read_secret_line(const char *path, const char *what, char **out, struct err *err)
{
    struct file f;

    if (file_read_secret(path, what, LINE_MAX_BYTES, &f, err) != 0) {
        return -ERR_USAGE;
    }
    size_t len = f.text != NULL ? strcspn(f.text, "\r\n") : 0;
    bool is_line = len > 0 && len + strspn(f.text + len, "\r\n") == f.len;
    if (is_line) {
        *out = xstrndup(f.text, len);
    }
    file_finish(&f);
    return is_line ? 0 : err_set(err, ERR_USAGE, "%s: %s is one line", path, what);
}

bool file_is_secret(const struct file *f)
{
    return (f->mode & 077) == 0 || ((f->mode & 0777) == 0440 && f->owner == 0 && f->group == 0);
}

void file_finish(struct file *f)
{
    if (f->text) {
        explicit_bzero(f->text, f->len);
    }
    free(f->text);
    *f = (struct file){0};
}

int file_check(const char *path, const char *what, struct err *err)
{
    struct stat st;
    int fd = open_regular(path, what, &st, err);

    if (fd >= 0) {
        close(fd);
    }
    return fd < 0 ? fd : 0;
}

bool file_is_trusted(const struct file *f)
{
    return !(f->mode & (S_IWGRP | S_IWOTH)) && (f->owner == 0 || f->owner == geteuid());
}
