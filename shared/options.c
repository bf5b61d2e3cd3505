/* Options: gathers values from flags, environment, file and defaults, in that order of precedence,
 * and checks those in force.
 *
 * options_parse goes through the sources from the strongest to the weakest and fills in what no
 * stronger one gave. A value is judged only when it is in force: a wrong line in a shared file does
 * not stop a program that was given a right flag. Values, help and file are in options_*.c. */
#include "shared/options_private.h"

#include "shared/file.h"
#include "shared/pairs.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_FILE "/etc/shoal/shoal.conf"
#define NAME_MAX_LEN 80

/* getopt's codes; those of options are CODE_FIRST + index. */
enum { CODE_ARGUMENT = 1, CODE_FIRST = 256 };

/* What every program takes beside its own options, from the command line alone (and --config from
 * SHOAL_CONFIG): in the same order. */
enum {
    COMMON_CONFIG,
    COMMON_CHECK,
    COMMON_PRINT,
    COMMON_EXAMPLE,
    COMMON_VERSION,
    COMMON_HELP,
    COMMONS
};
static const struct option_spec common[COMMONS] = {
    {.name = "config",
     .metavar = "FILE",
     .help = "Read options from FILE, in lines `name = value`; empty: read none. "
             "[default: " DEFAULT_FILE ", if it is there]"},
    {.name = "check", .type = OPTION_BOOL, .help = "Check the configuration and exit."},
    {.name = "print-config",
     .type = OPTION_BOOL,
     .help = "Print the configuration in force, secrets masked, and exit."},
    {.name = "print-example",
     .type = OPTION_BOOL,
     .help = "Print a configuration file with each option explained and commented out, and exit."},
    {.name = "version", .type = OPTION_BOOL, .help = "Print the version and exit."},
    {.name = "help", .type = OPTION_BOOL, .help = "Print this help and exit."},
};

const struct option_spec *option_at(const struct options *o, size_t i)
{
    if (i < o->spec_count) {
        return &o->program->specs[i];
    }
    return i - o->spec_count < COMMONS ? &common[i - o->spec_count] : NULL;
}

static void value_add(struct option_value *value, struct slice text)
{
    value->texts = xrealloc(value->texts, (value->count + 1) * sizeof(*value->texts));
    value->texts[value->count++] = xstrndup(text.ptr, text.len);
}

static void value_clear(struct option_value *value)
{
    for (size_t i = 0; i < value->count; i++) {
        free(value->texts[i]);
    }
    free(value->texts);
    *value = (struct option_value){.source = SOURCE_NONE};
}

void option_value_give(const struct option_spec *spec, struct option_value *value,
                       enum option_source source, const char *text)
{
    if (!(spec->flags & OPTION_REPEAT)) {
        value_clear(value);
        value_add(value, slice_of(text));
    } else if (source == SOURCE_FLAG) {
        value_add(value, slice_of(text));
    } else {
        for (text += strspn(text, " \t"); *text; text += strspn(text, " \t")) {
            size_t len = strcspn(text, " \t");
            value_add(value, (struct slice){text, len});
            text += len;
        }
    }
    value->source = source;
}

/* "; did you mean --x?" for the nearest of the flags, or of the keys; empty if none is near. */
static void suggest(const struct options *o, const char *given, bool key, char *out, size_t size)
{
    const struct option_spec *spec;
    char name[NAME_MAX_LEN];
    size_t least = SIZE_MAX;

    out[0] = '\0';
    for (size_t i = 0; (spec = option_at(o, i)) != NULL && (!key || i < o->spec_count); i++) {
        snprintf(name, sizeof(name), "%s", spec->name);
        if (key) {
            option_key(spec->name, name, sizeof(name));
        }
        size_t distance = option_distance(given, name);
        if (distance < least) {
            least = distance;
            snprintf(out, size, "; did you mean %s%s?", key ? "" : "--", name);
        }
    }
}

