/* Log sink: standard error, written without waiting.
 *
 * O_NONBLOCK belongs to the open file, which is shared with what started us (a shell, a sibling
 * in a pipeline), so it is not set on descriptor 2 itself. A pipe or terminal is opened once more
 * through /proc for a description of our own; a socket (the journal) is sent to with MSG_DONTWAIT;
 * a file never makes one wait long. Where nothing of that works, poll tells when a page will
 * fit. */
#include "shared/log_sink.h"

#include "shared/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum sink_kind { SINK_FILE, SINK_OWN, SINK_SOCKET, SINK_POLLED };

/* What poll promises of a pipe that is not full: a page. */
#define POLLED_WRITE_BYTES 4096

static struct {
    enum sink_kind kind;
    int fd;             /* 2, or our own opening of it */
    bool journal;       /* JOURNAL_STREAM names it */
    struct buf pending; /* lines, or the rest of one, that wait for the reader */
    uint64_t dropped;   /* lines */
} sink = {.kind = SINK_FILE, .fd = STDERR_FILENO, .pending = {.max = LOG_SINK_MAX_BYTES}};

static bool names_journal(const struct stat *st)
{
    const char *stream = getenv("JOURNAL_STREAM");
    if (!stream) {
        return false;
    }
    char own[64];
    snprintf(own, sizeof(own), "%ju:%ju", (uintmax_t)st->st_dev, (uintmax_t)st->st_ino);
    return strcmp(own, stream) == 0;
}

void log_sink_open(void)
{
    if (sink.fd != STDERR_FILENO) {
        close(sink.fd);
    }
    sink.fd = STDERR_FILENO;
    sink.kind = SINK_FILE;
    sink.journal = false;

    struct stat st;
    if (fstat(STDERR_FILENO, &st) < 0) {
        return; /* closed: each write fails and is counted */
    }
    sink.journal = names_journal(&st);
    if (S_ISSOCK(st.st_mode)) {
        sink.kind = SINK_SOCKET;
    } else if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)) {
        int fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        sink.kind = fd >= 0 ? SINK_OWN : SINK_POLLED;
        sink.fd = fd >= 0 ? fd : STDERR_FILENO;
    }
}

bool log_sink_is_journal(void)
{
    return sink.journal;
}

/* Bytes written, 0 if it would wait, -1 if it can never be written. */
static ssize_t write_some(const char *data, size_t len)
{
    for (;;) {
        ssize_t n;
        if (sink.kind == SINK_SOCKET) {
            n = send(sink.fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        } else if (sink.kind == SINK_POLLED) {
            struct pollfd ready = {.fd = sink.fd, .events = POLLOUT};
            if (poll(&ready, 1, 0) <= 0) {
                return 0;
            }
            n = write(sink.fd, data, len < POLLED_WRITE_BYTES ? len : POLLED_WRITE_BYTES);
        } else {
            n = write(sink.fd, data, len);
        }
        if (n >= 0) {
            return n;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) {
            return 0;
        }
        if (errno != EINTR) {
            return -1;
        }
    }
}

/* The reader is gone for good (or the disk is full): what was kept is lost. */
static void drop_pending(void)
{
    for (size_t i = 0; i < sink.pending.len; i++) {
        sink.dropped += sink.pending.data[i] == '\n';
    }
    buf_clear(&sink.pending);
}

bool log_sink_drain(void)
{
    size_t done = 0;
    while (done < sink.pending.len) {
        ssize_t n = write_some(sink.pending.data + done, sink.pending.len - done);
        if (n < 0) {
            drop_pending();
            return true;
        }
        if (n == 0) {
            break;
        }
        done += (size_t)n;
    }
    buf_consume(&sink.pending, done);
    return sink.pending.len == 0;
}

void log_sink_put(struct slice line)
{
    buf_append_slice(&sink.pending, line);
    if (sink.pending.overflow) {
        sink.pending.overflow = false; /* a later, shorter line may still fit */
        sink.dropped++;
    }
    log_sink_drain();
    if (sink.pending.len == 0 && sink.pending.cap > 8 * 1024) {
        buf_finish(&sink.pending); /* a stall is rare: do not keep its memory */
    }
}

void log_sink_wait(int timeout_ms)
{
    struct pollfd ready = {.fd = sink.fd, .events = POLLOUT};
    poll(&ready, 1, timeout_ms);
}

uint64_t log_sink_take_dropped(void)
{
    uint64_t dropped = sink.dropped;
    sink.dropped = 0;
    return dropped;
}
