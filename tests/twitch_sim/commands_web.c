/* Applications, tokens, device codes, and faults of the web services. */
#include "tests/twitch_sim/commands_web.h"

#include "tests/twitch_sim/device.h"
#include "tests/twitch_sim/room.h"
#include "tests/twitch_sim/web.h"
#include "tests/twitch_sim/web_log.h"

#include "shared/irc/parse.h"

#include <stdio.h>
#include <string.h>

#define ID_CHARACTERS "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"

int command_app(struct sim *s, const struct command *cmd, struct json *out, struct err *err)
{
    char made[31];
    const char *secret = made;

    if (cmd->nwords == 0 || strlen(cmd->words[0]) >= TOKEN_CHARS ||
        strspn(cmd->words[0], ID_CHARACTERS) != strlen(cmd->words[0])) {
        return err_set(err, ERR_USAGE, "app: a name of letters, digits, - and _");
    }
    random_hex(made, 15);
    for (size_t i = 1; i < cmd->nwords; i++) {
        secret = strcmp(cmd->words[i], "public") != 0 ? cmd->words[i] : secret;
    }
    if (strlen(secret) >= TOKEN_CHARS) {
        return err_set(err, ERR_USAGE, "app: a secret has less than %d characters", TOKEN_CHARS);
    }
    secret = command_has(cmd, "public") ? NULL : secret;
    json_string(out, "client_id", tokens_put_app(s->tokens, cmd->words[0], secret)->id);
    json_string(out, "client_secret", secret);
    return 0;
}

/* The account of a login; it is made if it is not there. */
static int need_account(struct sim *s, const char *login, struct user **out, struct err *err)
{
    char name[IRC_CHANNEL_CHARS];

    if (login == NULL || !irc_channel_normalise(slice_of(login), name, sizeof(name))) {
        return err_set(err, ERR_USAGE, "which login?");
    }
    *out = user_find(s->users, name);
    if (*out == NULL) {
        *out = user_put(&s->users, name, NULL, false);
    }
    return 0;
}

int command_grant(struct sim *s, const struct command *cmd, struct json *out, struct err *err)
{
    struct user *u = NULL;
    char id[24];

    if (cmd->nwords != 3) {
        return err_set(err, ERR_USAGE, "grant: LOGIN CLIENT SCOPE,SCOPE... [ttl=MS]");
    }
    const struct application *app = tokens_app(s->tokens, cmd->words[1]);
    if (app == NULL) {
        return err_set(err, ERR_USAGE, "grant: no application is called \"%s\"", cmd->words[1]);
    }
    int rc = need_account(s, cmd->words[0], &u, err);
    if (rc != 0) {
        return rc;
    }
    struct issued tokens = tokens_grant(s->tokens, app, u->login, cmd->words[2],
                                        command_number(cmd, "ttl", 0), mono_ms());
    (void)snprintf(id, sizeof(id), "%llu", (unsigned long long)u->id);
    json_string(out, "access_token", tokens.access->text);
    json_string(out, "refresh_token", tokens.refresh->text);
    json_string(out, "scopes", tokens.access->scopes);
    json_string(out, "user_id", id);
    return 0;
}

int command_device(struct sim *s, const struct command *cmd, struct json *out, struct err *err)
{
    bool allow = cmd->nwords == 3 && strcmp(cmd->words[0], "allow") == 0;
    struct user *u = NULL;

    (void)out;
    if (!allow && (cmd->nwords < 2 || strcmp(cmd->words[0], "deny") != 0)) {
        return err_set(err, ERR_USAGE, "device: allow USER_CODE LOGIN, or deny USER_CODE");
    }
    int rc = allow ? need_account(s, cmd->words[2], &u, err) : 0;
    if (rc == 0 && !device_decide(s->tokens, cmd->words[1], allow ? u->login : NULL, mono_ms())) {
        rc = err_set(err, ERR_USAGE, "device: nobody waits for the code \"%s\"", cmd->words[1]);
    }
    return rc;
}

/* The token of --users, too. */
static size_t expire(struct sim *s, const char *text_or_login)
{
    size_t n = tokens_expire(s->tokens, text_or_login, mono_ms());

    for (struct user *u = s->users; u != NULL; u = u->hh.next) {
        if (u->token != NULL && !u->revoked &&
            (strcmp(u->token, text_or_login) == 0 || strcmp(u->login, text_or_login) == 0)) {
            u->revoked = true;
            n++;
        }
    }
    return n;
}

int command_token(struct sim *s, const struct command *cmd, struct json *out, struct err *err)
{
    const char *what = cmd->nwords == 2 ? cmd->words[0] : "";
    uint64_t ms;

    if (strcmp(what, "ttl") == 0 && slice_to_u64(slice_of(cmd->words[1]), &ms) &&
        ms <= TOKEN_APP_TTL) {
        s->tokens->ttl_ms = ms;
        return 0;
    }
    if (strcmp(what, "expire") == 0) {
        size_t n = expire(s, cmd->words[1]);

        json_number(out, "ended", (int64_t)n);
        return n > 0 ? 0 : err_set(err, ERR_USAGE, "token: there is no such token, or no more");
    }
    return err_set(err, ERR_USAGE, "token: expire TOKEN or LOGIN, or ttl MS");
}

int command_revoke(struct sim *s, const struct command *cmd, struct json *out, struct err *err)
{
    struct user *u = cmd->nwords > 0 ? user_find(s->users, cmd->words[0]) : NULL;

    (void)out;
    if (u == NULL) {
        return err_set(err, ERR_USAGE, "revoke: no user \"%s\"",
                       cmd->nwords > 0 ? cmd->words[0] : "");
    }
    u->revoked = true;
    tokens_disconnect(s->tokens, u->login);
    return 0;
}

int command_http(struct sim *s, const struct command *cmd, struct json *out, struct err *err)
{
    const char *what = cmd->nwords > 0 ? cmd->words[0] : "";
    struct web_fault fault;

    if (strcmp(what, "off") == 0) {
        web_fault_clear(&s->web->faults);
        return 0;
    }
    if (strcmp(what, "log") == 0) {
        web_log_write(s->web->counts, command_has(cmd, "requests") ? NULL : s->tokens, out);
        return 0;
    }
    if ((what[0] != '/' && strcmp(what, "*") != 0) || strlen(what) >= sizeof(fault.path)) {
        return err_set(err, ERR_USAGE, "http: log, off, or a PATH (or *) and a fault");
    }
    int rc = web_fault_parse(cmd, &fault, err);
    if (rc == 0) {
        web_fault_put(&s->web->faults, &fault);
    }
    return rc;
}