static int unknown_flag(const struct options *o, const char *token, struct err *err)
{
    char name[NAME_MAX_LEN];
    char hint[NAME_MAX_LEN + 32] = "";
    snprintf(name, sizeof(name), "%.*s", (int)strcspn(token, "="), token);
    if (strncmp(name, "--", 2) == 0) {
        suggest(o, name + 2, false, hint, sizeof(hint));
    }
    return err_set(err, ERR_USAGE, "unknown option %s%s", name,
                   *hint ? hint : "; --help lists them all");
}

/* getopt's view of all options; the caller frees it. */
static struct option *long_options(const struct options *o)
{
    struct option *list = xcalloc(o->spec_count + COMMONS + 1, sizeof(*list));
    const struct option_spec *spec;
    for (size_t i = 0; (spec = option_at(o, i)) != NULL; i++) {
        list[i] = (struct option){
            .name = spec->name,
            .has_arg = spec->type != OPTION_BOOL ? required_argument
                       : i < o->spec_count       ? optional_argument
                                                 : no_argument,
            .val = CODE_FIRST + (int)i,
        };
    }
    return list;
}

static int take_argument(struct options *o, const char *text, struct err *err)
{
    if (!o->program->takes_arguments) {
        return err_set(err, ERR_USAGE, "unexpected argument \"%.100s\"; %s takes options only",
                       text, o->program->name);
    }
    o->args = xrealloc(o->args, (o->arg_count + 1) * sizeof(*o->args));
    o->args[o->arg_count++] = xstrdup(text);
    return 0;
}

/* The option of that code. */
static const struct option_spec *spec_of(const struct options *o, int code)
{
    const struct option_spec *spec = option_at(o, (size_t)(code - CODE_FIRST));
    BUG_ON(spec == NULL);
    return spec;
}

/* One answer of getopt_long. `token` is what it looked at. */
static int handle_flag(struct options *o, int code, const char *token, const char **given,
                       struct err *err)
{
    if (code == CODE_ARGUMENT) {
        return take_argument(o, optarg, err);
    }
    if (code == ':') {
        return err_set(err, ERR_USAGE, "--%s needs a value", spec_of(o, optopt)->name);
    }
    if (code == '?' && optopt >= CODE_FIRST) {
        return err_set(err, ERR_USAGE, "--%s takes no value", spec_of(o, optopt)->name);
    }
    if (code == '?') {
        return unknown_flag(o, token, err);
    }
    if (code == 'h') {
        given[COMMON_HELP] = token;
        return 0;
    }
    /* getopt takes abbreviations; a script that used one would break with the next new option. */
    const struct option_spec *spec = spec_of(o, code);
    size_t i = (size_t)(code - CODE_FIRST);
    if (strncmp(token, "--", 2) != 0 || strcspn(token + 2, "=") != strlen(spec->name)) {
        return unknown_flag(o, token, err);
    }
    const char *text = optarg ? optarg : "true";
    if (i < o->spec_count) {
        option_value_give(spec, &o->values[i], SOURCE_FLAG, text);
    } else {
        given[i - o->spec_count] = text;
    }
    return 0;
}

static bool only_prints(const char *const *given)
{
    return given[COMMON_HELP] || given[COMMON_VERSION] || given[COMMON_EXAMPLE];
}

static int read_flags(struct options *o, const char **given, struct err *err)
{
    struct option *list = long_options(o);
    char **argv = o->argv;
    int rc = 0;
    opterr = 0;
    optind = 0; /* glibc: start over, whatever was parsed before */
    while (rc == 0 && !only_prints(given)) {
        /* '-': arguments come in their place, as code 1, and argv is left as it is. */
        int code = getopt_long(o->argc, argv, "-:h", list, NULL);
        if (code == -1) {
            break;
        }
        bool apart = optarg && optind >= 2 && optarg == argv[optind - 1];
        const char *token = argv[apart && code != CODE_ARGUMENT ? optind - 2 : optind - 1];
        rc = handle_flag(o, code, token, given, err);
    }
    free(list);
    for (int i = optind; rc == 0 && !only_prints(given) && i < o->argc; i++) {
        rc = take_argument(o, argv[i], err); /* what follows "--" */
    }
    return rc;
}

