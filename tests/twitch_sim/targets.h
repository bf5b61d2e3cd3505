/* Targets: commands that do something to each of some connections (commands.h says what). */
#ifndef SIM_TARGETS_H
#define SIM_TARGETS_H

#include "tests/twitch_sim/commands.h"
#include "tests/twitch_sim/conn.h"

/* Does it to one connection: 0, or -ERR_USAGE for what is wrong with the command. */
typedef int (*target_fn)(struct conn *c, const struct command *cmd, struct err *err);

/* Find the connections the command names, do it to each, and answer how many they were. */
int targets_each(struct sim *s, const struct command *cmd, target_fn fn, struct json *out,
                 struct err *err);

/* One for each such command. */
int target_silence(struct conn *c, const struct command *cmd, struct err *err);
int target_slow(struct conn *c, const struct command *cmd, struct err *err);
int target_pause(struct conn *c, const struct command *cmd, struct err *err);
int target_half_open(struct conn *c, const struct command *cmd, struct err *err);
int target_lag(struct conn *c, const struct command *cmd, struct err *err);
int target_swap(struct conn *c, const struct command *cmd, struct err *err);
int target_disconnect(struct conn *c, const struct command *cmd, struct err *err);
int target_reconnect(struct conn *c, const struct command *cmd, struct err *err);
int target_raw(struct conn *c, const struct command *cmd, struct err *err);
int target_garbage(struct conn *c, const struct command *cmd, struct err *err);
int target_flood(struct conn *c, const struct command *cmd, struct err *err);
int target_longline(struct conn *c, const struct command *cmd, struct err *err);

#endif
