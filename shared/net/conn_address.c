/* Conn, addresses: from the name in the URL to a socket that connects, one address after the other
 * (shared/net/addresses.h). One that connected and then said nothing counts as dead too. */
#include "shared/net/conn_private.h"

#include <stdio.h>

static void connect_next(struct conn *conn);

static void on_address_closed(uv_handle_t *handle)
{
    struct conn *conn = handle->data;

    if (conn->machine.state == CONN_BETWEEN) {
        connect_next(conn);
    } else {
        teardown_part_gone(&conn->teardown);
    }
}

void conn_address_failed(struct conn *conn, const struct err *why)
{
    conn->last = *why;
    uv_timer_stop(&conn->timer);
    addresses_failed(&conn->addresses, uv_now(conn->loop));
    conn->tcp_open = false;
    uv_close((uv_handle_t *)&conn->tcp, on_address_closed);
    conn_begin_again(conn);
    machine_move(&conn->machine, CONN_BETWEEN, conn);
}

void conn_address_unreachable(struct conn *conn, int status)
{
    struct err why;

    err_set(&why, ERR_UNREACHABLE, "%s cannot be reached: %s", conn->where, uv_strerror(status));
    conn_address_failed(conn, &why);
}

static void connect_next(struct conn *conn)
{
    uint64_t now = uv_now(conn->loop);
    uint64_t left = conn->deadline > now ? conn->deadline - now : 1;
    uint64_t patience = 0;
    const struct sockaddr *address = addresses_next(&conn->addresses, now, left, &patience);

    if (address == NULL) {
        conn_fail(conn, &conn->last);
        return;
    }
    BUG_ON(uv_tcp_init(conn->loop, &conn->tcp) != 0);
    conn->tcp.data = conn;
    conn->tcp_open = true;
    machine_move(&conn->machine, CONN_CONNECTING, conn);
    conn->connect.data = conn;
    int rc = uv_tcp_connect(&conn->connect, &conn->tcp, address, conn_on_connected);
    if (rc != 0) {
        conn_address_unreachable(conn, rc);
    } else if (patience < left) {
        /* The last address may use what is left; the owner's deadline ends it. */
        uv_timer_start(&conn->timer, conn_on_timer, patience, 0);
    }
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct conn *conn = request->data;

    if (conn->machine.state == CONN_CLOSING) {
        uv_freeaddrinfo(found);
        teardown_part_gone(&conn->teardown);
        return;
    }
    if (status != 0) {
        err_set(&conn->last, ERR_UNREACHABLE,
                "%s cannot be reached: the name does not resolve (%s); check the host in %s",
                conn->where, uv_strerror(status), conn->o.url_option);
    }
    addresses_add_all(&conn->addresses, found);
    uv_freeaddrinfo(found);
    connect_next(conn);
}

static void conn_start(struct conn *conn)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    union address literal;
    char port[8];

    if (uv_ip4_addr(conn->host, conn->port, &literal.v4) == 0 ||
        uv_ip6_addr(conn->host, conn->port, &literal.v6) == 0) {
        addresses_add(&conn->addresses, &literal.any);
        connect_next(conn);
        return;
    }
    snprintf(port, sizeof(port), "%u", (unsigned)conn->port);
    conn->lookup.data = conn;
    int rc = uv_getaddrinfo(conn->loop, &conn->lookup, on_resolved, conn->host, port, &hints);
    if (rc != 0) {
        err_set(&conn->last, ERR_UNREACHABLE, "%s cannot be reached: the name cannot be used (%s)",
                conn->where, uv_strerror(rc));
        conn_fail(conn, &conn->last);
        return;
    }
    machine_move(&conn->machine, CONN_RESOLVING, conn);
}

void conn_on_timer(uv_timer_t *timer)
{
    struct conn *conn = timer->data;

    if (conn->machine.state == CONN_WAITING) {
        conn_start(conn);
    } else {
        conn_address_unreachable(conn, UV_ETIMEDOUT);
    }
}
