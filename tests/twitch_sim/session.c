/* A connection's way in.
 *
 * Happy path: CAP REQ -> ACK; PASS and NICK -> 001 to 376, GLOBALUSERSTATE; JOIN -> own JOIN, 353, 366,
 * USERSTATE, ROOMSTATE. Refusals: a login gets a NOTICE and is closed; too many joins close the
 * connection at once; a room too many gets a NOTICE; a missing room and nonsense get no answer. */
#include "tests/twitch_sim/session.h"

#include "tests/twitch_sim/bearer.h"
#include "tests/twitch_sim/generate.h"
#include "tests/twitch_sim/replay.h"
#include "tests/twitch_sim/speak.h"

#include <stdlib.h>
#include <string.h>

#define CLIENT_LINE_BYTES 4094 /* without CR LF */
#define NAMES_MOST        1000 /* membership lists stop above */

static struct slice last_param(const struct irc_line *line)
{
    return line->nparams ? line->params[line->nparams - 1] : SLICE("");
}

static void refuse_login(struct conn *c, const char *why)
{
    c->sim->count.logins_refused++;
    conn_printf(c, ":" SIM_HOST " NOTICE * :%s", why);
    conn_close(c);
}

static void welcome(struct conn *c)
{
    static const struct {
        const char *number;
        const char *text;
    } lines[] = {{"001", "Welcome, GLHF!"},
                 {"002", "Your host is tmi.twitch.tv"},
                 {"003", "This server is rather new"},
                 {"004", "-"},
                 {"375", "-"},
                 {"372", "You are in a maze of twisty passages, all alike."},
                 {"376", ">"}};

    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        conn_printf(c, ":" SIM_HOST " %s %s :%s", lines[i].number, c->nick, lines[i].text);
    }
    if (!c->anonymous && (c->caps & CAP_COMMANDS)) {
        conn_printf(c,
                    "@badge-info=;badges=;color=%s;display-name=%s;emote-sets=0;user-id=%llu;"
                    "user-type= :" SIM_HOST " GLOBALUSERSTATE",
                    c->user->color, c->user->display, (unsigned long long)c->user->id);
    }
}

/* "justinfan" and digits. */
static bool is_anonymous(const char *nick)
{
    size_t n = strlen("justinfan");

    return strncmp(nick, "justinfan", n) == 0 && nick[n] &&
           nick[n + strspn(nick + n, "0123456789")] == '\0';
}

static void log_in(struct conn *c, struct user *u)
{
    c->user = u;
    u->conns++;
    u->logins_ok++;
    c->sim->count.logins_ok++;
    c->pinged_ms = mono_ms();
    welcome(c);
}

/* Count the attempt; false if it is one too many. */
static bool login_allowed(struct sim *s, struct user *u)
{
    const struct limits *l = &s->settings.limits;
    uint64_t limit = u->verified ? l->login_limit_verified : l->login_limit;

    if (window_add(&u->logins, mono_ms(), l->login_window) > limit) {
        sim_violation(s, u, VIOLATION_LOGINS);
        return false;
    }
    return true;
}

static void on_nick(struct conn *c, struct slice nick)
{
    struct sim *s = c->sim;
    struct user *u;

    if (c->user || c->closing) {
        return;
    }
    if (!irc_channel_normalise(nick, c->nick, IRC_CHANNEL_CHARS) || nick.ptr[0] == '#') {
        refuse_login(c, "Invalid NICK");
        return;
    }
    c->anonymous = is_anonymous(c->nick);
    if (!c->anonymous && (!c->pass || strncmp(c->pass, "oauth:", 6) != 0 || !c->pass[6])) {
        refuse_login(c, "Improperly formatted auth");
        return;
    }
    u = user_find(s->users, c->nick);
    if (c->anonymous && !u) {
        u = user_put(&s->users, c->nick, NULL, false);
    }
    if (!u) {
        refuse_login(c, "Login authentication failed");
    } else if (!login_allowed(s, u)) {
        refuse_login(c, "Login unsuccessful");
    } else if (!c->anonymous && !bearer_may_chat(s, u, c->pass + 6)) {
        tokens_note_dead_login(s->tokens, c->pass + 6, mono_ms());
        refuse_login(c, "Login authentication failed");
    } else {
        log_in(c, u);
    }
}

static unsigned cap_of(struct slice name)
{
    return slice_is(name, "twitch.tv/tags")         ? CAP_TAGS
           : slice_is(name, "twitch.tv/commands")   ? CAP_COMMANDS
           : slice_is(name, "twitch.tv/membership") ? CAP_MEMBERSHIP
                                                    : 0;
}

static void set_caps(struct conn *c, unsigned caps)
{
    if ((caps & CAP_MEMBERSHIP) && !(c->caps & CAP_MEMBERSHIP)) {
        struct membership *m;
        struct membership *next;

        HASH_ITER(hh, c->rooms, m, next)
        {
            m->room->with_membership++;
        }
    }
    c->caps |= caps;
}

