/* A TCP server on loopback, a line at a time. A client whose command waits (`wait`) reads on, but its
 * next command begins only when that one is answered. Clients are few and trusted (it is a test's port):
 * what is bounded is the length of a command. */
#include "tests/twitch_sim/control.h"

#include "tests/twitch_sim/commands.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define COMMAND_BYTES (1 << 20)

struct client {
    struct control *control;
    struct client *prev;
    struct client *next;
    uv_tcp_t tcp;
    struct buf in;
    char *waiting; /* the line of a `wait` that is not done */
    uint64_t wait_until;
    bool closing;
    char chunk[65536];
};

struct control {
    struct sim *sim;
    uv_tcp_t listener;
    struct client *clients;
    int port;
};

struct answer {
    uv_write_t req;
    struct buf text;
};

static void on_client_closed(uv_handle_t *handle)
{
    struct client *c = handle->data;

    DL_DELETE(c->control->clients, c);
    buf_finish(&c->in);
    free(c->waiting);
    free(c);
}

static void client_close(struct client *c)
{
    if (!c->closing) {
        c->closing = true;
        uv_close((uv_handle_t *)&c->tcp, on_client_closed);
    }
}

static void on_answered(uv_write_t *req, int status)
{
    struct answer *a = req->data;

    (void)status;
    buf_finish(&a->text);
    free(a);
}

static void send_answer(struct client *c, struct answer *a)
{
    uv_buf_t out = uv_buf_init(a->text.data, (unsigned)a->text.len);

    a->req.data = a;
    if (c->closing || uv_write(&a->req, (uv_stream_t *)&c->tcp, &out, 1, on_answered) != 0) {
        on_answered(&a->req, 0);
    }
}

static void begin_answer(struct answer *a, struct json *j)
{
    buf_init(&a->text, (size_t)1 << 30);
    json_init(j, &a->text);
    json_object_begin(j, NULL);
}

/* Close the object, or replace it by the error. */
static void end_answer(struct client *c, struct answer *a, struct json *j, int rc,
                       const struct err *err)
{
    if (rc != 0) {
        buf_clear(&a->text);
        json_init(j, &a->text);
        json_object_begin(j, NULL);
        json_string(j, "error", err->text);
    }
    json_bool(j, "ok", rc == 0);
    json_object_end(j);
    buf_append_char(&a->text, '\n');
    send_answer(c, a);
}

/* True if it was answered. */
static bool try_wait(struct client *c, const struct command *cmd)
{
    struct err err = {0};
    bool done = false;
    int rc = command_wait(c->control->sim, cmd, &done, &err);
    struct answer *a;
    struct json j;

    if (rc == 0 && !done) {
        if (mono_ms() < c->wait_until) {
            return false;
        }
        rc = err_set(&err, ERR_TIMEOUT, "waited in vain");
    }
    a = xcalloc(1, sizeof(*a));
    begin_answer(a, &j);
    end_answer(c, a, &j, rc, &err);
    return true;
}

static void run_line(struct client *c, char *line)
{
    char *copy = xstrdup(line);
    struct command cmd;
    struct answer *a;
    struct json j;
    struct err err = {0};

    if (!command_parse(line, &cmd)) {
        free(copy);
        return;
    }
    if (strcmp(cmd.name, "wait") == 0) {
        c->wait_until = mono_ms() + command_number(&cmd, "ms", 10000);
        if (!try_wait(c, &cmd)) {
            c->waiting = copy;
            sim_hurry(c->control->sim);
            return;
        }
    } else {
        int rc;

        a = xcalloc(1, sizeof(*a));
        begin_answer(a, &j);
        rc = command_run(c->control->sim, &cmd, &j, &err);
        end_answer(c, a, &j, rc, &err);
    }
    free(copy);
}

static void run_lines(struct client *c)
{
    while (!c->waiting && !c->closing && c->in.len > 0) {
        char *end = memchr(c->in.data, '\n', c->in.len);
        char *line;

        if (!end) {
            if (c->in.overflow || c->in.len >= COMMAND_BYTES) {
                client_close(c);
            }
            return;
        }
        line = xstrndup(c->in.data, (size_t)(end - c->in.data));
        buf_consume(&c->in, (size_t)(end - c->in.data) + 1);
        run_line(c, line);
        free(line);
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct client *c = handle->data;

    (void)suggested;
    *out = uv_buf_init(c->chunk, sizeof(c->chunk));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *data)
{
    struct client *c = stream->data;

    if (n < 0) {
        client_close(c);
        return;
    }
    buf_append(&c->in, data->base, (size_t)n);
    if (c->in.overflow) {
        client_close(c);
        return;
    }
    run_lines(c);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct control *control = listener->data;
    struct client *c;

    if (status != 0) {
        return;
    }
    c = xcalloc(1, sizeof(*c));
    c->control = control;
    buf_init(&c->in, 2 * COMMAND_BYTES);
    DL_APPEND(control->clients, c);
    uv_tcp_init(listener->loop, &c->tcp);
    c->tcp.data = c;
    if (uv_accept(listener, (uv_stream_t *)&c->tcp) != 0 ||
        uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) != 0) {
        client_close(c);
    }
}

int control_start(struct sim *s, int port, struct err *err)
{
    struct control *control = xcalloc(1, sizeof(*control));
    struct sockaddr_in addr;
    int len = sizeof(addr);
    int rc;

    control->sim = s;
    s->control = control;
    uv_ip4_addr("127.0.0.1", port, &addr);
    uv_tcp_init(&s->loop.uv, &control->listener);
    control->listener.data = control;
    rc = uv_tcp_bind(&control->listener, (const struct sockaddr *)&addr, 0);
    if (rc == 0) {
        rc = uv_listen((uv_stream_t *)&control->listener, 16, on_connection);
    }
    if (rc != 0) {
        return err_set(err, ERR_IO, "control port %d: %s", port, uv_strerror(rc));
    }
    uv_tcp_getsockname(&control->listener, (struct sockaddr *)&addr, &len);
    control->port = ntohs(addr.sin_port);
    return 0;
}

int control_port(const struct sim *s)
{
    return s->control->port;
}

void control_tick(struct sim *s)
{
    struct client *c;
    struct client *next;

    DL_FOREACH_SAFE(s->control->clients, c, next)
    {
        struct command cmd;
        char *line;

        if (!c->waiting) {
            continue;
        }
        line = xstrdup(c->waiting);
        if (command_parse(line, &cmd) && try_wait(c, &cmd)) {
            free(c->waiting);
            c->waiting = NULL;
            run_lines(c);
        }
        free(line);
    }
}

bool control_waits(const struct sim *s)
{
    struct client *c;

    DL_FOREACH(s->control->clients, c)
    {
        if (c->waiting) {
            return true;
        }
    }
    return false;
}

void control_close(struct sim *s)
{
    struct client *c;

    DL_FOREACH(s->control->clients, c)
    {
        client_close(c);
    }
    uv_close((uv_handle_t *)&s->control->listener, NULL);
}

void control_free(struct sim *s)
{
    free(s->control);
    s->control = NULL;
}
