/* Link: a connection to Redis that comes back by itself.
 *
 * How it works: `conn` gives a stream of bytes (name, TCP, TLS and writing are its matter); this
 * file greets, watches deadlines and waits between tries; link_reply.c parses replies and matches
 * them with the commands in order (a ring, no allocation per command). There is at most one conn: a
 * new try starts when the wait is over *and* the old conn is gone (clearing).
 *
 * Callbacks may do anything. While one runs, `depth` is above 0, and link_close and link_reset only
 * leave a note that link_settle carries out when the stack is unwound; nothing is freed under a
 * callback.
 *
 * Deadlines: one timer, lazily armed: it fires at the deadline of what was the oldest command and
 * is set anew if that was answered. When a deadline has passed, the loop gets one more look at the
 * socket first: after a pause of this process, the answers may be lying there. */
#include "shared/redis/link_private.h"

#include "shared/buf.h"
#include "shared/redis/greeting.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <utlist.h>

#define LINK_CONNECT_MS     3000
#define LINK_REPLY_MS       3000
#define LINK_BACKOFF_MS     50
#define LINK_BACKOFF_CAP_MS 2000
#define LINK_STABLE_MS      1000 /* up for this long: the next failure waits the least again */
#define LINK_SECOND_LOOK_MS 20
#define LINK_REFUSED_MS     1000 /* what Redis refuses is not tried sooner */

#define ENDS (MACHINE_BIT(LINK_WAITING) | MACHINE_BIT(LINK_CLOSED))

static const struct machine_state states[] = {
    [LINK_WAITING] = {"waiting", MACHINE_BIT(LINK_CLEARING) | MACHINE_BIT(LINK_CONNECTING) |
                                     MACHINE_BIT(LINK_CLOSED)},
    [LINK_CLEARING] = {"clearing", MACHINE_BIT(LINK_CONNECTING) | MACHINE_BIT(LINK_CLOSED)},
    [LINK_CONNECTING] = {"connecting", MACHINE_BIT(LINK_GREETING) | ENDS},
    [LINK_GREETING] = {"greeting", MACHINE_BIT(LINK_UP) | ENDS},
    [LINK_UP] = {"up", ENDS},
    [LINK_CLOSED] = {"closed", 0},
};

static const char *id(const void *owner)
{
    return ((const struct link *)owner)->name;
}

/* What was sent and not answered is told that once the link is down: it may still be there. */
static void check(const void *owner)
{
    const struct link *link = owner;
    enum link_state state = link->machine.state;
    bool connected = state == LINK_GREETING || state == LINK_UP;

    BUG_ON(connected != (link->reader != NULL));
    BUG_ON((connected || state == LINK_CONNECTING || state == LINK_CLEARING) && link->conn == NULL);
    BUG_ON((link->greetings > 0) != (state == LINK_GREETING));
    BUG_ON(link->pending.len > 0 && connected && state != LINK_UP);
    BUG_ON(link->reset_wanted && state != LINK_CLOSED);
}

static const struct machine_type machine = {"link", states, ARRAY_LEN(states), id, check};

static void link_connect(struct link *link);
static void link_settle(struct link *link);
static void on_timer(uv_timer_t *timer);

/* Call back everything unanswered; what callbacks try to send is refused, so this ends. */
static void link_abandon(struct link *link, const struct err *why)
{
    link->depth++;
    while (link->pending.len > 0) {
        struct pending p = pending_pop(&link->pending);

        if (p.cb != NULL) {
            p.cb(p.ctx, NULL, why);
        }
    }
    link->depth--;
}

static void finish(void *owner)
{
    struct link *link = owner;

    BUG_ON(link->machine.state != LINK_CLOSED || link->pending.len > 0);
    if (link->o.group != NULL) {
        DL_DELETE(link->o.group->links, link);
    }
    pending_finish(&link->pending);
    free(link->tls_ca);
    free(link->name);
    free(link);
}

static void on_conn_closed(void *ctx)
{
    struct link *link = ctx;

    link->conn = NULL;
    if (link->machine.state == LINK_CLEARING) {
        link_connect(link);
    } else if (link->machine.state == LINK_CLOSED) {
        teardown_part_gone(&link->teardown);
    }
}

static void drop_connection(struct link *link)
{
    if (link->conn != NULL) {
        conn_close(link->conn);
    }
    reply_reader_destroy(link->reader);
    link->reader = NULL;
    link->greetings = 0;
}

static void link_finish(struct link *link)
{
    struct err why;

    err_set(&why, ERR_CANCELED, "the link was closed before the answer came");
    drop_connection(link);
    machine_move(&link->machine, LINK_CLOSED, link);
    if (link->conn != NULL) {
        teardown_part(&link->teardown);
    }
    teardown_handle(&link->teardown, (uv_handle_t *)&link->timer);
    teardown_handle(&link->teardown, (uv_handle_t *)&link->settle);
    link_abandon(link, &why);
}

