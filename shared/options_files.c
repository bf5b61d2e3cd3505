/* Options that lie in files of their own: credentials, and values that nobody should see on a
 * command line, in an environment, or in a configuration file that others may read. */
#include "shared/options_private.h"

#include "shared/file.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME_MAX_LEN 80

/* What the service manager passes on takes the place of files that nobody named. */
static void take_credentials(struct options *o)
{
    const char *directory = getenv("CREDENTIALS_DIRECTORY");

    for (size_t i = 0; directory && *directory && i < o->spec_count; i++) {
        const struct option_spec *spec = &o->program->specs[i];
        if (o->values[i].source != SOURCE_NONE || !spec->metavar ||
            strcmp(spec->metavar, "FILE") != 0) {
            continue;
        }
        char *path = xasprintf("%s/%s", directory, spec->name);
        if (access(path, F_OK) == 0) {
            option_value_give(spec, &o->values[i], SOURCE_CREDENTIAL, path);
        }
        free(path);
    }
}

/* The value of one that may be in a file, where that is named by a stronger source. */
static int take_from_file(struct options *o, size_t i, struct err *err)
{
    char name[NAME_MAX_LEN];
    const char *key = o->program->specs[i].name;
    struct option_value *value = &o->values[i];
    size_t k = 0;

    snprintf(name, sizeof(name), "%s-file", key);
    while (strcmp(o->program->specs[k].name, name) != 0) {
        k++;
        BUG_ON(k == o->spec_count);
    }
    const struct option_value *file = &o->values[k];
    if (file->source == SOURCE_NONE || file->source > value->source) {
        return 0;
    }
    if (file->source == value->source) {
        return err_set(err, ERR_USAGE, "--%s and --%s are both given; keep one", key, name);
    }
    char *text = NULL;
    if (file_read_secret_line(file->texts[0], "a file with a secret", &text, err) != 0) {
        return err_wrap(err, "--%s", name);
    }
    option_value_give(&o->program->specs[i], value, file->source, text);
    value->line = file->line;
    explicit_bzero(text, strlen(text));
    free(text);
    return 0;
}

int options_take_files(struct options *o, struct err *err)
{
    int rc = 0;

    take_credentials(o);
    for (size_t i = 0; rc == 0 && i < o->spec_count; i++) {
        if (o->program->specs[i].flags & OPTION_IN_FILE) {
            rc = take_from_file(o, i, err);
        }
    }
    return rc;
}
