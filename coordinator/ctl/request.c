/* Request: adds an entry, hears or finds its reply. */
#include "coordinator/ctl/request.h"

#include "coordinator/ctl/table.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *request_by(void)
{
    static char by[200];
    char host[65] = "";
    const struct passwd *who = getpwuid(getuid());

    if (gethostname(host, sizeof(host) - 1) != 0) {
        host[0] = '\0';
    }
    snprintf(by, sizeof(by), "shoalctl:%.64s@%s", who ? who->pw_name : "?", host);
    return by;
}

/* Say so, once, where nobody is there who would answer now: `leader` is its deadline. */
static void say_who_leads(struct ctl *c, struct slice leader, uint64_t now_ms)
{
    uint64_t deadline = 0;

    if (c->told_no_leader || (slice_to_u64(leader, &deadline) && deadline >= now_ms)) {
        return;
    }
    c->told_no_leader = true;
    (void)ctl_fail(0,
                   "no coordinator leads cluster \"%s\"; the request stays in Redis and is carried "
                   "out when one does. Waiting (--timeout)",
                   options_string(c->options, "cluster"));
}

static int look_for_reply(struct ctl *c, const char *id, char **found)
{
    struct ctl_batch b = {0};

    ctl_ask(&b, "GET %s", ctl_key(c, "reply:%s", id));
    ctl_ask(&b, "HGET %s deadline", ctl_key(c, "leader"));
    ctl_ask(&b, "TIME");
    int code = ctl_answer(c, &b);
    struct reader r = ctl_read(&b);
    if (code == CTL_DONE) {
        const char *text = reader_text(&r);
        *found = text[0] ? xstrdup(text) : NULL;
        struct slice deadline = reader_slice(&r);
        uint64_t now_ms = ctl_read_time(&r);
        code = r.bad ? ctl_strange("GET, HGET and TIME") : code;
        if (code == CTL_DONE && !*found) {
            say_who_leads(c, deadline, now_ms);
        }
    }
    ctl_batch_finish(&b);
    return code;
}

/* The stream for what is asked. */
static const char *stream_of(const char *op)
{
    static const char *const channels[] = {"join", "part", "retry"};

    for (size_t i = 0; i < ARRAY_LEN(channels); i++) {
        if (strcmp(op, channels[i]) == 0) {
            return "requests";
        }
    }
    return "admin";
}

static int add(struct ctl *c, const char *id, const char *op, const struct request_field *fields,
               size_t nfields)
{
    const char *argv[9 + 2 * REQUEST_MAX_FIELDS] = {
        "XADD", ctl_key(c, "%s", stream_of(op)), "*", "id", id, "op", op, "by", request_by()};
    int argc = 9;
    struct ctl_batch b = {0};

    BUG_ON(nfields > REQUEST_MAX_FIELDS);
    for (size_t i = 0; i < nfields; i++) {
        argv[argc++] = fields[i].name;
        argv[argc++] = fields[i].value;
    }
    ctl_ask_argv(&b, argc, argv);
    int code = ctl_answer(c, &b);
    ctl_batch_finish(&b);
    return code;
}

/* Is every item of the map or list, if there is one, a text? An empty one may be either: Lua knows no difference. */
static bool texts_alone(const cJSON *reply, const char *field, bool map)
{
    const cJSON *all = cJSON_GetObjectItemCaseSensitive(reply, field);
    const cJSON *item;

    if (!all) {
        return true;
    }
    cJSON_ArrayForEach(item, all)
    {
        if (!cJSON_IsString(item) || (map ? !cJSON_IsObject(all) : !cJSON_IsArray(all))) {
            return false;
        }
    }
    return cJSON_IsObject(all) || cJSON_IsArray(all);
}

bool request_reply_is_valid(const cJSON *reply)
{
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(reply, "error");

    return cJSON_IsObject(reply) && cJSON_IsBool(cJSON_GetObjectItemCaseSensitive(reply, "ok")) &&
           (!error || cJSON_IsString(error)) && texts_alone(reply, "assigned", true) &&
           texts_alone(reply, "waiting", true) && texts_alone(reply, "refused", true) &&
           texts_alone(reply, "parted", false) && texts_alone(reply, "retried", false);
}

int request_check_cluster(struct ctl *c)
{
    struct ctl_batch b = {0};

    ctl_ask(&b, "EXISTS %s", ctl_key(c, "version"));
    int code = ctl_answer(c, &b);
    struct reader r = ctl_read(&b);
    if (code == CTL_DONE && reader_i64(&r) == 0) {
        code = ctl_fail(CTL_FAILED,
                        "there is no cluster \"%s\" in this Redis: no coordinator has led it; is "
                        "--cluster (and --redis-url) right?",
                        options_string(c->options, "cluster"));
    }
    ctl_batch_finish(&b);
    return code;
}

int request_make(struct ctl *c, const char *op, const struct request_field *fields, size_t nfields,
                 cJSON **reply)
{
    char id[INCARNATION_CHARS];
    char *text = NULL;

    random_hex(id, 16);
    ctl_restart_deadline(c);
    int code = request_check_cluster(c);
    if (code == CTL_DONE && reply) {
        c->await_id = id;
        code = ctl_subscribe(c, ctl_topic(c, "replies"));
    }
    if (code == CTL_DONE) {
        code = add(c, id, op, fields, nfields);
    }
    if (code == CTL_DONE && reply) {
        code = ctl_await(c, id, "the coordinator's reply", look_for_reply, &text);
    }
    c->await_id = NULL;
    if (code != CTL_DONE || !reply) {
        return code;
    }
    *reply = cJSON_Parse(text);
    free(text);
    if (!request_reply_is_valid(*reply)) {
        cJSON_Delete(*reply);
        *reply = NULL;
        return ctl_fail(CTL_FAILED, "the reply is not what a coordinator says");
    }
    return CTL_DONE;
}

int request_simple(struct ctl *c, const char *op, const struct request_field *fields,
                   size_t nfields)
{
    cJSON *reply = NULL;
    int code = request_make(c, op, fields, nfields, &reply);

    if (code != CTL_DONE) {
        return code;
    }
    if (c->json) {
        table_json_line(reply);
    }
    if (!cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(reply, "ok"))) {
        const char *why = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(reply, "error"));
        code = ctl_fail(CTL_FAILED, "%s", why ? why : "refused");
    }
    cJSON_Delete(reply);
    return code;
}
