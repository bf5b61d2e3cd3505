/* Account show: one account as it stands in Redis. */
#ifndef SHOAL_CTL_ACCOUNT_SHOW_H
#define SHOAL_CTL_ACCOUNT_SHOW_H

#include "coordinator/ctl/ctl.h"

/* Print all that is known of it, a field a line, or as one object with --json. CTL_DONE, or the
 * exit code after the reason was told; there may be no such account. */
MUST_USE int account_show(struct ctl *c, const char *login);
/* It was asked for that its tokens are ended at Twitch: wait until that is done and the account is
 * gone, and tell it. CTL_DONE, or the exit code after it was told why that is not so yet. */
MUST_USE int account_await_revoked(struct ctl *c, const char *login);

#endif
