/* Options rig: see options_rig.h. */
#include "tests/lib/options_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static int check_even(const char *value, struct err *why)
{
    return atoi(value) % 2 == 0 ? 0 : err_set(why, ERR_USAGE, "\"%s\" is odd", value);
}

static const struct option_spec specs[] = {
    OPTIONS_COMMON,
    OPTIONS_DAEMON,
    {"capacity", OPTION_INT, 0, "10", 1, 100, "N", "How many.", NULL},
    {"offset", OPTION_INT, 0, NULL, -5, 5, "N", "May be negative.", NULL},
    {"any", OPTION_INT, 0, NULL, 0, 0, "N", "No bounds.", check_even},
    {"buffer-bytes", OPTION_BYTES, 0, "64k", 1024, 1 << 30, "BYTES", "Buffer.", NULL},
    {"timeout", OPTION_DURATION, OPTION_RELOAD, "30s", 100, 3600000, "TIME", "Wait.", NULL},
    {"json", OPTION_BOOL, 0, "false", 0, 0, NULL, "JSON.", NULL},
    {"set", OPTION_STRING, OPTION_REPEAT, NULL, 0, 0, "KEY=VALUE", "Settings.", NULL},
    {"program", OPTION_STRING, OPTION_CODE, NULL, 0, 0, "X", "May name code.", NULL},
    {"api-key", OPTION_STRING, OPTION_SECRET, NULL, 0, 0, "KEY", "A secret.", NULL},
    {0},
};
const struct options_program daemon_program = {
    .name = "shoal-test",
    .purpose = "Tests.",
    .usage = "",
    .specs = specs,
};
const struct options_program tool_program = {
    .name = "shoaltool",
    .purpose = "Tests with arguments.",
    .usage = "COMMAND [ARG...]",
    .epilogue = "The end.\n",
    .specs = specs,
    .takes_arguments = true,
};

static char directory[] = "/tmp/test_options_XXXXXX";
char path[64];
struct options *opts;
struct err err;

int make_directory(void **state)
{
    (void)state;
    extern char **environ;
    for (char **at = environ; *at;) {
        if (strncmp(*at, "SHOAL_", 6) == 0) {
            char name[100];
            snprintf(name, sizeof(name), "%.*s", (int)strcspn(*at, "="), *at);
            unsetenv(name);
        } else {
            at++;
        }
    }
    if (!mkdtemp(directory)) {
        return -1;
    }
    snprintf(path, sizeof(path), "%s/shoal.conf", directory);
    return 0;
}

int remove_directory(void **state)
{
    (void)state;
    return rmdir(directory);
}

int teardown(void **state)
{
    (void)state;
    static const char *const names[] = {"SHOAL_CAPACITY", "SHOAL_CONFIG",    "SHOAL_JSON",
                                        "SHOAL_SET",      "SHOAL_REDIS_URL", "SHOAL_NO_SUCH"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        unsetenv(names[i]);
    }
    options_destroy(opts);
    opts = NULL;
    unlink(path);
    return 0;
}

enum options_outcome parse(const struct options_program *program, const char *line)
{
    static char words[1024];
    static char name[] = "prog";
    static char *argv[40] = {name}; /* to be read again */
    char *rest = words;
    int argc = 1;
    snprintf(words, sizeof(words), "%s", line);
    for (char *word; (word = strsep(&rest, " ")) != NULL;) {
        if (*word) {
            argv[argc++] = strcmp(word, "%") == 0 ? path : word;
        }
    }
    options_destroy(opts);
    err = (struct err){0};
    return options_parse(program, argc, argv, &opts, &err);
}

void run(const char *line)
{
    if (parse(&daemon_program, line) != OPTIONS_RUN) {
        fail_msg("%s: %s", line, err.text);
    }
}

void write_file(const char *content, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_return_code(fd, errno);
    assert_int_equal(write(fd, content, len), len);
    close(fd);
}

void write_text(const char *content)
{
    write_file(content, strlen(content));
}

char *printed(const struct options_program *program, const char *line)
{
    static char text[16384];
    int saved = dup(STDOUT_FILENO);
    FILE *file = tmpfile();
    assert_non_null(file);
    fflush(stdout);
    dup2(fileno(file), STDOUT_FILENO);
    enum options_outcome outcome = parse(program, line);
    fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    rewind(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    if (outcome != OPTIONS_DONE) {
        fail_msg("%s: %s", line, err.text);
    }
    assert_null(opts);
    return text;
}

void refuses(const struct options_program *program, const char *line, const char *says)
{
    assert_int_equal(parse(program, line), OPTIONS_ERROR);
    assert_null(opts);
    assert_int_equal(err.code, ERR_USAGE);
    if (!strstr(err.text, says)) {
        fail_msg("%s: \"%s\" lacks \"%s\"", line, err.text, says);
    }
}
