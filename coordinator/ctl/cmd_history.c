/* shoalctl history: chat that is kept; and tail --since: the same, and what comes.
 *
 * All of it is read from the streams, behind the last entry that was read: so there is no hole and
 * no double between what was and what comes, nor where Redis was away meanwhile. What is missing
 * stands in the streams as well; what went before it was read is found by where they begin. */
#include "coordinator/ctl/commands.h"
#include "coordinator/ctl/since.h"
#include "coordinator/ctl/table.h"
#include "shared/irc/parse.h"
#include "shared/redis/registry_history.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define PORTION  100  /* entries of each stream at a time */
#define AWAIT_MS 5000 /* of each question, where there are none */

/* Who writes to a stream: where Redis lost data, entries come again, with the same numbers. */
struct writer {
    UT_hash_handle hh;
    uint64_t seq; /* of the newest line */
    char id[];    /* stream, blank, `by` */
};

/* What the newest answer had for a place. */
struct portion {
    char behind[REGISTRY_EVENT_ID_CHARS]; /* "": the place was none that was read up to */
    struct wall first;                    /* 0: nothing */
};

struct history {
    struct ctl *ctl;
    struct writer *writers;
    char epoch[64];
    unsigned streams; /* of the cluster */
    bool anew;        /* they were begun anew since the last answer */
    /* Of each stream: what has a higher id is there. */
    char gone[REGISTRY_HISTORY_STREAMS][REGISTRY_EVENT_ID_CHARS];
    struct registry_history_place places[REGISTRY_HISTORY_STREAMS]; /* those that are read */
    struct portion portions[REGISTRY_HISTORY_STREAMS];              /* of each place */
    bool read[REGISTRY_HISTORY_STREAMS];                            /* each place up to there */
    size_t nplaces;
    struct wall oldest; /* of the first entries; 0: there is none */
    size_t n;           /* came with the newest answer */
    unsigned pending;   /* answers to the newest question */
    struct err err;     /* of one of them */
    bool told;          /* they are printed; else only `oldest` is looked for */
};

static bool is_wanted(const struct ctl *c, struct slice channel)
{
    char name[IRC_CHANNEL_CHARS];
    char own[IRC_CHANNEL_CHARS];

    if (!irc_channel_normalise(channel, name, sizeof(name))) {
        return false;
    }
    for (size_t i = 0; i < c->nargs; i++) {
        const char *arg = ctl_arg(c, i);
        if (tail_is_pattern(arg) ? fnmatch(arg, name, 0) == 0
                                 : irc_channel_normalise(slice_of(arg), own, sizeof(own)) &&
                                       strcmp(own, name) == 0) {
            return true;
        }
    }
    return false;
}

static struct wall time_of(struct slice id)
{
    const char *dash = id.len > 0 ? memchr(id.ptr, '-', id.len) : NULL;
    struct wall at = {0};

    if (dash == NULL || !slice_to_u64((struct slice){id.ptr, (size_t)(dash - id.ptr)}, &at.ms)) {
        at.ms = 0;
    }
    return at;
}

/* What is missing ------------------------------------------------------------------------------ */

/* A sentence of ours: where lines are printed as they came, it goes to standard error. */
static void remark(const struct ctl *c, const char *text)
{
    if (options_bool(c->options, "raw")) {
        (void)ctl_fail(0, "%s", text);
    } else if (!c->json) {
        ctl_say("-- %s", text);
    }
}

static const char *text_of(const cJSON *object, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));

    return text != NULL ? text : "";
}

static uint64_t number_of(const cJSON *object, const char *name)
{
    double number = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(object, name));

    return number > 0 && number < 1e15 ? (uint64_t)number : 0;
}

static void tell_gap(const struct ctl *c, const cJSON *gap)
{
    const char *channel = text_of(gap, "channel");
    char from[SINCE_CHARS];
    char to[SINCE_CHARS];
    char text[256];

    if (channel[0] != '\0' && !is_wanted(c, slice_of(channel))) {
        return;
    }
    since_format((struct wall){number_of(gap, "from")}, from);
    since_format((struct wall){number_of(gap, "to")}, to);
    snprintf(text, sizeof(text), "%s%.*s: missing from %s to %s (%.40s)",
             channel[0] != '\0' ? "#" : "all channels", IRC_CHANNEL_CHARS, channel, from, to,
             text_of(gap, "reason"));
    remark(c, text);
    if (c->json) {
        table_json(gap);
    }
}

/* Is one id lower than the other? */
static bool is_before(const char *id, const char *other)
{
    char *seq;
    char *other_seq;
    uint64_t ms = strtoull(id, &seq, 10);
    uint64_t other_ms = strtoull(other, &other_seq, 10);

    return ms < other_ms || (ms == other_ms && *seq == '-' && *other_seq == '-' &&
                             strtoull(seq + 1, NULL, 10) < strtoull(other_seq + 1, NULL, 10));
}

