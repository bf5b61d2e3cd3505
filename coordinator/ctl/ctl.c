/* Ctl: the link, questions and answers, and waiting for a message that may get lost. */
#include "coordinator/ctl/ctl.h"

#include "shared/text.h"

#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOOK_MS   250  /* between two looks for what may have been said while we did not hear */
#define SILENT_MS 5000 /* without an answer it is said that there is none */

static const struct err no_answer = {.code = ERR_CANCELED};

const struct option_spec ctl_no_wait[] = {
    CTL_NO_WAIT,
    {0},
};

const char *ctl_arg(const struct ctl *c, size_t i)
{
    return options_arg(c->options, i + 1);
}

/* Life ----------------------------------------------------------------------------------------- */

static void on_interrupt(void *ctx, int times)
{
    struct ctl *c = ctx;

    (void)times;
    c->interrupted = true;
}

static void on_hangup(void *ctx)
{
    on_interrupt(ctx, 1); /* the terminal is gone */
}

static void on_up(void *ctx)
{
    struct ctl *c = ctx;

    c->has_been_up = true;
    c->down = (struct err){0};
}

static void on_down(void *ctx, const struct err *why)
{
    struct ctl *c = ctx;

    c->down = *why;
}

void ctl_open(struct ctl *c, const struct options *o, const struct ctl_command *command)
{
    *c = (struct ctl){.options = o,
                      .command = command,
                      .needs = command->needs,
                      .json = options_bool(o, "json"),
                      .nargs = options_argc(o) - 1,
                      .answer = no_answer};
    BUG_ON(url_parse_redis(options_string(o, "redis-url"), &c->url, NULL) != 0);
    loop_init(&c->loop, on_interrupt, on_hangup, c);
    BUG_ON(uv_timer_init(&c->loop.uv, &c->timer) != 0);
    const struct link_options link = {
        .url = &c->url,
        .tls_ca = options_string(o, "redis-tls-ca"),
        .name = "shoalctl",
        .reply_ms = 10000,
        .on_up = on_up,
        .on_down = on_down,
        .ctx = c,
    };
    c->link = link_create(&c->loop.uv, &link);
    c->registry = registry_create(c->link, options_string(o, "cluster"));
    ctl_restart_deadline(c);
}

void ctl_close(struct ctl *c)
{
    if (c->subscriber != NULL) {
        subscriber_close(c->subscriber, NULL, NULL);
    }
    registry_destroy(c->registry);
    link_close(c->link, NULL, NULL);
    uv_close((uv_handle_t *)&c->timer, NULL);
    loop_close_signals(&c->loop);
    loop_run(&c->loop);
    loop_finish(&c->loop);
    free(c->found);
}

/* Words ---------------------------------------------------------------------------------------- */

/* One line, safe for a terminal. */
static void print_line(FILE *to, const char *begin, const char *fmt, va_list args)
    PRINTF_LIKE(3, 0);
static void print_line(FILE *to, const char *begin, const char *fmt, va_list args)
{
    char *text = xvasprintf(fmt, args);
    char *shown = text_shown(text);

    fprintf(to, "%s%s\n", begin, shown);
    free(shown);
    free(text);
}

void ctl_say(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    print_line(stdout, "", fmt, args);
    va_end(args);
}

void ctl_print(struct buf *line)
{
    buf_append_char(line, '\n');
    if (line->overflow) {
        (void)ctl_fail(0, "a line of more than %zu KiB is left out", line->max / 1024);
    } else {
        fwrite(line->data, 1, line->len, stdout);
    }
}

static void (*before_fail)(void);

void ctl_before_fail(void (*cb)(void))
{
    before_fail = cb;
}

int ctl_fail(int code, const char *fmt, ...)
{
    va_list args;

    if (before_fail != NULL) {
        before_fail();
    }
    fflush(stdout);
    va_start(args, fmt);
    print_line(stderr, "shoalctl: ", fmt, args);
    va_end(args);
    return code;
}

int ctl_flush(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};

    if (fflush(stdout) == 0 && !ferror(stdout)) { /* the one alone forgets what failed before */
        return CTL_DONE;
    }
    bool gone = poll(&out, 1, 0) > 0 && (out.revents & (POLLERR | POLLHUP)) != 0;
    return gone ? CTL_ENDED : ctl_fail(CTL_FAILED, "standard output did not take all of it");
}

