/* Web fault: what goes wrong with requests to a path, until a test takes it back (commands.h). */
#ifndef SIM_WEB_FAULT_H
#define SIM_WEB_FAULT_H

#include "tests/twitch_sim/commands.h"

enum web_fault_kind {
    WEB_NO_FAULT,
    /* The request is not carried out. */
    WEB_STATUS,
    WEB_SILENCE,
    /* It is. */
    WEB_SLOW,
    WEB_NO_HTTP,
    WEB_BROKEN_JSON,
    WEB_HUGE,
    WEB_CLOSE,
    WEB_LATE,
};

struct web_fault {
    char path[64]; /* "*": those that have none of their own */
    enum web_fault_kind kind;
    unsigned status;
    uint64_t retry_s; /* 0: not said */
    uint64_t ms;      /* how late; between two bytes */
    uint64_t times;   /* so many requests more; UINT64_MAX: until it is taken back */
    struct web_fault *next;
};

/* Read a fault from a command; -ERR_USAGE says what is wrong. */
MUST_USE int web_fault_parse(const struct command *cmd, struct web_fault *out, struct err *err);
/* It takes the place of the one for the same path; WEB_NO_FAULT takes that back. */
void web_fault_put(struct web_fault **faults, const struct web_fault *fault);
void web_fault_clear(struct web_fault **faults);
/* The fault of a request, which counts as one. */
struct web_fault web_fault_take(struct web_fault **faults, struct slice path);

#endif
