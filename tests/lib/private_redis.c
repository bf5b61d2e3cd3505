/* Private Redis: fork, exec, wait until the port answers; the rest is signals. */
#include "tests/lib/private_redis.h"

#include "shared/base.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_TRIES   5
#define START_WAIT_MS 15000
#define MAX_ARGS      64

struct private_redis {
    const struct private_redis_options *options;
    char *dir;
    uint16_t port;
    pid_t pid; /* 0: not running */
};

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "private redis: %s: %s\n", what, strerror(errno));
    abort();
}

char *temp_dir_make(void)
{
    const char *tmp = getenv("TMPDIR");
    char *path = xasprintf("%s/shoal-test-XXXXXX", tmp != NULL ? tmp : "/tmp");

    if (mkdtemp(path) == NULL) {
        give_up(path);
    }
    return path;
}

void temp_dir_remove(char *path)
{
    DIR *dir = path != NULL ? opendir(path) : NULL;
    struct dirent *entry;

    if (dir != NULL) {
        while ((entry = readdir(dir)) != NULL) {
            (void)unlinkat(dirfd(dir), entry->d_name, 0);
        }
        closedir(dir);
        (void)rmdir(path);
    }
    free(path);
}

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
}

uint16_t free_port(void)
{
    struct sockaddr_in address = loopback(0);
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        give_up("no free port");
    }
    close(fd);
    return ntohs(address.sin_port);
}

static void run_server(const struct private_redis *r, pid_t parent)
{
    const struct private_redis_options *o = r->options;
    const char *argv[MAX_ARGS];
    char port[8];
    int n = 0;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
        _exit(1);
    }
    dup2(null, 0);
    dup2(null, 1);
    dup2(null, 2);
    signal(SIGPIPE, SIG_DFL);
    snprintf(port, sizeof(port), "%u", (unsigned)r->port);
#define ARGS(...)                                                                                  \
    do {                                                                                           \
        const char *const more[] = {__VA_ARGS__};                                                  \
        for (size_t i = 0; i < ARRAY_LEN(more); i++) {                                             \
            argv[n++] = more[i];                                                                   \
        }                                                                                          \
    } while (0)
    ARGS("redis-server", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no");
    ARGS("--dir", r->dir, "--daemonize", "no", "--logfile", "redis.log");
    if (o != NULL && o->tls_cert != NULL) {
        ARGS("--port", "0", "--tls-port", port, "--tls-auth-clients", "no");
        ARGS("--tls-cert-file", o->tls_cert, "--tls-key-file", o->tls_key);
        ARGS("--tls-ca-cert-file", o->tls_ca);
    } else {
        ARGS("--port", port);
    }
#undef ARGS
    for (size_t i = 0; o != NULL && o->args != NULL && o->args[i] != NULL && n < MAX_ARGS - 1;
         i++) {
        argv[n++] = o->args[i];
    }
    argv[n] = NULL;
    execvp(argv[0], (char **)(uintptr_t)argv);
    _exit(127);
}

/* Does it take a connection and (without TLS) answer? */
static bool answers(const struct private_redis *r)
{
    bool tls = r->options != NULL && r->options->tls_cert != NULL;
    struct sockaddr_in address = loopback(r->port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    bool ok = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
    char reply[16] = {0};

    if (ok && !tls) {
        ok = send(fd, "PING\r\n", 6, MSG_NOSIGNAL) == 6 && poll(&p, 1, 1000) == 1 &&
             recv(fd, reply, sizeof(reply) - 1, 0) > 0 && strncmp(reply, "-LOADING", 8) != 0;
    }
    close(fd);
    return ok;
}

/* false: it ended (the port was taken, perhaps). */
static bool launch(struct private_redis *r)
{
    pid_t parent = getpid();
    uint64_t start = mono_ms();

    r->pid = fork();
    if (r->pid < 0) {
        give_up("fork");
    }
    if (r->pid == 0) {
        run_server(r, parent);
    }
    while (mono_ms() - start < START_WAIT_MS) {
        if (waitpid(r->pid, NULL, WNOHANG) == r->pid) {
            r->pid = 0;
            return false;
        }
        if (answers(r)) {
            return true;
        }
        usleep(2000);
    }
    errno = ETIMEDOUT;
    give_up("redis-server does not answer");
}

struct private_redis *private_redis_start(const struct private_redis_options *options)
{
    struct private_redis *r = xcalloc(1, sizeof(*r));

    r->options = options;
    r->dir = temp_dir_make();
    for (int i = 0; i < START_TRIES; i++) {
        r->port = free_port();
        if (launch(r)) {
            return r;
        }
    }
    errno = ECHILD;
    give_up("redis-server does not start (is it installed?)");
}

void private_redis_kill(struct private_redis *r)
{
    if (r->pid > 0) {
        kill(r->pid, SIGKILL);
        while (waitpid(r->pid, NULL, 0) < 0 && errno == EINTR) {
        }
        r->pid = 0;
    }
}

void private_redis_restart(struct private_redis *r)
{
    BUG_ON(r->pid != 0);
    for (int i = 0; i < START_TRIES; i++) {
        if (launch(r)) {
            return;
        }
        usleep(50000);
    }
    errno = ECHILD;
    give_up("redis-server does not start again");
}

void private_redis_stop(struct private_redis *r)
{
    if (r == NULL) {
        return;
    }
    private_redis_kill(r);
    temp_dir_remove(r->dir);
    free(r);
}

void private_redis_pause(struct private_redis *r)
{
    kill(r->pid, SIGSTOP);
}

void private_redis_resume(struct private_redis *r)
{
    kill(r->pid, SIGCONT);
}

struct private_redis *redis;

int start_redis(void **state)
{
    (void)state;
    redis = private_redis_start(NULL);
    return 0;
}

int stop_redis(void **state)
{
    (void)state;
    private_redis_stop(redis);
    return 0;
}

uint16_t private_redis_port(const struct private_redis *r)
{
    return r->port;
}

pid_t private_redis_pid(const struct private_redis *r)
{
    return r->pid;
}

const char *private_redis_dir(const struct private_redis *r)
{
    return r->dir;
}
