/* Options: one table per program feeds flags, environment, file, --help, --print-config and docs.
 *
 * `--redis-url X`, `--redis-url=X`, SHOAL_REDIS_URL and `redis_url = X` in the file given with
 * --config (default /etc/shoal/shoal.conf, if it is there) mean the same. The command line wins
 * over the environment, the environment over the file, the file over the default. The file is read
 * by inih (`key = value`, `;` and `#` comments); several programs may share one file, so a key that
 * belongs to another Shoal program (options_keys.c lists them all) is passed over, any other is an
 * error.
 *
 * A variable that is set but empty, and a key without a value, count as not given; SHOAL_*
 * variables of other programs are ignored. `--config=` reads no file; SHOAL_CONFIG names one as
 * --config does. In the file a key stands once unless it is repeatable (pairs.h tells the rest). A
 * value is judged only where it is in force. Abbreviated flags are refused.
 *
 * An option that names a FILE and is given nowhere is the credential of its name, where the service
 * manager passes one on (CREDENTIALS_DIRECTORY, see systemd's LoadCredential=).
 *
 * Every program has --help, --version, --config FILE, --check, --print-config and --print-example
 * without listing them. Flags of bool options take no value (`--json`), or `--json=false`.
 * Repeatable options (OPTION_REPEAT) collect values: on the command line one a flag, in environment
 * and file several separated by spaces. */
#ifndef SHOAL_OPTIONS_H
#define SHOAL_OPTIONS_H

#include "shared/ca_store.h"
#include "shared/err.h"

#include <stdio.h>

enum option_type {
    OPTION_STRING,
    OPTION_INT,      /* decimal, within min..max (both 0: no bounds; so for the next two) */
    OPTION_BOOL,     /* true/false, yes/no, on/off, 1/0 */
    OPTION_BYTES,    /* decimal with optional k, m, g (powers of 1024), within min..max */
    OPTION_DURATION, /* kept in ms; "500ms", "3s", "5m", "1h", or a plain number of seconds */
};

enum option_flag {
    OPTION_SECRET = 1, /* --print-config shows "(secret)"; a password inside a URL is masked */
    OPTION_REPEAT = 2, /* may be given several times (strings only) */
    OPTION_RELOAD = 4, /* may change while the program runs */
    OPTION_CODE = 8,   /* may name a !COMMAND or an object: not from a file that others may write */
    /* Or it is the one line of the file that the option NAME-file names, which nobody else may
     * read. The stronger source wins; of one source only one may be given. */
    OPTION_IN_FILE = 16,
};

struct option_spec {
    const char *name; /* long flag without dashes: "redis-url" */
    enum option_type type;
    unsigned flags;
    const char *fallback; /* default as text; NULL: none */
    int64_t min;          /* OPTION_INT, OPTION_BYTES, OPTION_DURATION (ms) */
    int64_t max;
    const char *metavar; /* "URL" in --help; "FILE": it may be a credential */
    const char *help;    /* one sentence */
    /* Validates further (NULL: nothing to check): 0, or -ERR_USAGE with what is wrong in err. */
    int (*check)(const char *value, struct err *err);
};

/* For the epilogue of those programs that keep to them (err_exit_code). A heading that is followed
 * by an indented line becomes a section of the man page. */
#define OPTIONS_EXIT_STATUS                                                                        \
    "Exit status:\n"                                                                               \
    "  0         Done.\n"                                                                          \
    "  1         Refused or failed.\n"                                                             \
    "  2         Wrong usage or configuration.\n"                                                  \
    "  3         Redis is out of reach.\n"

struct options;

struct options_program {
    const char *name;    /* "shoal-node" */
    const char *purpose; /* one sentence */
    const char
        *usage; /* what follows the options in the usage line, e.g. "COMMAND [ARG...]" or "" */
    const char *epilogue;            /* more lines for --help, or NULL */
    const struct option_spec *specs; /* closed by an entry without name */
    size_t common;                   /* those behind so many of them belong to single commands, for
                                      * --help; 0: all are alike */
    bool shares_file;                /* its keys must be in options_keys.c: a bug otherwise */
    bool takes_arguments;            /* false: any non-option argument is an error */
    /* What is allowed and yet unwise in this configuration, as one line (static), or NULL: --check
     * says it on standard error, options_warn in the log. May be NULL. */
    const char *(*warning)(const struct options *o);
};

enum options_outcome {
    OPTIONS_RUN,   /* go on */
    OPTIONS_DONE,  /* --help, --version, --check, --print-...: printed to stdout, exit 0 */
    OPTIONS_ERROR, /* err says what; print it to stderr as "NAME: TEXT", exit 2 */
};

/* Read everything. On OPTIONS_RUN `*out` is set (options_destroy it); else it is NULL. argv is not
 * changed. Flags end at "--" or, when the program takes arguments, may be mixed with them. Errors
 * name the option, where its value came from (flag, SHOAL_X, FILE:LINE) and what is allowed. */
MUST_USE enum options_outcome options_parse(const struct options_program *program, int argc,
                                            char **argv, struct options **out, struct err *err);