/* What went before it was read: looked at when it was. */
static void tell_not_read(struct history *h)
{
    for (size_t i = 0; i < h->nplaces; i++) {
        const struct portion *p = &h->portions[i];
        if (p->behind[0] == '\0' || p->first.ms == 0 ||
            !is_before(p->behind, h->gone[h->places[i].stream])) {
            continue;
        }
        cJSON *gap = cJSON_CreateObject();
        cJSON_AddStringToObject(gap, "event", "gap");
        cJSON_AddStringToObject(gap, "channel", "");
        cJSON_AddNumberToObject(gap, "from", (double)time_of(slice_of(p->behind)).ms);
        cJSON_AddNumberToObject(gap, "to", (double)p->first.ms);
        cJSON_AddStringToObject(gap, "reason", "not_read");
        tell_gap(h->ctl, gap);
        cJSON_Delete(gap);
    }
}

static void tell_rewound(const struct ctl *c, const cJSON *rewound)
{
    uint64_t from = number_of(rewound, "from");
    uint64_t to = number_of(rewound, "to");
    char text[256];

    if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(rewound, "kept")) || to < from) {
        return; /* they follow */
    }
    snprintf(text, sizeof(text),
             "here Redis lost its newest data: up to %" PRIu64 " lines of node %.64s are missing",
             to - from + 1, text_of(rewound, "node"));
    remark(c, text);
    if (c->json) {
        table_json(rewound);
    }
}

/* Entries -------------------------------------------------------------------------------------- */

static void tell_lines(const struct ctl *c, struct slice lines, struct wall at)
{
    while (lines.len > 0) {
        const char *end = memchr(lines.ptr, '\n', lines.len);
        struct slice one = {lines.ptr, end != NULL ? (size_t)(end - lines.ptr) : lines.len};
        size_t used = one.len + (end != NULL);
        struct irc_line line;
        lines = (struct slice){lines.ptr + used, lines.len - used};
        if (irc_parse(one, &line, NULL) == 0 && is_wanted(c, irc_channel(&line))) {
            tail_print(c, irc_channel(&line), one, at);
        }
    }
}

static void tell_json(const struct ctl *c, struct slice text,
                      void (*tell)(const struct ctl *c, const cJSON *object))
{
    cJSON *object = text.len > 0 ? cJSON_ParseWithLength(text.ptr, text.len) : NULL;

    if (object != NULL) {
        tell(c, object);
        cJSON_Delete(object);
    }
}

/* Notes the entry's numbers; true: its lines came before. */
static bool came_before(struct history *h, unsigned stream, const struct registry_entry *entry)
{
    struct slice by = registry_field(entry, "by");
    uint64_t seq;
    struct writer *w;

    if (by.len == 0 || !slice_to_u64(registry_field(entry, "seq"), &seq)) {
        return false;
    }
    char *id = xasprintf("%u %.*s", stream, (int)(by.len < 200 ? by.len : 200), by.ptr);
    HASH_FIND_STR(h->writers, id, w);
    if (w == NULL) {
        w = xcalloc(1, sizeof(*w) + strlen(id) + 1);
        memcpy(w->id, id, strlen(id) + 1);
        HASH_ADD_STR(h->writers, id, w);
    }
    free(id);
    bool before = seq <= w->seq;
    w->seq = before ? w->seq : seq;
    return before;
}

static void forget_writers(struct history *h)
{
    while (h->writers != NULL) {
        struct writer *w = h->writers;
        HASH_DEL(h->writers, w);
        free(w);
    }
}

static void tell(struct history *h, unsigned stream, const struct registry_entry *entry)
{
    const struct ctl *c = h->ctl;

    if (!came_before(h, stream, entry)) {
        tell_lines(c, registry_field(entry, "lines"), time_of(entry->id));
    }
    tell_json(c, registry_field(entry, "gap"), tell_gap);
    tell_json(c, registry_field(entry, "rewound"), tell_rewound);
}

/* One of the answers to a question is there. */
static void answered(struct history *h, const struct err *err)
{
    if (err != NULL) {
        h->err = *err;
    }
    if (--h->pending == 0) {
        ctl_answered(h->ctl, h->err.code != ERR_OK ? &h->err : NULL);
    }
}

static void move_on(struct history *h, size_t i, struct wall first, struct slice last)
{
    struct registry_history_place *place = &h->places[i];
    struct portion *p = &h->portions[i];

    p->first = first;
    snprintf(p->behind, sizeof(p->behind), "%s", h->read[i] ? place->after : "");
    snprintf(place->after, sizeof(place->after), "%.*s", (int)last.len, last.ptr);
    h->read[i] = true;
}

static void on_entries(void *ctx, const unsigned *stream, const struct registry_entry *entries,
                       size_t n, const struct err *err)
{
    struct history *h = ctx;

    if (stream == NULL) {
        answered(h, err);
        return;
    }
    h->n += n;
    for (size_t i = 0; i < n && h->told; i++) {
        tell(h, *stream, &entries[i]);
    }
    struct wall first = n > 0 ? time_of(entries[0].id) : (struct wall){0};
    for (size_t i = 0; i < h->nplaces && n > 0 && h->told; i++) {
        if (h->places[i].stream == *stream) {
            move_on(h, i, first, entries[n - 1].id);
        }
    }
    if (!h->told && n > 0 && (h->oldest.ms == 0 || first.ms < h->oldest.ms)) {
        h->oldest = first;
    }
}