int ctl_usage(const struct ctl *c)
{
    const struct ctl_command *command = c->command;

    fprintf(stderr, "shoalctl: usage: shoalctl [OPTION...] %s%s%s\n", command->name,
            command->args[0] ? " " : "", command->args);
    return CTL_USAGE;
}

/* Time ----------------------------------------------------------------------------------------- */

void ctl_restart_deadline(struct ctl *c)
{
    c->deadline_ms = mono_ms() + (uint64_t)options_int(c->options, "timeout");
}

/* A person at a terminal is told at once that Redis is not there; one that was there may come
 * back. */
static bool is_out_of_reach(const struct ctl *c)
{
    return !link_is_up(c->link) && !c->has_been_up && c->down.code != ERR_OK;
}

/* Not yet, where it goes on until Ctrl-C. */
static bool is_late(const struct ctl *c)
{
    return mono_ms() >= c->deadline_ms && !(c->endless && c->has_been_up);
}

bool ctl_is_over(const struct ctl *c)
{
    return c->interrupted || is_out_of_reach(c) || is_late(c);
}

int ctl_over(const struct ctl *c, const char *what)
{
    char where[512];

    if (c->interrupted && c->endless) {
        return CTL_ENDED;
    }
    if (c->interrupted) {
        return ctl_fail(CTL_FAILED, "interrupted");
    }
    if (!link_is_up(c->link)) {
        url_describe(&c->url, where, sizeof(where));
        return ctl_fail(CTL_OUT_OF_REACH, "Redis at %s is out of reach: %s", where,
                        c->down.code ? c->down.text : "no answer in time");
    }
    return ctl_fail(CTL_FAILED, "%s: not within %g seconds (--timeout)", what,
                    (double)options_int(c->options, "timeout") / 1000);
}

static void on_timer(uv_timer_t *timer)
{
    (void)timer; /* the loop turned: that is all */
}

void ctl_turn_for(struct ctl *c, uint64_t most_ms)
{
    uint64_t now = mono_ms();
    uint64_t left = c->deadline_ms > now ? c->deadline_ms - now : 0;

    left = c->endless && c->has_been_up ? UINT64_MAX : left;

    uv_update_time(&c->loop.uv);
    uv_timer_start(&c->timer, on_timer, left < most_ms ? left : most_ms, 0);
    uv_run(&c->loop.uv, UV_RUN_ONCE);
}

void ctl_turn(struct ctl *c)
{
    ctl_turn_for(c, UINT64_MAX);
}

/* Questions ------------------------------------------------------------------------------------ */

void ctl_answered(void *ctx, const struct err *err)
{
    struct ctl *c = ctx;

    c->asking = false;
    c->answer = err != NULL ? *err : (struct err){0};
}

void ctl_answered_bool(void *ctx, bool yes, const struct err *err)
{
    struct ctl *c = ctx;

    c->yes = yes;
    ctl_answered(c, err);
}

static void on_rights(void *ctx, const struct err *missing, bool transactions)
{
    (void)transactions;
    ctl_answered(ctx, missing);
}

/* Before the first question to Redis: may its user do what the command needs? So all that is
 * missing is named at once. CTL_DONE, or the exit code after that was printed. */
static int check_rights(struct ctl *c)
{
    const struct link_options link = {
        .url = &c->url, .tls_ca = options_string(c->options, "redis-tls-ca"), .name = "shoalctl"};
    unsigned who = c->needs;
    const char *name = c->nargs > 0 && who & (RIGHTS_SEND | RIGHTS_TAIL) ? ctl_arg(c, 0) : "*";

    if (who == 0) {
        return CTL_DONE;
    }
    c->needs = 0;
    c->asking = true;
    c->asked_ms = mono_ms();
    struct rights *rights = rights_ask(&c->loop.uv, &link, options_string(c->options, "cluster"),
                                       who, name, on_rights, c);
    while (c->asking && !ctl_is_over(c)) {
        ctl_turn(c);
    }
    if (c->asking) {
        rights_close(rights);
        c->asking = false;
        return ctl_over(c, "Redis's answer");
    }
    struct err missing = c->answer;
    c->answer = no_answer;
    return missing.code ? ctl_fail(err_exit_code(missing.code), "%s", missing.text) : CTL_DONE;
}

