/* Made-up chat.
 *
 * A crowd of two thousand people with names, colours and badges is made from the seed; a line picks
 * one of them and fills in a shape. Text goes into one fixed buffer with plain copies: this runs a
 * few hundred thousand times a second. Every text is bounded by construction, and checked once. */
#include "tests/twitch_sim/lines.h"

#include "tests/twitch_sim/person.h"

#include <stdlib.h>
#include <string.h>

#define CROWD      2000
#define LINE_BYTES 8192

struct lines {
    struct rng rng;
    uint64_t serial; /* makes every id unique */
    struct person crowd[CROWD];
    char *at;
    char last_id[UUID_CHARS]; /* of an earlier PRIVMSG, for replies and deletions */
    const struct person *last_person;
    char line[LINE_BYTES];
};

/* Words of a message, with the id where it is an emote. */
struct word {
    const char *text;
    const char *emote;
};

static const struct word WORDS[] = {
    {"that", NULL},
    {"was", NULL},
    {"the", NULL},
    {"best", NULL},
    {"run", NULL},
    {"i", NULL},
    {"have", NULL},
    {"ever", NULL},
    {"seen", NULL},
    {"chat", NULL},
    {"is", NULL},
    {"this", NULL},
    {"real?", NULL},
    {"no", NULL},
    {"way", NULL},
    {"lol", NULL},
    {"good", NULL},
    {"morning", NULL},
    {"everyone", NULL},
    {"from", NULL},
    {"España", NULL},
    {"Größe", NULL},
    {"naïve", NULL},
    {"café", NULL},
    {"привет", NULL},
    {"чат", NULL},
    {"こんにちは", NULL},
    {"配信", NULL},
    {"안녕하세요", NULL},
    {"ㅋㅋㅋㅋ", NULL},
    {"你好", NULL},
    {"🔥", NULL},
    {"😂😂", NULL},
    {"👨‍👩‍👧", NULL},
    {"❤️", NULL},
    {"https://example.com/clip", NULL},
    {"what", NULL},
    {"happened?", NULL},
    {"gg", NULL},
    {"wp!", NULL},
    {"again", NULL},
    {"please", NULL},
    {"((", NULL},
    {":)", "1"},
    {"Kappa", "25"},
    {"LUL", "425618"},
    {"HeyGuys", "30259"},
    {"NotLikeThis", "58765"},
    {"BibleThump", "86"},
    {"Kreygasm", "41"},
    {"SeemsGood", "64138"},
    {"PogChamp", "305954156"},
    {"4Head", "354"},
    {"VoHiYo", "81274"},
    {"streamerHype", "emotesv2_3b1f0e5c"},
};

static inline void put(struct lines *l, const char *text, size_t len)
{
    memcpy(l->at, text, len);
    l->at += len;
}

static inline void put_str(struct lines *l, const char *text)
{
    put(l, text, strlen(text));
}

