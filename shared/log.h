/* Log: one line an event on standard error, as text (logfmt) or JSON.
 *
 *     log_info("node", "shard.ready", "shard", id, "channels", log_u64(n), NULL);
 *     -> 2026-01-31T12:00:00.123Z info node shard.ready shard=main-shard channels=25
 *
 * Event names are stable: people alert on them. A value is a C string; control characters are
 * escaped. Values are never tokens: a token has no way to become a string outside its room, and
 * what looks like a secret (text_mask) is masked besides. Never blocks: standard error is written
 * without waiting; what a stalled reader does not take is kept up to 256 KiB, then dropped and
 * counted, and the count is logged when the reader is back. Where standard error is the journal
 * (JOURNAL_STREAM), lines begin with <priority>. Each (room, event) may log 20 lines a second; the
 * rest is counted in a line of its own. */
#ifndef SHOAL_LOG_H
#define SHOAL_LOG_H

#include "shared/err.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* Set up; may be called again (SIGHUP). Before it: info, text. */
void log_setup(enum log_level level, enum log_format format);
/* "error", "warn", "info", "debug"; false for anything else. */
MUST_USE bool log_level_parse(const char *text, enum log_level *out);
/* "text" or "json". */
MUST_USE bool log_format_parse(const char *text, enum log_format *out);
/* Would a line of that level be written? For values that cost something to make. */
bool log_enabled(enum log_level level);
/* Key and value strings in turn, closed by NULL. A NULL value is written as an empty one. */
void log_write(enum log_level level, const char *room, const char *event, ...)
    __attribute__((sentinel));
#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)                                                                             \
    do {                                                                                           \
        if (log_enabled(LOG_LEVEL_DEBUG)) {                                                        \
            log_write(LOG_LEVEL_DEBUG, __VA_ARGS__);                                               \
        }                                                                                          \
    } while (0)
/* The number as text, in one of 16 static buffers taken in turn: for log values only. */
const char *log_u64(uint64_t n);
const char *log_i64(int64_t n);
/* The slice as text, cut at 200 bytes, in one of the same buffers. */
const char *log_slice(struct slice s);
/* Write what is still held back, waiting at most `timeout_ms`. Call before exit; with 0, now and
 * then from a timer, so that lines kept for a slow reader do not wait for the next event. */
void log_flush(int timeout_ms);

#endif
