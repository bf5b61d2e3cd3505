/* Counters as JSON. */
#include "tests/twitch_sim/stats.h"

#include "tests/twitch_sim/conn.h"
#include "tests/twitch_sim/generate.h"
#include "tests/twitch_sim/replay.h"

#include <utlist.h>

static void number(struct json *out, const char *key, uint64_t n)
{
    json_number(out, key, (int64_t)n);
}

static void write_window(struct json *out, const char *key, const struct window *w, uint64_t ok)
{
    json_object_begin(out, key);
    number(out, "total", w->total);
    number(out, "ok", ok);
    number(out, "most", w->most);
    json_object_end(out);
}

static void write_violations(struct json *out, const uint64_t *violations)
{
    json_object_begin(out, "violations");
    for (int i = 0; i < VIOLATION_COUNT; i++) {
        number(out, violation_name(i), violations[i]);
    }
    json_object_end(out);
}

static void write_user(struct json *out, struct user *u)
{
    uint64_t now = mono_ms();

    json_object_begin(out, u->login);
    number(out, "id", u->id);
    json_bool(out, "verified", u->verified);
    json_bool(out, "revoked", u->revoked);
    json_bool(out, "silenced", u->silenced_until > now);
    number(out, "connections", u->conns);
    write_window(out, "logins", &u->logins, u->logins_ok);
    write_window(out, "joins", &u->joins, u->joins_ok);
    json_object_begin(out, "messages");
    number(out, "total", u->messages_all.total);
    number(out, "said", u->said_count);
    number(out, "most", u->messages.most);
    number(out, "most_all", u->messages_all.most);
    json_object_end(out);
    json_object_begin(out, "rooms");
    number(out, "now", u->rooms);
    number(out, "most", u->rooms_most);
    number(out, "with_moderated", u->rooms_all);
    json_object_end(out);
    write_violations(out, u->violations);
    json_object_end(out);
}

static void write_room(struct json *out, struct room *r)
{
    char digest[17];

    snprintf(digest, sizeof(digest), "%016llx", (unsigned long long)r->digest);
    json_object_begin(out, r->name);
    number(out, "room_id", r->id);
    number(out, "members", r->n);
    number(out, "members_most", r->members_most);
    number(out, "sent", r->sent);
    number(out, "sent_bytes", r->sent_bytes);
    json_string(out, "digest", digest);
    number(out, "received", r->nreceived);
    json_object_end(out);
}

void stats_write_generate(struct sim *s, struct json *out)
{
    struct generate_state g = generate_look(s);

    json_object_begin(out, "generate");
    json_bool(out, "running", g.running);
    json_bool(out, "waiting", g.waiting);
    number(out, "lines", g.lines);
    number(out, "total", g.total);
    number(out, "orders", g.orders);
    number(out, "elapsed_ms", g.elapsed_ms);
    json_object_end(out);
}

void stats_write_replay(struct sim *s, struct json *out)
{
    struct replay_state r = replay_look(s);

    json_object_begin(out, "replay");
    json_bool(out, "running", r.running);
    json_bool(out, "done", r.done);
    number(out, "lines", r.lines);
    number(out, "skipped", r.skipped);
    json_object_end(out);
}

size_t stats_connections(const struct sim *s)
{
    struct conn *c;
    size_t n = 0;

    DL_FOREACH(s->conns, c)
    {
        n += !c->closing && !c->killed;
    }
    return n;
}

static void write_connection_counts(struct sim *s, struct json *out)
{
    struct conn *c;
    uint64_t half_open = 0;
    uint64_t logged_in = 0;
    uint64_t queued = 0;

    DL_FOREACH(s->conns, c)
    {
        half_open += c->half_open && !c->killed;
        logged_in += c->user && !c->closing && !c->killed;
        queued += conn_queued(c);
    }
    json_object_begin(out, "connections");
    number(out, "now", stats_connections(s));
    number(out, "closing", s->nconns - stats_connections(s));
    number(out, "logged_in", logged_in);
    number(out, "half_open", half_open);
    number(out, "congested", s->ncongested);
    number(out, "queued_bytes", queued);
    number(out, "total", s->count.connections);
    number(out, "dropped_slow", s->count.dropped_slow);
    number(out, "refused", s->count.upgrades_refused);
    json_object_end(out);
}

void stats_write(struct sim *s, bool channels, struct json *out)
{
    struct user *u;
    struct room *r;

    write_connection_counts(s, out);
    json_object_begin(out, "logins");
    number(out, "ok", s->count.logins_ok);
    number(out, "refused", s->count.logins_refused);
    json_object_end(out);
    json_object_begin(out, "joins");
    number(out, "total", s->count.joins);
    number(out, "ok", s->count.joins_ok);
    json_object_end(out);
    number(out, "lines_sent", s->count.lines_sent);
    number(out, "lines_out", s->count.lines_out);
    number(out, "bytes_out", s->count.bytes_out);
    number(out, "channels_joined", s->njoined);
    write_violations(out, s->count.violations);
    stats_write_generate(s, out);
    stats_write_replay(s, out);
    json_object_begin(out, "users");
    for (u = s->users; u; u = u->hh.next) {
        if (u->logins.total > 0) {
            write_user(out, u);
        }
    }
    json_object_end(out);
    if (channels) {
        json_object_begin(out, "channels");
        for (r = s->rooms; r; r = r->hh.next) {
            write_room(out, r);
        }
        json_object_end(out);
    }
}

void stats_write_connections(struct sim *s, struct json *out)
{
    struct conn *c;

    json_array_begin(out, "connections");
    DL_FOREACH(s->conns, c)
    {
        if (c->closing || c->killed) {
            continue;
        }
        json_object_begin(out, NULL);
        number(out, "id", c->id);
        json_string(out, "user", c->user ? c->user->login : NULL);
        json_bool(out, "tls", c->tls);
        json_bool(out, "half_open", c->half_open);
        number(out, "age_ms", mono_ms() - c->opened_ms);
        number(out, "messages", c->messages);
        number(out, "lines_in", c->lines_in);
        number(out, "lines_out", c->lines_out);
        number(out, "queued_bytes", conn_queued(c));
        json_array_begin(out, "rooms");
        for (struct membership *m = c->rooms; m; m = m->hh.next) {
            json_string(out, NULL, m->room->name);
        }
        json_array_end(out);
        json_object_end(out);
    }
    json_array_end(out);
}

void stats_write_received(struct sim *s, const char *channel, uint64_t from, struct json *out)
{
    struct room *r = room_find(s, channel);

    json_string(out, "channel", channel);
    json_array_begin(out, "messages");
    for (size_t i = from; r && i < r->nreceived; i++) {
        const struct received *m = &r->received[i];

        json_object_begin(out, NULL);
        json_string(out, "text", m->text);
        json_string(out, "user", m->user);
        json_string(out, "outcome", m->outcome);
        json_string(out, "id", m->id);
        json_string(out, "nonce", m->nonce);
        json_string(out, "reply_to", m->reply_to);
        number(out, "conn", m->conn);
        number(out, "at_ms", m->at_ms);
        json_object_end(out);
    }
    json_array_end(out);
}
