/* Log: makes one line of an event (logfmt or JSON), masks tokens, limits the rate per event.
 *
 * A line is put together in a static buffer whose bound it cannot reach: every value is cut, and
 * pairs that come after a very long line are left out. So JSON is always whole.
 * The rate limit is a small table of (room, event); an entry counts the lines of one second and
 * what was held back. What was held back is said in a line `log.suppressed` when its second is
 * over, at the next line of any event or at log_flush. */
#include "shared/log.h"

#include "shared/json.h"
#include "shared/log_sink.h"
#include "shared/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define VALUE_MAX       2048        /* bytes of a value; what follows is cut */
#define LINE_SOFT_MAX   (40 * 1024) /* no more pairs once a line is that long */
#define LINE_MAX_BYTES  (64 * 1024) /* never reached: a value grows sixfold at most */
#define RATE_LINES      20
#define RATE_WINDOW_MS  1000
#define RATE_SLOTS      256
#define SCRATCH_BUFFERS 16
#define SCRATCH_MAX     200

static const char *const levels[] = {"error", "warn", "info", "debug"};
static const char priorities[] = "3467"; /* of levels: syslog's, for the journal */
static const char *const formats[] = {"text", "json"};

struct rate_slot {
    char room[24];
    char event[40];
    uint64_t window_ms;  /* when its second began; 0: free */
    unsigned lines;      /* written in that second */
    uint64_t suppressed; /* held back in it */
};

static struct {
    bool ready; /* the sink was looked at */
    enum log_level level;
    enum log_format format;
    struct buf line;
    struct rate_slot slots[RATE_SLOTS];
    unsigned holding; /* slots with suppressed > 0 */
} state = {.level = LOG_LEVEL_INFO, .format = LOG_FORMAT_TEXT, .line = {.max = LINE_MAX_BYTES}};

void log_setup(enum log_level level, enum log_format format)
{
    state.level = level;
    state.format = format;
    log_sink_open();
    state.ready = true;
}

bool log_level_parse(const char *text, enum log_level *out)
{
    size_t i = slice_index(slice_of(text), levels, ARRAY_LEN(levels));
    *out = (enum log_level)i;
    return i < ARRAY_LEN(levels);
}

bool log_format_parse(const char *text, enum log_format *out)
{
    size_t i = slice_index(slice_of(text), formats, ARRAY_LEN(formats));
    *out = (enum log_format)i;
    return i < ARRAY_LEN(formats);
}

bool log_enabled(enum log_level level)
{
    return level <= state.level;
}

/* The bytes of the character at `at`, and whether it may stand in a logfmt value as it is. */
static size_t value_char(const char *at, size_t left, bool *plain)
{
    size_t len = text_char(at, left, plain);
    *plain = *plain && *at != '"' && *at != '\\';
    return len;
}

static void put_text_value(struct buf *out, const char *value)
{
    bool quote = *value == '\0' || strpbrk(value, " =\"\\") != NULL;
    size_t len = strlen(value);
    for (size_t i = 0; i < len && !quote;) {
        bool plain;
        i += value_char(value + i, len - i, &plain);
        quote = !plain;
    }
    if (!quote) {
        buf_append(out, value, len);
        return;
    }
    buf_append_char(out, '"');
    for (size_t i = 0; i < len;) {
        bool plain;
        size_t bytes = value_char(value + i, len - i, &plain);
        for (size_t k = 0; k < bytes && !plain; k++) {
            if (!text_append_short_escape(out, value[i + k])) {
                buf_printf(out, "\\x%02x", (unsigned char)value[i + k]);
            }
        }
        buf_append(out, value + i, plain ? bytes : 0);
        i += bytes;
    }
    buf_append_char(out, '"');
}

static void stamp(char *out, size_t size)
{
    uint64_t now = wall_now().ms;
    time_t seconds = (time_t)(now / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t len = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + len, size - len, ".%03uZ", (unsigned)(now % 1000));
}

static void line_pair(struct json *j, const char *key, const char *value)
{
    struct buf *out = j->out;
    char text[VALUE_MAX];
    if (out->len > LINE_SOFT_MAX) {
        return;
    }
    if (!text_mask(value ? value : "", text, VALUE_MAX - 3)) {
        memcpy(text + strlen(text), "...", sizeof("..."));
    }
    if (state.format == LOG_FORMAT_JSON) {
        json_string(j, key, text);
    } else {
        buf_printf(out, " %s=", key);
        put_text_value(out, text);
    }
}

static void line_begin(struct json *j, enum log_level level, const char *room, const char *event)
{
    struct buf *out = &state.line;
    char time[40];
    stamp(time, sizeof(time));
    buf_clear(out);
    json_init(j, out);
    if (log_sink_is_journal()) {
        buf_printf(out, "<%c>", priorities[level]);
    }
    if (state.format == LOG_FORMAT_JSON) {
        json_object_begin(j, NULL);
        json_string(j, "time", time);
        json_string(j, "level", levels[level]);
        json_string(j, "room", room);
        json_string(j, "event", event);
    } else {
        buf_printf(out, "%s %s %s %s", time, levels[level], room, event);
    }
}