/* Which streams -------------------------------------------------------------------------------- */

static void on_history(void *ctx, const struct registry_history *history, const struct err *err)
{
    struct history *h = ctx;

    if (err == NULL) {
        h->streams = history->streams;
        h->anew = h->streams > 0 && !slice_is(history->epoch, h->epoch);
        snprintf(h->epoch, sizeof(h->epoch), "%.*s", (int)history->epoch.len,
                 history->epoch.len > 0 ? history->epoch.ptr : "");
        for (size_t k = 0; k < REGISTRY_HISTORY_STREAMS; k++) {
            snprintf(h->gone[k], sizeof(h->gone[k]), "%.*s", (int)history->gone[k].len,
                     history->gone[k].len > 0 ? history->gone[k].ptr : "");
        }
    }
    answered(h, err);
}

static bool has_channel_in(const struct history *h, unsigned stream)
{
    char name[IRC_CHANNEL_CHARS];

    for (size_t i = 0; i < h->ctl->nargs; i++) {
        const char *arg = ctl_arg(h->ctl, i);
        if (tail_is_pattern(arg) ||
            (irc_channel_normalise(slice_of(arg), name, sizeof(name)) &&
             registry_history_stream(slice_of(name), h->streams) == stream)) {
            return true;
        }
    }
    return false;
}

/* Read those of our channels, from the beginning. */
static void begin_anew(struct history *h)
{
    h->nplaces = 0;
    for (unsigned k = 0; k < h->streams; k++) {
        if (has_channel_in(h, k)) {
            struct registry_history_place *place = &h->places[h->nplaces];
            h->read[h->nplaces++] = false;
            place->stream = k;
            snprintf(place->after, sizeof(place->after), "%s", REGISTRY_FROM_BEGINNING);
        }
    }
}

/* What is behind the places, if there are any yet, and where the streams begin right after that. */
static int ask(struct history *h, size_t most, uint64_t await_ms)
{
    int code = CTL_DONE;

    while (ctl_asks(h->ctl, &code)) {
        bool reads = h->nplaces > 0;
        h->n = 0;
        h->err = (struct err){0};
        h->pending = 1 + reads;
        memset(h->portions, 0, sizeof(h->portions));
        int failed = reads ? registry_history_after(h->ctl->registry, h->places, h->nplaces, most,
                                                    await_ms, on_entries, h)
                           : 0;
        ctl_asked(h->ctl, failed ? failed : registry_find_history(h->ctl->registry, on_history, h));
    }
    return code;
}

/* What was said before the oldest entries is not kept: who asks for that is told. */
static int tell_beginning(struct history *h, struct wall from)
{
    char text[128];
    char at[SINCE_CHARS];
    int code = ask(h, 1, 0);

    if (code == CTL_DONE && h->oldest.ms > from.ms) {
        since_format(h->oldest, at);
        snprintf(text, sizeof(text), "nothing is kept from before %s", at);
        remark(h->ctl, text);
    }
    h->told = true;
    return code;
}

static int read_on(struct history *h, uint64_t await_ms)
{
    int code = ask(h, PORTION, await_ms);

    if (code == CTL_DONE && h->anew) {
        remark(h->ctl, "the streams were begun anew: what was said last may be missing");
        begin_anew(h);
    } else if (code == CTL_DONE) {
        tell_not_read(h);
    }
    return code != CTL_DONE ? code : ctl_flush();
}

int history_show(struct ctl *c, const char *since, bool follow)
{
    struct history h = {.ctl = c, .n = 1};
    struct wall from = {0};
    char after[REGISTRY_EVENT_ID_CHARS];
    int code = tail_check_channels(c);

    if (code == CTL_DONE) {
        code = ask(&h, 0, 0);
    }
    if (code == CTL_DONE && h.streams == 0) {
        code = ctl_fail(CTL_FAILED,
                        "cluster \"%s\" keeps no chat: nobody leads it yet, or history_ms is off "
                        "(shoalctl config set history_ms 600000)",
                        options_string(c->options, "cluster"));
    }
    begin_anew(&h);
    if (since != NULL && since_parse(since, wall_now(), &from, NULL) != 0) {
        from.ms = 0;
    }
    if (code == CTL_DONE) {
        code = tell_beginning(&h, from);
    }
    snprintf(after, sizeof(after), "%" PRIu64 "-0", from.ms);
    for (size_t i = 0; i < h.nplaces; i++) {
        snprintf(h.places[i].after, sizeof(h.places[i].after), "%s", after);
    }
    c->endless = follow;
    for (h.n = 1; code == CTL_DONE && (follow || h.n > 0);) {
        code = read_on(&h, follow && h.n < PORTION ? AWAIT_MS : 0);
    }
    forget_writers(&h);
    return code;
}

static int run_history(struct ctl *c)
{
    return c->nargs == 0 ? ctl_usage(c)
                         : history_show(c, options_string(c->options, "since"), false);
}

CTL_COMMAND(history, "CHANNEL...", "Show the chat that is kept of these channels, and end.",
            tail_options, RIGHTS_HISTORY, run_history);