/* Down: say so to everybody who waits, then to on_down, then wait and try again. */
static void link_fail(struct link *link, const struct err *cause, bool at_once)
{
    uint64_t up_ms = link->machine.state == LINK_UP ? mono_ms() - link->up_ms : 0;
    struct err why = *cause;
    struct err each = *cause;

    BUG_ON(link->depth > 0);
    if (each.code != ERR_TIMEOUT) {
        each.code = ERR_DOWN;
    }
    if (link->machine.state == LINK_UP) {
        link->down_ms = mono_ms();
    }
    link->reset_wanted = false;
    drop_connection(link);
    machine_move(&link->machine, LINK_WAITING, link);
    uint64_t wait_ms = backoff_next(&link->backoff, up_ms);
    if (at_once && up_ms >= LINK_STABLE_MS) {
        wait_ms = 0;
    }
    if (why.code == ERR_UNABLE && wait_ms < LINK_REFUSED_MS) {
        wait_ms = LINK_REFUSED_MS;
    }
    uv_timer_start(&link->timer, on_timer, wait_ms, 0);
    link_abandon(link, &each);
    if (!link->teardown.begun && link->o.on_down != NULL) {
        link->depth++;
        link->o.on_down(link->o.ctx, &why);
        link->depth--;
    }
    link_settle(link);
}

/* Carry out what a callback asked for. */
static void link_settle(struct link *link)
{
    if (link->depth > 0 || link->machine.state == LINK_CLOSED) {
        return;
    }
    uv_idle_stop(&link->settle);
    if (link->teardown.begun) {
        link_finish(link);
    } else if (link->reset_wanted) {
        struct err why = link->reset_why;

        link_fail(link, &why, true);
    }
}

static void on_settle(uv_idle_t *idle)
{
    link_settle(idle->data);
}

/* Make the timer fire no later than `deadline`. */
static void watch_deadline(struct link *link, uint64_t deadline)
{
    uint64_t now = uv_now(link->loop);

    if (uv_is_active((uv_handle_t *)&link->timer) && link->due <= deadline) {
        return;
    }
    link->due = deadline;
    uv_timer_start(&link->timer, on_timer, deadline > now ? deadline - now : 0, 0);
}

void link_expect(struct link *link, const struct pending *command, uint64_t block_ms)
{
    pending_push(&link->pending, command, uv_now(link->loop), link->o.reply_ms, block_ms);
    if (link->pending.len == 1) {
        watch_deadline(link, pending_head(&link->pending)->deadline);
    }
}

static void check_deadline(struct link *link)
{
    const struct pending *head = pending_head(&link->pending);
    uint64_t now = uv_now(link->loop);
    struct err why;

    if (head == NULL) {
        return;
    }
    if (head->deadline > now) {
        link->second_look = false;
        watch_deadline(link, head->deadline);
    } else if (!link->second_look) {
        link->second_look = true;
        watch_deadline(link, now + LINK_SECOND_LOOK_MS);
    } else {
        err_set(&why, ERR_TIMEOUT, "%s did not answer within %llu ms", conn_where(link->conn),
                (unsigned long long)link->o.reply_ms);
        link_fail(link, &why, false);
    }
}

static void connect_timed_out(struct link *link)
{
    bool greeting = link->machine.state == LINK_GREETING;
    struct err why;

    err_set(&why, ERR_TIMEOUT, "%s cannot be reached: no answer within %llu ms while %s",
            conn_where(link->conn), (unsigned long long)link->o.connect_ms,
            greeting ? "greeting" : conn_doing(link->conn));
    link_fail(link, &why, false);
}

static void on_timer(uv_timer_t *timer)
{
    struct link *link = timer->data;

    switch ((enum link_state)link->machine.state) {
    case LINK_WAITING:
        if (link->conn == NULL) {
            link_connect(link);
        } else {
            machine_move(&link->machine, LINK_CLEARING, link);
        }
        break;
    case LINK_CONNECTING:
    case LINK_GREETING:
        connect_timed_out(link);
        break;
    case LINK_UP:
        check_deadline(link);
        break;
    case LINK_CLEARING:
    case LINK_CLOSED:
        break;
    }
}

void link_greeted(struct link *link)
{
    machine_move(&link->machine, LINK_UP, link);
    link->up_ms = mono_ms();
    link->second_look = false;
    uv_timer_stop(&link->timer);
    if (link->o.on_up != NULL) {
        link->o.on_up(link->o.ctx);
    }
}

