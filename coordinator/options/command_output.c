/* Command output: uv_spawn, a pipe, a deadline. The command leads a process group, so that what it
 * started ends with it. It is over when it has exited and the pipe is at its end. */
#include "coordinator/options/command_output.h"

#include "shared/buf.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

struct run {
    uv_process_t process;
    uv_pipe_t pipe;
    uv_timer_t timer;
    const char *command;
    struct err *err;
    int failed; /* 0, or the error that ended it */
    struct buf out;
    char chunk[4096];
    uint64_t timeout_ms;
};

static void close_once(uv_handle_t *handle)
{
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

static void end(struct run *r, int failed)
{
    if (!r->failed) {
        r->failed = failed;
        (void)uv_kill(-r->process.pid, SIGKILL);
    }
    close_once((uv_handle_t *)&r->pipe);
    close_once((uv_handle_t *)&r->timer);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)suggested;
    struct run *r = handle->data;

    *buf = uv_buf_init(r->chunk, sizeof(r->chunk));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct run *r = stream->data;

    if (n < 0) {
        close_once((uv_handle_t *)stream); /* its end */
        return;
    }
    buf_append(&r->out, buf->base, (size_t)n);
    if (r->out.overflow) {
        end(r, err_set(r->err, ERR_IO, "\"%.200s\" prints more than %zu bytes", r->command,
                       r->out.max));
    }
}

static void on_exit_of(uv_process_t *process, int64_t status, int signal_number)
{
    struct run *r = process->data;

    uv_close((uv_handle_t *)process, NULL);
    close_once((uv_handle_t *)&r->timer);
    if (!r->failed && signal_number) {
        r->failed =
            err_set(r->err, ERR_IO, "\"%.200s\" was ended by signal %d", r->command, signal_number);
    } else if (!r->failed && status) {
        r->failed =
            err_set(r->err, ERR_IO, "\"%.200s\" ended with exit code %d", r->command, (int)status);
    }
    if (r->failed) {
        close_once((uv_handle_t *)&r->pipe);
    }
}

static void on_timeout(uv_timer_t *timer)
{
    struct run *r = timer->data;
    end(r, err_set(r->err, ERR_IO, "\"%.200s\" has not ended after %llu s", r->command,
                   (unsigned long long)(r->timeout_ms / 1000)));
}

/* The environment without our own variables; owned, the strings are not. */
static char **clean_environment(void)
{
    size_t n = 0;
    size_t kept = 0;

    while (environ[n] != NULL) {
        n++;
    }
    char **out = xcalloc(n + 1, sizeof(*out));
    for (size_t i = 0; i < n; i++) {
        if (strncmp(environ[i], "SHOAL_", 6) != 0) {
            out[kept++] = environ[i];
        }
    }
    return out;
}

static int spawn(uv_loop_t *loop, struct run *r)
{
    char *command = xstrdup(r->command);
    char *args[] = {(char *)"/bin/sh", (char *)"-c", command, NULL};
    char **environment = clean_environment();
    uv_stdio_container_t stdio[] = {
        {.flags = UV_IGNORE},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&r->pipe},
        {.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO},
    };
    uv_process_options_t options = {
        .exit_cb = on_exit_of,
        .file = args[0],
        .args = args,
        .env = environment,
        .flags = UV_PROCESS_DETACHED,
        .stdio_count = 3,
        .stdio = stdio,
    };
    int rc = uv_spawn(loop, &r->process, &options);
    free(environment);
    free(command);
    return rc;
}

int command_output(const char *command, size_t most, uint64_t timeout_ms, char **out, size_t *len,
                   struct err *err)
{
    struct run r = {.command = command, .err = err, .timeout_ms = timeout_ms};
    uv_loop_t loop;

    buf_init(&r.out, most);
    int rc = uv_loop_init(&loop);
    if (rc != 0) {
        return err_set(err, ERR_IO, "cannot run \"%.200s\": %s", command, uv_strerror(rc));
    }
    uv_pipe_init(&loop, &r.pipe, 0);
    uv_timer_init(&loop, &r.timer);
    r.process.data = r.pipe.data = r.timer.data = &r;
    rc = spawn(&loop, &r);
    if (rc != 0) {
        r.failed = err_set(err, ERR_IO, "cannot run \"%.200s\": %s", command, uv_strerror(rc));
        uv_close((uv_handle_t *)&r.process, NULL);
        close_once((uv_handle_t *)&r.pipe);
        close_once((uv_handle_t *)&r.timer);
    } else {
        uv_timer_start(&r.timer, on_timeout, timeout_ms, 0);
        BUG_ON(uv_read_start((uv_stream_t *)&r.pipe, on_alloc, on_read) != 0);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    BUG_ON(uv_loop_close(&loop) != 0);
    if (r.failed) {
        buf_finish(&r.out);
        return r.failed;
    }
    *out = r.out.data != NULL ? r.out.data : xstrdup("");
    *len = r.out.len;
    return 0;
}
