/* Probe, its socket: one client at a time, a new one takes the place of the old. A client that goes
 * away loses the answers that are still to come. */
#include "probe/probe_private.h"

#include <string.h>
#include <unistd.h>

struct client {
    uv_pipe_t pipe;
    struct probe *probe;
    char *text; /* read, and no whole line yet */
    size_t len;
};

/* Client and answers --------------------------------------------------------------------------- */

static void on_handle_closed(struct probe *p)
{
    if (--p->open > 0) {
        return;
    }
    scripts_free(p);
    cJSON_Delete(p->record);
    cJSON_Delete(p->given);
    free(p);
}

static void on_client_closed(uv_handle_t *handle)
{
    struct client *c = handle->data;
    struct probe *p = c->probe;

    free(c->text);
    free(c);
    on_handle_closed(p);
}

static void client_close(struct client *c)
{
    if (c->probe->client == c) {
        c->probe->client = NULL;
    }
    if (!uv_is_closing((uv_handle_t *)&c->pipe)) {
        uv_close((uv_handle_t *)&c->pipe, on_client_closed);
    }
}

static void on_written(uv_write_t *request, int status)
{
    (void)status;
    free(request->data);
    free(request);
}

void probe_answer(struct probe *p, const char *tag, cJSON *json)
{
    cJSON_AddStringToObject(json, "id", tag);
    if (p->client) {
        char *text = need(cJSON_PrintUnformatted(json));
        uv_write_t *request = need(calloc(1, sizeof(*request)));
        size_t len = strlen(text);
        text[len] = '\n'; /* in the place of the NUL */
        request->data = text;
        uv_buf_t buf = uv_buf_init(text, (unsigned)len + 1);
        if (uv_write(request, (uv_stream_t *)&p->client->pipe, &buf, 1, on_written) != 0) {
            on_written(request, 0);
        }
    }
    cJSON_Delete(json);
}

/* Listening ------------------------------------------------------------------------------------ */

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
    struct client *c = handle->data;

    c->text = need(realloc(c->text, c->len + size + 1));
    *buf = uv_buf_init(c->text + c->len, (unsigned)size);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct client *c = stream->data;
    char *end;

    (void)buf;
    if (n < 0) {
        client_close(c);
        return;
    }
    c->len += (size_t)n;
    while ((end = memchr(c->text, '\n', c->len))) {
        size_t used = (size_t)(end - c->text) + 1;
        *end = '\0';
        probe_command(c->probe, c->text);
        memmove(c->text, c->text + used, c->len - used);
        c->len -= used;
    }
}

static void on_connection(uv_stream_t *server, int status)
{
    struct probe *p = server->data;

    if (status != 0) {
        return;
    }
    struct client *c = need(calloc(1, sizeof(*c)));
    c->probe = p;
    c->pipe.data = c;
    uv_pipe_init(server->loop, &c->pipe, 0);
    p->open++;
    if (p->client) {
        client_close(p->client);
    }
    p->client = c;
    if (uv_accept(server, (uv_stream_t *)&c->pipe) != 0 ||
        uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read) != 0) {
        client_close(c);
    }
}

static void on_server_closed(uv_handle_t *handle)
{
    on_handle_closed(handle->data);
}

int probe_listen(struct probe *p, const char *path)
{
    uv_pipe_init(cluster_loop(shard_manager_client(p->base)), &p->server, 0);
    p->server.data = p;
    p->open = 1;
    unlink(path);
    int failed = uv_pipe_bind(&p->server, path);
    return failed ? failed : uv_listen((uv_stream_t *)&p->server, 4, on_connection);
}

void probe_close(struct probe *p)
{
    if (p->client) {
        client_close(p->client);
    }
    uv_close((uv_handle_t *)&p->server, on_server_closed);
}
