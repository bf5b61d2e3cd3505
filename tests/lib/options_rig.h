/* Options rig: two programs with options of every kind, and their configuration file. */
#ifndef SHOAL_TESTS_OPTIONS_RIG_H
#define SHOAL_TESTS_OPTIONS_RIG_H

#include "shared/options_private.h"

extern const struct options_program daemon_program;
extern const struct options_program tool_program; /* takes arguments */

extern char path[64]; /* of the configuration file, in a directory of its own */
/* What the newest parse gave. */
extern struct options *opts;
extern struct err err;

/* Setup and teardown (cmocka) of the group, and the teardown of each test. */
int make_directory(void **state);
int remove_directory(void **state);
int teardown(void **state);

/* Parse the words of `line`; "%" in it is the path of the file. */
enum options_outcome parse(const struct options_program *program, const char *line);
/* The daemon's, which must be right. */
void run(const char *line);
/* What a parse printed to standard output. */
char *printed(const struct options_program *program, const char *line);
/* A parse that must fail, and say that. */
void refuses(const struct options_program *program, const char *line, const char *says);

/* The content of the file. */
void write_file(const char *content, size_t len);
void write_text(const char *content);

#endif
