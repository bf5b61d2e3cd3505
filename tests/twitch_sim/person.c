/* Names from syllables, some in other scripts; badges and colours as seen in real chat. */
#include "tests/twitch_sim/person.h"

#include <stdio.h>
#include <string.h>

static size_t pick(struct rng *rng, size_t n)
{
    return (size_t)rng_below(rng, n);
}

void person_make(struct rng *rng, struct person *p, size_t number)
{
    static const char *const syllables[] = {"ka",  "lo",  "mi",  "ra",  "tex", "zun", "bo", "shi",
                                            "van", "der", "qui", "pol", "nox", "fy",  "gu", "el"};
    static const char *const unicode[] = {"ゲーマー", "배고파", "小明", "夜更かし"};
    size_t parts = 2 + pick(rng, 3);

    for (size_t i = 0; i < parts; i++) {
        strcat(p->login, syllables[pick(rng, ARRAY_LEN(syllables))]);
    }
    snprintf(p->login + strlen(p->login), sizeof(p->login) - strlen(p->login), "_%zu", number);
    if (pick(rng, 12) == 0) {
        snprintf(p->display, sizeof(p->display), "%s%zu", unicode[pick(rng, ARRAY_LEN(unicode))],
                 number);
    } else {
        snprintf(p->display, sizeof(p->display), "%s", p->login);
        p->display[0] = (char)(p->display[0] - 'a' + 'A');
    }
    if (pick(rng, 10) > 0) {
        snprintf(p->color, sizeof(p->color), "#%06X", (unsigned)pick(rng, 0x1000000));
    }
    snprintf(p->id, sizeof(p->id), "%llu", (unsigned long long)user_id_of(p->login));
    p->moderator = pick(rng, 50) == 0;
    p->subscriber = pick(rng, 3) == 0;
    p->turbo = pick(rng, 40) == 0;
    if (p->subscriber) {
        unsigned months = (unsigned)pick(rng, 60) + 1;

        snprintf(p->badge_info, sizeof(p->badge_info), "subscriber/%u", months);
        snprintf(p->badges, sizeof(p->badges), "%ssubscriber/%u,premium/1",
                 p->moderator ? "moderator/1," : "", months >= 12 ? 12 : months);
    } else if (p->moderator) {
        strcpy(p->badges, "moderator/1,bits/1000");
    } else if (pick(rng, 4) == 0) {
        strcpy(p->badges, "glhf-pledge/1");
    }
}
