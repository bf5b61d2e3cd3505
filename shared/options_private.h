/* Options, inside: what the files of the room share. Nobody else includes this, but its tests. */
#ifndef SHOAL_OPTIONS_PRIVATE_H
#define SHOAL_OPTIONS_PRIVATE_H

#include "shared/options.h"

/* From the strongest on. */
enum option_source {
    SOURCE_FLAG,
    SOURCE_ENV,
    SOURCE_FILE,
    SOURCE_CREDENTIAL,
    SOURCE_DEFAULT,
    SOURCE_NONE, /* of an option without a value */
};

/* What one option came to. */
struct option_value {
    char **texts; /* owned; one, or several of an OPTION_REPEAT; NULL: no value */
    size_t count;
    int64_t number;            /* of texts[0], unless it is a string */
    enum option_source source; /* where all of the texts came from */
    size_t line;               /* where it stands in the file, used or not; 0: it does not */
};

struct options {
    const struct options_program *program; /* borrowed: tables are static */
    size_t spec_count;
    struct option_value *values; /* one for each spec, in the same order */
    int argc;                    /* as given, to be read again */
    char **argv;                 /* borrowed */
    char **args;                 /* owned */
    size_t arg_count;
    char *file;           /* owned; the file that was read, or NULL */
    bool file_is_trusted; /* nobody else may write it */
};

#define OPTIONS_FILE_MAX_BYTES ((size_t)256 * 1024)

/* options.c */

/* The i-th of the program's options, then of those in common; NULL behind the last. */
const struct option_spec *option_at(const struct options *o, size_t i);

/* Take the text from a source: the last one stands, those of a repeatable option add up. */
void option_value_give(const struct option_spec *spec, struct option_value *value,
                       enum option_source source, const char *text);

/* options_files.c */

/* After all other sources: credentials, and the values of OPTION_IN_FILE. -ERR_USAGE where such a
 * file cannot be read, or both are given. */
MUST_USE int options_take_files(struct options *o, struct err *err);

/* options_keys.c */

/* Is it a key of one of the programs that share the configuration file? */
bool option_key_is_shared(const char *key);

/* options_value.c */

/* Turn the text into a number by the option's type (0 for strings), within its bounds, and run its
 * check. -ERR_USAGE says what is wrong and what is allowed, without naming the option. */
MUST_USE int option_value_parse(const struct option_spec *spec, const char *text, int64_t *number,
                                struct err *err);
/* The text of a secret as it may be shown; the caller frees it. */
char *option_value_mask(const char *text);
/* Edit distance below which a misspelt name is taken for another; SIZE_MAX if not close. */
size_t option_distance(const char *given, const char *known);
/* The flag's name as key of the file (dashes become underscores); into `out`. */
void option_key(const char *name, char *out, size_t size);
/* The flag's name as environment variable (SHOAL_REDIS_URL); into `out`. */
void option_env(const char *name, char *out, size_t size);

/* options_print.c */

void options_print_help(const struct options *o, FILE *to);
void options_print_example(const struct options *o, FILE *to);
void options_print_config(const struct options *o, FILE *to);

#endif
