/* Options for people: --help and --print-config. */
#include "shared/options_private.h"

#include "shared/text.h"

#include <stdlib.h>
#include <string.h>

#define HELP_COLUMN     28 /* where the texts begin: from 20 on, help2man knows them as such */
#define HELP_COLUMNS    80
#define EXAMPLE_COLUMNS 100

/* A word; blanks within brackets that it begins with are its own: "[default: x]", "[::1]:9400". */
static size_t word_length(const char *text)
{
    size_t bracket = *text == '[' ? strcspn(text, "]") : 0;
    return bracket + strcspn(text + bracket, " ");
}

void options_print_item(FILE *to, const char *head, const char *text)
{
    size_t column = strlen(head) + 2;
    fprintf(to, "  %s", head);
    if (column + 2 > HELP_COLUMN) {
        fputc('\n', to);
        column = 0;
    }
    fprintf(to, "%*s", (int)(HELP_COLUMN - column), "");
    column = HELP_COLUMN;
    while (*text) {
        size_t word = word_length(text);
        if (column > HELP_COLUMN && column + 1 + word > HELP_COLUMNS) {
            fprintf(to, "\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        } else if (column > HELP_COLUMN) {
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

/* The help of an option with what its other fields tell; the caller frees it. */
static char *describe(const struct option_spec *spec)
{
    bool shown = spec->fallback && *spec->fallback && spec->type != OPTION_BOOL;
    return xasprintf("%s%s%s%s%s", spec->help ? spec->help : "",
                     spec->flags & OPTION_REPEAT ? " May be given several times." : "",
                     shown ? " [default: " : "", shown ? spec->fallback : "", shown ? "]" : "");
}

static void print_option(const struct option_spec *spec, FILE *to)
{
    const char *metavar = spec->metavar ? spec->metavar : "VALUE";
    bool flag = spec->type == OPTION_BOOL;
    char *head = xasprintf("--%s%s%s", spec->name, flag ? "" : " ", flag ? "" : metavar);
    char *text = describe(spec);

    options_print_item(to, head, text);
    free(head);
    free(text);
}

void options_print_help(const struct options *o, FILE *to)
{
    const struct options_program *program = o->program;
    size_t common = program->common > 0 ? program->common : o->spec_count;
    const struct option_spec *spec;
    const char *usage = program->usage ? program->usage : "";
    fprintf(to, "Usage: %s [OPTION...]%s%s\n\n%s\n\nOptions:\n", program->name, *usage ? " " : "",
            usage, program->purpose);
    for (size_t i = 0; (spec = option_at(o, i)) != NULL; i++) {
        if (i < common || i >= o->spec_count) {
            print_option(spec, to);
        }
    }
    fputs(common < o->spec_count ? "\nOptions of commands:\n" : "", to);
    for (size_t i = common; i < o->spec_count; i++) {
        print_option(option_at(o, i), to);
    }
    if (program->epilogue) {
        fprintf(to, "\n%s", program->epilogue);
    }
    fputs("\nEnvironment:\n"
          "An option --some-name may also be given as environment variable SHOAL_SOME_NAME\n"
          "or as `some_name = value` in the file. The command line wins over the\n"
          "environment, the environment over the file. A TIME is 500ms, 10s, 5m or 1h, and\n"
          "a plain number counts seconds; BYTES may end in k, m or g.\n",
          to);
}

/* One option: its help, and its line; an empty line ends it (example.awk). */
static void print_example(FILE *to, const struct option_spec *spec)
{
    char key[80];
    size_t column = 0;
    const char *value = spec->fallback ? spec->fallback : "";

    option_key(spec->name, key, sizeof(key));
    for (const char *text = spec->help; *text;) {
        size_t word = word_length(text);
        if (column + 1 + word > EXAMPLE_COLUMNS) {
            fputc('\n', to);
            column = 0;
        }
        column += (size_t)fprintf(to, "%s %.*s", column == 0 ? "#" : "", (int)word, text);
        text += word;
        text += strspn(text, " ");
    }
    fprintf(to, "%s\n#%s =%s%s\n\n",
            spec->flags & OPTION_REPEAT ? "\n# Several, with blanks between." : "", key,
            *value ? " " : "", value);
}

void options_print_example(const struct options *o, FILE *to)
{
    for (size_t i = 0; i < o->spec_count; i++) {
        print_example(to, &o->program->specs[i]);
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
                                                     : text_shown(value->texts[k]);
            fprintf(to, " %s", text);
            free(text);
        }
        fputc('\n', to);
    }
}
