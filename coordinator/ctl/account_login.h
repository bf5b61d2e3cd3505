/* Account login: the device code flow (RFC 8628, dev.twitch.tv/docs/authentication): somebody opens
 * a URL, confirms a code, and this program gets the tokens. */
#ifndef SHOAL_CTL_ACCOUNT_LOGIN_H
#define SHOAL_CTL_ACCOUNT_LOGIN_H

#include "coordinator/ctl/ctl.h"
#include "coordinator/options/twitch_settings.h"
#include "shared/account_secret.h"

/* Show where to log in, and wait until that was done. CTL_DONE with the login and its tokens, or
 * the exit code after the reason was printed. */
MUST_USE int account_login(struct ctl *c, const struct twitch_settings *settings,
                           const char *scopes, char login[26], struct account_secret *secret);

#endif
