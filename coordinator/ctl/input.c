#include "coordinator/ctl/input.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define TYPING_MS 25 /* between two looks whether there is something to read */

int input_read(struct ctl *c, struct buf *all)
{
    char chunk[65536];
    ssize_t n = 1;

    buf_append_char(all, ' '); /* so that there is something, also where there is nothing */
    while (n > 0 && !all->overflow && !c->interrupted) {
        struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
        if (poll(&in, 1, 0) == 0) {
            ctl_restart_deadline(c); /* Redis is not waited for */
            ctl_turn_for(c, TYPING_MS);
            continue;
        }
        n = read(STDIN_FILENO, chunk, sizeof(chunk));
        buf_append(all, chunk, n > 0 ? (size_t)n : 0);
    }
    ctl_restart_deadline(c);
    if (c->interrupted) {
        return ctl_over(c, "standard input");
    }
    if (n < 0) {
        return ctl_fail(CTL_FAILED, "cannot read standard input: %s", strerror(errno));
    }
    if (all->overflow || memchr(all->data, '\0', all->len)) {
        return ctl_fail(CTL_USAGE, "standard input is no text for this: %s",
                        all->overflow ? "it is larger than 16 MiB" : "it holds a NUL byte");
    }
    return CTL_DONE;
}