static void read_environment(struct options *o, const char **given)
{
    for (size_t i = 0; i < o->spec_count; i++) {
        char name[NAME_MAX_LEN];
        option_env(o->program->specs[i].name, name, sizeof(name));
        const char *text = getenv(name);
        /* Set but empty is how compose files and units say "not given". */
        if (o->values[i].source == SOURCE_NONE && text && *text) {
            option_value_give(&o->program->specs[i], &o->values[i], SOURCE_ENV, text);
        }
    }
    const char *config = getenv("SHOAL_CONFIG");
    if (!given[COMMON_CONFIG] && config && *config) {
        given[COMMON_CONFIG] = config;
    }
}

static int on_file_pair(void *ctx, const char *key, const char *text, size_t line, struct err *err)
{
    struct options *o = ctx;
    char name[NAME_MAX_LEN];
    for (size_t i = 0; i < o->spec_count; i++) {
        const struct option_spec *spec = &o->program->specs[i];
        option_key(spec->name, name, sizeof(name));
        if (strcmp(name, key) != 0) {
            continue;
        }
        struct option_value *value = &o->values[i];
        if (value->line > 0 && !(spec->flags & OPTION_REPEAT)) {
            return err_set(err, ERR_USAGE, "%s:%zu: %s was given before, in line %zu; keep one",
                           o->file, line, key, value->line);
        }
        if (*text && value->source >= SOURCE_FILE) {
            option_value_give(spec, value, SOURCE_FILE, text);
        }
        value->line = line;
        return 0;
    }
    if (option_key_is_shared(key)) {
        return 0;
    }
    char hint[NAME_MAX_LEN + 32];
    suggest(o, key, true, hint, sizeof(hint));
    return err_set(err, ERR_USAGE, "%s:%zu: unknown key \"%.60s\"%s", o->file, line, key, hint);
}

/* `given`: NULL: the default file. */
static int read_file(struct options *o, const char *given, struct err *err)
{
    const char *path = given ? given : DEFAULT_FILE;
    if (!*path) {
        return 0; /* --config= : no file */
    }
    struct file file;
    int rc = file_read(path, "a configuration file", OPTIONS_FILE_MAX_BYTES, &file, err);
    if (rc == -ERR_ABSENT && !given) {
        return 0;
    }
    if (rc == -ERR_ABSENT) {
        return err_set(err, ERR_USAGE,
                       "%s: cannot be opened: No such file or directory; name another file with "
                       "--config",
                       path);
    }
    if (rc != 0) {
        return err_set(err, ERR_USAGE, "%s", err->text);
    }
    o->file = xstrdup(path);
    o->file_is_trusted = file_is_trusted(&file);
    rc =
        pairs_parse((struct slice){file.text, file.len}, path, "key = value", on_file_pair, o, err);
    file_finish(&file);
    return rc;
}

/* Does the value name code to run: a command (!COMMAND), or an object to load (a path, or x.so)? */
static bool names_code(const struct option_spec *spec, const char *text)
{
    return (spec->flags & OPTION_CODE) &&
           (text[0] == '!' || (text[0] != '@' && (strchr(text, '/') || strstr(text, ".so"))));
}

/* A user who may write the file could have anything run as us. */
static int check_code(const struct options *o, size_t i, const char *text, struct err *err)
{
    if (o->values[i].source != SOURCE_FILE || o->file_is_trusted ||
        !names_code(&o->program->specs[i], text)) {
        return 0;
    }
    return err_set(err, ERR_USAGE,
                   "it names code to run, and others may write the file: make it ours or root's "
                   "alone (chown, chmod go-w)");
}

/* "--x (from SHOAL_X)" before what is wrong with a value. */
static int blame(const struct options *o, size_t i, struct err *err)
{
    const char *name = o->program->specs[i].name;
    char env[NAME_MAX_LEN];
    switch (o->values[i].source) {
    case SOURCE_FLAG:
        return err_wrap(err, "--%s (from the command line)", name);
    case SOURCE_ENV:
        option_env(name, env, sizeof(env));
        return err_wrap(err, "--%s (from %s)", name, env);
    case SOURCE_FILE:
        return err_wrap(err, "--%s (from %s:%zu)", name, o->file, o->values[i].line);
    case SOURCE_CREDENTIAL:
        return err_wrap(err, "--%s (a credential)", name);
    default:
        return err_wrap(err, "--%s (its default)", name);
    }
}

