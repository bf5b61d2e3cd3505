/* Service: one datagram a turn, to the socket that NOTIFY_SOCKET names. See sd_notify(3) for what
 * the lines mean. */
#include "shared/service.h"

#include "shared/buf.h"
#include "shared/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TURN_MS     1000
#define STARTING_MS 50 /* turns until it is ready */
#define EXTEND_US   15000000
#define EXTEND_MS   (EXTEND_US / 3000) /* asked for again as often */
#define MESSAGE_MAX 512

/* "/run/systemd/notify", or "@name" for an abstract one; others (vsock) are for whole machines. */
static bool take_address(struct service_state *s, const char *name)
{
    size_t len = name != NULL ? strlen(name) : 0;

    if (len < 2 || len >= sizeof(s->to.sun_path) || (name[0] != '/' && name[0] != '@')) {
        return false;
    }
    s->to.sun_family = AF_UNIX;
    memcpy(s->to.sun_path, name, len);
    if (name[0] == '@') {
        s->to.sun_path[0] = '\0';
    }
    s->to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    return true;
}

static uint64_t take_watchdog_ms(void)
{
    const char *usec = getenv("WATCHDOG_USEC");
    const char *pid = getenv("WATCHDOG_PID");
    uint64_t n = 0;
    uint64_t whose = 0;
    bool ours = pid == NULL || (slice_to_u64(slice_of(pid), &whose) && whose == (uint64_t)getpid());

    return ours && slice_to_u64(slice_of(usec), &n) && n > 0 ? n / 2000 + 1 : 0;
}

/* One that was never begun is all zeros. */
static bool is_told(const struct service_state *s)
{
    return s->look != NULL && s->fd >= 0;
}

static bool tell(struct service_state *s, struct slice message)
{
    ssize_t n = sendto(s->fd, message.ptr, message.len, MSG_DONTWAIT | MSG_NOSIGNAL,
                       (const struct sockaddr *)&s->to, s->to_len);

    if (n < 0 && errno != EAGAIN && !s->told_trouble) {
        s->told_trouble = true;
        log_warn("service", "service.notify", "error", strerror(errno), NULL);
    }
    return n >= 0;
}

/* How long until the next turn: the watchdog is answered in time, whatever the turns are. */
static uint64_t turn_ms(const struct service_state *s)
{
    uint64_t ms = s->ready ? TURN_MS : STARTING_MS;

    return s->watchdog_ms > 0 && s->watchdog_ms < ms ? s->watchdog_ms : ms;
}

static void on_timer(uv_timer_t *timer);

/* What begins, and was not told yet. */
static void append_begun(const struct service_state *s, struct buf *message)
{
    if (s->reloading_us > 0) {
        buf_printf(message, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\n", s->reloading_us);
    }
    if (s->owes_stopping) {
        buf_printf(message, "STOPPING=1\n");
    }
}

static bool needs_time(const struct service_state *s, uint64_t now_ms)
{
    return s->owes_stopping || ((!s->ready || s->stopping) && now_ms >= s->extend_at);
}

/* Tell what is new since the last turn. */
static void turn(struct service_state *s)
{
    char status[SERVICE_STATUS_CHARS] = "";
    bool works = s->look(s->ctx, status);
    bool becomes_ready = works && !s->ready && !s->stopping;
    bool says_ready = becomes_ready || s->owes_ready;
    uint64_t now = mono_ms();
    bool extends = !says_ready && needs_time(s, now);
    bool is_due = s->watchdog_ms > 0 && now + turn_ms(s) > s->watchdog_at;
    struct buf message;

    buf_init(&message, MESSAGE_MAX);
    append_begun(s, &message);
    if (says_ready) {
        buf_printf(&message, "READY=1\n");
    } else if (extends) {
        buf_printf(&message, "EXTEND_TIMEOUT_USEC=%d\n", EXTEND_US);
    }
    if (strcmp(status, s->status) != 0) {
        buf_printf(&message, "STATUS=%s\n", status);
    }
    if (is_due) {
        buf_printf(&message, "WATCHDOG=1\n");
    }
    if (message.len > 0 && tell(s, buf_slice(&message))) {
        s->ready = s->ready || becomes_ready;
        s->owes_ready = false;
        s->owes_stopping = false;
        s->reloading_us = 0;
        s->extend_at = extends ? now + EXTEND_MS : s->extend_at;
        memcpy(s->status, status, sizeof(status));
        s->watchdog_at = is_due ? now + s->watchdog_ms : s->watchdog_at;
    }
    buf_finish(&message);
    uv_timer_start(&s->timer, on_timer, turn_ms(s), 0);
}

static void on_timer(uv_timer_t *timer)
{
    turn(timer->data);
}

void service_begin(struct service_state *s, uv_loop_t *loop, service_look_cb look, void *ctx)
{
    *s = (struct service_state){.fd = -1, .look = look, .ctx = ctx};
    if (take_address(s, getenv("NOTIFY_SOCKET"))) {
        s->watchdog_ms = take_watchdog_ms();
        s->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    }
    if (s->fd >= 0) {
        uv_timer_init(loop, &s->timer);
        s->timer.data = s;
        turn(s);
    }
}

void service_reloading(struct service_state *s)
{
    struct timespec now;
    struct buf message;

    if (is_told(s) && s->ready && !s->stopping) {
        s->owes_ready = true;
        clock_gettime(CLOCK_MONOTONIC, &now); /* as the protocol has it */
        s->reloading_us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
        buf_init(&message, MESSAGE_MAX);
        append_begun(s, &message);
        s->reloading_us = tell(s, buf_slice(&message)) ? 0 : s->reloading_us;
        buf_finish(&message);
    }
}

void service_reloaded(struct service_state *s)
{
    if (is_told(s) && s->owes_ready) {
        turn(s);
    }
}

void service_stopping(struct service_state *s)
{
    if (is_told(s) && !s->stopping) {
        s->stopping = true;
        s->owes_stopping = true;
        s->owes_ready = false;
        s->reloading_us = 0;
        turn(s);
    }
}

void service_close(struct service_state *s)
{
    if (is_told(s)) {
        close(s->fd);
        uv_close((uv_handle_t *)&s->timer, NULL);
    }
    s->fd = -1;
}
