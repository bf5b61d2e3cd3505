/* Room lines: see room_line.h. Nearly every line is a PRIVMSG, so that is looked at first. */
#include "shared/irc/room_line.h"

/* The NOTICEs that every member of a room sees; all others answer something this user did. */
static const char *const room_notices[] = {
    "slow_on",          "slow_off",       "subs_on",      "subs_off",
    "emote_only_on",    "emote_only_off", "followers_on", "followers_on_zero",
    "followers_onzero", "followers_off",  "r9k_on",       "r9k_off",
};

/* Commands with a channel that belong to the room. */
static const char *const room_commands[] = {"USERNOTICE", "CLEARCHAT", "CLEARMSG"};

/* Commands that are of no use without a channel. */
static const char *const channel_commands[] = {
    "PRIVMSG", "USERNOTICE", "CLEARCHAT", "CLEARMSG", "ROOMSTATE", "USERSTATE", "JOIN", "PART",
};

/* Commands that belong to the connection, whatever their parameters. */
static const char *const connection_commands[] = {
    "USERSTATE", "GLOBALUSERSTATE", "PING", "PONG", "RECONNECT", "WHISPER", "CAP",
    "NICK",      "ERROR",           "PASS", "QUIT",
};

static bool is_numeric(struct slice command)
{
    for (size_t i = 0; i < command.len; i++) {
        if (command.ptr[i] < '0' || command.ptr[i] > '9') {
            return false;
        }
    }
    return true;
}

bool irc_roomstate_partial(const struct irc_line *line)
{
    struct slice cursor = line->tags;
    struct slice key;
    struct slice value;
    bool room_id = false;
    size_t others = 0;

    while (irc_tag_next(&cursor, &key, &value)) {
        if (slice_is(key, "room-id")) {
            room_id = true;
        } else {
            others++;
        }
    }
    return room_id && others == 1;
}

static bool is_room_command(const struct irc_line *line, struct slice self_login)
{
    struct slice command = line->command;
    struct slice value;

    if (slice_is_one_of(command, room_commands, ARRAY_LEN(room_commands))) {
        return true;
    }
    if (slice_is(command, "NOTICE")) {
        return irc_tag(line, "msg-id", &value) &&
               slice_is_one_of(value, room_notices, ARRAY_LEN(room_notices));
    }
    if (slice_is(command, "ROOMSTATE")) {
        return irc_roomstate_partial(line);
    }
    if (slice_is(command, "JOIN") || slice_is(command, "PART")) {
        return line->nick.len > 0 && !slice_eq(line->nick, self_login);
    }
    return !is_numeric(command) &&
           !slice_is_one_of(command, connection_commands, ARRAY_LEN(connection_commands));
}

bool irc_lacks_channel(const struct irc_line *line)
{
    struct slice channel = irc_channel(line);
    struct slice value;

    if (irc_channel_valid(channel)) {
        return false;
    }
    if (slice_is_one_of(line->command, channel_commands, ARRAY_LEN(channel_commands))) {
        return true;
    }
    if (slice_is(line->command, "NOTICE")) {
        return irc_tag(line, "msg-id", &value) && line->nparams > 0 &&
               !slice_is(line->params[0], "*");
    }
    return channel.len > 0 && !is_numeric(line->command) &&
           !slice_is_one_of(line->command, connection_commands, ARRAY_LEN(connection_commands));
}

enum irc_kind irc_classify(const struct irc_line *line, struct slice self_login)
{
    if (!slice_is(line->command, "PRIVMSG") && !is_room_command(line, self_login)) {
        return IRC_CONNECTION_LINE;
    }
    return irc_channel_valid(irc_channel(line)) ? IRC_ROOM_LINE : IRC_CONNECTION_LINE;
}
