/* What becomes of a message, over IRC or over Helix, in the order in which Twitch looks:
 *
 *   silenced or over the message budgets   nothing is said, no answer (dropped messages count too), or msg_ratelimit
 *   channel missing                        no answer
 *   suspended, banned, tos, timed out      the NOTICE for it
 *   over 500 characters, but for U+200B    no answer
 *   a slash command                        what Twitch answers to it, else unrecognized_cmd (/me is an ACTION)
 *   too soon after the last one there      msg_ratelimit   (not for VIPs; none of the rest for moderators)
 *   room modes                             msg_slowmode (not for VIPs), msg_emoteonly, ...
 *   same text lately                       msg_duplicate
 *   else                                   USERSTATE to the sender, PRIVMSG to all others
 *
 * Over Helix there are no NOTICEs: it is told what they would say. Of a slash command it drops the first
 * word, and the message where nothing is left (twitchdev/issues#1019).
 *
 * Every message is noted with its outcome, for `received`. */
#include "tests/twitch_sim/speak.h"

#include <stdlib.h>
#include <string.h>

#define TEXT_CHARS 500

struct message {
    struct sim *sim;
    struct user *user;
    struct conn *conn; /* that sent it; NULL: over Helix */
    struct room *room;
    struct user_room *place;
    bool moderator;
    bool action;
    struct slice text; /* without /me and ACTION */
    struct slice nonce;
    struct slice reply_to;
    uint64_t now;
    char why[200]; /* what a NOTICE says or would say */
};

void speak_notice(struct conn *c, const char *channel, const char *id, const char *text)
{
    if (c->caps & CAP_COMMANDS) {
        conn_printf(c, "@msg-id=%s :" SIM_HOST " NOTICE #%s :%s", id, channel, text);
    }
}

bool speak_refuse_room(struct conn *c, const struct room *r)
{
    char text[160];

    switch (r->condition) {
    case ROOM_OK:
        return false;
    case ROOM_BANNED:
        snprintf(text, sizeof(text), "You are permanently banned from talking in %s.", r->name);
        speak_notice(c, r->name, "msg_banned", text);
        return true;
    case ROOM_SUSPENDED:
        speak_notice(c, r->name, "msg_channel_suspended",
                     "This channel does not exist or has been suspended.");
        return true;
    case ROOM_TOS:
        snprintf(text, sizeof(text),
                 "The community has closed channel %s due to Terms of Service violations.",
                 r->name);
        speak_notice(c, r->name, "tos_ban", text);
        return true;
    case ROOM_MISSING:
        return true;
    }
    return true;
}

void speak_write_badges(struct user *u, const char *channel, struct buf *out)
{
    buf_printf(out, "badge-info=;badges=%s;color=%s;display-name=%s", user_badges(u, channel),
               u->color, u->display);
}

/* It is not said: tell why. Returns the id. */
static const char *deny(struct message *m, const char *id, const char *text)
{
    (void)snprintf(m->why, sizeof(m->why), "%s", text);
    if (m->conn != NULL) {
        speak_notice(m->conn, m->room->name, id, m->why);
    }
    return id;
}

/* Count it in the user's budgets; false if it is one too many: then the user is silenced. */
static bool within_budgets(const struct message *m)
{
    struct sim *s = m->sim;
    struct user *u = m->user;
    const struct limits *l = &s->settings.limits;
    uint64_t limit = u->verified ? l->message_limit_verified : l->message_limit;
    uint64_t limit_all = u->verified ? l->message_limit_verified : l->message_limit_moderator;
    bool over = window_add(&u->messages_all, m->now, l->message_window) > limit_all;

    if (!m->moderator) {
        over = window_add(&u->messages, m->now, l->message_window) > limit || over;
    }
    if (over) {
        sim_violation(s, u, VIOLATION_MESSAGES);
        if (l->silence != LIMIT_OFF) {
            u->silenced_until = m->now + l->silence;
        }
    }
    return !over;
}

