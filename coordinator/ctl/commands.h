/* Commands of shoalctl: what the table in main.c points to. Each returns the exit code. */
#ifndef SHOAL_CTL_COMMANDS_H
#define SHOAL_CTL_COMMANDS_H

#include "coordinator/ctl/ctl.h"
#include "shared/redis/look.h"

int cmd_join(struct ctl *c, const struct ctl_command *self);
int cmd_part(struct ctl *c, const struct ctl_command *self);
int cmd_retry(struct ctl *c, const struct ctl_command *self);
int cmd_send(struct ctl *c, const struct ctl_command *self);
int cmd_events(struct ctl *c, const struct ctl_command *self);
int cmd_tail(struct ctl *c, const struct ctl_command *self);
int cmd_status(struct ctl *c, const struct ctl_command *self);
int cmd_channels(struct ctl *c, const struct ctl_command *self);
int cmd_shards(struct ctl *c, const struct ctl_command *self);
int cmd_nodes(struct ctl *c, const struct ctl_command *self);
int cmd_config(struct ctl *c, const struct ctl_command *self);
int cmd_doctor(struct ctl *c, const struct ctl_command *self);
int cmd_start(struct ctl *c, const struct ctl_command *self);
int cmd_stop(struct ctl *c, const struct ctl_command *self);

/* Look at Redis: CTL_DONE, or the exit code after the reason was told. */
MUST_USE int doctor_look(struct ctl *c, struct look *l);

#endif
