/* Live, events: the log in Redis, read on from where it was read to. */
#include "coordinator/web/live_private.h"

#include "shared/json.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

static void keep(struct live *l, const char *text)
{
    char **place = &l->events[l->nevents++ % LIVE_EVENTS_KEPT];

    free(*place);
    *place = xstrdup(text);
}

void live_events_append(const struct live *l, struct buf *out)
{
    uint64_t i = l->nevents > LIVE_EVENTS_KEPT ? l->nevents - LIVE_EVENTS_KEPT : 0;
    const char *comma = "";

    buf_append_char(out, '[');
    for (; i < l->nevents; i++) {
        buf_append_str(out, comma);
        buf_append_str(out, l->events[i % LIVE_EVENTS_KEPT]);
        comma = ",";
    }
    buf_append_char(out, ']');
}

static void tell(struct live *l, struct slice event)
{
    struct buf message;
    struct json j;

    buf_init(&message, LIVE_MESSAGE_MAX);
    json_init(&j, &message);
    json_object_begin(&j, NULL);
    json_string(&j, "type", "event");
    json_raw(&j, "event", event);
    json_object_end(&j);
    live_send_to_all(l, &message);
    buf_finish(&message);
}

static void take(struct live *l, const struct registry_entry *e)
{
    struct slice written = registry_field(e, "event");
    cJSON *event = written.len <= LIVE_EVENT_BYTES ? json_parse_object(written) : NULL;
    struct buf text;

    snprintf(l->last, sizeof(l->last), "%.*s", (int)e->id.len, e->id.ptr);
    if (event == NULL) {
        return; /* not what a step writes */
    }
    buf_init(&text, LIVE_EVENT_BYTES);
    json_append_tree(&text, event);
    cJSON_Delete(event);
    if (!text.overflow) {
        keep(l, text.data);
        tell(l, buf_slice(&text));
    }
    buf_finish(&text);
}

/* An answer is there; is it for those who are here now? */
static bool is_ours(struct live *l)
{
    bool ours = !l->stale;

    l->reading = l->stale = false;
    if (!ours && l->n > 0) {
        live_events_read(l);
    }
    return ours && l->n > 0;
}

static void was_read(struct live *l)
{
    l->known = true;
    live_go_on(l);
}

/* The newest come first. */
static void on_newest(void *ctx, const struct registry_entry *entries, size_t n,
                      const struct err *err)
{
    struct live *l = ctx;

    if (!is_ours(l)) {
        return;
    }
    for (size_t i = n; i > 0; i--) {
        take(l, &entries[i - 1]);
    }
    if (err == NULL && n == 0) {
        snprintf(l->last, sizeof(l->last), "%s", REGISTRY_FROM_BEGINNING);
    }
    was_read(l);
}

static void on_newer(void *ctx, const struct registry_entry *entries, size_t n,
                     const struct err *err)
{
    struct live *l = ctx;

    if (!is_ours(l)) {
        return;
    }
    (void)err; /* it is read again in a second */
    for (size_t i = 0; i < n; i++) {
        take(l, &entries[i]);
    }
    if (n == LIVE_EVENTS_READ) {
        live_events_read(l);
    }
}

static void read_now(struct live *l)
{
    int rc;

    l->reading = true;
    if (l->last[0] == '\0') {
        rc = registry_events_before(l->registry, REGISTRY_FROM_NEWEST, LIVE_EVENTS_KEPT, on_newest,
                                    l);
    } else {
        rc = registry_events_after(l->registry, l->last, LIVE_EVENTS_READ, 0, on_newer, l);
    }
    if (rc != 0) { /* the link is down: the document says so */
        l->reading = false;
        was_read(l);
    }
}

static void on_soon(uv_timer_t *timer)
{
    struct live *l = timer->data;

    if (!l->reading) {
        read_now(l);
    }
}

void live_events_read(struct live *l)
{
    if (!l->reading && !uv_is_active((uv_handle_t *)&l->soon)) {
        uv_timer_start(&l->soon, on_soon, LIVE_EVENTS_MS, 0);
    }
}

void live_hear_event(struct live *l)
{
    if (l->n > 0) {
        live_events_read(l);
        status_watch_soon(l->watch);
    }
}

void live_events_begin(struct live *l)
{
    char topic[REGISTRY_TOPIC_CHARS];

    registry_topic(l->registry, TOPIC_EVENTS, "", topic);
    subscriber_add(l->subscriber, slice_of(topic));
    if (!l->reading) {
        read_now(l);
    }
}

void live_events_end(struct live *l)
{
    char topic[REGISTRY_TOPIC_CHARS];

    registry_topic(l->registry, TOPIC_EVENTS, "", topic);
    subscriber_remove(l->subscriber, slice_of(topic));
    uv_timer_stop(&l->soon);
    for (size_t i = 0; i < LIVE_EVENTS_KEPT; i++) {
        free(l->events[i]);
        l->events[i] = NULL;
    }
    l->nevents = 0;
    l->last[0] = '\0';
    l->known = false;
    l->stale = l->reading;
}
