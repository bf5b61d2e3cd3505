/* Helix: api.twitch.tv/helix, as dev.twitch.tv/docs/api/reference has it. */
#ifndef SIM_HELIX_H
#define SIM_HELIX_H

#include "tests/twitch_sim/bearer.h"
#include "tests/twitch_sim/web_answer.h"
#include "tests/twitch_sim/web_request.h"

struct meter;
struct room;

/* GET /helix/users: ids and logins of up to 100 users. */
void helix_users(struct sim *s, const struct web_request *r, struct web_answer *a);
/* POST /helix/chat/messages: say something (helix_say.c). */
void helix_say(struct sim *s, const struct web_request *r, struct web_answer *a);

/* Who asks. False: refused, by 401 or 429. Every answer says what is left of the points. */
bool helix_admit(struct sim *s, const struct web_request *r, struct web_answer *a,
                 struct bearer *who);
/* The headers of an answer that nobody's points were taken for. */
void helix_show_points(const struct sim *s, struct web_answer *a);
/* The channel, and with it the user, of that login or that id. NULL: there is none. A login that
 * nobody has spoken of yet exists, as it does for JOIN. */
struct room *helix_by_login(struct sim *s, const char *login);
struct room *helix_by_id(struct sim *s, const char *id);

void helix_finish(struct meter **meters);

#endif