static size_t count_chars(struct slice text)
{
    size_t n = 0;

    for (size_t i = 0; i < text.len; i++) {
        n += ((unsigned char)text.ptr[i] & 0xc0) != 0x80;
    }
    return n;
}

/* Take "/me " and "\001ACTION ...\001" off. */
static void find_action(struct message *m)
{
    struct slice *t = &m->text;

    if (t->len > 8 && memcmp(t->ptr, "\001ACTION ", 8) == 0) {
        m->action = true;
        t->ptr += 8;
        t->len -= 8;
        t->len -= t->ptr[t->len - 1] == '\001';
    } else if (t->len > 4 && (memcmp(t->ptr, "/me ", 4) == 0 || memcmp(t->ptr, ".me ", 4) == 0)) {
        m->action = true;
        t->ptr += 4;
        t->len -= 4;
    }
}

/* Helix: the rest behind the command is said. */
static const char *strip_command(struct message *m)
{
    size_t n = 0;

    while (n < m->text.len && m->text.ptr[n] != ' ') {
        n++;
    }
    while (n < m->text.len && m->text.ptr[n] == ' ') {
        n++;
    }
    m->text.ptr += n;
    m->text.len -= n;
    return m->text.len > 0 ? NULL
                           : deny(m, "msg_rejected",
                                  "Your message is being checked by mods and has not been sent.");
}

/* Is it a command? Answers it. */
static const char *answer_command(struct message *m)
{
    static const struct {
        const char *word;
        const char *id;
        const char *text;
    } answers[] = {
        {"color", "color_changed", "Your color has been changed."},
        {"help", "no_help", "No help available."},
        {"mod", "usage_mod", "Usage: \"/mod <username>\""},
        {"w", "whisper_restricted", "Your settings prevent you from sending this whisper."},
        {"clear", "unavailable_command", "Sorry, \"/clear\" is not available through this client."},
    };
    struct slice word = {m->text.ptr + 1, 0};
    char text[160];

    if (m->action || m->text.len == 0 || (m->text.ptr[0] != '/' && m->text.ptr[0] != '.')) {
        return NULL;
    }
    if (m->conn == NULL) {
        return strip_command(m);
    }
    while (word.len + 1 < m->text.len && word.len < 64 && word.ptr[word.len] != ' ') {
        word.len++;
    }
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        if (slice_is(word, answers[i].word)) {
            return deny(m, answers[i].id, answers[i].text);
        }
    }
    snprintf(text, sizeof(text), "Unrecognized command: /%.*s", (int)word.len, word.ptr);
    return deny(m, "unrecognized_cmd", text);
}

/* The modes of the room, where the control port set them. NULL: it may be said. */
static const char *refuse_mode(struct message *m)
{
    const struct room_state *state = &m->room->state;
    uint64_t slow_ms = (uint64_t)state->slow * 1000;
    char text[160];

    if (!m->room->enforce) {
        return NULL;
    }
    if (state->slow > 0 && !m->place->vip && m->place->last_message &&
        m->now - m->place->last_message < slow_ms) {
        uint64_t wait = (slow_ms - (m->now - m->place->last_message) + 999) / 1000;

        snprintf(text, sizeof(text),
                 "This room is in slow mode and you are sending messages too quickly. You will be "
                 "able to talk again in %llu seconds.",
                 (unsigned long long)wait);
        return deny(m, "msg_slowmode", text);
    }
    if (state->subs_only) {
        return deny(m, "msg_subsonly",
                    "This room is in subscribers only mode. To talk, purchase a channel "
                    "subscription.");
    }
    if (state->emote_only) {
        return deny(m, "msg_emoteonly", "This room is in emote only mode.");
    }
    if (state->followers_only >= 0) {
        return deny(m, "msg_followersonly",
                    "This room is in followers-only mode. Follow to join the community!");
    }
    return NULL;
}

