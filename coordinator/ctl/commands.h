/* The commands of shoalctl, in the order of --help. Each is the `struct ctl_command ctl_NAME` of
 * its file. */
#ifndef SHOAL_CTL_COMMANDS_H
#define SHOAL_CTL_COMMANDS_H

#include "coordinator/ctl/ctl.h"

#define CTL_COMMANDS(X)                                                                            \
    X(status)                                                                                      \
    X(join)                                                                                        \
    X(part)                                                                                        \
    X(retry)                                                                                       \
    X(send)                                                                                        \
    X(tail)                                                                                        \
    X(events)                                                                                      \
    X(channels)                                                                                    \
    X(shards)                                                                                      \
    X(nodes)                                                                                       \
    X(config)                                                                                      \
    X(doctor)                                                                                      \
    X(start)                                                                                       \
    X(stop)

#define CTL_COMMAND_DECLARE(name) extern const struct ctl_command ctl_##name;
CTL_COMMANDS(CTL_COMMAND_DECLARE)

#endif
