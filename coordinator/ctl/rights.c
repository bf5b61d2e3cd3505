/* shoalctl: may this user do what the command needs? Asked first, so that all that is missing is
 * named at once. */
#include "coordinator/ctl/rights.h"

#include <string.h>

/* What came back. */
struct asked {
    bool answered;
    struct err missing;
};

static void on_rights(void *ctx, const struct err *missing, bool transactions)
{
    struct asked *asked = ctx;

    (void)transactions;
    asked->answered = true;
    asked->missing = missing != NULL ? *missing : (struct err){0};
}

static unsigned needs(const struct ctl *c, const struct ctl_command *command)
{
    const char *first = c->nargs > 0 ? ctl_arg(c, 0) : "";

    for (size_t i = 0; i < ARRAY_LEN(command->needs_with); i++) {
        const char *with = command->needs_with[i].first;
        if (with != NULL && strcmp(with, first) == 0) {
            return command->needs_with[i].who;
        }
    }
    return command->needs;
}

int ctl_check_rights(struct ctl *c)
{
    const struct link_options link = {
        .url = &c->url, .tls_ca = options_string(c->options, "redis-tls-ca"), .name = "shoalctl"};
    unsigned who = c->rights_known ? 0 : needs(c, c->command);
    const char *name = c->nargs > 0 && who & (RIGHTS_SEND | RIGHTS_TAIL) ? ctl_arg(c, 0) : "*";
    struct asked asked = {0};

    c->rights_known = true;
    if (who == 0) {
        return CTL_DONE;
    }
    struct rights *rights = rights_ask(&c->loop.uv, &link, options_string(c->options, "cluster"),
                                       who, name, on_rights, &asked);
    while (!asked.answered) {
        if (ctl_is_over(c)) {
            rights_close(rights);
            return ctl_over(c, "Redis's answer");
        }
        ctl_turn(c);
    }
    return asked.missing.code
               ? ctl_fail(err_exit_code(asked.missing.code), "%s", asked.missing.text)
               : CTL_DONE;
}
