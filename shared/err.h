/* Err: what went wrong with the world, as a code a program can act on and a text a person can.
 *
 * Functions that can fail return 0 or a negative -ERR_X and fill a `struct err`; on the way out a
 * caller may put its own words before the text (err_wrap). A function either returns an error or
 * handles it; none logs and returns. */
#ifndef SHOAL_ERR_H
#define SHOAL_ERR_H

#include "shared/base.h"

enum err_code {
    ERR_OK = 0,
    ERR_USAGE,       /* wrong usage or configuration */
    ERR_IO,          /* input or output failed */
    ERR_UNREACHABLE, /* cannot be reached */
    ERR_TIMEOUT,     /* no answer in time */
    ERR_AUTH,        /* access refused */
    ERR_PROTOCOL,    /* the other side broke the protocol */
    ERR_DOWN,        /* the link is down */
    ERR_LOADING,     /* Redis is there, and still reads its data from disk */
    ERR_REPLY,       /* Redis answered with an error */
    ERR_STRANGE,     /* Redis's answer is not what Shoal expects */
    ERR_UNABLE,      /* Redis cannot do it now, or must not do it for us */
    ERR_MEMORY,      /* Redis's memory is full */
    ERR_REFUSED,     /* refused */
    ERR_ABSENT,      /* is not there yet */
    ERR_LOST,        /* the lease is lost */
    ERR_EMPTIED,     /* all that was in Redis is gone */
    ERR_FULL,        /* a limit is reached */
    ERR_CANCELED,    /* given up before it was done */
};

struct err {
    enum err_code code;
    char text[512]; /* one line, no newline, NUL-terminated */
};

/* Set code and text; returns -code, so that `return err_set(err, ERR_IO, ...)` reads well.
 * `err` may be NULL. What a terminal would obey becomes '?', and secrets are masked (text.h). */
int err_set(struct err *err, enum err_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Put "<words>: " before the text; returns -code. */
int err_wrap(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The exit code that belongs to it: 2 for ERR_USAGE, 3 for ERR_UNREACHABLE, ERR_TIMEOUT, ERR_AUTH,
 * ERR_DOWN, ERR_LOADING (Redis is out of reach), ERR_UNABLE and ERR_MEMORY, else 1. */
int err_exit_code(enum err_code code);
/* Does Redis refuse what it should not (ERR_UNABLE, ERR_MEMORY)? Then the link has told it. */
bool err_is_told(const struct err *err);
/* Did nobody answer (ERR_DOWN, ERR_LOADING, ERR_TIMEOUT, ERR_CANCELED)? Then there is nothing to
 * tell: the link's owner does. */
bool err_is_silence(const struct err *err);

#endif
