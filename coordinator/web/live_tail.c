/* Live, tails: lines of channels, for those clients that ask for them. */
#include "coordinator/web/live_private.h"

#include "shared/json.h"

#include <cjson/cJSON.h>
#include <string.h>
#include <utlist.h>

/* {"type":TYPE,NAME:TEXT, and the members that `j` goes on with */
static void begin(struct json *j, struct buf *out, const char *type, const char *name,
                  const char *text)
{
    buf_init(out, LIVE_MESSAGE_MAX);
    json_init(j, out);
    json_object_begin(j, NULL);
    json_string(j, "type", type);
    json_string(j, name, text);
}

static void end(struct json *j, struct buf *out, struct live_client *c)
{
    json_object_end(j);
    live_send(c, out);
    buf_finish(out);
}

/* Who is listened to --------------------------------------------------------------------------- */

/* The client's tail of that channel, or NULL. */
static struct live_tail *find(struct live_client *c, const char *channel)
{
    for (size_t i = 0; i < c->ntails; i++) {
        if (strcmp(c->tails[i].channel, channel) == 0) {
            return &c->tails[i];
        }
    }
    return NULL;
}

static bool is_read(const struct live *l, const char *channel)
{
    struct live_client *c;

    DL_FOREACH(l->clients, c)
    {
        if (find(c, channel) != NULL) {
            return true;
        }
    }
    return false;
}

/* Listen to those channels while somebody reads them, and no longer. */
static void listen_to(struct live *l, const struct live_tail *tails, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char topic[REGISTRY_TOPIC_CHARS];
        registry_topic(l->registry, TOPIC_CHAT, tails[i].channel, topic);
        if (is_read(l, tails[i].channel)) {
            subscriber_add(l->subscriber, slice_of(topic));
        } else {
            subscriber_remove(l->subscriber, slice_of(topic));
        }
    }
}

static void set_tails(struct live_client *c, const struct live_tail *tails, size_t n)
{
    struct live_tail before[LIVE_TAILS_MAX];
    size_t nbefore = c->ntails;

    memcpy(before, c->tails, sizeof(before));
    memcpy(c->tails, tails, n * sizeof(*tails));
    c->ntails = n;
    listen_to(c->live, c->tails, n);
    listen_to(c->live, before, nbefore);
}

void live_tail_stop(struct live_client *c)
{
    const struct live_tail none[1] = {0};

    set_tails(c, none, 0);
}

/* What a client asks --------------------------------------------------------------------------- */

/* {"tail":["forsen"]}: 0, or what is wrong. */
static int parse(const cJSON *tree, struct live_tail *tails, size_t *n, struct err *err)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(tree, "tail");
    const cJSON *each;

    if (!cJSON_IsArray(list) || cJSON_GetArraySize(tree) != 1) {
        return err_set(err, ERR_USAGE, "a message is {\"tail\":[CHANNEL, ...]}; [] ends it");
    }
    cJSON_ArrayForEach(each, list)
    {
        if (*n == LIVE_TAILS_MAX) {
            return err_set(err, ERR_USAGE, "tail: takes at most %d channels", LIVE_TAILS_MAX);
        }
        if (!cJSON_IsString(each) ||
            !irc_channel_normalise(slice_of(each->valuestring), tails[*n].channel,
                                   sizeof(tails[*n].channel))) {
            return err_set(err, ERR_USAGE, "tail: a channel has 1 to 25 of a-z, 0-9 and _");
        }
        ++*n;
    }
    return 0;
}

void live_tail_ask(struct live_client *c, struct slice text)
{
    struct live_tail tails[LIVE_TAILS_MAX] = {0};
    cJSON *tree = json_parse_object(text);
    size_t n = 0;

    if (parse(tree, tails, &n, &c->error) == 0) {
        set_tails(c, tails, n);
    } else {
        live_tail_go_on(c);
    }
    cJSON_Delete(tree);
}

void live_tail_go_on(struct live_client *c)
{
    struct json j;
    struct buf out;

    if (c->begun && c->error.code != ERR_OK) {
        begin(&j, &out, "error", "error", c->error.text);
        end(&j, &out, c);
        c->error = (struct err){0};
    }
}

/* Lines ---------------------------------------------------------------------------------------- */

static void write_line(struct buf *out, const char *channel, struct slice line)
{
    struct json j;

    begin(&j, out, "line", "channel", channel);
    json_slice(&j, "line", line);
    json_object_end(&j);
}

void live_hear_line(struct live *l, struct slice channel, struct slice line)
{
    char name[IRC_CHANNEL_CHARS];
    struct live_client *c;
    struct buf out = {0}; /* made for the first that gets it */

    if (!irc_channel_normalise(channel, name, sizeof(name))) {
        return;
    }
    DL_FOREACH(l->clients, c)
    {
        struct live_tail *tail = find(c, name);
        if (tail == NULL) {
            continue;
        }
        if (c->begun && c->lines < LIVE_LINES_S && line.len <= LIVE_LINE_BYTES) {
            if (out.len == 0) {
                write_line(&out, name, line);
            }
            c->lines++;
            live_send(c, &out);
        } else {
            tail->missed++;
        }
    }
    buf_finish(&out);
}

void live_tail_second(struct live_client *c)
{
    c->lines = 0;
    for (size_t i = 0; c->begun && i < c->ntails; i++) {
        struct json j;
        struct buf out;
        if (c->tails[i].missed > 0) {
            begin(&j, &out, "missed", "channel", c->tails[i].channel);
            json_number(&j, "lines", (int64_t)c->tails[i].missed);
            end(&j, &out, c);
            c->tails[i].missed = 0;
        }
    }
}
