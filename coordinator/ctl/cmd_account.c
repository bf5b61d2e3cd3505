/* shoalctl account: Twitch users whose tokens the cluster keeps valid. Tokens are sealed here, and
 * leave this program in no other way. */
#include "coordinator/ctl/account_login.h"
#include "coordinator/ctl/account_show.h"
#include "coordinator/ctl/ask.h"
#include "coordinator/ctl/commands.h"
#include "shared/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_FILE_MAX 4096

static const struct option_spec account_options[] = {
    OPTIONS_ACCOUNT_KEYS(NULL), /* keygen makes it, and most commands never look */
    {"token-file", OPTION_STRING, 0, NULL, 0, 0, "FILE",
     "account add: the access token on the first line, and the refresh token, if there is one, on "
     "the "
     "second.",
     NULL},
    {"reads", OPTION_BOOL, 0, "false", 0, 0, NULL, "account login: it reads, and does not speak.",
     NULL},
    {"says", OPTION_BOOL, 0, "false", 0, 0, NULL, "account login: it speaks, and does not read.",
     NULL},
    TWITCH_SETTINGS_SPECS,
    {0},
};

/* One line of the file into `out`, without "oauth:"; false: it is no token. */
static bool take_line(const char **at, char out[ACCOUNT_TOKEN_CHARS])
{
    size_t len = strcspn(*at, "\r\n");
    const char *text = *at;

    *at += len;
    *at += strspn(*at, "\r\n");
    if (len > 6 && strncmp(text, "oauth:", 6) == 0) {
        text += 6;
        len -= 6;
    }
    if (len >= ACCOUNT_TOKEN_CHARS) {
        return false;
    }
    memcpy(out, text, len);
    out[len] = '\0';
    for (size_t i = 0; i < len; i++) {
        if (text[i] <= ' ' || text[i] >= 0x7f) {
            return false;
        }
    }
    return true;
}

static int read_tokens(const char *path, struct account_secret *out)
{
    struct file f;
    struct err err;

    if (file_read_secret(path, "a file with tokens", TOKEN_FILE_MAX, &f, &err) != 0) {
        return ctl_fail(CTL_USAGE, "--token-file %s", err.text);
    }
    const char *at = f.text;
    bool right = take_line(&at, out->access) && take_line(&at, out->refresh) && *at == '\0' &&
                 out->access[0] != '\0';
    file_finish(&f);
    return right ? CTL_DONE
                 : ctl_fail(CTL_USAGE,
                            "--token-file %s: the first line is the access token, the second, if "
                            "there is one, the refresh token",
                            path);
}

static int load_keys(struct ctl *c, struct seal_keys **keys)
{
    const char *path = options_string(c->options, "account-keys");
    struct err err;

    if (path == NULL) {
        return ctl_fail(CTL_USAGE, "--account-keys FILE is missing: the keys the coordinator has");
    }
    if (seal_keys_load(path, keys, &err) != 0) {
        return ctl_fail(CTL_USAGE, "--account-keys %s", err.text);
    }
    return CTL_DONE;
}

/* Seal them for the account, and have the coordinator put them there. */
static int put(struct ctl *c, const struct seal_keys *keys, const char *login,
               const struct account_secret *secret)
{
    char *sealed = account_secret_seal(keys, options_string(c->options, "cluster"), login, secret);
    const struct registry_pair fields[] = {{"account", login}, {"secret", sealed}};
    int code = ask_plainly(c, "account_put", fields, ARRAY_LEN(fields));
    free(sealed);
    return code;
}

static int run_add(struct ctl *c)
{
    const char *login = ctl_arg(c, 1);
    const char *path = options_string(c->options, "token-file");
    struct account_secret secret = {0};
    struct seal_keys *keys = NULL;

    if (path == NULL) {
        return ctl_fail(CTL_USAGE, "--token-file FILE is missing");
    }
    int code = read_tokens(path, &secret);
    code = code == CTL_DONE ? load_keys(c, &keys) : code;
    code = code == CTL_DONE ? put(c, keys, login, &secret) : code;
    account_secret_wipe(&secret);
    seal_keys_destroy(keys);
    return code;
}