static void line_end(struct json *j)
{
    if (state.format == LOG_FORMAT_JSON) {
        json_object_end(j);
    }
    buf_append_char(j->out, '\n');
    BUG_ON(j->out->overflow);
    log_sink_put(buf_slice(j->out));
}

/* A line of the log about itself: not limited, not filtered. */
static void note(const char *event, const struct rate_slot *slot, uint64_t lines)
{
    struct json j;
    line_begin(&j, LOG_LEVEL_WARN, "log", event);
    if (slot) {
        line_pair(&j, "of_room", slot->room);
        line_pair(&j, "of_event", slot->event);
    }
    line_pair(&j, "lines", log_u64(lines));
    line_end(&j);
}

/* Say what a slot held back. */
static void slot_report(struct rate_slot *slot)
{
    if (slot->suppressed > 0) {
        note("log.suppressed", slot, slot->suppressed);
        slot->suppressed = 0;
        state.holding--;
    }
}

static void report_held_back(uint64_t now, bool all)
{
    for (size_t i = 0; i < RATE_SLOTS && state.holding > 0; i++) {
        struct rate_slot *slot = &state.slots[i];
        if (all || now - slot->window_ms >= RATE_WINDOW_MS) {
            slot_report(slot);
        }
    }
}

/* The slot of (room, event): they are few, and stand behind each other. The longest unused one
 * gives way where all are taken. */
static struct rate_slot *slot_of(const char *room, const char *event)
{
    struct rate_slot *oldest = &state.slots[0];
    for (size_t i = 0; i < RATE_SLOTS && oldest->window_ms > 0; i++) {
        struct rate_slot *slot = &state.slots[i];
        if (strncmp(slot->event, event, sizeof(slot->event) - 1) == 0 &&
            strncmp(slot->room, room, sizeof(slot->room) - 1) == 0) {
            return slot;
        }
        oldest = slot->window_ms < oldest->window_ms ? slot : oldest; /* a free one ends it */
    }
    slot_report(oldest);
    *oldest = (struct rate_slot){0};
    snprintf(oldest->room, sizeof(oldest->room), "%s", room);
    snprintf(oldest->event, sizeof(oldest->event), "%s", event);
    return oldest;
}

static bool rate_admits(const char *room, const char *event, uint64_t now)
{
    struct rate_slot *slot = slot_of(room, event);
    if (slot->window_ms == 0 || now - slot->window_ms >= RATE_WINDOW_MS) {
        slot->window_ms = now > 0 ? now : 1;
        slot->lines = 0;
    }
    if (slot->lines < RATE_LINES) {
        slot->lines++;
        return true;
    }
    if (slot->suppressed++ == 0) {
        state.holding++;
    }
    return false;
}

/* Once the reader took everything, say what it missed. */
static void report_dropped(void)
{
    if (!log_sink_drain()) {
        return;
    }
    uint64_t dropped = log_sink_take_dropped();
    if (dropped > 0) {
        note("log.dropped", NULL, dropped);
    }
}

void log_write(enum log_level level, const char *room, const char *event, ...)
{
    if (!log_enabled(level)) {
        return;
    }
    if (!state.ready) {
        log_setup(state.level, state.format);
    }
    uint64_t now = mono_ms();
    report_dropped();
    report_held_back(now, false);
    if (!rate_admits(room, event, now)) {
        return;
    }

    struct json j;
    line_begin(&j, level, room, event);
    va_list args;
    va_start(args, event);
    for (const char *key; (key = va_arg(args, const char *)) != NULL;) {
        line_pair(&j, key, va_arg(args, const char *));
    }
    va_end(args);
    line_end(&j);
}

static char *scratch(void)
{
    static char buffers[SCRATCH_BUFFERS][SCRATCH_MAX + 1];
    static unsigned turn;
    return buffers[turn++ % SCRATCH_BUFFERS];
}

const char *log_u64(uint64_t n)
{
    char *out = scratch();
    snprintf(out, SCRATCH_MAX + 1, "%" PRIu64, n);
    return out;
}

const char *log_i64(int64_t n)
{
    char *out = scratch();
    snprintf(out, SCRATCH_MAX + 1, "%" PRId64, n);
    return out;
}

const char *log_slice(struct slice s)
{
    char *out = scratch();
    size_t len = s.len < SCRATCH_MAX ? s.len : SCRATCH_MAX;
    for (size_t i = 0; i < len; i++) {
        out[i] = s.ptr[i] ? s.ptr[i] : '?';
    }
    out[len] = '\0';
    return out;
}

void log_flush(int timeout_ms)
{
    uint64_t start = mono_ms();
    uint64_t limit = timeout_ms > 0 ? (uint64_t)timeout_ms : 0;
    report_held_back(start, limit > 0);
    report_dropped();
    while (!log_sink_drain()) {
        uint64_t spent = mono_ms() - start;
        if (spent >= limit) {
            return;
        }
        log_sink_wait((int)(limit - spent));
    }
    report_dropped();
}
