/* Sockets and the clock, without any care for those who go away. */
#include "tests/bench/tool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

void tool_die(const char *what)
{
    fprintf(stderr, "%s: ", program_invocation_short_name);
    perror(what);
    exit(1);
}

long long tool_now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int tool_connect(int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int one = 1;

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (sock < 0 || connect(sock, (struct sockaddr *)&to, sizeof(to)) != 0) {
        tool_die("connect");
    }
    setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return sock;
}

void tool_send(int sock, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = send(sock, bytes, len, MSG_NOSIGNAL);
        if (n < 0) {
            tool_die("send");
        }
        bytes += n;
        len -= (size_t)n;
    }
}

uint64_t tool_take_answers(int redis, int flags)
{
    static char bytes[65536];
    static bool begins = true; /* an answer, with the next byte */
    ssize_t n = recv(redis, bytes, sizeof(bytes), flags);
    uint64_t answers = 0;

    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        tool_die("recv");
    }
    for (ssize_t i = 0; i < n; i++) {
        if (begins && bytes[i] == '-') {
            fprintf(stderr, "%s: Redis says %.60s\n", program_invocation_short_name, bytes + i);
            exit(1);
        }
        begins = bytes[i] == '\n';
        answers += begins;
    }
    return answers;
}