static int fill_and_check(struct options *o, struct err *err)
{
    for (size_t i = 0; i < o->spec_count; i++) {
        const struct option_spec *spec = &o->program->specs[i];
        struct option_value *value = &o->values[i];
        if (value->source == SOURCE_NONE && spec->fallback) {
            option_value_give(spec, value, SOURCE_DEFAULT, spec->fallback);
        }
        for (size_t k = 0; k < value->count; k++) {
            int64_t number;
            if (check_code(o, i, value->texts[k], err) < 0 ||
                option_value_parse(spec, value->texts[k], &number, err) < 0) {
                return blame(o, i, err);
            }
            if (k == 0) {
                value->number = number;
            }
        }
    }
    return 0;
}

static enum options_outcome answer(const struct options *o, const char *const *given)
{
    if (given[COMMON_PRINT]) {
        options_print_config(o, stdout);
    } else if (given[COMMON_CHECK]) {
        const char *warning = o->program->warning ? o->program->warning(o) : NULL;
        if (warning) {
            fprintf(stderr, "%s: warning: %s\n", o->program->name, warning);
        }
        printf("%s: the configuration is valid\n", o->program->name);
    } else {
        return OPTIONS_RUN;
    }
    return OPTIONS_DONE;
}

/* How many options the table holds, after a look at their names. */
static size_t spec_count(const struct options_program *program)
{
    size_t n = 0;
    for (const char *name; (name = program->specs[n].name) != NULL; n++) {
        char key[NAME_MAX_LEN];
        BUG_ON(strlen(name) + sizeof("SHOAL_") > NAME_MAX_LEN);
        option_key(name, key, sizeof(key));
        BUG_ON(program->shares_file && !option_key_is_shared(key));
    }
    return n;
}

static enum options_outcome read_all(struct options *o, struct err *err)
{
    const char *given[COMMONS] = {0}; /* borrowed; NULL: not given */

    if (read_flags(o, given, err) < 0) {
        return OPTIONS_ERROR;
    }
    if (given[COMMON_HELP]) {
        options_print_help(o, stdout);
        return OPTIONS_DONE;
    }
    if (given[COMMON_EXAMPLE]) {
        options_print_example(o, stdout);
        return OPTIONS_DONE;
    }
    if (given[COMMON_VERSION]) {
        printf("%s %s\n", o->program->name, SHOAL_VERSION);
        return OPTIONS_DONE;
    }
    read_environment(o, given);
    if (read_file(o, given[COMMON_CONFIG], err) < 0 || options_take_files(o, err) < 0 ||
        fill_and_check(o, err) < 0) {
        return OPTIONS_ERROR;
    }
    return answer(o, given);
}

enum options_outcome options_parse(const struct options_program *program, int argc, char **argv,
                                   struct options **out, struct err *err)
{
    struct options *o = xcalloc(1, sizeof(*o));

    o->program = program;
    o->argc = argc;
    o->argv = argv;
    o->spec_count = spec_count(program);
    o->values = xcalloc(o->spec_count, sizeof(*o->values));
    for (size_t i = 0; i < o->spec_count; i++) {
        value_clear(&o->values[i]);
    }
    enum options_outcome outcome = read_all(o, err);
    *out = outcome == OPTIONS_RUN ? o : NULL;
    if (outcome != OPTIONS_RUN) {
        options_destroy(o);
    }
    return outcome;
}

void options_destroy(struct options *o)
{
    if (!o) {
        return;
    }
    for (size_t i = 0; i < o->spec_count; i++) {
        value_clear(&o->values[i]);
    }
    for (size_t i = 0; i < o->arg_count; i++) {
        free(o->args[i]);
    }
    free(o->values);
    free(o->args);
    free(o->file);
    free(o);
}