static void protocol_broken(struct link *link, const struct err *what)
{
    bool plain_greeting = link->machine.state == LINK_GREETING && !link->o.url->tls;
    struct err why;

    err_set(&why, ERR_PROTOCOL, "%s %s%s", conn_where(link->conn), what->text,
            plain_greeting ? "; is it Redis, and not a TLS port (rediss://)?" : "");
    link_fail(link, &why, false);
}

static void on_conn_bytes(void *ctx, const char *data, size_t len)
{
    struct link *link = ctx;
    struct err err;

    if (link->reader == NULL || link->teardown.begun || link->reset_wanted) {
        return;
    }
    link->depth++;
    int rc = link_take_bytes(link, data, len, &err);
    link->depth--;
    if (rc == 0 || link->teardown.begun || link->reset_wanted) {
        link_settle(link);
    } else if (rc == -ERR_PROTOCOL) {
        protocol_broken(link, &err);
    } else {
        link_fail(link, &err, false);
    }
}

static void on_conn_open(void *ctx)
{
    struct link *link = ctx;
    struct buf hello;

    link->reader = reply_reader_create();
    buf_init(&hello, SIZE_MAX / 2);
    link->greetings = greeting_write(&hello, link->o.url, link->name);
    machine_move(&link->machine, LINK_GREETING, link);
    BUG_ON(!conn_write(link->conn, hello.data, hello.len));
    OPENSSL_cleanse(hello.data, hello.len);
    buf_finish(&hello);
}

static void on_conn_fail(void *ctx, const struct err *why)
{
    struct link *link = ctx;
    struct err told = *why;

    if (link->machine.state == LINK_GREETING && !link->o.url->tls) {
        err_set(&told, ERR_UNREACHABLE, "%s in the greeting; is it a TLS port (rediss://)?",
                why->text);
    }
    link_fail(link, &told, false);
}

static void link_connect(struct link *link)
{
    struct conn_options options = {
        .url = link->o.url,
        .url_option = "redis_url",
        .tls_ca = link->tls_ca,
        .ca_option = "redis_tls_ca",
        .connect_ms = link->o.connect_ms,
        .memory = &link->addresses,
        .unsent_max = LINK_UNSENT_MAX,
        .on_open = on_conn_open,
        .on_bytes = on_conn_bytes,
        .on_fail = on_conn_fail,
        .on_closed = on_conn_closed,
        .ctx = link,
    };

    link->conn = conn_open(link->loop, &options);
    machine_move(&link->machine, LINK_CONNECTING, link);
    uv_timer_start(&link->timer, on_timer, link->o.connect_ms, 0);
}

struct link *link_create(uv_loop_t *loop, const struct link_options *options)
{
    struct link *link = xcalloc(1, sizeof(*link));

    BUG_ON(options->url == NULL || (options->raw_pushes && options->on_push == NULL));
    machine_begin(&link->machine, &machine, LINK_WAITING);
    link->o = *options;
    link->loop = loop;
    link->tls_ca = options->tls_ca != NULL ? xstrdup(options->tls_ca) : NULL;
    link->name = options->name != NULL ? xstrdup(options->name) : NULL;
    link->o.connect_ms = options->connect_ms != 0 ? options->connect_ms : LINK_CONNECT_MS;
    link->o.reply_ms = options->reply_ms != 0 ? options->reply_ms : LINK_REPLY_MS;
    backoff_init(&link->backoff, LINK_BACKOFF_MS,
                 options->backoff_cap_ms != 0 ? options->backoff_cap_ms : LINK_BACKOFF_CAP_MS,
                 LINK_STABLE_MS);
    BUG_ON(uv_timer_init(loop, &link->timer) != 0 || uv_idle_init(loop, &link->settle) != 0);
    link->timer.data = link;
    link->settle.data = link;
    uv_timer_start(&link->timer, on_timer, 0, 0);
    if (link->o.group != NULL) {
        DL_APPEND(link->o.group->links, link);
    }
    return link;
}

void link_close(struct link *link, void (*on_closed)(void *ctx), void *ctx)
{
    teardown_begin(&link->teardown, finish, link, on_closed, ctx);
    link_settle(link);
}

bool link_is_up(const struct link *link)
{
    return link->machine.state == LINK_UP && !link->teardown.begun && !link->reset_wanted;
}

static void reset(struct link *link, enum err_code code, const char *why)
{
    if (!link_is_up(link)) {
        return;
    }
    link->reset_wanted = true;
    err_set(&link->reset_why, code, "%s", why);
    uv_idle_start(&link->settle, on_settle);
}

void link_reset(struct link *link, const char *why)
{
    reset(link, ERR_DOWN, why);
}

void link_refuse(struct link *link, const char *why)
{
    reset(link, ERR_UNABLE, why);
}
