/* Options, read: what a program asks for by the names of its own flags. */
#include "shared/options_private.h"

#include <string.h>

/* A name that is no flag of the program is a bug. */
static const struct option_value *value_of(const struct options *o, const char *name)
{
    size_t i = 0;
    while (i < o->spec_count && strcmp(o->program->specs[i].name, name) != 0) {
        i++;
    }
    BUG_ON(i == o->spec_count);
    return &o->values[i];
}

const char *options_string(const struct options *o, const char *name)
{
    const struct option_value *value = value_of(o, name);
    return value->count > 0 ? value->texts[0] : NULL;
}

int64_t options_int(const struct options *o, const char *name)
{
    const struct option_value *value = value_of(o, name);
    BUG_ON(value->count == 0);
    return value->number;
}

bool options_bool(const struct options *o, const char *name)
{
    return value_of(o, name)->number != 0;
}

bool options_is_flag(const struct options *o, const char *name)
{
    return value_of(o, name)->source == SOURCE_FLAG;
}

size_t options_count(const struct options *o, const char *name)
{
    return value_of(o, name)->count;
}

const char *options_at(const struct options *o, const char *name, size_t i)
{
    const struct option_value *value = value_of(o, name);
    BUG_ON(i >= value->count);
    return value->texts[i];
}

size_t options_argc(const struct options *o)
{
    return o->arg_count;
}

const char *options_arg(const struct options *o, size_t i)
{
    BUG_ON(i >= o->arg_count);
    return o->args[i];
}