static void on_cap(struct conn *c, const struct irc_line *line)
{
    struct slice names = last_param(line);
    struct slice left = names;
    unsigned caps = 0;
    bool known = true;

    if (line->nparams > 0 && slice_is(line->params[0], "LS")) {
        conn_printf(c, ":" SIM_HOST
                       " CAP * LS :twitch.tv/commands twitch.tv/membership twitch.tv/tags");
        return;
    }
    if (line->nparams < 2 || !slice_is(line->params[0], "REQ")) {
        return;
    }
    while (left.len > 0) {
        const char *space = memchr(left.ptr, ' ', left.len);
        size_t len = space ? (size_t)(space - left.ptr) : left.len;
        unsigned cap = cap_of((struct slice){left.ptr, len});

        known = known && (cap || len == 0);
        caps |= cap;
        left.ptr += len + (space != NULL);
        left.len -= len + (space != NULL);
    }
    if (known) {
        set_caps(c, caps);
    }
    conn_printf(c, ":" SIM_HOST " CAP * %s :%.*s", known ? "ACK" : "NAK", (int)names.len,
                names.ptr);
}

/* 353 and 366: oneself, and the others where membership was asked for. */
static void send_names(struct conn *c, struct room *r)
{
    char names[512];
    size_t len = (size_t)snprintf(names, sizeof(names), "%s", c->nick);

    if ((c->caps & CAP_MEMBERSHIP) && r->n <= NAMES_MOST) {
        for (size_t i = 0; i < r->n; i++) {
            const struct conn *other = r->members[i]->conn;

            if (other->user == c->user) {
                continue;
            }
            if (len + LOGIN_CHARS + 1 > sizeof(names)) {
                conn_printf(c, ":%s.tmi.twitch.tv 353 %s = #%s :%s", c->nick, c->nick, r->name,
                            names);
                len = 0;
            }
            len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s", len ? " " : "",
                                    other->nick);
        }
    }
    conn_printf(c, ":%s.tmi.twitch.tv 353 %s = #%s :%s", c->nick, c->nick, r->name, names);
    conn_printf(c, ":%s.tmi.twitch.tv 366 %s #%s :End of /NAMES list", c->nick, c->nick, r->name);
}

static void send_room_intro(struct conn *c, struct room *r)
{
    struct buf *line = &c->sim->line;

    conn_printf(c, ":%s!%s@%s.tmi.twitch.tv JOIN #%s", c->nick, c->nick, c->nick, r->name);
    send_names(c, r);
    if (!(c->caps & CAP_COMMANDS)) {
        return;
    }
    if (!c->anonymous) {
        bool mod = user_is_moderator(c->user, r->name);

        buf_clear(line);
        buf_append_char(line, '@');
        speak_write_badges(c->user, r->name, line);
        buf_printf(line,
                   ";emote-sets=0;mod=%d;subscriber=0;user-type=%s :" SIM_HOST " USERSTATE #%s",
                   mod, mod ? "mod" : "", r->name);
        conn_send(c, buf_slice(line));
    }
    buf_clear(line);
    room_write_state(r, line);
    conn_send(c, buf_slice(line));
}

/* May the user be in one more room? Counts it. */
static bool take_room(struct sim *s, struct user *u, struct user_room *ur, bool anonymous)
{
    if (ur->conns == 0) {
        /* The cap is of named accounts. */
        ur->counted = !anonymous && !user_is_moderator(u, ur->channel);
        if (ur->counted && u->rooms >= s->settings.limits.room_limit) {
            sim_violation(s, u, VIOLATION_ROOMS);
            return false;
        }
        u->rooms_all++;
        u->rooms += ur->counted;
        if (u->rooms > u->rooms_most) {
            u->rooms_most = u->rooms;
        }
    }
    ur->conns++;
    return true;
}

/* Tell the others that somebody came or went. */
static void tell_others(struct conn *c, struct room *r, const char *what)
{
    struct buf *line = &c->sim->line;

    buf_clear(line);
    buf_printf(line, ":%s!%s@%s.tmi.twitch.tv %s #%s", c->nick, c->nick, c->nick, what, r->name);
    if (r->n <= NAMES_MOST) {
        room_send(c->sim, r, buf_slice(line), AUDIENCE_MEMBERSHIP, c, c->user);
    }
}