/* An error that Redis answered with. */
static int refused(const struct err *err)
{
    if (err->code == ERR_ABSENT) {
        return ctl_fail(CTL_FAILED,
                        "no coordinator has set up this Redis yet: start a shoal-coordinator");
    }
    return ctl_fail(
        err_exit_code(err->code), "%s%s",
        err->code == ERR_REFUSED || err->code == ERR_STRANGE ? "" : "Redis refused: ", err->text);
}

/* Nothing may call back into a question that is about to be gone. */
static void abandon(struct ctl *c)
{
    while (c->asking) {
        link_reset(c->link, "given up");
        ctl_turn(c);
    }
}

bool ctl_asks(struct ctl *c, int *code)
{
    if (*code == CTL_DONE) {
        *code = check_rights(c);
    }
    while (*code == CTL_DONE && (c->asking || err_is_silence(&c->answer))) {
        if (ctl_is_over(c)) {
            *code = ctl_over(c, "Redis's answer");
            abandon(c);
        } else if (!c->asking && link_is_up(c->link)) {
            c->asking = true;
            c->asked_ms = mono_ms();
            return true;
        } else {
            ctl_turn(c);
        }
    }
    if (*code == CTL_DONE && c->answer.code != ERR_OK) {
        *code = refused(&c->answer);
    }
    c->answer = no_answer;
    return false;
}

void ctl_asked(struct ctl *c, int failed)
{
    c->asking = c->asking && !failed;
    ctl_turn(c);
}

const char *ctl_away(struct ctl *c)
{
    uint64_t silent_ms = c->asking ? mono_ms() - c->asked_ms : 0;

    if (!link_is_up(c->link)) {
        return c->down.text;
    }
    if (silent_ms < SILENT_MS) {
        return NULL;
    }
    snprintf(c->silent, sizeof(c->silent), "it was asked %" PRIu64 " s ago", silent_ms / 1000);
    return c->silent;
}

/* Messages ------------------------------------------------------------------------------------- */

/* Is it a JSON object with that id? */
static bool has_id(struct slice payload, const char *id)
{
    cJSON *object = cJSON_ParseWithLength(payload.ptr, payload.len);
    const char *found = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, "id"));
    bool yes = found && strcmp(found, id) == 0;

    cJSON_Delete(object);
    return yes;
}

static void on_message(void *ctx, struct slice topic, struct slice payload)
{
    struct ctl *c = ctx;

    if (c->on_message != NULL) {
        c->on_message(c, topic, payload);
    } else if (c->found == NULL && c->await_id[0] != '\0' && has_id(payload, c->await_id)) {
        c->found = xstrndup(payload.ptr, payload.len);
    }
}

int ctl_subscribe(struct ctl *c, enum registry_topic kind, const char *name)
{
    char topic[REGISTRY_TOPIC_CHARS];
    int code = check_rights(c);

    if (code != CTL_DONE) {
        return code;
    }
    if (c->subscriber == NULL) {
        struct subscriber_options o = {
            .link = {.url = &c->url,
                     .tls_ca = options_string(c->options, "redis-tls-ca"),
                     .name = "shoalctl:sub"},
            .on_message = on_message,
            .on_down = on_down,
            .ctx = c,
        };
        c->subscriber = subscriber_create(&c->loop.uv, &o);
    }
    registry_topic(c->registry, kind, name, topic);
    if (strpbrk(topic, "*?[")) {
        subscriber_add_pattern(c->subscriber, slice_of(topic));
    } else {
        subscriber_add(c->subscriber, slice_of(topic));
    }
    while (!subscriber_is_ready(c->subscriber)) {
        if (c->down.code == ERR_UNABLE) {
            return ctl_fail(CTL_OUT_OF_REACH, "%s", c->down.text);
        }
        if (ctl_is_over(c)) {
            return ctl_over(c, "the subscription");
        }
        ctl_turn(c);
    }
    return CTL_DONE;
}

int ctl_await(struct ctl *c, const char *what, int (*look)(struct ctl *c))
{
    uint64_t next_look = mono_ms() + LOOK_MS;
    int code = CTL_DONE;

    while (c->found == NULL && code == CTL_DONE) {
        if (ctl_is_over(c)) {
            code = ctl_over(c, what);
        } else if (mono_ms() >= next_look) {
            code = look(c);
            next_look = mono_ms() + LOOK_MS;
        } else {
            ctl_turn_for(c, LOOK_MS);
        }
    }
    return code;
}
