/* shoalctl: looks at a cluster and asks things of it. One file for each group of commands
 * (cmd_*.c), one table of them here. */
#include "coordinator/ctl/commands.h"

#include "shared/buf.h"
#include "shared/log.h"
#include "shared/secrecy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROW(name) &ctl_##name,
static const struct ctl_command *const commands[] = {CTL_COMMANDS(ROW)};

static const struct option_spec common[] = {
    OPTIONS_COMMON,
    {"json", OPTION_BOOL, 0, "false", 0, 0, NULL, "Print one JSON object a line.", NULL},
    {"timeout", OPTION_DURATION, 0, "30s", 1, 24LL * 3600 * 1000, "TIME",
     "How long to wait for an answer.", NULL},
};
static struct option_spec specs[80];

static bool has_spec(const struct option_spec *list, const char *name)
{
    while (list != NULL && list->name != NULL && strcmp(list->name, name) != 0) {
        list++;
    }
    return list != NULL && list->name != NULL;
}

/* What is common, and each command's own: several may share one. */
static void specs_make(void)
{
    size_t n = ARRAY_LEN(common);

    memcpy(specs, common, sizeof(common));
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        const struct option_spec *own = commands[i]->options;
        for (; own != NULL && own->name != NULL; own++) {
            BUG_ON(n + 1 == ARRAY_LEN(specs));
            if (!has_spec(specs, own->name)) {
                specs[n++] = *own;
            }
        }
    }
}

/* For --help. */
static const struct group {
    const char *heading;
    const struct ctl_command *first;
} groups[] = {
    {"Commands that look:", &ctl_status},
    {"Commands for channels and chat:", &ctl_join},
    {"Commands for the cluster:", &ctl_config},
};

/* More text for --help; the caller frees it. */
static char *epilogue_make(void)
{
    char *text = NULL;
    size_t len;
    FILE *to = open_memstream(&text, &len);
    const struct group *group = groups;

    BUG_ON(to == NULL);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        const struct ctl_command *command = commands[i];
        char *usage =
            xasprintf("%s%s%s", command->name, command->args[0] ? " " : "", command->args);
        if (group < groups + ARRAY_LEN(groups) && group->first == command) {
            fprintf(to, "%s%s\n", i > 0 ? "\n" : "", group->heading);
            group++;
        }
        options_print_item(to, usage, command->help);
        free(usage);
    }
    fputs("\n" OPTIONS_EXIT_STATUS, to);
    BUG_ON(fclose(to) != 0);
    return text;
}

static const struct ctl_command *command_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (strcmp(commands[i]->name, name) == 0) {
            return commands[i];
        }
    }
    return NULL;
}

static int unknown_command(const char *name)
{
    const struct ctl_command *nearest = commands[0];

    for (size_t i = 1; i < ARRAY_LEN(commands); i++) {
        if (options_typos(name, commands[i]->name) < options_typos(name, nearest->name)) {
            nearest = commands[i];
        }
    }
    bool near = options_typos(name, nearest->name) <= 2;
    return ctl_fail(CTL_USAGE, "unknown command \"%s\"; %s%s%sshoalctl --help lists them", name,
                    near ? "did you mean " : "", near ? nearest->name : "", near ? "? " : "");
}

static int no_command(void)
{
    struct buf names;

    buf_init(&names, 4096);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        buf_printf(&names, "%s%s", i > 0 ? ", " : "", commands[i]->name);
    }
    int code = ctl_fail(CTL_USAGE, "which command? One of %s; shoalctl --help says what they do",
                        names.data);
    buf_finish(&names);
    return code;
}

/* An option that this command does not know was meant to do something: say so. The file and the
 * environment are for all of them. */
static int check_own_options(const struct options *o, const struct ctl_command *command)
{
    for (const struct option_spec *s = specs + ARRAY_LEN(common); s->name != NULL; s++) {
        if (options_is_flag(o, s->name) && !has_spec(command->options, s->name)) {
            return ctl_fail(CTL_USAGE, "--%s does not belong to %s", s->name, command->name);
        }
    }
    return CTL_DONE;
}

static int run_command(const struct options *o)
{
    const struct ctl_command *command = command_find(options_arg(o, 0));
    struct ctl c;

    if (command == NULL) {
        return unknown_command(options_arg(o, 0));
    }
    int code = check_own_options(o, command);
    if (code != CTL_DONE) {
        return code;
    }
    ctl_open(&c, o, command);
    code = command->args[0] == '\0' && c.nargs > 0 ? ctl_usage(&c) : command->run(&c);
    ctl_close(&c);
    if (code == CTL_DONE && ctl_flush() != CTL_DONE) {
        code = CTL_FAILED; /* nobody got what was printed */
    }
    return code == CTL_ENDED ? CTL_DONE : code;
}

int main(int argc, char **argv)
{
    char *epilogue = epilogue_make();
    struct options_program program = {
        .name = "shoalctl",
        .purpose = "Looks at a cluster of Twitch chat shards and asks things of it.",
        .usage = "COMMAND [ARG...]",
        .epilogue = epilogue,
        .specs = specs,
        .common = ARRAY_LEN(common),
        .shares_file = true,
        .takes_arguments = true,
    };
    struct options *options = NULL;
    struct err err = {0};
    int code = CTL_DONE;

    secrecy_begin();
    specs_make();
    enum options_outcome outcome = options_parse(&program, argc, argv, &options, &err);
    if (outcome == OPTIONS_ERROR) {
        code = ctl_fail(CTL_USAGE, "%s", err.text);
    } else if (outcome == OPTIONS_RUN && options_argc(options) == 0) {
        code = no_command();
    } else if (outcome == OPTIONS_RUN && strcmp(options_arg(options, 0), "help") == 0) {
        char word[] = "--help";
        char *help[] = {argv[0], word, NULL};
        options_destroy(options);
        code =
            options_parse(&program, 2, help, &options, &err) == OPTIONS_DONE ? CTL_DONE : CTL_USAGE;
    } else if (outcome == OPTIONS_RUN) {
        code = run_command(options);
    }
    options_destroy(options);
    free(epilogue);
    return code;
}