void options_destroy(struct options *o);

/* Read everything again (SIGHUP), with the same command line: 0 and *fresh, or -ERR_USAGE as
 * options_parse says it; nothing else happens. `argv` must still be as it was. */
MUST_USE int options_read_again(const struct options *o, struct options **fresh, struct err *err);
/* *fresh* takes the place of *o. Of options without OPTION_RELOAD the former values stay, and what
 * was borrowed of them; where they differ, that is logged in the name of `room`. */
void options_go_over(struct options **o, struct options *fresh, const char *room);

/* The value in force; NULL where none was given and there is no default. Borrowed. A name that is
 * not in the table is a bug. */
const char *options_string(const struct options *o, const char *name);
/* OPTION_INT, OPTION_BYTES (bytes), OPTION_DURATION (ms). The option must have a value. */
int64_t options_int(const struct options *o, const char *name);
bool options_bool(const struct options *o, const char *name);
/* Was it given on the command line? */
bool options_is_flag(const struct options *o, const char *name);
/* Values of an OPTION_REPEAT option: number and i-th. */
size_t options_count(const struct options *o, const char *name);
const char *options_at(const struct options *o, const char *name, size_t i);
/* Arguments that are no options, in order. */
size_t options_argc(const struct options *o);
const char *options_arg(const struct options *o, size_t i);

/* How many letters must be put in, left out, changed or swapped to make the one word of the other;
 * SIZE_MAX for words of more than 60 letters. */
size_t options_typos(const char *a, const char *b);
/* An item and its text as --help prints an option and its help: for epilogues. */
void options_print_item(FILE *to, const char *head, const char *text);

/* What all programs share: --redis-url, --redis-tls-ca, --cluster (and for daemons --log-level,
 * --log-format): put these in the table with OPTIONS_COMMON / OPTIONS_DAEMON. */
int options_check_redis_url(const char *value, struct err *err);
int options_check_cluster(const char *value, struct err *err);
int options_check_log_level(const char *value, struct err *err);
int options_check_log_format(const char *value, struct err *err);
/* The log as --log-level and --log-format say. */
void options_set_up_log(const struct options *o);
/* Log the program's warning about its configuration, if there is one, in the name of `room`. */
void options_warn(const struct options *o, const char *room);
#define OPTIONS_COMMON                                                                             \
    {.name = "redis-url",                                                                          \
     .flags = OPTION_SECRET | OPTION_RELOAD | OPTION_IN_FILE,                                      \
     .fallback = "redis://127.0.0.1:6379",                                                         \
     .metavar = "URL",                                                                             \
     .help = "Redis: redis://[user[:password]@]host[:port][/db], or rediss:// for TLS.",           \
     .check = options_check_redis_url},                                                            \
        {.name = "redis-url-file",                                                                 \
         .flags = OPTION_RELOAD,                                                                   \
         .metavar = "FILE",                                                                        \
         .help = "File with that URL as its one line; only its owner may read it."},               \
        {.name = "redis-tls-ca",                                                                   \
         .metavar = "FILE",                                                                        \
         .help =                                                                                   \
             "CA certificates (PEM) to verify a rediss:// server with; default: the system's.",    \
         .check = ca_store_check},                                                                 \
    {                                                                                              \
        .name = "cluster", .fallback = "main", .metavar = "NAME",                                  \
        .help = "The cluster's name: 1 to 32 of a-z 0-9 _ -.", .check = options_check_cluster      \
    }
/* Of those that open or seal accounts (seal.h). `look` NULL: it is read where it is used. */
#define OPTIONS_ACCOUNT_KEYS(look)                                                                 \
    {.name = "account-keys",                                                                       \
     .metavar = "FILE",                                                                            \
     .help = "Keys that seal and open the accounts in Redis, one a line (shoalctl keygen); "       \
             "only its owner may read it.",                                                        \
     .check = (look)}
/* Of those that ask Twitch's web services. */
#define OPTIONS_TWITCH_API                                                                         \
    {.name = "twitch-api-url",                                                                     \
     .fallback = "https://api.twitch.tv",                                                          \
     .metavar = "URL",                                                                             \
     .help = "Twitch's API (Helix).",                                                              \
     .check = url_check_http},                                                                     \
    {                                                                                              \
        .name = "http-proxy", .metavar = "URL",                                                    \
        .help = "HTTP proxy on the way there (chat takes none); the environment's is never used.", \
        .check = url_check_http                                                                    \
    }
#define OPTIONS_DAEMON                                                                             \
    {.name = "log-level",                                                                          \
     .flags = OPTION_RELOAD,                                                                       \
     .fallback = "info",                                                                           \
     .metavar = "LEVEL",                                                                           \
     .help = "error, warn, info or debug.",                                                        \
     .check = options_check_log_level},                                                            \
    {                                                                                              \
        .name = "log-format", .flags = OPTION_RELOAD, .fallback = "text", .metavar = "FORMAT",     \
        .help = "text or json.", .check = options_check_log_format                                 \
    }

#endif