static const char *too_fast(struct message *m)
{
    return deny(m, "msg_ratelimit",
                "Your message was not sent because you are sending messages too quickly.");
}

static const char *refuse_moderated(struct message *m)
{
    const struct limits *l = &m->sim->settings.limits;
    const char *mode;

    if (!m->place->vip && m->place->last_message && l->channel_interval != LIMIT_OFF &&
        m->now - m->place->last_message < l->channel_interval) {
        sim_violation(m->sim, m->user, VIOLATION_CHANNEL_RATE);
        return too_fast(m);
    }
    mode = refuse_mode(m);
    if (mode) {
        return mode;
    }
    if (user_repeats(m->place, m->text, m->now, l->duplicate_window)) {
        sim_violation(m->sim, m->user, VIOLATION_DUPLICATE);
        return deny(m, "msg_duplicate",
                    "Your message was not sent because it is identical to the previous one you "
                    "sent, less than 30 seconds ago.");
    }
    return NULL;
}

/* Why it is not said, or NULL. Answers with a NOTICE where Twitch does. */
static const char *refuse(struct message *m)
{
    struct conn *c = m->conn;
    struct user *u = m->user;
    const char *answer;

    if (!within_budgets(m)) {
        return "message_limit";
    }
    if (u->silenced_until > m->now || (c != NULL && c->silenced_until > m->now)) {
        sim_violation(m->sim, u, VIOLATION_SILENCED);
        return u->silence_told ? too_fast(m) : "silenced";
    }
    if (c != NULL ? speak_refuse_room(c, m->room) : m->room->condition != ROOM_OK) {
        return "room";
    }
    if (m->place->banned) {
        return deny(m, "msg_banned", "You are permanently banned from talking.");
    }
    if (m->place->timed_out_until > m->now) {
        char text[80];

        snprintf(text, sizeof(text), "You are timed out for %llu more seconds.",
                 (unsigned long long)((m->place->timed_out_until - m->now + 999) / 1000));
        return deny(m, "msg_timedout", text);
    }
    /* Whether Twitch counts what clients put before a quoted command is not known. */
    size_t unseen = m->text.len >= 3 && memcmp(m->text.ptr, "\xe2\x80\x8b", 3) == 0;
    if (count_chars(m->text) - unseen > TEXT_CHARS) {
        sim_violation(m->sim, u, VIOLATION_LONG_TEXT);
        return "too_long";
    }
    answer = answer_command(m);
    if (answer) {
        return answer;
    }
    return m->moderator ? NULL : refuse_moderated(m);
}

/* The USERSTATE for whoever sent it. */
static void confirm(const struct message *m, const char *id, const char *mod, const char *type)
{
    struct conn *c = m->conn;
    struct buf *line = &m->sim->line;

    if (c == NULL || (c->caps & CAP_COMMANDS) == 0) {
        return;
    }
    buf_clear(line);
    buf_append_char(line, '@');
    speak_write_badges(m->user, m->room->name, line);
    if (m->nonce.len > 0) {
        buf_printf(line, ";client-nonce=%.*s", (int)m->nonce.len, m->nonce.ptr);
    }
    buf_printf(line,
               ";emote-sets=0;id=%s;mod=%s;subscriber=0;user-type=%s :" SIM_HOST " USERSTATE #%s",
               id, mod, type, m->room->name);
    conn_send(c, buf_slice(line));
}

