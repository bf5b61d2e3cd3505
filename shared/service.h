/* Service: what this process tells the service manager that started it (systemd's sd_notify(3)),
 * and the watchdog it answers.
 *
 *     begun -> ready -> (reloading -> ready)... -> stopping
 *
 * Where NOTIFY_SOCKET names a datagram socket, a timer asks the owner how it is and tells READY=1
 * when it does its work for the first time, STATUS= where that has changed, WATCHDOG=1 at half of
 * WATCHDOG_USEC: a loop that stands still does not, and is ended. Before it is ready, and while it
 * stops, it asks for EXTEND_TIMEOUT_USEC as long as its loop goes on: Redis may load its data for
 * minutes, and an orderly leave may take --drain-timeout, whatever the unit says.
 *
 * Without NOTIFY_SOCKET nothing is done. Never blocks: what the socket does not take now is told at
 * the next turn. Written here, and not libsystemd's: its sd_notify waits where the socket is full,
 * and it would bring compression and encryption into the daemons. Loop thread only. */
#ifndef SHOAL_SERVICE_H
#define SHOAL_SERVICE_H

#include "shared/base.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <uv.h>

#define SERVICE_STATUS_CHARS 256

/* Write into `status` (SERVICE_STATUS_CHARS) how it is, in one line. True: it does its work. */
typedef bool (*service_look_cb)(void *ctx, char *status);

struct service_state {
    int fd; /* -1: nobody is told */
    struct sockaddr_un to;
    socklen_t to_len;
    uv_timer_t timer;
    uint64_t watchdog_ms; /* half of what may pass; 0: there is none */
    uint64_t watchdog_at; /* mono ms */
    bool ready;           /* told so */
    bool stopping;
    uint64_t extend_at;    /* mono ms: then it asks for time again */
    uint64_t reloading_us; /* since then; the socket did not take that yet. 0: it did */
    bool owes_ready;       /* it has read its configuration, and the socket did not take that yet */
    bool owes_stopping;
    bool told_trouble;
    char status[SERVICE_STATUS_CHARS]; /* as told last */
    service_look_cb look;
    void *ctx;
};

/* Begin, as NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID in the environment say. */
void service_begin(struct service_state *s, uv_loop_t *loop, service_look_cb look, void *ctx);
/* The configuration is being read anew; and it was. */
void service_reloading(struct service_state *s);
void service_reloaded(struct service_state *s);
/* It ends; may be called again. */
void service_stopping(struct service_state *s);
/* Let go of timer and socket, so that the loop can end; idempotent. One that was never begun, and
 * is all zeros, is fine. */
void service_close(struct service_state *s);

#endif
