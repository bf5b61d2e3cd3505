/* Options for people: --help and --print-config. */
#include "shared/options_impl.h"

#include <stdlib.h>
#include <string.h>

#define HELP_INDENT  8
#define HELP_COLUMNS 80

/* Print words of `text` with an indent, broken at blanks. */
static void print_wrapped(FILE *to, const char *text)
{
    size_t column = 0;
    while (*text) {
        size_t word = strcspn(text, " ");
        if (column > 0 && column + 1 + word > HELP_COLUMNS) {
            fputc('\n', to);
            column = 0;
        }
        if (column == 0) {
            fprintf(to, "%*s", HELP_INDENT, "");
            column = HELP_INDENT;
        } else {
            fputc(' ', to);
            column++;
        }
        fwrite(text, 1, word, to);
        column += word;
        text += word;
        text += strspn(text, " ");
    }
    fputc('\n', to);
}

static void print_option(FILE *to, const char *name, const char *metavar, const char *help)
{
    fprintf(to, "  --%s%s%s\n", name, metavar ? " " : "", metavar ? metavar : "");
    print_wrapped(to, help);
}

/* The help of an option with what its other fields tell; the caller frees it. */
static char *describe(const struct option_spec *spec)
{
    bool shown = spec->fallback && *spec->fallback && spec->type != OPTION_BOOL;
    return xasprintf("%s%s%s%s%s", spec->help ? spec->help : "",
                     spec->flags & OPTION_REPEAT ? " May be given several times." : "",
                     shown ? " [default: " : "", shown ? spec->fallback : "", shown ? "]" : "");
}

void options_print_help(const struct options_program *program, FILE *to)
{
    const char *usage = program->usage ? program->usage : "";
    fprintf(to, "Usage: %s [OPTION...]%s%s\n\n%s\n\nOptions:\n", program->name, *usage ? " " : "",
            usage, program->purpose);
    for (const struct option_spec *spec = program->specs; spec->name; spec++) {
        const char *metavar = spec->metavar ? spec->metavar : "VALUE";
        char *text = describe(spec);
        print_option(to, spec->name, spec->type == OPTION_BOOL ? NULL : metavar, text);
        free(text);
    }
    print_option(to, "config", "FILE",
                 "Read options from FILE, in lines `name = value`; empty: read none. "
                 "[default: /etc/shoal/shoal.conf, if it is there]");
    print_option(to, "check", NULL, "Check the configuration and exit.");
    print_option(to, "print-config", NULL,
                 "Print the configuration in force, secrets masked, and exit.");
    print_option(to, "version", NULL, "Print the version and exit.");
    print_option(to, "help", NULL, "Print this help and exit.");
    fputs("\nAn option --some-name may also be given as environment variable SHOAL_SOME_NAME\n"
          "or as `some_name = value` in the file. The command line wins over the\n"
          "environment, the environment over the file.\n",
          to);
    if (program->epilogue) {
        fprintf(to, "\n%s\n", program->epilogue);
    }
}

/* One line stays one line, whatever a flag was given. */
static void print_value(FILE *to, const char *text)
{
    fputc(' ', to);
    for (; *text; text++) {
        fputc((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text, to);
    }
}

void options_print_config(const struct options *o, FILE *to)
{
    for (size_t i = 0; i < o->spec_count; i++) {
        const struct option_spec *spec = &o->program->specs[i];
        const struct option_value *value = &o->values[i];
        char key[80];
        option_key(spec->name, key, sizeof(key));
        if (value->source == SOURCE_NONE) {
            fprintf(to, "# %s is not set\n", key);
            continue;
        }
        fprintf(to, "%s =", key);
        for (size_t k = 0; k < value->count; k++) {
            char *text = spec->flags & OPTION_SECRET ? option_value_mask(value->texts[k])
                                                     : xstrdup(value->texts[k]);
            print_value(to, text);
            free(text);
        }
        fputc('\n', to);
    }
}
