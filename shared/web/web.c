/* Web: listening, accepting, and the server's life. See web.h and web_private.h.
 *
 * How it works: libuv accepts, as often as the bucket of accepts allows; where that is empty the
 * connection is left where it is, so libuv looks for no other one until the tick takes it. Where no
 * file descriptor is left libuv closes what waits, by one it keeps in reserve. The tick runs while
 * there are connections, and keeps all of their times. */
#include "shared/web/web_private.h"

#include "shared/log.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

#define BUSY_TOLD_MS 60000 /* that there are too many is told as often */

static void on_tick(uv_timer_t *timer);

static void tick_on(struct web *w)
{
    if (!uv_is_active((uv_handle_t *)&w->tick)) {
        uv_timer_start(&w->tick, on_tick, WEB_TICK_MS, WEB_TICK_MS);
    }
}

void web_busy(struct web *w, const char *what)
{
    uint64_t now = mono_ms();

    if (w->busy_ms == 0 || now - w->busy_ms >= BUSY_TOLD_MS) {
        w->busy_ms = now;
        log_warn("http", "http.busy", "too_many", what, NULL);
    }
}

static void accept_one(struct web *w)
{
    bool tls = w->tls != NULL;

    w->waits = !web_bucket_take(&w->accepts, tls ? WEB_TLS_ACCEPTS_S : WEB_ACCEPTS_S,
                                tls ? WEB_TLS_ACCEPTS : WEB_ACCEPTS, mono_ms());
    tick_on(w);
    if (w->waits) {
        web_busy(w, "connections a second");
    } else {
        web_conn_accept(w);
    }
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct web *w = listener->data;

    if (status == 0) {
        accept_one(w);
    } else {
        log_warn("http", "http.accept", "error", uv_strerror(status), NULL);
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct web *w = timer->data;
    uint64_t now = mono_ms();
    struct web_conn *c;

    DL_FOREACH(w->conns, c) /* they leave the list from callbacks of their own */
    {
        web_conn_tick(c, now);
    }
    if (w->waits) {
        accept_one(w);
    }
    if (w->conns == NULL && !w->waits) {
        uv_timer_stop(timer);
    }
}

/* A turn of the loop begins, and so does its count. */
static void on_turn(uv_idle_t *idle)
{
    struct web *w = idle->data;
    struct web_conn *c;
    size_t n = 0;

    w->in_turn = 0;
    DL_COUNT(w->conns, c, n);
    for (; n > 0 && web_has_turn(w); n--) {
        c = w->conns;
        DL_DELETE(w->conns, c); /* whoever had its turn is the last next time */
        DL_APPEND(w->conns, c);
        if (c->again) {
            c->again = false;
            web_conn_turn(c);
        }
    }
    bool more = w->in_turn > 0; /* the next turn counts anew */
    DL_FOREACH(w->conns, c)
    {
        more = more || c->again;
    }
    if (!more) {
        uv_idle_stop(idle);
    }
}

static void turn_on(struct web *w)
{
    if (!w->teardown.begun) {
        uv_idle_start(&w->turn, on_turn);
    }
}

void web_again(struct web_conn *c)
{
    c->again = true;
    turn_on(c->web);
}

bool web_has_turn(const struct web *w)
{
    return w->in_turn < WEB_REQUESTS_A_TURN;
}

void web_take_turn(struct web *w)
{
    w->in_turn++;
    turn_on(w);
}

void web_forget(struct web_conn *c)
{
    struct web *w = c->web;

    DL_DELETE(w->conns, c);
    free(c);
    if (w->teardown.begun) {
        teardown_part_gone(&w->teardown);
    }
}

static void finish(void *owner)
{
    struct web *w = owner;

    for (size_t i = 0; i < w->nhosts; i++) {
        free(w->hosts[i]);
    }
    free(w->hosts);
    tls_server_destroy(w->tls);
    explicit_bzero(w->token, sizeof(w->token));
    free(w);
}

void web_close(struct web *w, void (*on_closed)(void *ctx), void *ctx)
{
    struct web_conn *c;

    if (w == NULL) {
        if (on_closed != NULL) {
            on_closed(ctx);
        }
        return;
    }
    teardown_begin(&w->teardown, finish, w, on_closed, ctx);
    teardown_handle(&w->teardown, (uv_handle_t *)&w->listener);
    teardown_handle(&w->teardown, (uv_handle_t *)&w->tick);
    teardown_handle(&w->teardown, (uv_handle_t *)&w->turn);
    DL_FOREACH(w->conns, c)
    {
        (void)teardown_part(&w->teardown);
        if (c->socket != NULL) {
            web_socket_going(c->socket);
        }
        web_conn_close(c);
    }
}

/* The names of this host, and those that were given. */
static void take_hosts(struct web *w, const struct web_options *o)
{
    char name[256] = "";

    w->hosts = xcalloc(o->nhosts + 1, sizeof(*w->hosts));
    if (gethostname(name, sizeof(name) - 1) == 0) {
        w->hosts[w->nhosts++] = xstrdup(name);
    }
    for (size_t i = 0; i < o->nhosts; i++) {
        w->hosts[w->nhosts++] = xstrdup(o->hosts[i]);
    }
}

int web_reload(struct web *w, const struct web_options *o, struct err *err)
{
    struct tls_server *tls = NULL;

    if (o->tls_cert != NULL) {
        tls = tls_server_create(o->tls_cert, o->tls_key, err);
        if (tls == NULL) {
            return -ERR_USAGE;
        }
    }
    tls_server_destroy(w->tls);
    w->tls = tls;
    w->has_token = o->admin_token != NULL;
    if (w->has_token) {
        SHA256((const unsigned char *)o->admin_token, strlen(o->admin_token), w->token);
    }
    return 0;
}

static int listen_on(struct web *w, const char *where, struct err *err)
{
    union web_address address;
    int len = sizeof(address);

    if (web_listen_parse(where, &address, err) != 0) {
        return -ERR_USAGE;
    }
    int rc = uv_tcp_bind(&w->listener, &address.any, 0);
    rc = rc == 0 ? uv_listen((uv_stream_t *)&w->listener, WEB_BACKLOG, on_connection) : rc;
    rc = rc == 0 ? uv_tcp_getsockname(&w->listener, &w->address.any, &len) : rc;
    if (rc != 0) {
        return err_set(err, ERR_IO, "cannot listen on %s: %s", where, uv_strerror(rc));
    }
    return 0;
}

struct web *web_create(const struct web_options *o, struct err *err)
{
    struct web *w = xcalloc(1, sizeof(*w));
    char where[80];

    w->loop = o->loop;
    w->routes = o->routes;
    w->ctx = o->ctx;
    take_hosts(w, o);
    BUG_ON(uv_tcp_init(w->loop, &w->listener) != 0 || uv_timer_init(w->loop, &w->tick) != 0 ||
           uv_idle_init(w->loop, &w->turn) != 0);
    w->listener.data = w->tick.data = w->turn.data = w;
    if (web_reload(w, o, err) != 0 || listen_on(w, o->listen, err) != 0) {
        web_close(w, NULL, NULL);
        return NULL;
    }
    web_listen_describe(&w->address, where, sizeof(where));
    log_info("http", "http.listening", "address", where, "tls", w->tls != NULL ? "yes" : "no",
             NULL);
    return w;
}

unsigned web_port(const struct web *w)
{
    return ntohs(w->address.any.sa_family == AF_INET6 ? w->address.v6.sin6_port
                                                      : w->address.v4.sin_port);
}
