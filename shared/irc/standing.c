/* Standing: the tag `mod`, and badges ("broadcaster/1,subscriber/12"). See standing.h. */
#include "shared/irc/standing.h"

#include <string.h>

static const char *const moderators[] = {"broadcaster", "moderator", "lead_moderator"};
static const char *const names[] = {
    [IRC_STANDING_NONE] = "none",
    [IRC_STANDING_VIP] = "vip",
    [IRC_STANDING_MODERATOR] = "moderator",
};

/* What a badge ("vip/1") says of who has it. */
static enum irc_standing of_badge(struct slice badge)
{
    const char *slash = badge.len > 0 ? memchr(badge.ptr, '/', badge.len) : NULL;
    struct slice name = {badge.ptr, slash != NULL ? (size_t)(slash - badge.ptr) : 0};

    if (slice_is_one_of(name, moderators, ARRAY_LEN(moderators))) {
        return IRC_STANDING_MODERATOR;
    }
    return slice_is(name, "vip") ? IRC_STANDING_VIP : IRC_STANDING_NONE;
}

enum irc_standing irc_standing(const struct irc_line *userstate)
{
    enum irc_standing best = IRC_STANDING_NONE;
    struct slice value;

    if (irc_tag(userstate, "mod", &value) && slice_is(value, "1")) {
        return IRC_STANDING_MODERATOR;
    }
    if (!irc_tag(userstate, "badges", &value)) {
        return IRC_STANDING_NONE;
    }
    while (value.len > 0) {
        const char *comma = memchr(value.ptr, ',', value.len);
        size_t n = comma == NULL ? value.len : (size_t)(comma - value.ptr);
        enum irc_standing standing = of_badge((struct slice){value.ptr, n});

        best = standing > best ? standing : best;
        n += comma == NULL ? 0 : 1;
        value = (struct slice){value.ptr + n, value.len - n};
    }
    return best;
}

const char *irc_standing_name(enum irc_standing standing)
{
    return names[standing];
}
