/* The commands of shoalctl, in the order of --help. Each is the `struct ctl_command ctl_NAME` of
 * its file. */
#ifndef SHOAL_CTL_COMMANDS_H
#define SHOAL_CTL_COMMANDS_H

#include "coordinator/ctl/ctl.h"
#include "shared/redis/look.h"

#define CTL_COMMANDS(X)                                                                            \
    X(status)                                                                                      \
    X(top)                                                                                         \
    X(channel)                                                                                     \
    X(channels)                                                                                    \
    X(shards)                                                                                      \
    X(nodes)                                                                                       \
    X(events)                                                                                      \
    X(doctor)                                                                                      \
    X(join)                                                                                        \
    X(part)                                                                                        \
    X(retry)                                                                                       \
    X(send)                                                                                        \
    X(tail)                                                                                        \
    X(history)                                                                                     \
    X(config)                                                                                      \
    X(account)                                                                                     \
    X(keygen)                                                                                      \
    X(export)                                                                                      \
    X(import)                                                                                      \
    X(start)                                                                                       \
    X(stop)

#define CTL_COMMAND_DECLARE(name) extern const struct ctl_command ctl_##name;
CTL_COMMANDS(CTL_COMMAND_DECLARE)

/* Print what the command lists: channels, shards, nodes, accounts. CTL_DONE, or the exit code after
 * the reason was told. */
MUST_USE int list_run(struct ctl *c);

/* Of commands that show chat. */
extern const struct option_spec tail_options[];
/* Does it name channels by '*' or '?'? */
bool tail_is_pattern(const char *arg);
/* CTL_DONE, or CTL_USAGE after it was told which argument is neither channel nor pattern. */
MUST_USE int tail_check_channels(const struct ctl *c);
/* Print a line of chat, as --raw and --json want it; `at`: when it was said, where it does not say
 * so itself. */
void tail_print(const struct ctl *c, struct slice channel, struct slice line, struct wall at);

/* Print what is kept of the channels (or of those that a pattern with '*' or '?' names) since
 * `since` (since.h; NULL: all of it), and what is missing; `follow`: go on with what comes.
 * CTL_DONE, or the exit code after the reason was told. */
MUST_USE int history_show(struct ctl *c, const char *since, bool follow);

/* What doctor tells, for others: look at Redis. CTL_DONE, or the exit code after the reason was
 * told. */
MUST_USE int doctor_look(struct ctl *c, struct look *l);

#endif
