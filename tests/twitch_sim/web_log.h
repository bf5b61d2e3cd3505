/* Web log: how often was asked for what, for `http log`. */
#ifndef SIM_WEB_LOG_H
#define SIM_WEB_LOG_H

#include "tests/twitch_sim/sim.h"
#include "tests/twitch_sim/web_request.h"

#include "shared/json.h"

struct web_count;

/* A whole request came in; `carried_out`: it was not kept from that by a fault. */
void web_log_note(struct web_count **counts, const struct web_request *r, bool carried_out);
/* "requests": by path, with the grant types of tokens; "refresh_tokens": how often and when each was
 * used; "access_tokens": how long each lived, and whether somebody logged in with it after that.
 * `t` NULL: nothing about tokens. */
void web_log_write(const struct web_count *counts, const struct tokens *t, struct json *out);
void web_log_finish(struct web_count **counts);

#endif
