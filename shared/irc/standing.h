/* Standing: as what a user stands in a channel, which its USERSTATE says.
 *
 * Moderators and the broadcaster have wider limits and no pace, VIPs no pace (twitch.md). */
#ifndef SHOAL_IRC_STANDING_H
#define SHOAL_IRC_STANDING_H

#include "shared/irc/parse.h"

enum irc_standing {
    IRC_STANDING_NONE,
    IRC_STANDING_VIP,
    IRC_STANDING_MODERATOR, /* or broadcaster */
};

/* What this USERSTATE says. */
enum irc_standing irc_standing(const struct irc_line *userstate);
/* "none", "vip", "moderator": as the steps say it. */
const char *irc_standing_name(enum irc_standing standing);

#endif
