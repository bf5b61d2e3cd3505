/* shoalctl: may this user do what the command needs? Asked first, so that all that is missing is
 * named at once. */
#include "coordinator/ctl/ctl.h"

static void on_rights(void *ctx, const struct err *missing, bool transactions)
{
    (void)transactions;
    ctl_answered(ctx, missing);
}

int ctl_check_rights(struct ctl *c)
{
    const struct link_options link = {
        .url = &c->url, .tls_ca = options_string(c->options, "redis-tls-ca"), .name = "shoalctl"};
    unsigned who = c->needs;
    const char *name = c->nargs > 0 && who & (RIGHTS_SEND | RIGHTS_TAIL) ? ctl_arg(c, 0) : "*";

    if (who == 0) {
        return CTL_DONE;
    }
    c->needs = 0;
    c->asking = true;
    struct rights *rights = rights_ask(&c->loop.uv, &link, options_string(c->options, "cluster"),
                                       who, name, on_rights, c);
    while (c->asking) {
        if (ctl_is_over(c)) {
            rights_close(rights);
            c->asking = false;
            return ctl_over(c, "Redis's answer");
        }
        ctl_turn(c);
    }
    return c->answer.code ? ctl_fail(err_exit_code(c->answer.code), "%s", c->answer.text)
                          : CTL_DONE;
}
