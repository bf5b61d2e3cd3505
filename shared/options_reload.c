/* Options, read again: what may change while a program runs, and what stays as it began. */
#include "shared/options_private.h"

#include "shared/log.h"

#include <string.h>

int options_read_again(const struct options *o, struct options **fresh, struct err *err)
{
    /* What ran once has no flag that only prints: it runs, or it is an error. */
    return options_parse(o->program, o->argc, o->argv, fresh, err) == OPTIONS_RUN ? 0 : -ERR_USAGE;
}

static bool differs(const struct option_value *a, const struct option_value *b)
{
    if (a->count != b->count) {
        return true;
    }
    for (size_t i = 0; i < a->count; i++) {
        if (strcmp(a->texts[i], b->texts[i]) != 0) {
            return true;
        }
    }
    return false;
}

void options_go_over(struct options **o, struct options *fresh, const char *room)
{
    struct options *old = *o;

    for (size_t i = 0; i < old->spec_count; i++) {
        const struct option_spec *spec = &old->program->specs[i];
        if (spec->flags & OPTION_RELOAD) {
            continue;
        }
        if (differs(&old->values[i], &fresh->values[i])) {
            log_warn(room, "config.fixed", "option", spec->name, "kept", "as it was", "mend",
                     "restart to change it", NULL);
        }
        struct option_value kept = old->values[i];
        old->values[i] = fresh->values[i];
        fresh->values[i] = kept;
    }
    options_destroy(old);
    *o = fresh;
}
