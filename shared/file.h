/* File: reads a file that somebody has named, whole and without ever waiting for it.
 *
 * The one place that opens files for reading: configuration, tokens, lists of channels,
 * certificates. A FIFO, a terminal or a device would make a start, or a SIGHUP, wait for ever: only
 * regular files are taken (a symbolic link to one is one). */
#ifndef SHOAL_FILE_H
#define SHOAL_FILE_H

#include "shared/err.h"

#include <sys/types.h>

struct file {
    char *text; /* owned; a NUL follows */
    size_t len; /* bytes */
    mode_t mode;
    uid_t owner;
    gid_t group;
};

/* Read `path` into *out (file_finish it). `what` says what it should be ("a tokens file"), for
 * messages, `most` how many bytes it may have. A byte order mark at its start is left out. 0,
 * -ERR_ABSENT where there is no such file, -ERR_IO where it cannot be read or is no regular file,
 * -ERR_USAGE where it is larger. */
MUST_USE int file_read(const char *path, const char *what, size_t most, struct file *out,
                       struct err *err);
/* The same of a file with secrets, which nobody but its owner may read; -ERR_USAGE in any case. */
MUST_USE int file_read_secret(const char *path, const char *what, size_t most, struct file *out,
                              struct err *err);
/* The one line of such a file, without its end, into *out: the caller wipes and frees it. */
MUST_USE int file_read_secret_line(const char *path, const char *what, char **out, struct err *err);
/* May nobody but its owner read it? So is a credential that systemd passes on: root's, mode 0440
 * with an ACL for whom it is meant for. */
bool file_is_secret(const struct file *f);
/* Wipe and give back: it may have held a secret. */
void file_finish(struct file *f);
/* Is it a regular file? 0, -ERR_ABSENT or -ERR_IO, as file_read; for what a library opens by
 * itself. */
MUST_USE int file_check(const char *path, const char *what, struct err *err);
/* May nobody but its owner and root change it, and is the owner root or whom we run as? */
bool file_is_trusted(const struct file *f);

#endif
