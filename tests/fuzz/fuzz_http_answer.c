/* Fuzz: what Twitch's web services answer, to each call: the first byte says which, the next two are the status, and the
 * rest is the body.
 *
 * What must hold: what an outcome has fits a header, a key of Redis and a line; what was asked for is there where the
 * verdict is good; and nothing but a message is where it is not. */
#include "shared/twitch/twitch_private.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define AT(member) offsetof(struct twitch_outcome, member)

static const size_t members[] = {
    AT(access_token), AT(refresh_token), AT(login),      AT(user_id),          AT(client_id),
    AT(device_code),  AT(user_code),     AT(message_id), AT(verification_uri), AT(drop_code),
};

/* Printable ASCII without blanks. */
static void look(const char *text)
{
    if (text != NULL) {
        size_t len = strlen(text);
        BUG_ON(len == 0 || len > TWITCH_TOKEN_MAX);
        for (size_t i = 0; i < len; i++) {
            BUG_ON(text[i] <= ' ' || text[i] >= 0x7f);
        }
    }
}

static void look_at_list(const struct twitch_texts *texts)
{
    BUG_ON(texts->n > TWITCH_USERS_MAX);
    for (size_t i = 0; i < texts->n; i++) {
        BUG_ON(texts->item[i] == NULL);
        look(texts->item[i]);
    }
}

static void look_at_good(enum twitch_kind kind, const struct twitch_outcome *o)
{
    BUG_ON(o->status / 100 != 2);
    switch (kind) {
    case TWITCH_VALIDATION:
        BUG_ON(o->client_id == NULL || (o->login == NULL) != (o->user_id == NULL));
        break;
    case TWITCH_TOKENS:
        BUG_ON(o->access_token == NULL);
        break;
    case TWITCH_DEVICE:
        BUG_ON(o->device_code == NULL || o->user_code == NULL || o->verification_uri == NULL);
        break;
    case TWITCH_USERS:
        BUG_ON(o->logins.n != o->user_ids.n);
        break;
    case TWITCH_SAID:
        BUG_ON(!o->is_sent && o->drop_code == NULL);
        break;
    case TWITCH_NOTHING:
        break;
    }
}

static void ask(enum twitch_kind kind, bool may_be_twice, const struct http_answer *answer,
                const struct err *err)
{
    struct twitch_answer read;
    const struct twitch_outcome *o = &read.outcome;

    twitch_answer_read(kind, may_be_twice, answer, err, &read);
    BUG_ON(o->message == NULL || strpbrk(o->message, "\r\n") != NULL);
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        const char *text = *(const char *const *)(const void *)((const char *)o + members[i]);
        look(text);
        BUG_ON(o->verdict != TWITCH_OK && text != NULL);
    }
    look_at_list(&o->scopes);
    look_at_list(&o->logins);
    look_at_list(&o->user_ids);
    BUG_ON(o->expires_in_s > UINT32_MAX || o->interval_s > UINT32_MAX);
    BUG_ON(may_be_twice && err == NULL && answer->status / 100 != 2 &&
           o->verdict == TWITCH_UNKNOWN);
    if (o->verdict == TWITCH_OK) {
        BUG_ON(err != NULL);
        look_at_good(kind, o);
    }
    twitch_answer_finish(&read);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct err none = {.code = ERR_TIMEOUT, .text = "no answer"};

    if (size < 3) {
        return 0;
    }
    char *body = xstrndup((const char *)data + 3, size - 3);
    const struct http_answer answer = {.status = (unsigned)(data[1] % 6 * 100 + data[2] % 100),
                                       .body = {body, size - 3},
                                       .sent = data[0] & 0x40};
    ask((enum twitch_kind)(data[0] % (TWITCH_SAID + 1)), data[0] & 0x80, &answer,
        data[0] & 0x20 ? &none : NULL);
    free(body);
    return 0;
}
