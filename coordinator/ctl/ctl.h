/* Ctl: what the commands of shoalctl share: one link to Redis, questions to it, and how a command
 * ends.
 *
 * A command is one straight piece of code: it asks, and the loop runs until the answers are there
 * or the time is over. Questions survive a link that comes back: what was not answered is asked
 * again, so only what may be done twice is asked here (reads; requests and sends, which carry an
 * id). Commands return the program's exit code; whoever finds the reason prints it. Loop thread
 * only. */
#ifndef SHOAL_CTL_H
#define SHOAL_CTL_H

#include "shared/buf.h"
#include "shared/loop.h"
#include "shared/options.h"
#include "shared/redis/registry_client.h"
#include "shared/redis/rights.h"
#include "shared/redis/subscriber.h"

#include <cjson/cJSON.h>

#define CTL_LINE_MAX ((size_t)256 * 1024) /* bytes of what is printed as one line */

/* CTL_ENDED: a command that goes on until Ctrl-C has come to that; its exit code is 0. */
enum { CTL_ENDED = -1, CTL_DONE = 0, CTL_FAILED = 1, CTL_USAGE = 2, CTL_OUT_OF_REACH = 3 };

struct ctl_command;

struct ctl {
    struct loop loop;
    const struct options *options;
    struct url url;
    struct link *link;
    struct registry *registry;
    bool asking;       /* a question is under way */
    uint64_t asked_ms; /* mono_ms: since when */
    char silent[40];   /* what ctl_away said */
    bool yes;          /* its answer (ctl_answered_bool) */
    struct err answer; /* code 0: a good one; silence: there is none yet */
    struct subscriber *subscriber;
    uv_timer_t timer;                  /* ends a turn of the loop */
    uint64_t deadline_ms;              /* mono_ms: when the command gives up */
    bool endless;                      /* once Redis was there it goes on until Ctrl-C instead */
    size_t nargs;                      /* arguments after the command's name */
    bool json;                         /* one object a line */
    const struct ctl_command *command; /* the one that runs */
    unsigned needs;                    /* of Redis: RIGHTS_* that are still to be asked for */
    bool has_been_up;
    bool interrupted;
    struct err down;     /* why the link is not up */
    bool told_no_leader; /* that nobody is there who would answer */
    /* The message waited for, by the id in it ("": none); the first that fits is kept in `found`,
     * which is owned. */
    char await_id[INCARNATION_CHARS];
    char *found;
    /* Where messages go instead (tail); NULL: nowhere. */
    void (*on_message)(struct ctl *c, struct slice topic, struct slice payload);
};

struct ctl_command {
    const char *name;
    const char *args; /* "CHANNEL...", for the help; "": it takes none */
    const char *help;
    const struct option_spec *options; /* its own, closed by an entry without name; NULL: none */
    unsigned needs;                    /* of Redis: RIGHTS_*, of rights.h */
    int (*run)(struct ctl *c);         /* returns the exit code */
};

/* The command of a file, by its name. */
#define CTL_COMMAND(name, args, help, options, needs, run)                                         \
    const struct ctl_command ctl_##name = {#name, args, help, options, needs, run}

/* --no-wait, for those that wait for an answer; and `options` of commands that have no others. */
#define CTL_NO_WAIT                                                                                \
    {"no-wait", OPTION_BOOL,                                                                       \
     0,         "false",                                                                           \
     0,         0,                                                                                 \
     NULL,      "join, part, retry, stop: leave the request in Redis and do not wait for it.",     \
     NULL}
extern const struct option_spec ctl_no_wait[];

/* Open the link, for the command that `o` names; both are borrowed. */
void ctl_open(struct ctl *c, const struct options *o, const struct ctl_command *command);
void ctl_close(struct ctl *c);

/* The i-th argument after the command's name. */
const char *ctl_arg(const struct ctl *c, size_t i);
/* Print one line to standard output, with nothing in it that a terminal would obey. */
void ctl_say(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* Print a line as it is, which the caller has made safe; where it did not fit into its buf, tell
 * only that there is one. */
void ctl_print(struct buf *line);
/* Print "shoalctl: TEXT" to standard error, the same way, and return `code`. */
int ctl_fail(int code, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Hand on what was printed. CTL_DONE; CTL_ENDED where nobody reads it any more, as with `| head`;
 * CTL_FAILED after it was told that standard output did not take all of it. */
MUST_USE int ctl_flush(void);
/* `cb` is called before that prints: who has the terminal gives it back. NULL: nobody. */
void ctl_before_fail(void (*cb)(void));
/* The usage of the command, to standard error; returns CTL_USAGE. */
int ctl_usage(const struct ctl *c);
/* Has the time run out, was there a Ctrl-C, or is Redis out of reach for good? */
bool ctl_is_over(const struct ctl *c);
/* Say why ctl_is_over; `what` was waited for. Returns the exit code. */
int ctl_over(const struct ctl *c, const char *what);
/* Give the command --timeout from now on. */
void ctl_restart_deadline(struct ctl *c);
/* Wait until something happened, or the time of the command is over. */
void ctl_turn(struct ctl *c);
/* The same, and for most_ms at most. */
void ctl_turn_for(struct ctl *c, uint64_t most_ms);

/* Questions ------------------------------------------------------------------------------------ */

/* Ask Redis, and wait for the answer:
 *
 *     while (ctl_asks(c, &code)) {
 *         ctl_asked(c, registry_is_led(c->registry, ctl_answered_bool, c));
 *     }
 *
 * The body runs when the link is up, and again where the link failed before the callback, which
 * ends in ctl_answered. Then *code is CTL_DONE, or the exit code after the reason was printed; an
 * error of Redis is one. Where it is an exit code before, nothing is asked. */
MUST_USE bool ctl_asks(struct ctl *c, int *code);
/* `failed`: the question could not be sent. */
void ctl_asked(struct ctl *c, int failed);
/* For callbacks, and one itself, whose ctx is the `struct ctl`: the answer is there; err NULL: it
 * is good. */
void ctl_answered(void *ctx, const struct err *err);
/* The same for questions that are answered by yes or no, which is in `yes` then. */
void ctl_answered_bool(void *ctx, bool yes, const struct err *err);

/* Why Redis does not answer, for those who go on until Ctrl-C; valid until the next call. NULL: it
 * answers, or was asked just now. */
const char *ctl_away(struct ctl *c);

/* Messages ------------------------------------------------------------------------------------- */

/* Subscribe to the topic of that name (registry.h), and wait until Redis has confirmed. CTL_DONE or
 * an exit code. */
MUST_USE int ctl_subscribe(struct ctl *c, enum registry_topic topic, const char *name);
/* Wait for a JSON object with the id await_id (set it before asking for the object, so that an
 * early one is kept): heard on the topics subscribed to, or put into `found` by `look`, which is
 * called now and then, since a message may be lost. CTL_DONE, or the exit code; `what` names it in
 * the message then. */
MUST_USE int ctl_await(struct ctl *c, const char *what, int (*look)(struct ctl *c));

#endif
