/* Faults by path: the one of the path itself goes before that of all. */
#include "tests/twitch_sim/web_fault.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define BYTE_MS 10 /* between two bytes of a slow answer */

/* "status=503,retry=5" */
static int parse_status(const char *value, struct web_fault *out, struct err *err)
{
    const char *comma = strchr(value, ',');
    struct slice status = {value, comma != NULL ? (size_t)(comma - value) : strlen(value)};
    uint64_t n;

    out->kind = WEB_STATUS;
    if (!slice_to_u64(status, &n) || n < 200 || n > 599 ||
        (comma != NULL && (strncmp(comma, ",retry=", 7) != 0 ||
                           !slice_to_u64(slice_of(comma + 7), &out->retry_s)))) {
        return err_set(err, ERR_USAGE, "http: status=200 to 599, and perhaps ,retry=SECONDS");
    }
    out->status = (unsigned)n;
    return 0;
}

static enum web_fault_kind kind_of_word(const char *word)
{
    static const struct {
        const char *word;
        enum web_fault_kind kind;
    } words[] = {
        {"silence", WEB_SILENCE}, {"slow", WEB_SLOW},   {"malformed", WEB_NO_HTTP},
        {"huge", WEB_HUGE},       {"close", WEB_CLOSE},
    };

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strcmp(word, words[i].word) == 0) {
            return words[i].kind;
        }
    }
    return WEB_NO_FAULT;
}

int web_fault_parse(const struct command *cmd, struct web_fault *out, struct err *err)
{
    const char *status = command_value(cmd, "status");
    const char *malformed = command_value(cmd, "malformed");

    *out = (struct web_fault){.times = command_number(cmd, "times", UINT64_MAX)};
    (void)snprintf(out->path, sizeof(out->path), "%s", cmd->words[0]);
    if (status != NULL) {
        return parse_status(status, out, err);
    }
    if (command_value(cmd, "late") != NULL) {
        out->kind = WEB_LATE;
        out->ms = command_number(cmd, "late", 0);
    } else if (malformed != NULL) {
        out->kind = strcmp(malformed, "json") == 0   ? WEB_BROKEN_JSON
                    : strcmp(malformed, "http") == 0 ? WEB_NO_HTTP
                                                     : WEB_NO_FAULT;
    } else if (cmd->nwords == 2) {
        out->kind = kind_of_word(cmd->words[1]);
        out->ms = command_number(cmd, "ms", BYTE_MS);
    }
    if (out->kind == WEB_NO_FAULT && !command_has(cmd, "off")) {
        return err_set(err, ERR_USAGE,
                       "http: PATH and status=CODE[,retry=S], silence, slow [ms=N], "
                       "malformed[=http|json], huge, close, late=MS or off");
    }
    return 0;
}

static struct web_fault *find(struct web_fault *faults, struct slice path)
{
    struct web_fault *f;

    LL_FOREACH(faults, f)
    {
        if (slice_is(path, f->path)) {
            break;
        }
    }
    return f;
}

static void take_back(struct web_fault **faults, struct web_fault *fault)
{
    LL_DELETE(*faults, fault);
    free(fault);
}

void web_fault_put(struct web_fault **faults, const struct web_fault *fault)
{
    struct web_fault *there = find(*faults, slice_of(fault->path));

    if (there != NULL) {
        take_back(faults, there);
    }
    if (fault->kind != WEB_NO_FAULT && fault->times > 0) {
        struct web_fault *f = xmalloc(sizeof(*f));

        *f = *fault;
        LL_PREPEND(*faults, f);
    }
}

void web_fault_clear(struct web_fault **faults)
{
    while (*faults != NULL) {
        take_back(faults, *faults);
    }
}

struct web_fault web_fault_take(struct web_fault **faults, struct slice path)
{
    struct web_fault *f = find(*faults, path);
    struct web_fault out = {.kind = WEB_NO_FAULT};

    if (f == NULL) {
        f = find(*faults, SLICE("*"));
    }
    if (f != NULL) {
        out = *f;
        if (f->times != UINT64_MAX && --f->times == 0) {
            take_back(faults, f);
        }
    }
    return out;
}
