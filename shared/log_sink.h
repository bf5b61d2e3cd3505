/* Log sink: takes finished lines to standard error without ever waiting for its reader.
 *
 * What cannot be written at once is kept, in order, up to LOG_SINK_MAX_BYTES; a line that does not
 * fit any more is dropped whole and counted. Private to the room log. */
#ifndef SHOAL_LOG_SINK_H
#define SHOAL_LOG_SINK_H

#include "shared/base.h"

#define LOG_SINK_MAX_BYTES (256 * 1024)

/* Look anew at what standard error is. */
void log_sink_open(void);
/* Is standard error the journal, which reads <priority> prefixes? */
bool log_sink_is_journal(void);
/* Write or keep one line, newline included. */
void log_sink_put(struct slice line);
/* Write what is kept, as far as it goes now; true if nothing is left. */
bool log_sink_drain(void);
/* Wait until more can be written, at most `timeout_ms`. */
void log_sink_wait(int timeout_ms);
/* How many lines were dropped since the last call. */
uint64_t log_sink_take_dropped(void);

#endif