/* False if the connection is closed for it. */
static bool join_one(struct conn *c, struct slice name)
{
    struct sim *s = c->sim;
    struct user *u = c->user;
    const struct limits *l = &s->settings.limits;
    char channel[IRC_CHANNEL_CHARS];
    struct membership *m;
    struct room *r;

    s->count.joins++;
    if (window_add(&u->joins, mono_ms(), l->join_window) >
        (u->verified ? l->join_limit_verified : l->join_limit)) {
        sim_violation(s, u, VIOLATION_JOINS);
        conn_close(c);
        return false;
    }
    if (name.len == 0 || name.ptr[0] != '#' ||
        !irc_channel_normalise(name, channel, sizeof(channel))) {
        return true;
    }
    r = room_make(s, channel);
    HASH_FIND_PTR(c->rooms, &r, m);
    if (m || speak_refuse_room(c, r)) {
        return true;
    }
    if (user_room(u, channel, true)->banned) {
        speak_notice(c, channel, "msg_banned", "You are permanently banned from talking here.");
        return true;
    }
    if (!take_room(s, u, user_room(u, channel, true), c->anonymous)) {
        speak_notice(c, channel, "msg_concurrent_channel_limit_reached",
                     "You are connected to too many chat channels.");
        return true;
    }
    u->joins_ok++;
    s->count.joins_ok++;
    room_add(s, r, c);
    send_room_intro(c, r);
    if (user_room(u, channel, true)->conns == 1) {
        tell_others(c, r, "JOIN");
    }
    generate_wake(s);
    replay_on_join(s);
    return true;
}

/* Walk over "a,b,c"; stops when `each` returns false. */
static void each_channel(struct conn *c, struct slice names,
                         bool (*each)(struct conn *, struct slice))
{
    for (;;) {
        const char *comma = memchr(names.ptr, ',', names.len);
        size_t len = comma ? (size_t)(comma - names.ptr) : names.len;

        if (!each(c, (struct slice){names.ptr, len}) || !comma) {
            return;
        }
        names.ptr += len + 1;
        names.len -= len + 1;
    }
}

static void leave_room(struct conn *c, struct membership *m, bool tell)
{
    struct room *r = m->room;
    struct user_room *ur = user_room(c->user, r->name, true);

    room_remove(c->sim, m);
    if (--ur->conns == 0) {
        c->user->rooms_all--;
        c->user->rooms -= ur->counted;
        if (tell) {
            tell_others(c, r, "PART");
        }
    }
}

static bool part_one(struct conn *c, struct slice name)
{
    char channel[IRC_CHANNEL_CHARS];
    struct membership *m = NULL;
    struct room *r;

    if (irc_channel_normalise(name, channel, sizeof(channel))) {
        r = room_find(c->sim, channel);
        if (r) {
            HASH_FIND_PTR(c->rooms, &r, m);
        }
        if (m) {
            conn_printf(c, ":%s!%s@%s.tmi.twitch.tv PART #%s", c->nick, c->nick, c->nick, channel);
            leave_room(c, m, true);
        }
    }
    return true;
}

void session_leave(struct conn *c)
{
    struct membership *m;
    struct membership *next;

    HASH_ITER(hh, c->rooms, m, next)
    {
        leave_room(c, m, !c->sim->stopping);
    }
    if (c->user && !c->left) {
        c->left = true;
        c->user->conns--;
    }
}

static void on_line(struct conn *c, const struct irc_line *line)
{
    struct slice arg = last_param(line);

    if (slice_is(line->command, "PING")) {
        conn_printf(c, ":" SIM_HOST " PONG " SIM_HOST " :%.*s", (int)arg.len, arg.ptr);
    } else if (slice_is(line->command, "PONG")) {
        c->pong_due = false;
    } else if (slice_is(line->command, "CAP")) {
        on_cap(c, line);
    } else if (slice_is(line->command, "PASS")) {
        free(c->pass);
        c->pass = xstrndup(arg.ptr, arg.len);
    } else if (slice_is(line->command, "NICK")) {
        on_nick(c, arg);
    } else if (!c->user || line->nparams == 0) {
        return; /* all the rest is for those who are logged in */
    } else if (slice_is(line->command, "JOIN")) {
        each_channel(c, line->params[0], join_one);
    } else if (slice_is(line->command, "PART")) {
        each_channel(c, line->params[0], part_one);
    } else if (slice_is(line->command, "PRIVMSG")) {
        speak_privmsg(c, line);
    } else if (slice_is(line->command, "QUIT")) {
        conn_close(c);
    } else if (!slice_is(line->command, "USER")) {
        conn_printf(c, ":" SIM_HOST " 421 %s %.*s :Unknown command", c->nick,
                    (int)(line->command.len > 64 ? 64 : line->command.len), line->command.ptr);
    }
}

static bool on_raw_line(void *ctx, struct slice raw)
{
    struct conn *c = ctx;
    struct irc_line line;

    c->lines_in++;
    if (raw.len > CLIENT_LINE_BYTES) {
        sim_violation(c->sim, c->user, VIOLATION_LONG_LINE);
    } else if (irc_parse(raw, &line, NULL) == 0) {
        on_line(c, &line);
    }
    return !c->closing && !c->killed;
}

void session_read(struct conn *c, struct slice bytes, bool final)
{
    if (c->closing || c->killed || c->half_open) {
        return;
    }
    if (irc_splitter_piece(&c->in, bytes, false, on_raw_line, c) && final) {
        (void)irc_splitter_piece(&c->in, SLICE("\n"), true, on_raw_line, c);
    }
}
