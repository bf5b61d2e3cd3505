/* Sight: when to call a node blind, and when to believe that it is not any more. See sight.h. */
#include "node/sight.h"

#include <stdio.h>

#define TRIES      2 /* that must have failed: one may be an accident */
#define PROOF_MOST 600000
/* Blind again within so many times of blind_ms: it takes longer to be believed. */
#define RELAPSE_LEAN 10

static const struct machine_state states[] = {
    [SIGHT_SEES] = {"active", MACHINE_BIT(SIGHT_BLIND)},
    [SIGHT_BLIND] = {"blind", MACHINE_BIT(SIGHT_PROVING)},
    [SIGHT_PROVING] = {"proving", MACHINE_BIT(SIGHT_SEES) | MACHINE_BIT(SIGHT_BLIND)},
};
static const struct machine_type sight_machine = {"sight", states, ARRAY_LEN(states), NULL, NULL};

void sight_init(struct sight *s)
{
    *s = (struct sight){0};
    machine_begin(&s->machine, &sight_machine, SIGHT_SEES);
}

static void move(struct sight *s, enum sight_state to, uint64_t now_ms)
{
    s->since_ms = now_ms;
    machine_move(&s->machine, to, s);
}

void sight_saw(struct sight *s, uint64_t now_ms)
{
    s->seen_ms = now_ms;
    sight_rest(s);
}

void sight_missed(struct sight *s, uint64_t began_ms, const char *why, uint64_t now_ms)
{
    (void)snprintf(s->why, sizeof(s->why), "%s", why);
    if (s->failing_ms == 0) {
        s->failing_ms = began_ms < now_ms ? began_ms : now_ms;
    }
    s->failures++;
}

void sight_rest(struct sight *s)
{
    s->failing_ms = 0;
    s->failures = 0;
}

static void go_blind(struct sight *s, uint64_t blind_ms, uint64_t now_ms)
{
    bool relapse = s->proof_ms != 0 && (s->machine.state == SIGHT_PROVING ||
                                        now_ms - s->since_ms < RELAPSE_LEAN * blind_ms);

    s->proof_ms = relapse ? 2 * s->proof_ms : blind_ms;
    s->proof_ms = s->proof_ms < PROOF_MOST ? s->proof_ms : PROOF_MOST;
    move(s, SIGHT_BLIND, now_ms);
}

/* It works, or nothing failed, and Twitch was heard of, for as long as it has to prove itself. */
static bool is_proved(const struct sight *s, bool working, uint64_t now_ms)
{
    return now_ms - s->since_ms >= s->proof_ms &&
           (working || (s->failures == 0 && s->seen_ms >= s->since_ms + s->proof_ms));
}

bool sight_look(struct sight *s, bool working, uint64_t blind_ms, uint64_t now_ms)
{
    unsigned before = s->machine.state;

    if (working) {
        sight_rest(s);
    }
    bool failing = blind_ms != 0 && s->failures >= TRIES;
    bool lasts = before == SIGHT_SEES && now_ms - s->failing_ms >= blind_ms;
    if (failing && (lasts || before == SIGHT_PROVING)) {
        go_blind(s, blind_ms, now_ms);
    } else if (before == SIGHT_BLIND && (working || s->seen_ms > s->since_ms || blind_ms == 0)) {
        move(s, SIGHT_PROVING, now_ms);
    } else if (before == SIGHT_PROVING && (blind_ms == 0 || is_proved(s, working, now_ms))) {
        move(s, SIGHT_SEES, now_ms);
    }
    return s->machine.state != before;
}

const char *sight_tell(struct sight *s)
{
    s->told = s->machine.state;
    s->given_away = s->given_away || s->machine.state == SIGHT_BLIND;
    return machine_state_name(&s->machine);
}

void sight_told(struct sight *s)
{
    s->given_away = s->told == SIGHT_BLIND;
}
