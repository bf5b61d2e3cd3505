/* OAuth: id.twitch.tv/oauth2, as dev.twitch.tv/docs/authentication has it. */
#ifndef SIM_OAUTH_H
#define SIM_OAUTH_H

#include "tests/twitch_sim/sim.h"
#include "tests/twitch_sim/web_answer.h"
#include "tests/twitch_sim/web_request.h"

/* GET /oauth2/validate: whose token it is. */
void oauth_validate(struct sim *s, const struct web_request *r, struct web_answer *a);
/* POST /oauth2/token: refresh_token, device_code, client_credentials. */
void oauth_token(struct sim *s, const struct web_request *r, struct web_answer *a);
/* POST /oauth2/device: a code for the user to agree with. */
void oauth_device(struct sim *s, const struct web_request *r, struct web_answer *a);
/* POST /oauth2/revoke: the access token ends. */
void oauth_revoke(struct sim *s, const struct web_request *r, struct web_answer *a);

#endif
