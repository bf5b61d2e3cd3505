/* POST /helix/chat/messages: who may say it, then what becomes of it (speak.c).
 *
 * Bans are 403, as documented; what else is not said is told as `drop_reason`, as IRC would tell it in a
 * NOTICE. A text that is too long is 400 (twitchdev/issues#904), although 422 is documented. */
#include "tests/twitch_sim/helix.h"

#include "shared/utf8.h"
#include "tests/twitch_sim/speak.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_CHARS 500
#define NOT_VALID                                                                                  \
    "The request's input was not valid. Please see the endpoint's documentation for possible "     \
    "reasons."

struct ask {
    const char *broadcaster_id;
    const char *sender_id;
    const char *reply_to; /* empty: to none */
    char *message;
    struct room *room;
    struct user *sender;
};

/* A text of the body; false: refused, it is missing. */
static bool need(const cJSON *body, const char *name, const char **value, struct web_answer *a)
{
    char *text;

    *value = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(body, name));
    if (*value != NULL && **value != '\0') {
        return true;
    }
    text = xasprintf("The parameter \"%s\" was missing or empty.", name);
    web_answer_refuse_named(a, 400, text);
    free(text);
    return false;
}

static size_t count_chars(const char *text)
{
    size_t n = 0;

    for (; *text != '\0'; text++) {
        n += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return n;
}

static bool is_utf8(const char *text)
{
    size_t left = strlen(text);

    while (left > 0) {
        size_t n = utf8_length(text, left);

        if (n == 0) {
            return false;
        }
        text += n;
        left -= n;
    }
    return true;
}

/* "b7bf12a7-..." */
static bool is_message_id(const char *text)
{
    return strlen(text) == UUID_CHARS - 1 && strspn(text, "0123456789abcdef-") == UUID_CHARS - 1;
}

/* What is asked for, out of the body; false: refused. */
static bool read_ask(struct sim *s, const cJSON *body, struct ask *ask, struct web_answer *a)
{
    const cJSON *reply = cJSON_GetObjectItemCaseSensitive(body, "reply_parent_message_id");
    const char *message;

    if (!need(body, "broadcaster_id", &ask->broadcaster_id, a) ||
        !need(body, "sender_id", &ask->sender_id, a) || !need(body, "message", &message, a)) {
        return false;
    }
    ask->reply_to = cJSON_GetStringValue(reply);
    ask->reply_to = ask->reply_to != NULL ? ask->reply_to : "";
    if (count_chars(message) > TEXT_CHARS || !is_utf8(message)) {
        web_answer_refuse_named(a, 400, NOT_VALID);
    } else if (ask->reply_to[0] != '\0' && !is_message_id(ask->reply_to)) {
        web_answer_refuse_named(a, 400,
                                "The request's input was not valid. Message cannot be replied to.");
    } else if ((ask->room = helix_by_id(s, ask->broadcaster_id)) == NULL) {
        web_answer_refuse_named(a, 400, "The ID in broadcaster_id is not valid.");
    } else if ((ask->sender = user_by_id(s->users, ask->sender_id)) == NULL) {
        web_answer_refuse_named(a, 400, "The ID in sender_id is not valid.");
    } else {
        ask->message = xstrdup(message);
        return true;
    }
    return false;
}

/* The rights of a user's token, or of an application's (dev.twitch.tv/docs/api/reference). */
static bool may_say(struct sim *s, const struct bearer *who, const struct ask *ask,
                    struct web_answer *a)
{
    const char *channel = ask->room->name;

    if (who->user != NULL && !scopes_have(who->scopes, "user:write:chat")) {
        web_answer_refuse_named(a, 401, "Missing scope: user:write:chat");
    } else if (who->user != NULL && who->user != ask->sender) {
        web_answer_refuse_named(a, 401,
                                "The ID in sender_id must match the user ID found in the request's "
                                "OAuth token.");
    } else if (who->user == NULL &&
               !tokens_granted(s->tokens, who->app, ask->sender->login, "user:bot")) {
        web_answer_refuse_named(a, 401, "Missing scope: user:bot");
    } else if ((who->user == NULL && !user_is_moderator(ask->sender, channel) &&
                !tokens_granted(s->tokens, who->app, channel, "channel:bot")) ||
               ask->room->condition != ROOM_OK || user_room(ask->sender, channel, true)->banned) {
        web_answer_refuse_named(
            a, 403,
            "The sender is not permitted to send chat messages to the broadcaster's chat room.");
    } else {
        return true;
    }
    return false;
}

/* Words of Helix that are not those of IRC. */
static void name_drop(const struct speech_outcome *o, const char **code, const char **text)
{
    *code = o->why;
    *text = o->text;
    if (strcmp(o->why, "msg_timedout") == 0) {
        *code = "user_timed_out"; /* twitchdev/issues#1002 */
        *text = "You are timed out from talking in the room.";
    } else if (strncmp(o->why, "msg_", 4) != 0) {
        *code = "msg_ratelimit"; /* over the budgets, where IRC says nothing at all */
        *text = "Your message was not sent because you are sending messages too quickly.";
    }
}

static void write_outcome(struct json *j, const struct speech_outcome *o)
{
    const char *code;
    const char *text;

    json_object_begin(j, NULL);
    json_array_begin(j, "data");
    json_object_begin(j, NULL);
    json_string(j, "message_id", o->id);
    json_bool(j, "is_sent", o->why == NULL);
    if (o->why == NULL) {
        json_string(j, "drop_reason", NULL);
    } else {
        name_drop(o, &code, &text);
        json_object_begin(j, "drop_reason");
        json_string(j, "code", code);
        json_string(j, "message", text);
        json_object_end(j);
    }
    json_object_end(j);
    json_array_end(j);
    json_object_end(j);
}

/* No control character gets into a line. */
static void tidy(char *text)
{
    for (; *text != '\0'; text++) {
        *text = (unsigned char)*text < ' ' ? ' ' : *text;
    }
}

static void say(struct sim *s, const struct ask *ask, struct web_answer *a)
{
    struct speech speech = {.user = ask->sender,
                            .room = ask->room,
                            .text = slice_of(ask->message),
                            .reply_to = slice_of(ask->reply_to)};
    struct speech_outcome outcome;

    speak_for(s, &speech, &outcome);
    write_outcome(&a->json, &outcome);
}

void helix_say(struct sim *s, const struct web_request *r, struct web_answer *a)
{
    struct ask ask = {.message = NULL};
    struct bearer who;

    if (!helix_admit(s, r, a, &who)) {
        return;
    }
    cJSON *body = cJSON_ParseWithLength(r->body.ptr, r->body.len);
    if (!cJSON_IsObject(body)) {
        web_answer_refuse_named(a, 400, "The request's body is no JSON object.");
    } else if (read_ask(s, body, &ask, a) && may_say(s, &who, &ask, a)) {
        tidy(ask.message);
        say(s, &ask, a);
    }
    free(ask.message);
    cJSON_Delete(body);
}
