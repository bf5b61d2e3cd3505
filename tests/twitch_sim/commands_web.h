/* Commands of the web services; commands.h says what each takes. */
#ifndef SIM_COMMANDS_WEB_H
#define SIM_COMMANDS_WEB_H

#include "tests/twitch_sim/commands.h"

int command_app(struct sim *s, const struct command *cmd, struct json *out, struct err *err);
int command_grant(struct sim *s, const struct command *cmd, struct json *out, struct err *err);
int command_device(struct sim *s, const struct command *cmd, struct json *out, struct err *err);
int command_token(struct sim *s, const struct command *cmd, struct json *out, struct err *err);
int command_revoke(struct sim *s, const struct command *cmd, struct json *out, struct err *err);
int command_http(struct sim *s, const struct command *cmd, struct json *out, struct err *err);

#endif