/* One of what an account may do. */
static int allow(struct ctl *c, const char *login, const char *name, bool yes)
{
    const struct registry_pair fields[] = {
        {"account", login}, {"name", name}, {"value", yes ? "yes" : "no"}};

    return ask_plainly(c, "account_set", fields, ARRAY_LEN(fields));
}

static int run_login(struct ctl *c)
{
    bool reads_alone = options_bool(c->options, "reads");
    bool says_alone = options_bool(c->options, "says");
    bool reads = reads_alone || !says_alone;
    bool says = says_alone || !reads_alone;
    const char *scopes = !says    ? "chat:read"
                         : !reads ? "chat:edit user:write:chat user:bot"
                                  : "chat:read chat:edit user:write:chat user:bot";
    struct twitch_settings settings;
    struct account_secret secret = {0};
    struct seal_keys *keys = NULL;
    char login[26] = "";
    struct err err;

    if (options_string(c->options, "client-id") == NULL ||
        options_string(c->options, "account-keys") == NULL) {
        return ctl_fail(CTL_USAGE, "--client-id ID and --account-keys FILE are needed");
    }
    if (twitch_settings_read(c->options, &settings, &err) != 0) {
        return ctl_fail(CTL_USAGE, "--client-secret %s", err.text);
    }
    int code = load_keys(c, &keys);
    code = code == CTL_DONE ? account_login(c, &settings, scopes, login, &secret) : code;
    code = code == CTL_DONE ? put(c, keys, login, &secret) : code;
    code = code == CTL_DONE ? allow(c, login, "reads", reads) : code;
    code = code == CTL_DONE ? allow(c, login, "says", says) : code;
    if (code == CTL_DONE && !c->json) {
        ctl_say("%s is an account of this cluster now.", login);
    }
    account_secret_wipe(&secret);
    seal_keys_destroy(keys);
    twitch_settings_finish(&settings);
    return code;
}

/* What only looks asks for no more rights than that. */
static int run_list(struct ctl *c)
{
    c->needs = RIGHTS_VIEW;
    return list_run(c);
}

static int run_show(struct ctl *c)
{
    c->needs = RIGHTS_VIEW;
    return account_show(c, ctl_arg(c, 1));
}

/* The coordinator does it: "account_remove" LOGIN, "account_set" LOGIN NAME VALUE. */
static int run_asked(struct ctl *c)
{
    static const char *const names[] = {"account", "name", "value"};
    struct registry_pair fields[ARRAY_LEN(names)];
    size_t n = 0;
    char op[24];

    snprintf(op, sizeof(op), "account_%s", ctl_arg(c, 0));
    for (; n + 1 < c->nargs; n++) {
        fields[n] = (struct registry_pair){names[n], ctl_arg(c, n + 1)};
    }
    return ask_plainly(c, op, fields, n);
}

static int run_revoke(struct ctl *c)
{
    c->needs = RIGHTS_ADMIN | RIGHTS_VIEW;
    int code = run_asked(c);
    return code == CTL_DONE ? account_await_revoked(c, ctl_arg(c, 1)) : code;
}

static int run_account(struct ctl *c)
{
    static const struct {
        const char *op;
        size_t nargs; /* with the op */
        int (*run)(struct ctl *c);
    } ops[] = {
        {"list", 1, run_list},    {"show", 2, run_show}, {"login", 1, run_login},
        {"add", 2, run_add},      {"set", 4, run_asked}, {"revoke", 2, run_revoke},
        {"remove", 2, run_asked},
    };

    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        if (c->nargs == ops[i].nargs && strcmp(ctl_arg(c, 0), ops[i].op) == 0) {
            return ops[i].run(c);
        }
    }
    return ctl_usage(c);
}

CTL_COMMAND(account,
            "list | show LOGIN | login | add LOGIN | set LOGIN NAME VALUE | revoke LOGIN | "
            "remove LOGIN",
            "The Twitch users whose tokens are kept valid; those of tokens files are not among "
            "them. revoke ends its tokens at Twitch and removes it.",
            account_options, RIGHTS_ADMIN, run_account);