static void say(struct message *m, char id[UUID_CHARS])
{
    struct user *u = m->user;
    struct buf *line = &m->sim->line;
    const char *mod = m->moderator ? "1" : "0";
    const char *type = m->moderator ? "mod" : "";

    rng_uuid(&m->sim->rng, ++m->sim->serial, id);
    confirm(m, id, mod, type);
    buf_clear(line);
    buf_append_char(line, '@');
    speak_write_badges(u, m->room->name, line);
    if (m->nonce.len > 0) {
        buf_printf(line, ";client-nonce=%.*s", (int)m->nonce.len, m->nonce.ptr);
    }
    buf_printf(line, ";emotes=;first-msg=0;flags=;id=%s;mod=%s", id, mod);
    if (m->reply_to.len > 0) {
        buf_printf(line, ";reply-parent-msg-id=%.*s", (int)m->reply_to.len, m->reply_to.ptr);
    }
    buf_printf(
        line,
        ";returning-chatter=0;room-id=%llu;subscriber=0;tmi-sent-ts=%llu;turbo=0;user-id=%llu;"
        "user-type=%s :%s!%s@%s.tmi.twitch.tv PRIVMSG #%s :%s%.*s%s",
        (unsigned long long)m->room->id, (unsigned long long)wall_now().ms,
        (unsigned long long)u->id, type, u->login, u->login, u->login, m->room->name,
        m->action ? "\001ACTION " : "", (int)m->text.len, m->text.ptr, m->action ? "\001" : "");
    room_send(m->sim, m->room, buf_slice(line), AUDIENCE_ALL, m->conn, NULL);
    m->place->last_message = m->now;
    u->said_count++;
}

static void note(const struct message *m, const char *id, const char *outcome)
{
    char *text = xasprintf("%s%.*s", m->action ? "/me " : "", (int)m->text.len, m->text.ptr);
    char *nonce = m->nonce.len ? xstrndup(m->nonce.ptr, m->nonce.len) : NULL;
    char *reply = m->reply_to.len ? xstrndup(m->reply_to.ptr, m->reply_to.len) : NULL;
    struct received what = {.text = text,
                            .nonce = nonce,
                            .reply_to = reply,
                            .outcome = outcome,
                            .conn = m->conn != NULL ? m->conn->id : 0,
                            .at_ms = wall_now().ms};

    memcpy(what.id, id, UUID_CHARS);
    memcpy(what.user, m->user->login, LOGIN_CHARS);
    room_note(m->sim, m->room, &what);
    free(text);
    free(nonce);
    free(reply);
}

/* Say it, or tell why not: NULL, or the reason. `id` is empty where it was not said. */
static const char *judge(struct message *m, char id[UUID_CHARS])
{
    memset(id, 0, UUID_CHARS);
    m->now = mono_ms();
    m->place = user_room(m->user, m->room->name, true);
    m->moderator = user_is_moderator(m->user, m->room->name);
    find_action(m);
    const char *why = refuse(m);
    if (why == NULL) {
        say(m, id);
    }
    note(m, id, why != NULL ? why : "said");
    return why;
}

void speak_privmsg(struct conn *c, const struct irc_line *line)
{
    struct message m = {.sim = c->sim, .user = c->user, .conn = c};
    char channel[IRC_CHANNEL_CHARS];
    char id[UUID_CHARS];

    if (c->anonymous || line->nparams < 2 || line->params[0].len == 0 ||
        line->params[0].ptr[0] != '#' || line->params[1].len == 0 ||
        !irc_channel_normalise(line->params[0], channel, sizeof(channel))) {
        return;
    }
    c->messages++;
    m.room = room_make(c->sim, channel);
    m.text = line->params[1];
    if (!irc_tag(line, "client-nonce", &m.nonce)) {
        m.nonce = SLICE("");
    }
    if (!irc_tag(line, "reply-parent-msg-id", &m.reply_to)) {
        m.reply_to = SLICE("");
    }
    (void)judge(&m, id);
}

void speak_for(struct sim *s, const struct speech *speech, struct speech_outcome *out)
{
    struct message m = {.sim = s,
                        .user = speech->user,
                        .room = speech->room,
                        .text = speech->text,
                        .nonce = SLICE(""),
                        .reply_to = speech->reply_to};

    out->why = judge(&m, out->id);
    memcpy(out->text, m.why, sizeof(out->text));
}