static void put_num(struct lines *l, uint64_t n)
{
    char digits[20];
    size_t i = sizeof(digits);

    do {
        digits[--i] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    put(l, digits + i, sizeof(digits) - i);
}

static size_t pick(struct lines *l, size_t n)
{
    return (size_t)rng_below(&l->rng, n);
}

static const struct person *pick_person(struct lines *l)
{
    /* A few talk much, most talk little. */
    return &l->crowd[pick(l, 4) ? pick(l, CROWD / 10) : pick(l, CROWD)];
}

struct lines *lines_create(uint64_t seed)
{
    struct lines *l = xcalloc(1, sizeof(*l));

    rng_init(&l->rng, seed);
    for (size_t i = 0; i < CROWD; i++) {
        person_make(&l->rng, &l->crowd[i], i);
    }
    return l;
}

void lines_destroy(struct lines *l)
{
    free(l);
}

void lines_seed(struct lines *l, uint64_t seed)
{
    rng_init(&l->rng, seed);
}

struct text {
    char words[1024];
    size_t len;
    char emotes[512]; /* the tag: places in code points */
    size_t emotes_len;
    size_t chars;
};

static size_t count_chars(const char *text)
{
    size_t n = 0;

    for (; *text; text++) {
        n += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return n;
}

static void add_word(struct text *t, const char *word)
{
    size_t len = strlen(word);

    memcpy(t->words + t->len, word, len);
    t->len += len;
    t->chars += count_chars(word);
}

static void add_emote(struct text *t, const char *id, const char *word)
{
    size_t room = sizeof(t->emotes) - t->emotes_len;

    /* Real chat groups the places of one emote; one group a place means the same. */
    if (room > 64) {
        int n = snprintf(t->emotes + t->emotes_len, room, "%s%s:%zu-%zu", t->emotes_len ? "/" : "",
                         id, t->chars, t->chars + strlen(word) - 1);
        t->emotes_len += (size_t)n;
    }
}

static void make_text(struct lines *l, struct text *t, const char *start)
{
    size_t words = 2 + pick(l, pick(l, 8) ? 12 : 40);

    t->len = t->emotes_len = t->chars = 0;
    add_word(t, start);
    for (size_t i = 0; i < words && t->len < 480; i++) {
        const struct word *w = &WORDS[pick(l, ARRAY_LEN(WORDS))];

        if (i > 0) {
            add_word(t, " ");
        }
        if (w->emote) {
            add_emote(t, w->emote, w->text);
        }
        add_word(t, w->text);
    }
}

static void new_id(struct lines *l, char out[UUID_CHARS])
{
    rng_uuid(&l->rng, ++l->serial, out);
}

/* The tail ":login!login@login.tmi.twitch.tv COMMAND #channel". */
static void put_from(struct lines *l, const char *login, const char *command, const struct room *r)
{
    put_str(l, ":");
    put_str(l, login);
    put_str(l, "!");
    put_str(l, login);
    put_str(l, "@");
    put_str(l, login);
    put_str(l, ".tmi.twitch.tv ");
    put_str(l, command);
    put_str(l, " #");
    put_str(l, r->name);
}

static void put_server(struct lines *l, const char *command, const struct room *r)
{
    put_str(l, ":" SIM_HOST " ");
    put_str(l, command);
    put_str(l, " #");
    put_str(l, r->name);
}

static void put_reply_tags(struct lines *l)
{
    put_str(l, "reply-parent-display-name=");
    put_str(l, l->last_person->display);
    put_str(l,
            ";reply-parent-msg-body=what\\shappened?\\s\\:\\sback\\\\slash;reply-parent-msg-id=");
    put_str(l, l->last_id);
    put_str(l, ";reply-parent-user-id=");
    put_str(l, l->last_person->id);
    put_str(l, ";reply-parent-user-login=");
    put_str(l, l->last_person->login);
    put_str(l, ";reply-thread-parent-msg-id=");
    put_str(l, l->last_id);
    put_str(l, ";");
}

/* "badge-info=" to "display-name=", and the end of the tags: PRIVMSG and USERNOTICE share them. */
static void put_person_tags(struct lines *l, const struct person *p)
{
    put_str(l, "badge-info=");
    put_str(l, p->badge_info);
    put_str(l, ";badges=");
    put_str(l, p->badges);
    put_str(l, ";color=");
    put_str(l, p->color);
    put_str(l, ";display-name=");
    put_str(l, p->display);
}

static void put_times(struct lines *l, const struct person *p, const struct room *r,
                      uint64_t now_ms)
{
    put_str(l, ";room-id=");
    put_num(l, r->id);
    put_str(l, ";subscriber=");
    put_str(l, p->subscriber ? "1" : "0");
    put_str(l, ";tmi-sent-ts=");
    put_num(l, now_ms);
    put_str(l, p->turbo ? ";turbo=1;user-id=" : ";turbo=0;user-id=");
    put_str(l, p->id);
    put_str(l, p->moderator ? ";user-type=mod " : ";user-type= ");
}

static void make_privmsg(struct lines *l, struct room *r, uint64_t now_ms)
{
    const struct person *p = pick_person(l);
    size_t kind = pick(l, 100);
    bool reply = kind < 8 && l->last_person;
    bool bits = kind >= 8 && kind < 11;
    bool action = kind >= 11 && kind < 15;
    char id[UUID_CHARS];
    char start[80] = "";
    struct text text;

    if (reply) {
        snprintf(start, sizeof(start), "@%s ", l->last_person->display);
    } else if (bits) {
        strcpy(start, "Cheer100 ");
    }
    make_text(l, &text, start);
    new_id(l, id);
    put_str(l, "@");
    put_person_tags(l, p);
    if (bits) {
        put_str(l, ";bits=100");
    }
    put_str(l, ";emotes=");
    put(l, text.emotes, text.emotes_len);
    put_str(l, kind == 15 ? ";first-msg=1;flags=;id=" : ";first-msg=0;flags=;id=");
    put_str(l, id);
    put_str(l, p->moderator ? ";mod=1;" : ";mod=0;");
    if (reply) {
        put_reply_tags(l);
    }
    put_str(l, "returning-chatter=0");
    put_times(l, p, r, now_ms);
    put_from(l, p->login, "PRIVMSG", r);
    put_str(l, action ? " :\001ACTION " : " :");
    put(l, text.words, text.len);
    put_str(l, action ? "\001" : "");
    memcpy(l->last_id, id, sizeof(id));
    l->last_person = p;
}

static void put_sub_params(struct lines *l, const struct person *p, size_t kind)
{
    const struct person *other = pick_person(l);

    switch (kind) {
    case 0:
        put_str(l, "sub;msg-param-cumulative-months=1;msg-param-months=0;msg-param-sub-plan-name="
                   "Channel\\sSubscription;msg-param-sub-plan=Prime;system-msg=");
        put_str(l, p->display);
        put_str(l, "\\ssubscribed\\swith\\sPrime.");
        break;
    case 1:
        put_str(l, "resub;msg-param-cumulative-months=14;msg-param-months=0;msg-param-should-share-"
                   "streak=1;msg-param-streak-months=5;msg-param-sub-plan-name=Channel\\s"
                   "Subscription;msg-param-sub-plan=1000;system-msg=");
        put_str(l, p->display);
        put_str(l, "\\ssubscribed\\sat\\sTier\\s1.\\sThey've\\ssubscribed\\sfor\\s14\\smonths!");
        break;
    case 2:
        put_str(l, "subgift;msg-param-gift-months=1;msg-param-months=3;msg-param-origin-id=da\\s39"
                   "\\sa3;msg-param-recipient-display-name=");
        put_str(l, other->display);
        put_str(l, ";msg-param-recipient-id=");
        put_str(l, other->id);
        put_str(l, ";msg-param-recipient-user-name=");
        put_str(l, other->login);
        put_str(l, ";msg-param-sender-count=7;msg-param-sub-plan-name=Channel\\sSubscription;"
                   "msg-param-sub-plan=1000;system-msg=");
        put_str(l, p->display);
        put_str(l, "\\sgifted\\sa\\sTier\\s1\\ssub\\sto\\s");
        put_str(l, other->display);
        put_str(l, "!");
        break;
    case 3:
        put_str(l, "raid;msg-param-displayName=");
        put_str(l, p->display);
        put_str(l, ";msg-param-login=");
        put_str(l, p->login);
        put_str(l, ";msg-param-profileImageURL=https://static-cdn.jtvnw.net/x-70x70.png;"
                   "msg-param-viewerCount=137;system-msg=137\\sraiders\\sfrom\\s");
        put_str(l, p->display);
        put_str(l, "\\shave\\sjoined!");
        break;
    default:
        put_str(l, "announcement;msg-param-color=PRIMARY;system-msg=");
        break;
    }
}

static void make_usernotice(struct lines *l, struct room *r, uint64_t now_ms)
{
    const struct person *p = pick_person(l);
    size_t kind = pick(l, 5);
    char id[UUID_CHARS];
    struct text text;

    make_text(l, &text, "");
    new_id(l, id);
    put_str(l, "@");
    put_person_tags(l, p);
    put_str(l, ";emotes=;flags=;id=");
    put_str(l, id);
    put_str(l, ";login=");
    put_str(l, p->login);
    put_str(l, p->moderator ? ";mod=1;msg-id=" : ";mod=0;msg-id=");
    put_sub_params(l, p, kind);
    put_times(l, p, r, now_ms);
    put_server(l, "USERNOTICE", r);
    if (kind == 1 || kind > 3) {
        put_str(l, " :");
        put(l, text.words, text.len);
    }
}

static void make_clearchat(struct lines *l, struct room *r, uint64_t now_ms)
{
    const struct person *p = pick_person(l);
    size_t kind = pick(l, 10);

    put_str(l, kind > 3 ? "@ban-duration=600;room-id=" : "@room-id=");
    put_num(l, r->id);
    if (kind > 0) {
        put_str(l, ";target-user-id=");
        put_str(l, p->id);
    }
    put_str(l, ";tmi-sent-ts=");
    put_num(l, now_ms);
    put_str(l, " ");
    put_server(l, "CLEARCHAT", r);
    if (kind > 0) {
        put_str(l, " :");
        put_str(l, p->login);
    }
}

static void make_clearmsg(struct lines *l, struct room *r, uint64_t now_ms)
{
    const struct person *p = l->last_person ? l->last_person : &l->crowd[0];

    put_str(l, "@login=");
    put_str(l, p->login);
    put_str(l, ";room-id=;target-msg-id=");
    put_str(l, l->last_person ? l->last_id : "00000000-0000-4000-8000-000000000000");
    put_str(l, ";tmi-sent-ts=");
    put_num(l, now_ms);
    put_str(l, " ");
    put_server(l, "CLEARMSG", r);
    put_str(l, " :что это было? that was not nice");
}

static void make_roomstate(struct lines *l, struct room *r)
{
    static const char *const names[] = {"emote-only", "followers-only", "r9k", "slow", "subs-only"};
    int *values[] = {&r->state.emote_only, &r->state.followers_only, &r->state.r9k, &r->state.slow,
                     &r->state.subs_only};
    size_t i = pick(l, ARRAY_LEN(names));
    int off = i == 1 ? -1 : 0;
    int on = i == 1 || i == 3 ? 10 : 1;

    if (!r->enforce) {
        *values[i] = *values[i] == off ? on : off;
    }
    put_str(l, "@room-id=");
    put_num(l, r->id);
    put_str(l, ";");
    put_str(l, names[i]);
    put_str(l, *values[i] < 0 ? "=-1 " : "=");
    if (*values[i] >= 0) {
        put_num(l, (uint64_t)*values[i]);
        put_str(l, " ");
    }
    put_server(l, "ROOMSTATE", r);
}

static void make_notice(struct lines *l, struct room *r)
{
    static const char *const notices[][2] = {
        {"slow_on", "This room is now in slow mode. You may send messages every 10 seconds."},
        {"slow_off", "This room is no longer in slow mode."},
        {"subs_on", "This room is now in subscribers-only mode."},
        {"subs_off", "This room is no longer in subscribers-only mode."},
        {"emote_only_on", "This room is now in emote-only mode."},
        {"emote_only_off", "This room is no longer in emote-only mode."},
        {"followers_on", "This room is now in 10 minutes followers-only mode."},
        {"followers_on_zero", "This room is now in followers-only mode."},
        {"followers_off", "This room is no longer in followers-only mode."},
        {"r9k_on", "This room is now in unique-chat mode."},
        {"r9k_off", "This room is no longer in unique-chat mode."},
    };
    size_t i = pick(l, ARRAY_LEN(notices));

    put_str(l, "@msg-id=");
    put_str(l, notices[i][0]);
    put_str(l, " ");
    put_server(l, "NOTICE", r);
    put_str(l, " :");
    put_str(l, notices[i][1]);
}

struct slice lines_next(struct lines *l, struct room *r, bool only_privmsg, uint64_t now_ms,
                        enum audience *audience)
{
    size_t kind = only_privmsg ? 0 : pick(l, 1000);

    l->at = l->line;
    *audience = AUDIENCE_COMMANDS;
    if (kind < 800 || (kind >= 930 && r->with_membership == 0)) {
        *audience = AUDIENCE_ALL;
        make_privmsg(l, r, now_ms);
    } else if (kind < 860) {
        make_usernotice(l, r, now_ms);
    } else if (kind < 890) {
        make_clearchat(l, r, now_ms);
    } else if (kind < 905) {
        make_clearmsg(l, r, now_ms);
    } else if (kind < 918) {
        make_roomstate(l, r);
    } else if (kind < 930) {
        make_notice(l, r);
    } else {
        *audience = AUDIENCE_MEMBERSHIP;
        put_from(l, pick_person(l)->login, kind < 965 ? "JOIN" : "PART", r);
    }
    BUG_ON(l->at > l->line + sizeof(l->line));
    return (struct slice){l->line, (size_t)(l->at - l->line)};
}
