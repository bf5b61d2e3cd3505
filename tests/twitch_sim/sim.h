/* Sim: what the rooms of the simulator share: settings, tables, counters, the loop.
 *
 *   server.c   libwebsockets: accepts connections, hands bytes to conn and session
 *   conn.c     a connection's way out (queue.c), its frames (frame.c), its faults (fault.c)
 *   session.c  a connection's way in: CAP, PASS, NICK, JOIN, PART, PING
 *   speak.c    PRIVMSG: limits, refusals, who hears it
 *   room.c     channels, members, fan-out, record
 *   user.c     accounts;  limits.c  sliding windows
 *   generate.c, lines.c, person.c   made-up chat;  flood.c   the same, made before;  replay.c   recorded chat
 *   web.c      Twitch's web services: connections; web_request.c, web_answer.c, web_fault.c, web_log.c
 *   oauth.c    id.twitch.tv;  helix.c, helix_say.c   api.twitch.tv
 *   token.c, device.c   applications, tokens, device codes;  bearer.c   who a token stands for
 *   control.c, commands.c, commands_web.c, targets.c, stats.c   the control port
 */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include "tests/twitch_sim/limits.h"
#include "tests/twitch_sim/rng.h"
#include "tests/twitch_sim/user.h"

#include "shared/buf.h"
#include "shared/loop.h"

#include <stdio.h>

struct conn;
struct control;
struct generator;
struct lws_context;
struct lws_vhost;
struct replay;
struct room;
struct tokens;
struct web;

#define SIM_HOST "tmi.twitch.tv"

struct sim_settings {
    struct limits limits;
    uint64_t ping_interval_ms; /* LIMIT_OFF: never */
    uint64_t ping_timeout_ms;
    uint64_t reconnect_grace_ms; /* from RECONNECT to the close */
    size_t coalesce;             /* most lines in a message */
    size_t fragment;             /* most bytes in a fragment, 0: whole messages */
    size_t cut;                  /* most bytes in a message, 0: lines are never cut over messages */
    size_t queue_bytes;          /* of a connection, above which generation waits */
    bool drop_slow;              /* close such a connection instead of waiting */
};

struct sim_counters {
    uint64_t connections;
    uint64_t logins_ok;
    uint64_t logins_refused;
    uint64_t joins; /* attempts, one a channel */
    uint64_t joins_ok;
    uint64_t lines_sent; /* room lines, one a line */
    uint64_t lines_out;  /* one a line and connection, all lines */
    uint64_t bytes_out;
    uint64_t upgrades_refused;
    uint64_t dropped_slow; /* connections closed because they did not read */
    uint64_t violations[VIOLATION_COUNT];
};

/* What the simulator listens as. */
enum service { SERVICE_WS, SERVICE_WSS, SERVICE_HTTP, SERVICE_HTTPS, SERVICE_COUNT };

struct sim {
    struct loop loop;
    struct lws_context *lws;
    struct lws_vhost *vhosts[SERVICE_COUNT];
    char hosts[SERVICE_COUNT][64]; /* libwebsockets looks at them until it is gone */
    struct sim_settings settings;
    struct sim_counters count;
    struct rng rng;
    uint64_t serial; /* for ids of messages and connections */
    struct user *users;
    struct room *rooms;
    struct room **joined; /* rooms with members */
    size_t njoined;
    size_t joined_cap;
    struct conn *conns;
    size_t nconns;
    size_t ncongested;  /* connections over queue_bytes */
    bool outage;        /* new connections are closed at once */
    unsigned refusal;   /* the HTTP status that upgrades are answered with; 0: they succeed */
    char location[300]; /* of such an answer; empty: none */
    bool stopping;
    struct buf line; /* scratch for one line */
    struct buf wire; /* scratch for frames */
    FILE *record;
    struct generator *generator;
    struct replay *replay;
    struct control *control;
    struct tokens *tokens;
    struct web *web;
    uv_timer_t tick;      /* fine while a connection has a fault that needs it or a test waits */
    bool fine;            /* 10 ms, else 100 */
    uint64_t last_tick;   /* mono ms */
    uint64_t last_record; /* when the record was last flushed */
};

#define SIM_TICK_MS      100
#define SIM_FINE_TICK_MS 10

/* Something began that the tick must look after closely. */
static inline void sim_hurry(struct sim *s)
{
    if (!s->fine && !s->stopping) {
        s->fine = true;
        uv_timer_set_repeat(&s->tick, SIM_FINE_TICK_MS);
        uv_timer_again(&s->tick);
    }
}

/* Something was refused for being over a limit. */
static inline void sim_violation(struct sim *s, struct user *u, enum violation v)
{
    s->count.violations[v]++;
    if (u) {
        u->violations[v]++;
    }
}

#endif
